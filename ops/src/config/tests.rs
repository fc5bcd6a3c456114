//! One check: a configuration in, its faults out, as they are read aloud.

use stead_schemas::command::pool::READY_MAX;

use super::{ConfigError, read};

mod authentik;
mod buckets;
mod deployments;
mod incident;
mod truenas;
mod vault;

const GOOD: &str = r#"
[vault]
address = "http://127.0.0.1:8200"
role_id = "env:ROLE"
secret_id = "env:SECRET"
[proxmox]
address = "https://pve.lan:8006"
secret = "vault:secret/data/proxmox/api"
node = "pve1"
[truenas]
address = "wss://nas.lan/api/current"
secret = "vault:secret/data/truenas/api"
parent = "tank/coder-home"
nfs_server = "10.10.30.2"
[coder]
address = "https://coder.lan"
secret = "vault:secret/data/coder/api"
[guest]
secret = "vault:secret/data/stead/seed"
[[template]]
name = "debian-12"
vmid = 9000
disk_gb = 40
coder_template = "stead-machine"
"#;

fn env(name: &str) -> Option<String> {
    matches!(name, "ROLE" | "SECRET").then(|| "x".to_owned())
}

fn check(change: impl Fn(String) -> String, faults: &[&str]) {
    let found = match read(&change(GOOD.to_owned()), "stead.toml", &env) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Faulty { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    assert_eq!(found, faults);
}

#[test]
fn the_keys_of_the_audit_are_looked_at_before_anybody_s_signature_counts() {
    let audit = |line: &'static str| move |text: String| format!("{text}[audit]\n{line}\n");
    let line = GOOD.lines().count() + 1;
    let place = |key: &str| format!("line {line}: audit.{key}");
    // What stands in ROLE is `x`.
    let no_seed = "is no seed of a key; `stead nats key FILE` makes one";
    check(audit("key = \"env:ROLE\""), &[&format!("{}: {no_seed}", place("key"))]);
    let no_key = "`x` is no public half of a key; `stead nats key` makes one";
    check(audit("signers = \"x\""), &[&format!("{}: {no_key}", place("signers"))]);
}

#[test]
fn a_good_one_has_no_faults() {
    check(|text| text, &[]);
}

#[test]
fn the_servers_that_are_shipped_fit_into_a_site() {
    let shipped = include_str!("../../deploy/kubernetes/mcp-servers.toml");
    let kubernetes = "[kubernetes]\naddress = \"https://k3s.lan:6443\"\n\
                      registry = \"https://mcp-registry.lan\"\n\
                      secret = \"vault:secret/data/kubernetes/api\"\n";
    let text = format!("{GOOD}{kubernetes}{shipped}");
    let site = read(&text, "stead.toml", &env).expect("it has no faults").site;
    let names: Vec<&str> = site.mcp_servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["outline", "appflowy", "splunk", "git", "s3"]);
    assert!(site.mcp_servers.iter().all(|server| server.env.len() > 1), "they know nobody");
}

#[test]
fn what_was_not_told_where_to_listen_listens_to_this_machine_alone() {
    let config = read(GOOD, "stead.toml", &env).expect("it has no faults");
    assert!(config.workers.guest.listen.ip().is_loopback());
    assert_eq!((config.engine.metrics, config.metrics), (None, None));
    assert!(config.workers.forgejo.is_none(), "and so there is no door for webhooks");
}

#[test]
fn a_worker_process_carries_out_as_many_steps_at_once_as_is_said() {
    let config = read(GOOD, "stead.toml", &env).expect("it has no faults");
    assert_eq!(config.at_once, 64);
    let config = read(&format!("{GOOD}[workers]\nat_once = 8\n"), "stead.toml", &env);
    assert_eq!(config.expect("it has no faults").at_once, 8);
    let line = GOOD.lines().count() + 2;
    let words = format!("line {line}: workers.at_once: `0` is not a whole number from 1 to 10000");
    check(|text| format!("{text}[workers]\nat_once = 0\n"), &[&words]);
}

