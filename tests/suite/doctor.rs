//! `stead doctor` finds what was put out of order on purpose, and nothing else.

use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};
use stead_nats::testing::NatsServer;
use tokio::io::AsyncWriteExt;

use crate::stage::{Process, Setting, Stage, until};

/// What `stead doctor` says: each check, how it is, in which words.
struct Told(Vec<Value>);

impl Told {
    fn read(output: &Output) -> Self {
        let findings = serde_json::from_slice(&output.stdout);
        Self(findings.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    fn of(&self, check: &str) -> &Value {
        let found = self.0.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("nothing is said of {check}: {:#?}", self.0))
    }

    /// Asserts how a check is, that the words hold this, and that a mend is there if one is due.
    fn check(&self, check: &str, verdict: &str, words: &str) {
        let found = self.of(check);
        assert_eq!(found["verdict"], verdict, "{found}");
        assert!(found["words"].as_str().is_some_and(|said| said.contains(words)), "{found}");
        assert_eq!(found["mend"].is_null(), verdict == "ok", "{found}");
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.0.iter().filter(|finding| finding["verdict"] == "failed");
        failed.filter_map(|finding| finding["check"].as_str()).collect()
    }
}

async fn doctor(stage: &Stage, words: &[&str]) -> (Output, Told) {
    let output = stage.verb(&[&["doctor", "--json"], words].concat()).await;
    let told = Told::read(&output);
    (output, told)
}

/// Waits until the doctor has nothing to say: a worker that has just started may not listen yet.
async fn until_well(stage: &Stage) -> Told {
    until("nothing has to be mended", || async {
        let (output, told) = doctor(stage, &[]).await;
        output.status.success().then_some(told)
    })
    .await
}

/// One ends this week, and the other today.
async fn a_login_that_ends_is_told_before_it_has_ended(stage: &Stage) {
    stage.lab.end_login("coder", 3 * 86_400 - 600);
    stage.lab.end_login("truenas", 7_000);
    let (_, told) = doctor(stage, &[]).await;
    told.check("coder", "warning", "its login ends in 2 d");
    told.check("truenas", "failed", "its login ends in 1 h");
    for vendor in ["coder", "truenas"] {
        stage.lab.end_login(vendor, 30 * 86_400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_out_of_order_is_found_and_nothing_else() {
    let mut stage = Stage::with(Setting { engines: 2, ..Setting::default() }).await;
    let told = until_well(&stage).await;
    told.check("server", "ok", "nats-server");
    told.check("fsync", "unseen", "cannot be seen from here");
    told.check("streams", "ok", "7 streams");
    told.check("replicas", "warning", "one server");
    told.check("partitions", "ok", "2 partitions");
    let systems = [
        "coder",
        "forgejo",
        "guest",
        "kubernetes",
        "notify",
        "probe",
        "proxmox",
        "s3",
        "truenas",
        "vault",
    ];
    for system in systems {
        told.check(system, "ok", "a worker");
    }
    assert!(stage.lab.inventory().is_empty(), "it only looks");

    a_login_that_ends_is_told_before_it_has_ended(&stage).await;

    // A stream of facts that would lose them, and one that no longer does what it is for.
    let mut streams = stage.streams().await;
    streams.alter("STEAD_LOG_0_1", "max_age", json!(3_600_000_000_000_u64)).await;
    streams.alter("STEAD_REFUSALS", "max_bytes", json!(1024)).await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    let (output, told) = doctor(&stage, &["--clock-ahead-ms", "5000"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    told.check("stream STEAD_LOG_0_1", "failed", "messages go when they are old");
    told.check("stream STEAD_REFUSALS", "failed", "its size is limited otherwise");
    told.check("clock", "failed", "ahead of the server");
    told.check("vault", "failed", "sealed");
    let clock = told.of("clock")["words"].as_str().expect("words");
    let mut numbers = clock.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    // The way to the server and back is not known better, on a machine that is busy.
    assert!(numbers.any(|ahead: u64| (4_500..8_000).contains(&ahead)), "{clock}");

    // A credential that the vendor no longer takes.
    stage.lab.mend();
    stage.lab.break_("proxmox", "unauthorized").expect("a fault");
    let told = until("Vault is seen to be open", || async {
        let (_, told) = doctor(&stage, &[]).await;
        (told.of("vault")["verdict"] == "ok").then_some(told)
    });
    told.await.check("proxmox", "failed", "does not accept our login");
    // One that may look and nothing else.
    stage.lab.mend();
    stage.lab.break_("proxmox", "forbidden").expect("a fault");
    let (_, told) = doctor(&stage, &[]).await;
    told.check("proxmox", "failed", "our login at Proxmox lacks VM.Allocate on /vms/");

    // No worker at all; an engine of another build; nobody owns anything.
    stage.lab.mend();
    stage.kill_worker();
    let told = until("nothing else, once both engines have their partitions", || async {
        let (_, told) = doctor(&stage, &[]).await;
        (told.failed().len() == 2 + systems.len()).then_some(told)
    });
    let told = told.await;
    for system in ["coder", "guest", "notify", "probe", "proxmox", "s3", "truenas", "vault"] {
        told.check(system, "failed", "no worker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_syncs_later_is_found_where_it_can_be_seen() {
    let store = tempfile::tempdir().expect("a folder");
    let port = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.local_addr().expect("an address").port()
    };
    let more = |sync: &str| {
        let store = store.path().display();
        format!(
            "http: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{store}\"\n{sync} }}\n\
             authorization {{ users: [{{ user: eve, password: s3cret, permissions: {{ \
             publish: [\"stead.cmd.eve.>\", \"$SYS.REQ.USER.INFO\", \"$JS.API.INFO\"] }} }}] }}"
        )
    };
    for (sync, verdict, words) in [
        ("sync_interval: always", "ok", "syncs every append"),
        ("sync_interval: 90s", "failed", "every 90 s"),
    ] {
        let server = NatsServer::start_with(&more(sync)).await;
        let environment = [
            ("STEAD_NATS_URL", server.url()),
            ("STEAD_NATS_MONITOR", format!("http://127.0.0.1:{port}")),
            ("STEAD_NATS_USER", "eve".to_owned()),
            ("STEAD_NATS_PASSWORD", "s3cret".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let output = Process::carry_out(&["doctor", "--json"], &environment).await;
        let told = Told::read(&output);
        told.check("fsync", verdict, words);
        told.check("permissions", "failed", "publish to stead.checkup.*");
        told.check("platform", "failed", "");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("s3cret"), "a password is told: {said}");
    }
    let url = an_old_server().await;
    let old = [("STEAD_NATS_URL".to_owned(), url)];
    let output = Process::carry_out(&["doctor", "--json"], &old).await;
    Told::read(&output).check("server", "failed", "is version 2.14.5; stead needs");
    let nobody = [("STEAD_NATS_URL".to_owned(), "nats://127.0.0.1:1".to_owned())];
    let output = Process::carry_out(&["doctor", "--json"], &nobody).await;
    Told::read(&output).check("server", "failed", "cannot reach NATS");
    assert_eq!(output.status.code(), Some(1));
}

/// A server that says it is older than what the log needs, and nothing else.
async fn an_old_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut clients = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let info = r#"{"server_id":"a","version":"2.14.5","max_payload":1048576}"#;
            let hello = format!("INFO {info}\r\nPONG\r\n");
            let _gone = client.write_all(hello.as_bytes()).await;
            clients.push(client);
        }
    });
    url
}
