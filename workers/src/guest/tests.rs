//! The seed server against the lab's Vault, stand-in engines, and the lab's guests.

mod drive;
mod faults;
mod office;
mod storage;
mod variants;
mod volume;

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};
use stead_schemas::dispatch::StepReply;
use stead_schemas::failure::Class;
use stead_schemas::site::{CloneKind, Guest, StorageBackend};
use stead_schemas::step::coder::{AwaitAgent, CoderWorkspace, StartWorkspace, StopWorkspace};
use stead_schemas::step::proxmox::{CloneVm, ConfigureVm, Machine, ShutdownVm, StartVm};
use stead_schemas::step::s3::{DeleteKey, EnsureKey, Place};
use stead_schemas::step::truenas::{EnsureDataset, EnsureShare, SetPermissions};

use super::Mcp;
use super::SeedServer;
use super::user_data::{Seed, user_data};
use crate::testing::contract::specification;
use crate::testing::{Stage, config, marker, run};
use crate::{Workers, guest};
use office::Office;

const SOURCE: &str = "127.0.0.1:/mnt/tank/coder-home/john";

/// A lab, workers, a seed server, and the engines behind it.
struct Scene {
    stage: Stage,
    office: Arc<Office>,
    server: SeedServer,
    http: reqwest::Client,
}

impl Scene {
    async fn open() -> Self {
        let buckets = Some("vault:secret/data/stead/buckets".to_owned());
        let tools = variants::tools();
        let told = guest::Config { buckets, tools, ..guest::Config::default() };
        Self::open_with("secret", told).await
    }

    /// One where secrets lie in this mount, and guests are told this.
    async fn open_with(mount: &'static str, told: guest::Config) -> Self {
        let mut stage = Stage::open_with(mount).await;
        let mut config = config(&stage.lab);
        (config.vault.mount, config.guest) = (mount.to_owned(), told);
        stage.workers = Workers::new(config).unwrap();
        let office = Arc::new(Office::new());
        let server = stage.workers.serve_seeds(office.clone()).await.unwrap();
        let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        Self { stage, office, server, http }
    }

    /// One with a Coder workspace whose agent token lies in Vault.
    async fn ready() -> Self {
        let scene = Self::open().await;
        let coder = scene.start_coder("secret").await;
        scene.office.show(Some(SOURCE), Some(&coder.id));
        scene
    }

    async fn start_coder(&self, mount: &str) -> CoderWorkspace {
        let start = StartWorkspace {
            login: format!("vault:{mount}/data/coder/api#1"),
            organization: "default".to_owned(),
            user: "john".to_owned(),
            name: "dev".to_owned(),
            template: "stead-machine".to_owned(),
            marker: marker(),
            joined: None,
            version: None,
        };
        self.stage.ask(start).await.unwrap()
    }

    async fn seed_url(&self) -> String {
        self.stage.workers.seeds.urls().seed_url(run().as_str()).await.unwrap()
    }