#[test]
fn traces_go_to_an_address_that_holds_no_login() {
    let to = |endpoint: &str| format!("{GOOD}[traces]\nendpoint = \"{endpoint}\"\n");
    for good in ["http://127.0.0.1:4318", "https://traces.lan/otlp"] {
        check(|_| to(good), &[]);
    }
    let place = format!("line {}: traces.endpoint", GOOD.lines().count() + 1);
    let plain = "is a collector's address, such as http://127.0.0.1:4318";
    for bad in ["127.0.0.1:4318", "grpc://127.0.0.1:4317"] {
        check(|_| to(bad), &[&format!("{place}: {plain}")]);
    }
    let login = "is an address and nothing more: let a collector beside us hold the login";
    for bad in ["http://me:word@h", "http://h/?key=word"] {
        check(|_| to(bad), &[&format!("{place}: {login}")]);
    }
}

#[test]
fn nothing_expires_by_itself_where_all_is_kept() {
    let audit = |lines: &'static str| move |text: String| format!("{text}[audit]\n{lines}\n");
    check(audit("keep_days = 30\nexpire_hours = 24"), &[]);
    let line = GOOD.lines().count() + 1;
    let words = "nothing expires: `keep_days` says for how long all is kept";
    check(audit("expire_hours = 24"), &[&format!("line {line}: audit.expire_hours: {words}")]);
}

#[test]
fn whoever_is_told_is_told_in_one_way_that_is_there() {
    let notify = |line: &'static str| {
        move |text: String| {
            format!("{text}[[notify]]\nname = \"ops\"\ntopics = [\"paused\"]\n{line}\n")
        }
    };
    let mail = "mail = [\"ops@example.org\"]";
    let server = "[mail]\naddress = \"smtps://mail.lan\"\nfrom = \"stead@example.org\"\n";
    check(move |text| notify(mail)(format!("{text}{server}")), &[]);
    check(notify(mail), &["line 25: notify.mail: there is no [mail] with the server's address"]);
    let hook = "webhook = \"https://chat.lan/hook\"\nsecret = \"vault:secret/data/stead/hook\"";
    check(notify(hook), &[]);
    let open = "webhook = \"https://chat.lan/hook\"\nsecret = \"x\"";
    check(
        notify(open),
        &["line 25: notify.secret: says where in Vault the key lies that signs it: vault:..."],
    );
    check(notify("webhook = \"vault:secret/data/stead/chat\""), &[]);
    for shown in ["https://chat.lan/hook?token=x", "https://jane:x@chat.lan/hook"] {
        let line = format!("webhook = \"{shown}\"\nsecret = \"vault:secret/data/stead/hook\"");
        let words = "holds a login or a query, and would be read in the log; put it into Vault as \
                     `url`, and say where: vault:...";
        check(notify(line.leak()), &[&format!("line 25: notify.webhook: {words}")]);
    }
    check(notify(""), &["line 25: notify.webhook: say who is told: either mail or webhook"]);
}

#[test]
fn an_even_number_of_copies_is_refused() {
    let engine = |replicas: u32| move |text| format!("{text}[engine]\nreplicas = {replicas}\n");
    [1, 3, 5].into_iter().for_each(|good| check(engine(good), &[]));
    let place = format!("line {}: engine.replicas", GOOD.lines().count() + 1);
    for (even, fewer) in [(2, 1), (4, 3)] {
        let why = format!("{even} servers outlive the death of no more of them than {fewer} do");
        check(engine(even), &[&format!("{place}: is 1, 3 or 5: {why}")]);
    }
}

#[test]
fn every_fault_is_named_with_its_place() {
    check(
        |text| text.replace("node = \"pve1\"", "nods = \"pve1\"\nvmid_first = \"many\""),
        &[
            "line 6: proxmox.node: is missing",
            "line 9: proxmox.nods: there is no such key; there are address, cpu_overcommit, node, \
             nodes, secret, seed_storage, storage_bridge, storage_vlan, vmid_first, vmid_last",
            "line 10: proxmox.vmid_first: `many` is not a whole number from 100 to 999999999",
        ],
    );
}

