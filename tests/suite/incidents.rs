//! Incidents as an operator meets them: a fault is made, everything that is known goes into one
//! file, and from that file alone the first cause is named and the history decided again.
//!
//! `STEAD_RECORD=1 cargo test -p stead-tests --test suite incidents` records the files that
//! `ops` explains word for word (`incidents/*.stead.tar.gz`) anew.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use stead_lab::CallFault;
use stead_schemas::event::Outcome;
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use tempfile::TempDir;

use crate::stage::{CALL, Desk, Setting, Stage, check_whole, other_build, until};
use crate::templates;

/// Nobody gets another name.
pub const PLAIN: &[&str] = &["--plain"];

/// A bundle that was made on a stage, and what is asked of it.
pub struct Bundle {
    pub file: PathBuf,
    _dir: TempDir,
}

impl Bundle {
    /// A bundle of one run.
    pub async fn export(stage: &Stage, run: &RunId, name: &str, options: &[&str]) -> Self {
        Self::of(stage, run.as_str(), name, options).await.0
    }

    /// A bundle of whatever is asked for, and what it says of itself.
    pub async fn of(stage: &Stage, what: &str, name: &str, options: &[&str]) -> (Self, Value) {
        Self::of_with(stage, what, name, options, &[]).await
    }

    /// The same with more in the environment.
    pub async fn of_with(
        stage: &Stage,
        what: &str,
        name: &str,
        options: &[&str],
        more: &[(&str, String)],
    ) -> (Self, Value) {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join(format!("{name}.stead.tar.gz"));
        let mut words = vec!["incident", "export", what, "--json", "-o", path(&file)];
        words.extend(options);
        let told: Value =
            serde_json::from_str(&said(&stage.verb_with(&words, more).await)).expect("a manifest");
        (Self { file, _dir: dir }, told["manifest"].clone())
    }

    /// All that is in it.
    pub fn text(&self) -> String {
        let bytes = std::fs::read(&self.file).expect("a bundle");
        String::from_utf8_lossy(&unpacked(&bytes)).into_owned()
    }

    /// Keeps it among the recorded ones, if that is wanted.
    fn record(&self) {
        if std::env::var_os("STEAD_RECORD").is_some() {
            let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/incidents");
            std::fs::create_dir_all(&kept).expect("a folder");
            let name = self.file.file_name().expect("a name");
            std::fs::copy(&self.file, kept.join(name)).expect("it is kept");
        }
    }

    /// What is said of it where there is no platform.
    async fn ask(&self, stage: &Stage, words: &[&str]) -> Output {
        let words: Vec<&str> =
            words.iter().map(|w| if *w == "FILE" { path(&self.file) } else { w }).collect();
        stage.verb_alone(&words).await
    }
}

pub fn path(file: &Path) -> &str {
    file.to_str().expect("a plain path")
}

fn said(told: &Output) -> String {
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{words}\n{}", String::from_utf8_lossy(&told.stderr));
    words
}

/// Exports a run, and sees to it that the file alone names the cause and replays.
async fn check(stage: &Stage, run: &RunId, name: &str, step: Option<&str>, causes: &[&str]) {
    let bundle = Bundle::export(stage, run, name, PLAIN).await;
    bundle.record();
    let told = said(&bundle.ask(stage, &["incident", "explain", "FILE", "--json"]).await);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let cause = &told["cause"];
    assert_eq!(cause["step"][1].as_str(), step, "{name}: {told:#}");
    let words = cause["words"].as_str().unwrap_or_default();
    for part in causes {
        assert!(words.contains(part), "{name}: `{part}` is not in the cause: {told:#}");
    }
    said(&bundle.ask(stage, &["replay", "FILE"]).await);
}

