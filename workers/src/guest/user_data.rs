//! What a machine is told to be, as cloud-init reads it. JSON is YAML too, and has no quoting
//! traps.
//!
//! The order that counts: the agent may start only on a mounted home that its user can write to.
//! Without `RequiresMountsFor` it starts before the mount at every reboot, writes to the
//! machine's own disk, and the mount hides what it wrote. cloud-init itself reports a failed
//! mount as a success, so its word is not taken; the machine checks and reports by itself.

use serde_json::{Value, json};
use stead_schemas::site::{Guest, System};
use stead_schemas::step::volume::AttachedVolume;

use super::tools::HomeFile;
use super::{desktop, volume, windows};

const HOME: &str = "/home/coder";
const ENV_FILE: &str = "/etc/coder-agent/env";
const VERIFY: &str = "/usr/local/sbin/stead-verify-home";
const MCP_FILE: &str = "/etc/stead/mcp.yaml";
/// What lies in the home for as long as its user leaves it as it is.
const HOME_FILES: &str = "/etc/stead/home";

/// What differs from machine to machine and from boot to boot.
pub(super) struct Seed<'a> {
    /// What the machine is called.
    pub(super) host_name: &'a str,
    /// What is mounted as the home.
    pub(super) home_source: &'a str,
    /// The agent's token, of the build that starts the machine now.
    pub(super) agent_token: &'a str,
    /// Where the agent finds Coder.
    pub(super) coder_url: &'a str,
    /// The machine's own seed address, with its slash, where it can reach it.
    pub(super) seed_url: Option<&'a str>,
    /// What else the agent finds in its environment; each value is one word.
    pub(super) environment: &'a [(&'static str, String)],
    /// What tools are told of MCP servers, if there is something to tell.
    pub(super) mcp: Option<&'a str>,
    /// What tools find in the home.
    pub(super) home_files: &'a [HomeFile],
    /// What the machine is to be.
    pub(super) guest: Guest,
    /// The address of the card for storage, if there is one.
    pub(super) storage_card: Option<&'a str>,
    /// What is mounted beside the home, if it has a volume.
    pub(super) volume: Option<&'a AttachedVolume>,
}

/// The user data of one boot.
pub(super) fn user_data(seed: &Seed<'_>) -> String {
    match seed.guest.system {
        System::Linux => cloud_config(seed),
        System::Windows => windows::user_data(seed),
    }
}

fn cloud_config(seed: &Seed<'_>) -> String {
    let mut config = json!({
        "users": users(seed.guest),
        "mounts": [[seed.home_source, HOME, "nfs", MOUNT_OPTIONS, "0", "0"]],
        "cloud_init_modules": init_modules(),
        "write_files": write_files(seed),
        "runcmd": runcmd(),
    });
    if let Some(card) = seed.storage_card {
        config["bootcmd"] = json!([["sh", "-c", PLUG_IN, "sh", card]]);
    }
    if let Some(seed_url) = seed.seed_url {
        let endpoint = format!("{seed_url}events");
        let webhook =
            json!({ "type": "webhook", "endpoint": endpoint, "timeout": 5, "retries": 1 });
        config["reporting"] = json!({ "stead": webhook });
    }
    format!("#cloud-config\n{config:#}\n")
}

/// Has systemd-networkd address the card for storage, whose own address is given, and that one only.
/// It leads to what is in its network and nowhere else: neither routes nor names are taken from there.
/// Said at each boot before anything is mounted, and kept for those that find no seed. It is no
/// `network-config`: cloud-init 22.4 fetches none, and where one is rendered for networkd a card is known by
/// its name, too, which a boot without a seed does not give it again.
const PLUG_IN: &str = r#"
    file=/etc/systemd/network/05-stead-storage.network
    mkdir -p "${file%/*}"
    printf '%s\n' '[Match]' "MACAddress=$1" '[Network]' DHCP=ipv4 LinkLocalAddressing=no \
        '[DHCPv4]' UseRoutes=no UseDNS=no UseNTP=no UseHostname=no >"$file"
    networkctl reload || systemctl restart systemd-networkd
"#;

/// `noauto` leaves the mount to systemd, which waits for it where cloud-init would not; `hard`
/// because a soft mount loses writes.
const MOUNT_OPTIONS: &str = "noauto,nofail,_netdev,hard,vers=4.2,timeo=600";