#[test]
fn a_secret_may_not_be_written_down() {
    check(
        |text| text.replace("env:ROLE", "s.very-secret"),
        &["line 4: vault.role_id: is a secret and may not be written here; write env:NAME or \
           file:/path"],
    );
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    check(
        |text| text.replace("env:ROLE", "env:NOWHERE"),
        &["line 4: vault.role_id: the environment variable NOWHERE is not set"],
    );
}

#[test]
fn where_machines_are_plugged_in_is_checked() {
    let end = |line: &'static str| move |text: String| format!("{text}{line}\n");
    check(end("clone = \"linked\"\nnetwork = { bridge = \"vmbr1\", vlan = 20 }"), &[]);
    check(
        end("network = { bridge = \"vmbr1,tag=3\", vlan = 4095 }"),
        &[
            "line 20: template.network: `vmbr1,tag=3` is no bridge of Proxmox's, such as vmbr1",
            "line 20: template.network: a VLAN has a number from 1 to 4094",
        ],
    );
    let networks = |all: &'static str| {
        move |text: String| text.replace("[coder]", &format!("networks = \"{all}\"\n[coder]"))
    };
    check(networks("192.168.20.0/24, fd00::/8"), &[]);
    check(
        networks("192.168.20.0/33"),
        &["line 10: truenas.networks: 192.168.20.0/33 is no network, such as 192.168.20.0/24"],
    );
}

#[test]
fn vault_lets_us_in_by_one_door() {
    const SECRET: &str = "secret_id = \"env:SECRET\"\n";
    const BOTH: &str = "role_id = \"env:ROLE\"\nsecret_id = \"env:SECRET\"\n";
    check(|text| text.replace(SECRET, "secret_id_wrapped = \"/run/it\"\n"), &[]);
    check(|text| text.replace(BOTH, "kubernetes_role = \"stead\"\n"), &[]);
    check(
        |text| text.replace(SECRET, "kubernetes_role = \"stead\"\n"),
        &[
            "line 2: vault.kubernetes_role: is one way to log in and the AppRole another: leave one \
           of them out",
        ],
    );
    check(
        |text| text.replace(SECRET, &format!("{SECRET}secret_id_wrapped = \"/run/it\"\n")),
        &[
            "line 2: vault.secret_id_wrapped: names the file in which secret_id lies wrapped: leave \
           one of them out",
        ],
    );
    check(
        |text| text.replace("secret_id =", "secret_ID ="),
        &[
            "line 2: vault.secret_id: is missing; write env:NAME or file:/path",
            "line 5: vault.secret_ID: there is no such key; there are address, kubernetes_mount, \
             kubernetes_role, kubernetes_token_file, mount, role_id, secret_id, secret_id_wrapped",
        ],
    );
}

#[test]
fn the_environment_may_hold_a_secret_itself() {
    let env = |name: &str| match name {
        "STEAD_VAULT_ROLE_ID" => Some("the-role".to_owned()),
        "STEAD_VAULT_SECRET_ID" => Some("env:ELSEWHERE".to_owned()),
        "ELSEWHERE" => Some("the-secret".to_owned()),
        _ => None,
    };
    assert!(read(GOOD, "stead.toml", &env).is_ok());
}

#[test]
fn templates_are_checked_too() {
    check(
        |text| text + "cpu_cores = { min = 4, max = 2, default = 3 }\n",
        &["line 20: template.cpu_cores: min 4, max 2, default 3 do not fit together"],
    );
}

const FORGEJO: &str = "[forgejo]\naddress = \"https://git.lan\"\n\
                       secret = \"vault:secret/data/forgejo/api\"\n\
                       credentials = \"vault:secret/data/stead/tokens\"\n";

#[test]
fn a_site_need_not_have_forgejo_and_what_it_has_is_checked() {
    check(|text| format!("{FORGEJO}{text}"), &[]);
    check(
        |text| format!("{}{text}", FORGEJO.replace("tokens", "tokens#1").replace("https", "ftp")),
        &["line 1: forgejo.credentials: names a folder in Vault, which has no version"],
    );
    let door = format!("{FORGEJO}webhook_listen = \"127.0.0.1:9480\"\n");
    check(
        |text| format!("{door}{text}"),
        &["line 1: forgejo.webhook_secret: is missing: a door without a key takes anything"],
    );
    let key = "webhook_secret = \"vault:secret/data/stead/webhook\"\n";
    check(|text| format!("{door}{key}{text}"), &[]);
    let nowhere = door.replace("127.0.0.1:9480", "nowhere");
    check(
        |text| format!("{nowhere}{key}{text}"),
        &["line 5: forgejo.webhook_listen: is not an address and a port, such as \
             127.0.0.1:9100"],
    );
}