    async fn get(&self, document: &str) -> (StatusCode, String) {
        let answer =
            self.http.get(format!("{}{document}", self.seed_url().await)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn post(&self, place: &str, body: String) -> StatusCode {
        let url = format!("{}{place}", self.seed_url().await);
        self.http.post(url).body(body).send().await.unwrap().status()
    }

    async fn report(&self, stage: &str) -> StatusCode {
        let body = json!({
            "stage": stage, "boot_id": "b-1", "address": "10.10.20.7", "detail": { "mounted": true },
        });
        self.post("report", body.to_string()).await
    }

    async fn user_data(&self) -> Value {
        let (status, text) = self.get("user-data").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
    }
}

fn file(user_data: &Value, path: &str) -> String {
    let files = user_data["write_files"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == path).unwrap();
    file["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_guest_finds_its_seed() {
    let scene = Scene::ready().await;
    let (status, text) = scene.get("meta-data").await;
    assert_eq!(status, StatusCode::OK);
    let meta: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(meta, json!({ "instance-id": marker(), "local-hostname": "john-dev" }));
    for document in ["network-config", "vendor-data"] {
        assert_eq!(scene.get(document).await, (StatusCode::OK, String::new()), "{document}");
    }
    let data = scene.user_data().await;
    assert_eq!(data["mounts"][0][0], SOURCE);
    let report = format!("# stead-report: {}report\n", scene.seed_url().await);
    assert!(file(&data, "/usr/local/sbin/stead-verify-home").contains(&report));
    scene.server.shutdown().await;
}

#[tokio::test]
async fn a_guest_finds_a_fresh_token_at_each_boot() {
    let scene = Scene::ready().await;
    let env = "/etc/coder-agent/env";
    let first = file(&scene.user_data().await, env);
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    let login = "vault:secret/data/coder/api#1".to_owned();
    scene.stage.ask(StopWorkspace { login, id }).await.unwrap();
    scene.start_coder("secret").await;
    assert_ne!(file(&scene.user_data().await, env), first);
}

#[tokio::test]
async fn a_guest_finds_the_bucket_of_its_own_name() {
    let scene = Scene::ready().await;
    let env = "/etc/coder-agent/env";
    assert!(!file(&scene.user_data().await, env).contains("AWS_"));
    let credentials = "vault:secret/data/stead/buckets/john-dev".to_owned();
    let place = Place {
        login: "vault:secret/data/s3/admin".to_owned(),
        bucket: "john-dev".to_owned(),
        credentials: credentials.clone(),
        marker: marker(),
    };
    let ask = EnsureKey { place: place.clone(), endpoint: "https://s3.lan".to_owned(), user: None };
    scene.stage.ask(ask).await.unwrap();
    let found = file(&scene.user_data().await, env);
    let id = scene.stage.secret(&credentials, "access_key_id").await;
    let lines = [
        format!("AWS_ACCESS_KEY_ID={id}"),
        "AWS_ENDPOINT_URL=https://s3.lan".to_owned(),
        "AWS_REGION=garage".to_owned(),
        "S3_BUCKET_NAME=john-dev".to_owned(),
    ];
    for line in &lines {
        assert!(found.lines().any(|known| known == line), "{line} is not in the environment");
    }
    assert!(found.contains("AWS_SECRET_ACCESS_KEY="));
    scene.stage.ask(DeleteKey { place }).await.unwrap();
    assert!(!file(&scene.user_data().await, env).contains("AWS_"));
}

#[tokio::test]
async fn a_guessed_address_finds_nothing() {
    let scene = Scene::ready().await;
    let good = scene.seed_url().await;
    let token = good.trim_end_matches('/').rsplit('/').next().unwrap();
    let base = scene.server.url();
    let other = "workspace-0000000000000000-1";
    for (run, token) in [
        (marker(), "0".repeat(32)),
        (marker(), token[..30].to_owned()),
        (marker(), String::from("x")),
        (other.to_owned(), token.to_owned()),
        ("..".to_owned(), token.to_owned()),
        ("nonsense".to_owned(), token.to_owned()),
    ] {
        for document in ["user-data", "meta-data", "network-config"] {
            let url = format!("{base}/ci/{run}/{token}/{document}");
            let status = scene.http.get(&url).send().await.unwrap().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{url}");
        }
        let url = format!("{base}/ci/{run}/{token}/report");
        let status = scene.http.post(&url).body("{}").send().await.unwrap().status();
        assert_eq!(status, StatusCode::NOT_FOUND, "{url}");
    }
    assert!(scene.office.answers().is_empty());
}

#[tokio::test]
async fn a_seed_that_is_not_complete_is_asked_for_again() {
    let scene = Scene::ready().await;
    scene.office.show(Some(SOURCE), None);
    assert_eq!(scene.get("user-data").await.0, StatusCode::SERVICE_UNAVAILABLE);
    scene.office.show(None, Some("any"));
    assert_eq!(scene.get("user-data").await.0, StatusCode::SERVICE_UNAVAILABLE);
    scene.office.show(Some(SOURCE), Some("00000000-0000-4000-8000-000000000000"));
    assert_eq!(scene.get("user-data").await.0, StatusCode::SERVICE_UNAVAILABLE);
    scene.office.show(Some("two words:/x"), Some("any"));
    assert_eq!(scene.get("user-data").await.0, StatusCode::SERVICE_UNAVAILABLE);
    scene.office.leave();
    assert_eq!(scene.get("meta-data").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let url = format!("{}meta-data", scene.seed_url().await);
    let answer = scene.http.get(url).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_run_that_is_over_has_no_seed() {
    let scene = Scene::ready().await;
    scene.office.finish();
    assert_eq!(scene.get("user-data").await.0, StatusCode::NOT_FOUND);
    scene.office.forget();
    assert_eq!(scene.get("meta-data").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_report_is_taken_when_it_is_in_the_log() {
    let scene = Scene::ready().await;
    scene.office.wait_for("proxmox.start-vm");
    assert_eq!(scene.report("home-verified").await, StatusCode::SERVICE_UNAVAILABLE);
    scene.office.wait_for("guest.await-home");
    assert_eq!(scene.report("home-verified").await, StatusCode::NO_CONTENT);
    assert_eq!(scene.report("agent-started").await, StatusCode::NO_CONTENT);
    let answers = scene.office.answers();
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0].run, answers[0].step.as_str()), (&run(), "guest.await-home"));
    let said = json!({ "boot_id": "b-1", "address": "10.10.20.7" });
    assert_eq!(answers[0].reply, StepReply::Done(said));
    let nonsense = json!({ "stage": "home-verified", "boot_id": "b-2", "address": "<b>here</b>" });
    assert_eq!(scene.post("report", nonsense.to_string()).await, StatusCode::NO_CONTENT);
    assert_eq!(scene.office.answers()[1].reply, StepReply::Done(json!({ "boot_id": "b-2" })));
    scene.office.leave();
    assert_eq!(scene.report("home-verified").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn how_far_a_guest_is_shows_stage_by_stage() {
    let scene = Scene::ready().await;
    for (name, kind, result) in [
        ("init-network", "start", ""),
        ("init-network/config-mounts", "start", ""),
        ("init-network/config-mounts", "finish", "FAIL"),
        ("init-network", "finish", "SUCCESS"),
    ] {
        let event = json!({ "name": name, "event_type": kind, "result": result });
        assert_eq!(scene.post("events", event.to_string()).await, StatusCode::NO_CONTENT);
    }
    let said = scene.office.answers().into_iter().map(|answer| match answer.reply {
        StepReply::Heartbeat { progress } => progress.unwrap(),
        reply => panic!("{reply:?}"),
    });
    let shown = ["cloud-init: init-network", "cloud-init: init-network/config-mounts failed"];
    assert_eq!(said.collect::<Vec<_>>(), shown);
    // Nobody who hears it is no reason to hold a guest up.
    scene.office.leave();
    let event = json!({ "name": "modules-final", "event_type": "start" });
    assert_eq!(scene.post("events", event.to_string()).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_report_that_nobody_will_wait_for_is_over() {
    let scene = Scene::ready().await;
    for what in ["coder.await-agent", "timer"] {
        scene.office.wait_for(what);
        assert_eq!(scene.report("home-verified").await, StatusCode::NO_CONTENT, "{what}");
    }
    assert!(scene.office.answers().is_empty());
}

#[tokio::test]
async fn a_guest_that_did_not_hear_its_answer_still_starts_its_agent() {
    let scene = Scene::ready().await;
    let machine = furnish(&scene.stage, false).await;
    scene.stage.lab.break_times("guest", "report-lost", 2).unwrap();
    scene.stage.ask(StartVm { machine }).await.unwrap();
    let login = "vault:secret/data/coder/api#1".to_owned();
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.stage.ask(AwaitAgent { login, id }).await.unwrap();
}

#[tokio::test]
async fn what_a_guest_sends_is_bounded() {
    let scene = Scene::ready().await;
    assert_eq!(scene.post("report", "nonsense".to_owned()).await, StatusCode::BAD_REQUEST);
    assert_eq!(scene.post("events", "nonsense".to_owned()).await, StatusCode::NO_CONTENT);
    let event = json!({ "name": "modules-final", "event_type": "finish", "result": "SUCCESS" });
    assert_eq!(scene.post("events", event.to_string()).await, StatusCode::NO_CONTENT);
    let large = "x".repeat(100 * 1024);
    assert_eq!(scene.post("events", large).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn without_a_seed_server_no_machine_is_announced_to() {
    let stage = Stage::open().await;
    let mut config = config(&stage.lab);
    config.guest.public_url = None;
    let workers = Workers::new(config).unwrap();
    let failure = workers.seeds.urls().seed_url(run().as_str()).await.unwrap_err();
    assert_eq!(failure.class, Class::Permanent);
    assert!(failure.words.contains("guest.public_url"), "{failure}");
}

fn example() -> String {
    user_data(&seed())
}

fn seed() -> Seed<'static> {
    Seed {
        host_name: "john-dev",
        home_source: "10.10.30.2:/mnt/tank/coder-home/o'neil",
        agent_token: "token",
        coder_url: "https://coder.lan",
        seed_url: Some("http://10.0.0.1:8090/ci/workspace-k3j5x7q2m4n6p8r9-1/00ff/"),
        environment: &[],
        mcp: None,
        home_files: &[],
        guest: Guest::default(),
        storage_card: None,
        volume: None,
    }
}

#[test]
fn tools_are_told_of_mcp_servers_and_no_token_is_written_into_the_home() {
    let (proxy, servers) = ("https://mcp.lan".parse().unwrap(), vec!["outline".to_owned()]);
    let told = Mcp { proxy, servers }.file();
    let text = user_data(&Seed { mcp: Some(&told), ..seed() });
    let data: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let found: Value = serde_json::from_str(&file(&data, "/etc/stead/mcp.yaml")).unwrap();
    let server = &found["servers"][0];
    assert_eq!(server["url"], "https://mcp.lan/mcp/outline");
    assert_eq!(server["auth"]["token"], "$CODER_AGENT_TOKEN");
    let script = file(&data, "/usr/local/sbin/stead-verify-home");
    is_shell(&script);
    // The home is there, and its user writes to it, before anything is linked in it.
    let place = |words: &str| script.find(words).unwrap();
    assert!(place("is not writable") < place("ln -sf") && place("ln -sf") < place("mounted and"));
    let before: Value = serde_json::from_str(example().split_once('\n').unwrap().1).unwrap();
    assert!(!before.to_string().contains("mcp"), "a site without a proxy has none of it");
}

#[test]
fn user_data_is_what_cloud_init_understands() {
    let text = example();
    let data: Value = serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
    let Some(schema) = specification("cloud-init/schema-cloud-config-v1.json") else { return };
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<_> = validator.iter_errors(&data).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

fn is_shell(script: &str) {
    use std::io::Write;
    let mut shell = std::process::Command::new("sh")
        .arg("-n")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success(), "{script}");
}

#[test]
fn the_check_of_the_home_is_a_shell_script() {
    let data: Value = serde_json::from_str(example().split_once('\n').unwrap().1).unwrap();
    let script = file(&data, "/usr/local/sbin/stead-verify-home");
    is_shell(&script);
    assert!(script.contains(r"wanted='10.10.30.2:/mnt/tank/coder-home/o'\''neil'"), "{script}");
}

/// As systemd refuses it: the unit of that name is there already.
const SYSTEMD_RUN: &str = r#"#!/bin/sh
for word; do
    case "$word" in --unit=*) name=${word#--unit=} ;; esac
done
echo "${name:?it has no name}" >> "$(dirname "$0")/asked"
mkdir "$(dirname "$0")/unit-$name"
"#;

#[test]
fn a_home_that_fails_again_and_again_is_reported_by_one_unit() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let data: Value = serde_json::from_str(example().split_once('\n').unwrap().1).unwrap();
    let script = file(&data, "/usr/local/sbin/stead-verify-home");
    for (name, text) in
        [("systemd-run", SYSTEMD_RUN), ("findmnt", "#!/bin/sh\n"), ("verify", &script)]
    {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let search = format!("{}:/usr/bin:/bin", place.path().display());
    for _ in 0..3 {
        let mut check = std::process::Command::new("sh");
        check
            .arg(place.path().join("verify"))
            .env("PATH", &search)
            .stderr(std::process::Stdio::null());
        assert_eq!(check.status().unwrap().code(), Some(1), "the home is not there");
    }
    let asked = std::fs::read_to_string(place.path().join("asked")).unwrap();
    assert_eq!(asked, "stead-home-failed\n".repeat(3));
    let units = std::fs::read_dir(place.path()).unwrap();
    let units = units.filter(|unit| unit.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(units, 1, "each check starts another one");
}

/// Everything that a machine needs before it is started.
async fn furnish(stage: &Stage, seed_in_drive: bool) -> Machine {
    let nas = "vault:secret/data/truenas/api#1".to_owned();
    let dataset = "tank/coder-home/john".to_owned();
    let home = EnsureDataset {
        login: nas.clone(),
        dataset: dataset.clone(),
        refquota_gb: 20,
        marker: marker(),
    };
    let path = stage.ask(home).await.unwrap().mountpoint;
    let (uid, gid, mode) = (1000, 1000, "700".to_owned());
    stage
        .ask(SetPermissions { login: nas.clone(), dataset, marker: marker(), uid, gid, mode })
        .await
        .unwrap();
    stage
        .ask(EnsureShare { login: nas, path, marker: marker(), networks: Vec::new() })
        .await
        .unwrap();
    let login = "vault:secret/data/proxmox/api#1".to_owned();
    let machine = Machine { login, node: "pve1".to_owned(), vmid: 10_000, marker: marker() };
    let (name, storage, clone_kind) =
        ("john-dev".to_owned(), StorageBackend::Nvme, CloneKind::Full);
    let clone = CloneVm { machine: machine.clone(), template: 9000, name, storage, clone_kind };
    stage.ask(clone).await.unwrap();
    let owner = "john".to_owned();
    stage
        .ask(ConfigureVm {
            machine: machine.clone(),
            cores: 4,
            memory_mib: 8192,
            owner,
            name: None,
            network: None,
            seed_in_drive,
            storage_network: None,
        })
        .await
        .unwrap();
    machine
}

#[tokio::test]
async fn a_machine_boots_reports_and_its_agent_connects_at_every_boot() {
    let scene = Scene::ready().await;
    let stage = &scene.stage;
    let machine = furnish(stage, false).await;
    let login = "vault:secret/data/coder/api#1".to_owned();
    let id = stage.lab.inventory().coder_workspaces[0].id.clone();
    for boot in 1..=2 {
        stage.ask(StartVm { machine: machine.clone() }).await.unwrap();
        stage.ask(AwaitAgent { login: login.clone(), id: id.clone() }).await.unwrap();
        assert_eq!(scene.office.reports().len(), boot);
        stage.ask(ShutdownVm { machine: machine.clone(), timeout_seconds: 60 }).await.unwrap();
        stage.ask(StopWorkspace { login: login.clone(), id: id.clone() }).await.unwrap();
        scene.start_coder("secret").await;
    }
    let boots = scene.office.reports();
    assert_ne!(boots[0], boots[1], "each boot has an id of its own");
}

#[tokio::test]
async fn an_agent_whose_script_fails_is_a_lasting_failure() {
    let scene = Scene::ready().await;
    let machine = furnish(&scene.stage, false).await;
    scene.stage.lab.break_("coder", "agent-start-error").unwrap();
    scene.stage.ask(StartVm { machine }).await.unwrap();
    let login = "vault:secret/data/coder/api#1".to_owned();
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.stage.refused(AwaitAgent { login, id }, Class::Permanent).await;
}
