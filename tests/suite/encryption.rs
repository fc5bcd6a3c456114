//! What lies on the server's disk is encrypted, and everything works as it does without: by the real
//! binary, with an engine that is killed, and with keys that change.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use stead_nats::{PlatformSettings, SteadClient, open_platform};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::public::RunState;

use crate::stage::{Desk, Seen, Setting, Stage, until};

pub const FIRST: &str = "k1 AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09o=";
/// The key after that, and the one before.
const BOTH: &str = "k2 AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Ns=\nk1 AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09o=";
pub const SECOND: &str = "k2 AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Ns=";
/// Another one of the first one's name.
const ANOTHER: &str = "k1 CRAXHiUsMzpBSE9WXWRrcnmAh46VnKOqsbi/xs3U2+I=";
/// Is said in commands, and stands in no subject.
const CANARY: &str = "canary-said-in-a-command";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_said_is_on_the_disk_and_all_of_it_is_read() {
    let site = "[engine]\narchive_after = 8\n";
    let setting = Setting { partitions: 1, keys: FIRST, site, ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    let john = stage.desk("john").await;
    let first = probe(&john, 0).await;
    let paused = john.ask("probe", "start", json!({ "name": "p", "wait_seconds": 3600 })).await;
    let paused = paused.expect("it is let in").run;
    let why = format!("{CANARY} as a reason");
    let said = stage.verb(&["run", "pause", paused.as_str(), "--why", &why]).await;
    assert!(said.status.success(), "{}", told(&said));
    by_the_inbox(&stage, &john).await;
    // Who takes over finds much that is over, and nothing that ended only just now.
    stage.kill_engine(0);
    stage.start_engine(0);
    until("runs go into the archive by themselves", || async {
        (archived(&stage).await > 0).then_some(())
    })
    .await;
    probe(&john, 1).await;
    check_disk(&stage, &paused).await;
    check_read(&stage, &first).await;
    check_read(&stage, &paused).await;
    let history = stage.verb(&["run", "history", paused.as_str()]).await;
    assert!(told(&history).contains(&why), "{}", told(&history));

    // A new key seals; the old one reads on.
    stage.give_keys(BOTH);
    stage.stop_engine(0).await;
    stage.start_engine(0);
    let resumed = stage.verb(&["run", "resume", paused.as_str(), "--why", "all is well"]).await;
    assert!(resumed.status.success(), "{}", told(&resumed));
    check_read(&stage, &paused).await;
    check_read(&stage, &first).await;
    let found = stage.verb(&["doctor"]).await;
    assert!(
        told(&found).contains("sealed with `k2`; every key is here: k1, k2"),
        "{}",
        told(&found)
    );
    check_refused(&mut stage, &paused).await;
    check_disk(&stage, &paused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_only_vault_can_open_are_waited_for_and_change_like_others() {
    let mut stage = Stage::with(Setting { partitions: 1, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let with = |keys: &str| {
        [
            ("STEAD_ENCRYPTION_TRANSIT", "transit/stead".to_owned()),
            ("STEAD_ENCRYPTION_KEYS", keys.to_owned()),
        ]
    };
    let first = made(&stage, "k1").await;
    stage.stop_engine(0).await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    stage.start_engine_with(0, &with(&first));
    until("the engine says what it waits for", || async {
        stage.engine(0).said().contains("waits for Vault, which opens the keys").then_some(())
    })
    .await;
    let found = stage.verb_with(&["doctor"], &with(&first)).await;
    let words = told(&found);
    assert!(!found.status.success() && words.contains("Vault does not open the keys"), "{words}");
    stage.lab.mend();
    let run = told_of(&stage, &john, 0).await;
    assert_eq!(holds(&stage.nats.store(), CANARY), None, "it is sealed");
    // Without Vault's help the file opens nothing.
    let plain = stage.verb(&["replay", run.as_str()]).await;
    assert!(!plain.status.success() && told(&plain).contains("`k1`"), "{}", told(&plain));
    let altered = stage.verb_with(&["replay", run.as_str()], &with(&format!("{first}x"))).await;
    assert!(told(&altered).contains("the keys of [encryption] do not open"), "{}", told(&altered));

    let both = format!("{}\n{first}", made(&stage, "k2").await);
    stage.stop_engine(0).await;
    stage.start_engine_with(0, &with(&both));
    let next = told_of(&stage, &john, 1).await;
    for run in [&run, &next] {
        let said = stage.verb_with(&["replay", run.as_str()], &with(&both)).await;
        assert!(said.status.success(), "{}", told(&said));
    }
    let found = told(&stage.verb_with(&["doctor"], &with(&both)).await);
    assert!(found.contains("sealed with `k2`; every key is here: k1, k2"), "{found}");
    for (path, text) in stage.said() {
        for secret in stage.lab.secrets() {
            assert!(!text.contains(&secret), "a secret is in {}", path.display());
        }
    }
}

/// The same as [`probe`], for whoever has no keys and must believe what is told.
async fn told_of(stage: &Stage, john: &Desk, number: usize) -> RunId {
    let (from, name) = (stage.events.count(), format!("{CANARY}-{number}"));
    let accepted = john.ask("probe", "start", json!({ "name": name })).await.expect("it is let in");
    let is_over = |seen: &Seen| seen.name() == "run-completed" && seen.kind() == "probe";
    stage.events.first("the probe is over", from, is_over).await;
    accepted.run
}

/// A line with a new key that Vault has wrapped.
async fn made(stage: &Stage, name: &str) -> String {
    let with = [("STEAD_ENCRYPTION_TRANSIT", "transit/stead".to_owned())];
    let said = stage.verb_with(&["config", "key", name], &with).await;
    let line = told(&said).trim().to_owned();
    assert!(line.starts_with(&format!("{name} vault:v1:")), "{line}");
    line
}

/// A run that is over, and of whose name nothing may be found.
async fn probe(john: &Desk, number: usize) -> RunId {
    let name = format!("{CANARY}-{number}");
    let accepted = john.ask("probe", "start", json!({ "name": name })).await.expect("it is let in");
    assert!(matches!(john.outcome(&accepted).await, Outcome::Done(_)));
    accepted.run
}

/// Commands by the inbox, from one who has the keys and from one who has none.
async fn by_the_inbox(stage: &Stage, john: &Desk) {
    let connection = stage.nats.connect().await;
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    let platform = open_platform(&connection, settings).await.expect("a platform");
    for (client, who) in [(&stage.client, "with"), (&SteadClient::new(&platform), "without")] {
        let name = format!("{CANARY}-{who}");
        let fields = json!({ "name": name, "steps": 1 });
        let fields = fields.as_object().expect("fields");
        let kept = client.publish_command(&john.owner, "probe", "start", fields).await;
        kept.expect("the inbox takes it");
        until(&format!("the command of one {who} keys is carried out"), || async {
            let runs = stage.client.list_all().await.ok()?;
            let run = runs.into_iter().find(|run| run.name == name)?;
            (run.state == RunState::Completed).then_some(())
        })
        .await;
    }
}

/// How many runs are in the archive, all of it as it was written.
async fn archived(stage: &Stage) -> u64 {
    let verified = stage.verb(&["archive", "verify", "--json"]).await;
    assert!(verified.status.success(), "{}", told(&verified));
    let said: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    said["runs"].as_u64().expect("a number")
}

/// Nothing that was said is in any file of the server.
async fn check_disk(stage: &Stage, run: &RunId) {
    let store = stage.nats.store();
    let subject = holds(&store, run.as_str()).expect("the search finds what is not sealed");
    assert!(subject.contains("msgs"), "{subject}");
    until("a plain command is wiped from the inbox", || async {
        holds(&store, CANARY).is_none().then_some(())
    })
    .await;
}

/// The first file beneath a folder that holds a text.
fn holds(folder: &Path, text: &str) -> Option<String> {
    // What the server takes away while we look holds nothing.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        is_there.then(|| path.display().to_string())
    })
}

/// A history is replayed, and the whole record is verified.
async fn check_read(stage: &Stage, run: &RunId) {
    for words in [vec!["replay", run.as_str()], vec!["audit", "verify"]] {
        let said = stage.verb(&words).await;
        assert!(said.status.success(), "{words:?}: {}", told(&said));
    }
}

/// Who lacks a key, or has another one of the same name, is told so.
async fn check_refused(stage: &mut Stage, run: &RunId) {
    let missing = "the key `k1`, which is not among the keys of [encryption]";
    let another = "does not open with the key `k1`";
    for (keys, words) in [(SECOND, missing), (ANOTHER, another)] {
        let keys = [("STEAD_ENCRYPTION_KEYS", keys.to_owned())];
        for verb in [vec!["replay", run.as_str()], vec!["doctor"]] {
            let said = stage.verb_with(&verb, &keys).await;
            let told = told(&said).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!said.status.success() && told.contains(words), "{verb:?}: {told}");
        }
    }
    stage.stop_engine(0).await;
    let keys = [("STEAD_ENCRYPTION_KEYS", SECOND.to_owned())];
    let refused = stage.verb_with(&["engine"], &keys).await;
    let words = told(&refused);
    assert!(!refused.status.success() && words.contains(missing), "{words}");
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}