/// Waits until a step has been tried in vain, or is waited for from outside.
pub async fn stands(john: &Desk, run: &RunId, step: &str) {
    until(&format!("{step} of {run} does not get on"), || async {
        let view = john.view(run).await;
        let mut waiting = view.waiting.iter().filter(|waiting| waiting.what == step);
        waiting
            .find(|one| one.attempts > 0 && !one.words.is_empty() || one.reason == "outside")
            .map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vendors_that_do_not_do_what_they_should_are_named_as_the_cause() {
    let stage = Stage::start().await;
    for (vendor, fault, step, causes) in [
        ("vault", "sealed", "vault.pin-secrets", &["sealed"][..]),
        ("guest", "home-never-mounts", "guest.await-home", &["its home is mounted"][..]),
    ] {
        let name = if vendor == "vault" { "sealed-vault" } else { "unmounted-home" };
        let john = stage.desk(name).await;
        stage.lab.break_(vendor, fault).expect("a fault");
        let accepted = john.order("create", json!({})).await;
        stands(&john, &accepted.run, step).await;
        check(&stage, &accepted.run, name, Some(step), causes).await;
        stage.lab.mend();
        let outcome = john.outcome(&accepted).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{name}: {outcome:?}");
    }
    for (vendor, fault, name, step, causes) in [
        ("truenas", "pool-full", "full-pool", "truenas.ensure-dataset", &["no room left"][..]),
        ("proxmox", "unauthorized", "expired-token", "proxmox.survey", &["not let in"][..]),
    ] {
        let john = stage.desk(name).await;
        stage.lab.break_(vendor, fault).expect("a fault");
        let accepted = john.order("create", json!({})).await;
        let outcome = john.outcome(&accepted).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{name}: {outcome:?}");
        check(&stage, &accepted.run, name, Some(step), causes).await;
        if name == "full-pool" {
            who_met_the_same_before_is_named(&stage, &accepted.run).await;
        }
        stage.lab.mend();
    }
    for name in ["dev", "other"] {
        stage.desk("usual").await.carry_out("create", json!({ "name": name })).await;
    }
    // Two that were held up and one that was not are three others.
    let drawn = stage.verb(&["run", "timeline", "usual/dev"]).await;
    let words = String::from_utf8_lossy(&drawn.stderr);
    assert!(words.contains("usual: the median of the latest 3 others"), "{words}");
    assert!(said(&drawn).contains("usual "), "{drawn:?}");
    stage.finish().await;
}

/// Somebody else meets the same fault.
async fn who_met_the_same_before_is_named(stage: &Stage, before: &RunId) {
    let jane = stage.desk("full-pool-too").await;
    let accepted = jane.order("create", json!({})).await;
    assert!(matches!(jane.outcome(&accepted).await, Outcome::Failed(_)));
    let words = ["incident", "explain", accepted.run.as_str()];
    let told = said(&stage.verb(&[&words[..], &["--json"]].concat()).await);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let similar = told["similar"].as_array().expect("a list");
    assert_eq!(similar.len(), 1, "only one met the same: {told:#}");
    assert_eq!(similar[0]["run"], before.as_str(), "{told:#}");
    let told = said(&stage.verb(&words).await);
    assert!(told.contains("full-pool/dev"), "{told}");
    // Whoever came first met nothing that was there before him.
    let told = said(&stage.verb(&["incident", "explain", before.as_str()]).await);
    assert!(told.contains("no run that is known here met the same"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_ended_is_named_as_the_cause() {
    let stage = Stage::start().await;
    let john = stage.desk("ended-token").await;
    john.carry_out("create", json!({})).await;
    let safe = Safe::open(&stage).await;
    let good = safe.coder_token().await;
    // Somebody meant a week, and wrote seconds where Coder wants nanoseconds.
    let keys = format!("{}/api/v2/users/me/keys/tokens", stage.lab.addresses().coder_url);
    let week = json!({ "token_name": "stead", "lifetime": 604_800 });
    let made = safe.http.post(keys).header("coder-session-token", &good).json(&week);
    let ended = told(made).await["key"].as_str().expect("a token").to_owned();
    let lives = || async { stage.lab.coder_user_of(&ended).is_none().then_some(()) };
    until("the token has ended", lives).await;
    safe.keep_coder_token(&ended).await;
    let stopped = john.order("stop", json!({})).await;
    let Outcome::Failed(failure) = john.outcome(&stopped).await else {
        panic!("Coder was told with a token that had ended")
    };
    assert_eq!(failure.class, Class::Auth, "{failure}");
    let (step, causes) = (Some("coder.stop-workspace"), ["not let in"]);
    check(&stage, &stopped.run, "ended-token", step, &causes).await;
    safe.keep_coder_token(&good).await;
    john.carry_out("start", json!({})).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_was_lost_is_named_as_the_cause() {
    let stage = Stage::start().await;
    let door = templates::door(&stage, true).await;
    let told = templates::commit(&stage, "# told of");
    templates::said_of(&stage, &told, "success").await;
    stage.lab.break_("forgejo", "hook-lost").expect("a fault");
    let lost = templates::commit(&stage, "# lost");
    templates::look(&stage).await;
    templates::said_of(&stage, &lost, "success").await;
    // What comes behind it is carried out behind it.
    templates::ends(&stage, &["check", templates::TEMPLATE, "--wait"], 0).await;
    let owner = Owner::new("platform").expect("a good name");
    let run = EntityKey::of("template", &owner, templates::TEMPLATE).run(1);
    let words = format!("no webhook told of {lost}");
    check(&stage, &run, "lost-webhook", None, &[&words, "by step"]).await;
    door.stop().await;
    stage.finish().await;
}

/// The lab's Vault, as somebody who may write there.
struct Safe {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Safe {
    async fn open(stage: &Stage) -> Self {
        let (http, login) = (reqwest::Client::new(), stage.lab.credentials());
        let vault = &stage.lab.addresses().vault_url;
        let role = json!({ "role_id": login.vault_role_id, "secret_id": login.vault_secret_id });
        let entering = http.post(format!("{vault}/v1/auth/approle/login")).json(&role);
        let entered = told(entering).await;
        let token = entered["auth"]["client_token"].as_str().expect("a token").to_owned();
        Self { http, url: format!("{vault}/v1/secret/data/coder/api"), token }
    }

    async fn coder_token(&self) -> String {
        let kept = told(self.http.get(&self.url).header("x-vault-token", &self.token)).await;
        kept["data"]["data"]["token"].as_str().expect("a token").to_owned()
    }

    async fn keep_coder_token(&self, token: &str) {
        let fields = json!({ "data": { "token": token } });
        let writing = self.http.post(&self.url).header("x-vault-token", &self.token);
        told(writing.json(&fields)).await;
    }
}

/// What a vendor answers to something that it should do.
async fn told(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_number_and_an_undo_that_is_stuck_are_named_as_the_cause() {
    let stage = Stage::start().await;
    let john = stage.desk("stolen-vmid").await;
    stage.lab.break_times("proxmox", "vmid-taken", 1).expect("a fault");
    let accepted = john.carry_out("create", json!({})).await;
    check(&stage, &accepted.run, "stolen-vmid", Some("proxmox.clone-vm"), &["not ours"]).await;

    let john = stage.desk("stuck-undo").await;
    let lasting = CallFault::FailLasting;
    stage.lab.break_call_times("proxmox", "POST /status/start", lasting, 1).expect("a vendor");
    stage.lab.break_call("proxmox", "DELETE /qemu/", lasting).expect("a vendor");
    let accepted = john.order("create", json!({})).await;
    stands(&john, &accepted.run, "proxmox.destroy-vm").await;
    check(&stage, &accepted.run, "stuck-undo", Some("proxmox.start-vm"), &["it failed"]).await;
    let bundle = Bundle::export(&stage, &accepted.run, "stuck", &[]).await;
    let told = said(&bundle.ask(&stage, &["incident", "explain", "FILE"]).await);
    assert!(told.contains("proxmox.destroy-vm is still to be done"), "{told}");
    assert!(!told.contains("stuck-undo"), "its owner has another name: {told}");
    stage.lab.mend();
    assert!(matches!(john.outcome(&accepted).await, Outcome::Failed(_)));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_and_an_engine_that_are_frozen_are_named_as_the_cause() {
    let setting = Setting { engines: 2, partitions: 1, ..Setting::default() };
    let stage = Stage::with(setting).await;
    let john = stage.desk("late-answer").await;
    stage.slow_down(CALL);
    let accepted = john.order("create", json!({})).await;
    let clone = || async { asked(&john, &accepted.run, "proxmox.clone-vm").await };
    until("the machine is cloned", clone).await;
    let worker = stage.worker.as_ref().expect("the worker runs");
    worker.freeze();
    until("it is asked again", || async {
        let view = john.view(&accepted.run).await;
        view.waiting.iter().any(|waiting| waiting.attempts > 1).then_some(())
    })
    .await;
    worker.thaw();
    john.outcome(&accepted).await;
    let step = last_tried_again(&john, &accepted.run).await;
    check(&stage, &accepted.run, "late-answer", Some(&step), &["attempts"]).await;

    let john = stage.desk("frozen-owner").await;
    let accepted = john.order("create", json!({})).await;
    until("it is on its way", || async { asked(&john, &accepted.run, "home.attach").await }).await;
    stage.engine(0).freeze();
    until("it is done", || async {
        let history = john.history(&accepted.run).await?;
        let last = history.last()?;
        (last.engine != history[0].engine).then_some(())
    })
    .await;
    stage.engine(0).thaw();
    john.outcome(&accepted).await;
    stage.lab.mend();
    check_whole(&stage.lab, "frozen-owner");
    check(&stage, &accepted.run, "frozen-owner", None, &["owned the partition"]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_decides_otherwise_is_named_as_the_cause() {
    let stage = Stage::with(Setting { other_build: true, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let accepted = john.carry_out("create", json!({})).await;
    let bundle = Bundle::export(&stage, &accepted.run, "diverging-build", PLAIN).await;
    bundle.record();
    let told = said(&bundle.ask(&stage, &["incident", "explain", "FILE"]).await);
    assert!(told.contains("proxmox.resize-disc") && told.contains("proxmox.resize-disk"), "{told}");
    let alone = bundle.ask(&stage, &["replay", "FILE"]).await;
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
    // The build that wrote it decides the same, and says so where this one does not.
    let other = path(other_build());
    let told = bundle.ask(&stage, &["replay", "FILE", "--against", other]).await;
    let words = [&told.stdout[..], &told.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("this build: stead") && words.contains("decides otherwise"), "{words}");
    assert!(words.contains(&format!("at {other}, decides the same")), "{words}");
    assert_eq!(told.status.code(), Some(1), "{words}");
    // A history of this build is not what the other one would have written.
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/tests/golden/workspace-life.jsonl");
    let told = stage.verb_alone(&["replay", path(&golden), "--against", other]).await;
    let words = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{words}");
    for part in
        ["decides otherwise at transition", "the history has", "that build wants", "resize-disc"]
    {
        assert!(words.contains(part), "`{part}` is not in {words}");
    }
    std::fs::remove_file(other_build()).ok();
}

/// Whether a run has asked for a step.
async fn asked(john: &Desk, run: &RunId, step: &str) -> Option<()> {
    use stead_schemas::event::Event;
    let history = john.history(run).await?;
    let mut events = history.iter().flat_map(|transition| &transition.events);
    events.any(|event| matches!(event, Event::StepScheduled(s) if s.step == step)).then_some(())
}

/// The first step of a run that took more than one attempt.
async fn last_tried_again(john: &Desk, run: &RunId) -> String {
    use stead_schemas::event::Event;
    let history = john.history(run).await.expect("a history");
    let events: Vec<&Event> = history.iter().flat_map(|transition| &transition.events).collect();
    let again = events.iter().find_map(|event| match event {
        Event::StepCompleted(done) if done.attempts > 1 => Some(done.seq),
        _ => None,
    });
    let named = events.iter().find_map(|event| match event {
        Event::StepScheduled(step) if Some(step.seq) == again => Some(step.step.clone()),
        _ => None,
    });
    named.expect("a step was tried again")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_whole_or_not_there_and_shows_what_a_platform_shows() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let first = john.carry_out("create", json!({})).await;
    stage
        .lab
        .break_call_times("proxmox", "POST /status/start", CallFault::FailLasting, 1)
        .expect("a vendor");
    let failing = json!({ "name": "other" });
    let other = john.order("create", failing).await;
    john.outcome(&other).await;
    let bundle = Bundle::export(&stage, &first.run, "both", PLAIN).await;
    // A second export replaces nothing unless that is wanted.
    let again = ["incident", "export", first.run.as_str(), "--plain", "-o", path(&bundle.file)];
    let before = std::fs::read(&bundle.file).expect("a bundle");
    let refused = stage.verb(&again).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(std::fs::read(&bundle.file).expect("a bundle"), before);
    let forced: Vec<&str> = again.iter().copied().chain(["--force"]).collect();
    said(&stage.verb(&forced).await);
    let folder = bundle.file.parent().expect("a folder");
    assert_eq!(
        std::fs::read_dir(folder).expect("a folder").count(),
        1,
        "nothing half-written stays"
    );
    for words in [
        &["replay", "FILE", "--to", "7"][..],
        &["replay", "FILE", "--to=2999-01-01T00:00:00Z", "--json"],
    ] {
        let there = words.iter().map(|word| if *word == "FILE" { "john/dev" } else { word });
        let there = said(&stage.verb(&there.collect::<Vec<_>>()).await);
        assert_eq!(said(&bundle.ask(&stage, words).await), there, "{words:?}");
    }
    let both = said(&stage.verb(&["diff", "john/dev", "john/other"]).await);
    assert!(both.contains("they part at create"), "{both}");
    let same = said(&bundle.ask(&stage, &["diff", "FILE", "FILE", "--exact"]).await);
    assert!(same.contains("the runs are alike"), "{same}");
    let drawn = said(&bundle.ask(&stage, &["timeline", "FILE"]).await);
    assert!(drawn.contains("proxmox.clone-vm"), "{drawn}");
    let picture = bundle.file.with_extension("svg");
    said(&bundle.ask(&stage, &["timeline", "FILE", "--svg", path(&picture)]).await);
    let picture = std::fs::read_to_string(&picture).expect("a picture");
    assert!(picture.contains(">proxmox.clone-vm</text>"), "{picture}");
    for secret in stage.lab.secrets() {
        let text = bundle.text();
        assert!(text.contains("john"), "what is searched is the text");
        assert!(!text.contains(&secret), "a secret is in the bundle");
    }
    stage.finish().await;
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let fed = std::thread::spawn(move || std::io::Write::write_all(&mut input, &bytes));
    let told = child.wait_with_output().expect("gzip ends");
    fed.join().expect("no panic").expect("it is read");
    told.stdout
}