/// Without `default` the image's own user would go. The home is not made here: a directory with
/// skeleton files would only be hidden by the mount.
fn users(guest: Guest) -> Value {
    // A group that the image has not is made.
    let groups = if guest.docker { vec!["sudo", "docker"] } else { vec!["sudo"] };
    json!(["default", {
        "name": "coder",
        "uid": 1000,
        "groups": groups,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "homedir": HOME,
        "no_create_home": true,
        "lock_passwd": true,
    }])
}

fn env(seed: &Seed<'_>) -> String {
    let more = seed.environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    let agent = [("TOKEN", seed.agent_token), ("URL", seed.coder_url)];
    let agent = agent.map(|(name, value)| format!("CODER_AGENT_{name}={value}\n"));
    agent.into_iter().chain(more).collect()
}

/// What cloud-init does in its network stage: its own list, but that files are written at every
/// boot. Each boot has a new agent token, and by default files are written at the first one only.
fn init_modules() -> Value {
    json!([
        "seed_random",
        "bootcmd",
        ["write-files", "always"],
        "growpart",
        "resizefs",
        "disk_setup",
        "mounts",
        "set_hostname",
        "update_hostname",
        "update_etc_hosts",
        "ca-certs",
        "rsyslog",
        "users-groups",
        "ssh",
    ])
}

fn write_files(seed: &Seed<'_>) -> Value {
    let mut files = vec![
        file(ENV_FILE, "0600", &env(seed)),
        file(VERIFY, "0755", &verify(seed)),
        unit("coder-agent.service", &agent_unit(seed.volume.is_some())),
        unit("coder.target", &target_unit(seed.guest)),
    ];
    if let Some(own) = seed.volume {
        files.push(file(volume::SCRIPT, "0755", &volume::script(own)));
        files.push(unit(volume::UNIT_NAME, volume::UNIT));
    }
    if seed.guest.desktop {
        files.extend(desktop::UNITS.map(|(name, content)| unit(name, content)));
        files.push(file(desktop::DOOR.0, "0644", desktop::DOOR.1));
    }
    files.extend(seed.mcp.map(|content| file(MCP_FILE, "0644", content)));
    let homes = seed.home_files.iter();
    files.extend(
        homes.map(|home| file(&format!("{HOME_FILES}/{}", home.path), "0644", &home.content)),
    );
    Value::Array(files)
}

fn unit(name: &str, content: &str) -> Value {
    file(&format!("/etc/systemd/system/{name}"), "0644", content)
}

fn file(path: &str, permissions: &str, content: &str) -> Value {
    json!({
        "path": path, "permissions": permissions, "owner": "root:root", "content": content,
    })
}

/// Lays what tools find into the home: what is not there yet, and what is as it was laid there last.
/// What its user has changed, replaced or deleted is his. The words are where files come from, the
/// home, and the files.
pub(super) const KEEP_FILES: &str = r#"
    umask 077
    from=$1 home=$2 && shift 2
    for file; do
        new="$from/$file" own="$home/$file" laid="$home/.config/stead/$file"
        if [ -e "$laid" ]; then
            cmp -s "$own" "$laid" || cmp -s "$own" "$new" || continue
        elif [ -e "$own" ] || [ -L "$own" ]; then
            continue
        fi
        for to in "$own" "$laid"; do
            mkdir -p "${to%/*}" && cp "$new" "$to.stead" && mv -f "$to.stead" "$to" || exit 1
        done
    done
"#;

fn keep_files(seed: &Seed<'_>) -> String {
    if seed.home_files.is_empty() {
        return String::new();
    }
    let paths: Vec<_> = seed.home_files.iter().map(|file| quoted(file.path)).collect();
    format!(
        "timeout --signal=KILL 60 runuser -u coder -- sh -c {} sh {HOME_FILES} \"$home\" {} ||\n    \
         echo \"stead: the files of tools cannot be laid into $home\" >&2\n",
        quoted(KEEP_FILES),
        paths.join(" ")
    )
}

/// Lets the home's user find the machine's own file of MCP servers, unless he has one. A link, since
/// the home outlives the machine and may be another machine's, too.
const LINK_MCP: &str = r#"timeout --signal=KILL 60 runuser -u coder -- sh -c '
    mkdir -p "$1/.aider" && { [ -e "$1/.aider/mcp.yaml" ] || ln -sf /etc/stead/mcp.yaml "$1/.aider/mcp.yaml"; }
' sh "$home" || echo "stead: $home/.aider/mcp.yaml cannot be linked" >&2
"#;

