//! What differs between guests: tools, Docker, a desktop, Windows.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use stead_schemas::site::{Guest, System};
use stead_schemas::step::coder::{AwaitAgent, StopWorkspace};
use stead_schemas::step::proxmox::{ShutdownVm, StartVm};

use super::{SOURCE, Scene, file, furnish, is_shell, seed};
use crate::guest::tools::HomeFile;
use crate::guest::user_data::{KEEP_FILES, Seed, user_data};
use crate::guest::{self, Mcp, Models, Tool, Tools};
use crate::testing::contract::specification;

const ENV: &str = "/etc/coder-agent/env";
pub(super) const WINDOWS: Guest = Guest { system: System::Windows, docker: false, desktop: false };
pub(super) const EVERYTHING: Guest = Guest { system: System::Linux, docker: true, desktop: true };

/// Those of the site whose seed server is tested.
pub(super) fn tools() -> Tools {
    let proxy = "https://models.lan".parse().unwrap();
    let models = Models { proxy, keys: "vault:secret/data/stead/models".to_owned(), model: None };
    Tools { names: vec![Tool::Aider, Tool::Claude, Tool::Codex], models: Some(models) }
}

fn cloud_config(seed: &Seed<'_>) -> Value {
    let text = user_data(seed);
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
}

impl Scene {
    /// The owner has one from now on.
    pub(super) async fn own_a_key_to_models(&self) {
        let vault = &self.stage.lab.addresses().vault_url;
        let place = format!("{vault}/v1/secret/data/stead/models/john");
        let body = json!({ "data": { "key": "key-to-models" } }).to_string();
        let put = self.http.post(place).header("X-Vault-Token", self.stage.vault_token().await);
        assert!(put.body(body).send().await.unwrap().status().is_success());
    }
}

#[tokio::test]
async fn a_key_to_the_models_reaches_the_agents_environment_and_nothing_else() {
    let scene = Scene::ready().await;
    let before = scene.user_data().await;
    assert!(!before.to_string().contains("_API_KEY="), "an owner without a key has none");
    scene.own_a_key_to_models().await;
    let data = scene.user_data().await;
    let found = file(&data, ENV);
    for line in ["OPENAI_API_KEY=key-to-models", "ANTHROPIC_AUTH_TOKEN=key-to-models"] {
        assert!(found.lines().any(|known| known == line), "{line} is not in the environment");
    }
    let settings = file(&data, "/etc/stead/home/.claude/settings.json");
    assert!(settings.contains("https://models.lan"), "{settings}");
    assert_eq!(data.to_string().matches("key-to-models").count(), 2, "it stands in one file alone");
    let files = data["write_files"].as_array().unwrap();
    let env = files.iter().find(|file| file["path"] == ENV).unwrap();
    assert_eq!((&env["permissions"], &env["owner"]), (&json!("0600"), &json!("root:root")));
}

/// A home, and the machine's own folder of what is laid there.
struct Homes(tempfile::TempDir);

impl Homes {
    const FILE: &str = ".codex/config.toml";

    fn new() -> Self {
        let homes = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(homes.own().parent().unwrap()).unwrap();
        homes
    }

    fn own(&self) -> PathBuf {
        self.0.path().join("home").join(Self::FILE)
    }

    /// A boot with this content; what the home holds after it.
    fn boot(&self, content: &str) -> Option<String> {
        let new = self.0.path().join("new").join(Self::FILE);
        fs::create_dir_all(new.parent().unwrap()).unwrap();
        fs::write(&new, content).unwrap();
        let places = [self.0.path().join("new"), self.0.path().join("home")];
        let mut shell = Command::new("sh");
        let told = shell.args(["-c", KEEP_FILES, "sh"]).args(places).arg(Self::FILE);
        assert!(told.status().unwrap().success());
        fs::read_to_string(self.own()).ok()
    }
}