const LIMIT: &str = "[[limits]]\nname = \"clones per node\"\nsteps = [\"proxmox.clone-vm\"]\n\
                     per = \"node\"\nat_once = 2\n";

#[test]
fn limits_are_looked_up_before_they_limit_nothing() {
    let limits = |change: &dyn Fn(String) -> String, faults: &[&str]| {
        check(|text| text + &change(LIMIT.to_owned()), faults);
    };
    limits(&|limit| limit, &[]);
    limits(&|limit| limit.replace("clone-vm", "*").replace("\"node\"", "\"owner\""), &[]);
    limits(
        &|limit| limit.replace("clone-vm", "clone").replace("at_once = 2", "at_once = 0"),
        &[
            "line 25: limits.steps: there is no step `proxmox.clone`; there are \
             proxmox.check-template, proxmox.check-vmid, proxmox.clone-vm, proxmox.configure-vm, \
             proxmox.delete-snapshot, proxmox.destroy-vm, proxmox.dump-guest, proxmox.insert-seed, \
             proxmox.list-snapshots, proxmox.mark-vm, proxmox.ping-guest, proxmox.prove-dump, \
             proxmox.remove-dumps, proxmox.remove-seed, proxmox.resize-disk, \
             proxmox.roll-back-vm, proxmox.shutdown-vm, proxmox.sight-machines, \
             proxmox.sight-seeds, proxmox.sight-snapshots, proxmox.snapshot-vm, \
             proxmox.start-vm, proxmox.survey",
            "line 25: limits.at_once: 0 would let nothing begin for ever",
        ],
    );
    limits(
        &|limit| limit.replace("\"node\"", "\"nods\"").replace("at_once = 2", ""),
        &[
            "line 25: limits.per: `proxmox.clone-vm` is not asked for a `nods`; it can be counted \
             by owner, name, node, storage, template, vmid",
            "line 25: limits.at_once: say how many: at_once, per_minute, or both",
        ],
    );
    limits(
        &|limit| format!("{limit}{limit}"),
        &["line 30: limits.name: there are two limits of the name clones per node"],
    );
    check(
        |text| format!("[limits]\nworkspaces = 3\n{text}"),
        &[
            "line 1: limits: write each one as [[limits]]; what an owner may have stands in [allowance]",
        ],
    );
}

#[test]
fn what_is_no_toml_is_said_once() {
    let text = "[vault\n";
    let error = read(text, "stead.toml", &env).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("line 1: the file: this is not TOML"), "{error}");
}

#[test]
fn a_pool_is_of_a_template_and_a_storage_that_there_are() {
    let with = |pools: &'static str| move |text: String| format!("{text}{pools}");
    let good = "[[pool]]\nname = \"a\"\ntemplate = \"debian-12\"\nready = 2\n";
    check(with(good), &[]);
    let line = GOOD.lines().count() + 1;
    let unknown = "[[pool]]\nname = \"a\"\ntemplate = \"nobody's\"\nready = 1000\n";
    let none = format!("line {line}: pool.template: is no [[template]] of this file");
    let many = format!("line {line}: pool.ready: is at most {READY_MAX}");
    check(with(unknown), &[&many, &none]);
    let twice = format!("line {}: pool.name: there are two pools of the name a", line + 4);
    check(|text| format!("{text}{good}{good}"), &[&twice]);
}