/// `+` runs the check as root, which it needs in order to become the user. No working directory:
/// root may not enter a home on a share that squashes root.
const AGENT_UNIT: &str = "\
[Unit]
Description=Coder agent
RequiresMountsFor=/home/coder
Wants=network-online.target
After=network-online.target cloud-init.service cloud-init-network.service
StartLimitIntervalSec=0

[Service]
User=coder
EnvironmentFile=/etc/coder-agent/env
ExecStartPre=+/usr/local/sbin/stead-verify-home
ExecStart=/usr/local/bin/coder agent
Restart=always
RestartSec=2
";

/// An agent whose machine has a volume waits for that, too.
fn agent_unit(has_volume: bool) -> String {
    let name = volume::UNIT_NAME;
    let waits = if has_volume { format!("Requires={name}\nAfter={name}\n") } else { String::new() };
    AGENT_UNIT.replace("[Unit]\n", &format!("[Unit]\n{waits}"))
}

/// `Upholds` starts the agent again when a server that was away at boot has come back; a failed
/// dependency alone would leave it down for good. No default dependencies: the target would else
/// wait for the agent, and the end of the boot for the target.
fn target_unit(guest: Guest) -> String {
    let desktop = desktop::UNITS.map(|(name, _)| name).into_iter().filter(|_| guest.desktop);
    let upheld: Vec<_> = ["coder-agent.service"].into_iter().chain(desktop).collect();
    format!(
        "\
[Unit]
Description=The Coder agent, whenever its home is there
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
Upholds={}

[Install]
WantedBy=multi-user.target
",
        upheld.join(" ")
    )
}

/// The mount point is made immutable before anything is mounted on it, so that nothing can be
/// written beneath the mount; some file systems cannot, which only loses that safeguard.
fn runcmd() -> Value {
    json!([
        ["mkdir", "-p", HOME],
        ["sh", "-c", "mountpoint -q /home/coder || chattr +i /home/coder || true"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "coder.target"],
        ["systemctl", "start", "--no-block", "coder.target"],
    ])
}

/// The report is sent by a unit of its own: what a start check leaves running is killed with it,
/// and an engine that is away must not keep the agent from starting. It is repeated for half an
/// hour, in which a home that fails is reported once, however often it is checked: the second unit
/// of that name is refused.
const REPORT: &str = r#"boot_id=$(cat /proc/sys/kernel/random/boot_id)
address=$(hostname -I | cut -d' ' -f1)

report() {
    [ -z "$quietly" ] || return 0
    body="{\"stage\":\"$1\",\"boot_id\":\"$boot_id\",\"address\":\"$address\",\"detail\":\"$2\"}"
    systemd-run --quiet --collect --no-block --unit="stead-$1" curl --silent --show-error --fail \
        --retry 900 --retry-delay 2 --retry-all-errors --max-time 10 \
        --header 'Content-Type: application/json' --data "$body" REPORT_URL
}
"#;

/// Whoever cannot reach us tells us nothing; it stands in the journal of the machine.
const SILENT: &str = "report() {\n    [ -n \"$quietly\" ] || echo \"stead: $1: $2\"\n}\n";

fn verify(seed: &Seed<'_>) -> String {
    let source = quoted(seed.home_source);
    let (place, report) = match seed.seed_url.map(|url| format!("{url}report")) {
        Some(url) => {
            (format!("# stead-report: {url}\n"), REPORT.replace("REPORT_URL", &quoted(&url)))
        }
        None => (String::new(), SILENT.to_owned()),
    };
    let (link, keep) = (seed.mcp.map_or("", |_| LINK_MCP), keep_files(seed));
    format!(
        r#"#!/bin/sh
{place}# Fails unless the home is mounted from the right place and its user can write to it.
wanted={source}
home={HOME}
quietly=$1

{report}
refuse() {{
    report home-failed "$1"
    echo "stead: $1" >&2
    exit 1
}}

case "$(findmnt --noheadings --output FSTYPE --mountpoint "$home")" in
    nfs|nfs4) ;;
    *) refuse "no NFS is mounted on $home" ;;
esac
[ "$(findmnt --noheadings --output SOURCE --mountpoint "$home")" = "$wanted" ] ||
    refuse "something else is mounted on $home"
timeout --signal=KILL 60 runuser -u coder -- \
    sh -c 'probe=$(mktemp "$1/.stead-XXXXXX") && rm -f "$probe"' sh "$home" ||
    refuse "$home is not writable for coder"
{link}{keep}report home-verified "mounted and writable"
exit 0
"#
    )
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