#[test]
fn a_file_is_kept_up_to_date_until_its_user_changes_it() {
    let homes = Homes::new();
    assert_eq!(homes.boot("one").as_deref(), Some("one"));
    assert_eq!(homes.boot("two").as_deref(), Some("two"), "nobody has touched it");
    fs::write(homes.own(), "mine").unwrap();
    assert_eq!(homes.boot("three").as_deref(), Some("mine"));
    fs::remove_file(homes.own()).unwrap();
    assert_eq!(homes.boot("four"), None, "what was deleted stays away");
    fs::write(homes.own(), "five").unwrap();
    assert_eq!(homes.boot("five").as_deref(), Some("five"), "who has it as it would be laid");
    assert_eq!(homes.boot("six").as_deref(), Some("six"), "has it kept again");
    assert_eq!(fs::metadata(homes.own()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_was_in_the_home_before_is_its_users() {
    let homes = Homes::new();
    fs::write(homes.own(), "mine").unwrap();
    assert_eq!(homes.boot("one").as_deref(), Some("mine"));
    fs::remove_file(homes.own()).unwrap();
    symlink("/nowhere", homes.own()).unwrap();
    assert_eq!(homes.boot("one"), None);
    assert!(homes.own().is_symlink(), "a link that leads nowhere is left as it is");
}

#[test]
fn files_are_laid_once_the_home_is_there_and_before_it_is_reported() {
    let files = [HomeFile { path: ".codex/config.toml", content: "told".to_owned() }];
    let data = cloud_config(&Seed { home_files: &files, ..seed() });
    assert_eq!(file(&data, "/etc/stead/home/.codex/config.toml"), "told");
    let script = file(&data, "/usr/local/sbin/stead-verify-home");
    is_shell(&script);
    let place = |words: &str| script.find(words).unwrap();
    assert!(place("is not writable") < place("/etc/stead/home"));
    assert!(place("/etc/stead/home") < place("report home-verified"));
    assert!(!cloud_config(&seed()).to_string().contains("/etc/stead/home"));
}

#[test]
fn docker_and_a_desktop_are_there_where_the_template_says_so() {
    let data = cloud_config(&Seed { guest: EVERYTHING, ..seed() });
    assert_eq!(data["users"][1]["groups"], json!(["sudo", "docker"]));
    let target = file(&data, "/etc/systemd/system/coder.target");
    let units = "coder-agent.service stead-desktop.service stead-novnc.service";
    assert!(target.contains(&format!("Upholds={units}\n")), "{target}");
    let desktop = file(&data, "/etc/systemd/system/stead-desktop.service");
    assert!(desktop.contains("RequiresMountsFor=/home/coder\n"));
    assert!(desktop.contains("stead-verify-home quietly\n"), "it starts on a verified home");
    assert!(desktop.contains(" -localhost "), "its server is heard on loopback alone");
    let door = file(&data, "/etc/systemd/system/stead-novnc.service");
    assert!(door.contains(" 127.0.0.1:6080 127.0.0.1:5901\n"), "{door}");
    assert!(door.contains(" --auth-plugin=stead_door.OwnPagesAlone --auth-source=6080 "), "{door}");
    let usual = cloud_config(&seed()).to_string();
    assert!(!usual.contains("docker") && !usual.contains("novnc"));
}

/// What stands in for websockify: this much of it is asked for. Each line is a host and an origin.
const AT_THE_DOOR: &str = r#"
import sys, types
plugins = types.ModuleType("websockify.auth_plugins")
plugins.AuthenticationError = type("AuthenticationError", (Exception,), {"__init__": lambda *_, **__: None})
sys.modules["websockify"], sys.modules["websockify.auth_plugins"] = types.ModuleType("websockify"), plugins
door = {}
exec(sys.argv[1], door)
for line in sys.stdin.read().splitlines():
    host, _, origin = line.partition(" ")
    try:
        headers = {"Host": host, "Origin": origin} if origin else {"Host": host}
        door["OwnPagesAlone"]("6080").authenticate(headers, "127.0.0.1", 5901)
        print("in")
    except plugins.AuthenticationError:
        print("out")
"#;

#[test]
fn the_desktops_door_opens_for_pages_that_came_through_it_alone() {
    use std::io::Write;
    let data = cloud_config(&Seed { guest: EVERYTHING, ..seed() });
    let door = file(&data, "/usr/local/lib/stead/stead_door.py");
    let cases = [
        // Through Coder; through a forwarded port; on the machine itself.
        ("desktop--dev--john.apps.lan https://desktop--dev--john.apps.lan", "in"),
        ("localhost:7000 http://localhost:7000", "in"),
        ("evil.example:7000 http://evil.example:7000", "out"),
        ("localhost:6080 http://localhost:6080", "in"),
        ("[::1]:6080 http://[::1]:6080", "in"),
        // A page from elsewhere, in a browser on the machine or in the developer's own.
        ("localhost:6080 https://evil.example", "out"),
        ("localhost:6080 http://localhost:3000", "out"),
        ("desktop--dev--john.apps.lan https://evil.example", "out"),
        // Its name leads here by now.
        ("evil.example:6080 http://evil.example:6080", "out"),
        ("localhost:6080 null", "out"),
        ("localhost:6080", "out"),
        ("localhost:6080 http://localhost:6080.evil.example", "out"),
        ("localhost:no http://localhost:no", "out"),
        (" http://", "out"),
    ];
    let mut python = std::process::Command::new("python3")
        .args(["-c", AT_THE_DOOR, &door])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let asked: Vec<&str> = cases.iter().map(|(asked, _)| *asked).collect();
    python.stdin.take().unwrap().write_all(asked.join("\n").as_bytes()).unwrap();
    let said = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said, cases.map(|(_, wanted)| wanted), "{asked:#?}");
}

/// Everything at once, and more servers than a site has: far less than the 3 MiB that Proxmox VE
/// lets it be where it is no door that serves it.
#[test]
fn user_data_of_everything_is_understood_and_small() {
    let servers = (0..50).map(|number| format!("server-{number}")).collect();
    let mcp = Mcp { proxy: "https://mcp.lan".parse().unwrap(), servers };
    let (told, files) = (mcp.file(), tools().files(Some(&mcp)));
    let all = Seed { mcp: Some(&told), home_files: &files, guest: EVERYTHING, ..seed() };
    let text = user_data(&all);
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    let Some(schema) = specification("cloud-init/schema-cloud-config-v1.json") else { return };
    let validator = jsonschema::validator_for(&schema).unwrap();
    let data = cloud_config(&all);
    let faults: Vec<_> = validator.iter_errors(&data).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn windows_is_told_in_a_script_of_its_own() {
    let long = "a-name-of-14-c-and-more";
    let text = user_data(&Seed { guest: WINDOWS, host_name: long, ..seed() });
    // cloudbase-init goes by how the text begins.
    assert!(text.starts_with("#ps1_sysnative\n"));
    assert!(text.contains("$computerName = 'a-name-of-14-c'\n"), "15 characters, no hyphen last");
    assert!(text.contains("$homeSource = '10.10.30.2:/mnt/tank/coder-home/o''neil'\n"));
    assert!(text.ends_with("exit $again\n") && text.contains("$again = 1002\n"));
    // What has the letter is looked at before anything is written to it.
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words}"));
    assert!(place("-Filter \"DeviceID='H:'\"") < place("New-Item -ItemType File -Path $probe"));
    // One report is under way at most.
    assert!(place("Get-Job | Remove-Job -Force") < place("Start-Job -Name $stage"));
    assert!(text.is_ascii(), "PowerShell takes a file without a mark for one of its code page");
}

#[tokio::test]
async fn a_windows_machine_boots_reports_and_its_agent_connects_at_every_boot() {
    let scene = Scene::ready().await;
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.office.show_guest(Some(SOURCE), Some(&id), WINDOWS);
    let machine = furnish(&scene.stage, false).await;
    let login = "vault:secret/data/coder/api#1".to_owned();
    for boot in 1..=2 {
        scene.stage.ask(StartVm { machine: machine.clone() }).await.unwrap();
        scene.stage.ask(AwaitAgent { login: login.clone(), id: id.clone() }).await.unwrap();
        assert_eq!(scene.office.reports().len(), boot);
        let off = ShutdownVm { machine: machine.clone(), timeout_seconds: 60 };
        scene.stage.ask(off).await.unwrap();
        scene.stage.ask(StopWorkspace { login: login.clone(), id: id.clone() }).await.unwrap();
        scene.start_coder("secret").await;
    }
}

#[tokio::test]
async fn a_guest_finds_its_token_in_whatever_mount_the_site_has() {
    let secret = "vault:kv/data/stead/seed".to_owned();
    let told = guest::Config { secret, ..guest::Config::default() };
    let scene = Scene::open_with("kv", told).await;
    let coder = scene.start_coder("kv").await;
    scene.office.show(Some(SOURCE), Some(&coder.id));
    let place = format!("vault:kv/data/stead/agents/{}", coder.id);
    let token = scene.stage.secret(&place, "token").await;
    assert!(file(&scene.user_data().await, ENV).contains(&token));
    scene.server.shutdown().await;
}