#[test]
fn tools_are_set_up_with_models_whose_keys_lie_somewhere() {
    let guest = |line: &'static str| {
        move |text: String| {
            let (secret, line) = ("secret = \"vault:secret/data/stead/seed\"", line);
            text.replace(secret, &format!("{secret}\n{line}"))
        }
    };
    let keys = "model_keys = \"vault:secret/data/stead/models\"";
    check(guest("tools = \"aider, claude,codex\""), &[]);
    let all = format!("tools = \"codex\"\nmodel_proxy = \"https://models.lan\"\n{keys}").leak();
    check(guest(all), &[]);
    let line = GOOD.lines().position(|line| line == "[guest]").expect("a section") + 1;
    let unknown = "unknown variant `vim`, expected one of `aider`, `claude`, `codex`";
    check(guest("tools = \"vim\""), &[&format!("line {line}: guest.tools: {unknown}")]);
    let missing = "is missing: the folder in Vault in which each owner's key to the models lies";
    let place = format!("line {line}: guest.model_keys");
    check(guest("model_proxy = \"https://models.lan\""), &[&format!("{place}: {missing}")]);
    let folder = "names a folder in Vault, which has no version";
    let pinned = "model_keys = \"vault:secret/data/stead/models#1\"";
    check(guest(pinned), &[&format!("{place}: {folder}")]);
}

#[test]
fn docker_and_a_desktop_are_of_linux() {
    let guest = |line: &'static str| move |text: String| format!("{text}guest = {line}\n");
    check(guest("{ docker = true, desktop = true }"), &[]);
    check(guest("{ system = \"windows\" }"), &[]);
    let line = GOOD.lines().position(|line| line == "[[template]]").expect("a table") + 1;
    let words = "docker and desktop are of Linux; Windows has a desktop of its own";
    let fault = format!("line {line}: template.guest: {words}");
    check(guest("{ system = \"windows\", desktop = true }"), &[&fault]);
}

#[test]
fn a_backup_is_of_something_and_goes_somewhere_else_at_times_that_there_are() {
    let with = |more: &'static str| move |text: String| format!("{text}{more}");
    let good = "[[nas]]\nname = \"nas04\"\naddress = \"wss://nas04.lan/api/current\"\n\
                secret = \"vault:secret/data/truenas/nas04\"\n\
                [[backups]]\nname = \"a\"\ncron = \"@daily\"\nof.zfs = { dataset = \"tank/a\", \
                target = \"b/a\", target_nas = \"nas04\", ssh_credentials = 1 }\n";
    check(with(good), &[]);
    let line = GOOD.lines().count() + 1;
    let place = |key: &str, words: &str| format!("line {line}: backups.{key}: {words}");
    let odd = "[[backups]]\nname = \"a\"\ncron = \"@daily\"\nkeep_days = 0\n\
               of.zfs = { dataset = \"tank/a\", target = \"tank/a/b\", target_nas = \"nas04\" }\n";
    check(
        with(odd),
        &[
            &place("keep_days", "is between 1 and 366"),
            &place("of.zfs", "there is no [[nas]] of the name nas04"),
            &place(
                "of.zfs",
                "ssh_credentials is missing: the number of the SSH connection between the two",
            ),
        ],
    );
    let job = "cron = \"@daily\"\nof.guest = { vmid = 110, storage = \"nfs\" }\n";
    let alike =
        format!("[[backups]]\nname = \"a\"\n{job}[[backups]]\nname = \"a-b\"\n{job}").leak();
    let words = "its copies could be taken for those of a";
    let second = line + 4;
    check(with(alike), &[&format!("line {second}: backups.name: {words}")]);
    let within = "[[backups]]\nname = \"a\"\ncron = \"@daily\"\n\
                  of.zfs = { dataset = \"tank/a\", target = \"tank/a/b\" }\n";
    check(with(within), &[&place("of.zfs", "target and dataset are one within the other")]);
    let clear = "[[nas]]\nname = \"n\"\naddress = \"ws://nas04.lan/api/current\"\nsecret = \"s\"\n";
    let words = "`ws://nas04.lan/api/current` is not encrypted, and TrueNAS revokes keys sent so; use wss://";
    check(
        with(clear),
        &[
            &format!(
                "line {line}: nas.secret: is a place in Vault, such as vault:secret/data/truenas/nas04"
            ),
            &format!("line {line}: nas.address: {words}"),
        ],
    );
}
