//! What people do to runs by hand, with the real binary: it is done, it stays in the history with
//! its reason, and it outlives the engine.

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunState;
use stead_schemas::transition::Transition;

use crate::stage::{Desk, Stage, check_gone, check_whole, until};

/// A create that waits for Vault, which is sealed.
async fn stuck_create(stage: &Stage, john: &Desk) -> stead_schemas::dispatch::Accepted {
    stage.lab.break_("vault", "sealed").expect("a fault");
    let accepted = john.order("create", json!({})).await;
    waits_because(john, &accepted.run, "retrying").await;
    accepted
}

async fn waits_because(john: &Desk, run: &RunId, reason: &str) {
    until(&format!("{run} waits because of {reason}"), || async {
        let view = john.view(run).await;
        view.waiting.iter().any(|waiting| waiting.reason == reason).then_some(())
    })
    .await;
}

async fn says(stage: &Stage, words: &[&str], expected: &str) {
    let told = stage.verb(words).await;
    let said =
        String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(said.contains(expected), "{words:?}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_create_outlives_its_engine_and_is_carried_out_once_it_is_resumed() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let accepted = stuck_create(&stage, &john).await;
    let run = accepted.run.as_str();
    says(&stage, &["run", "why", run], "tries now").await;
    says(&stage, &["run", "resume", run, "--why=x"], "[run.not-paused]").await;
    says(&stage, &["run", "pause", run, "--why=Vault is rebuilt"], "is in its history").await;
    says(&stage, &["run", "pause", run, "--why=x"], "[run.paused-already]").await;
    stage.lab.mend();
    stage.kill_engine(0);
    stage.start_engine(0);
    waits_because(&john, &accepted.run, "paused").await;
    says(&stage, &["run", "why", run], "it is paused: Vault is rebuilt").await;
    says(&stage, &["run", "list"], "paused").await;
    says(&stage, &["run", "retry", run, "--why=Vault is back"], "is in its history").await;
    let outcome = john.outcome(&accepted).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    check_whole(&stage.lab, "john");
    let history = john.history(&accepted.run).await.expect("a history");
    let resumed = history.iter().flat_map(|one| &one.events).find_map(|event| match event {
        Event::RunResumed(resumed) => Some(resumed.order.why.clone()),
        _ => None,
    });
    assert_eq!(resumed.as_deref(), Some("Vault is back"));
    says(&stage, &["replay", run], "decides the same at each of them").await;
    rehearse(&stage, run).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_by_hand_is_what_workers_and_workflows_go_on_with() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    let accepted = john.order("create", json!({ "memory_gb": 8 })).await;
    waits_because(&john, &accepted.run, "retrying").await;
    let run = accepted.run.as_str();
    let secret = |of: &str| format!("vault:secret/data/{of}/api");
    let pinned = ["proxmox", "coder"].map(|of| (secret(of), json!(secret(of) + "#1")));
    let answer = json!({ "pinned": serde_json::Map::from_iter(pinned) }).to_string();
    let skip = ["run", "skip", run, "--step", "1", "--answer", &answer];
    says(&stage, &[&skip[..], &["--why=Vault is sealed"]].concat(), "is in its history").await;
    stage.lab.break_call("proxmox", "POST /config", CallFault::FailPassing).expect("a vendor");
    stage.lab.mend_one("vault", "sealed");
    edit(&stage, &john, &accepted.run).await;
    let outcome = john.outcome(&accepted).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    check_whole(&stage.lab, "john");
    assert_eq!(stage.lab.inventory().vms[0].memory_mib, 6_144, "it was made as it was edited");
    check_given(&john.history(&accepted.run).await.expect("a history"));

    let probe = json!({ "name": "p", "steps": 1, "wait_seconds": 3_600 });
    let probe = john.ask("probe", "start", probe).await.expect("it is let in");
    waits_because(&john, &probe.run, "timer").await;
    let signal = ["run", "signal", probe.run.as_str(), "finish", "--why=it has been seen"];
    says(&stage, &signal, "is in its history").await;
    let outcome = john.outcome(&probe).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    stage.finish().await;
}

/// Changes how much memory a machine gets, while it cannot be set up.
async fn edit(stage: &Stage, john: &Desk, run: &RunId) {
    let step = until("the machine cannot be set up", || async {
        let waiting = john.view(run).await.waiting;
        let mut tried = waiting.iter().filter(|waiting| waiting.attempts > 0);
        tried.find(|waiting| waiting.what == "proxmox.configure-vm").map(|w| w.seq.to_string())
    })
    .await;
    says(stage, &["run", "pause", run.as_str(), "--why=x"], "is in its history").await;
    // The attempt that is under way comes to its end.
    until("nobody is at work on the step", || async {
        let words = ["run", "edit", run.as_str(), "--step", &step, "--set", "memory_mib=6144"];
        let edited = stage.verb(&[&words[..], &["--why=less is enough"]].concat()).await;
        edited.status.success().then_some(())
    })
    .await;
    stage.lab.mend();
    says(stage, &["run", "resume", run.as_str(), "--why=x"], "is in its history").await;
}

/// The history says what was given, and why; and what was asked for after that.
fn check_given(history: &[Transition]) {
    let events = || history.iter().flat_map(|one| &one.events);
    let given = events().filter_map(|event| match event {
        Event::StepSkipped(skipped) => {
            Some((skipped.order.why.as_str(), &skipped.answer["pinned"]))
        }
        Event::StepEdited(edited) => Some((&*edited.order.why, &edited.request["memory_mib"])),
        _ => None,
    });
    let given: Vec<_> = given.map(|(why, what)| (why, what.is_object(), what.as_u64())).collect();
    assert_eq!(given, [("Vault is sealed", true, None), ("less is enough", false, Some(6_144))]);
    let asked = events().find_map(|event| match event {
        Event::StepScheduled(step) if step.step == "proxmox.configure-vm" => Some(&step.request),
        _ => None,
    });
    let login = &asked.expect("it is asked for")["machine"]["login"];
    assert_eq!(login, "vault:secret/data/proxmox/api#1", "it is what was given by hand");
}

/// Every run that lives is decided again, and one that this build would not go on with is named.
async fn rehearse(stage: &Stage, run: &str) {
    says(stage, &["replay", "--all"], "decides the same in 3 runs that live and 26 that are kept")
        .await;
    let told = stage.verb(&["run", "history", run, "--json"]).await;
    let history = String::from_utf8(told.stdout).expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let other = history.replace("vault.pin-secrets", "vault.pin-others");
    assert_ne!(other, history);
    std::fs::write(folder.path().join("other.jsonl"), other).expect("it is ours");
    let golden = folder.path().to_str().expect("a path");
    let words = ["replay", "--all", "--golden", golden];
    says(stage, &words, "decides otherwise at transition 1").await;
    says(stage, &words, "the history has").await;
    says(stage, &words, "this build wants").await;
    says(stage, &words, "differs at").await;
    says(stage, &words, "would not go on with 1 run of 30").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_create_frees_its_name_and_says_what_it_leaves() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let accepted = stuck_create(&stage, &john).await;
    let run = accepted.run.as_str();
    says(&stage, &["run", "terminate", run, "--why=x", "--dry-run"], "vault.pin-secrets").await;
    assert_eq!(john.view(&accepted.run).await.summary.state, RunState::Running);
    says(&stage, &["run", "terminate", run, "--why=the wrong site"], "is in its history").await;
    let Outcome::Failed(failure) = john.outcome(&accepted).await else {
        panic!("a terminated create is done");
    };
    assert!(failure.words.contains("terminated"), "{failure}");
    let view = john.view(&accepted.run).await;
    assert_eq!(view.summary.state, RunState::Terminated);
    assert_eq!(view.left[0].why, "step under way");
    says(&stage, &["run", "signal", run, "go", "--why=x"], "[run.over]").await;
    stage.lab.mend();
    check_gone(&stage.lab, "john");
    john.carry_out("create", json!({})).await;
    check_whole(&stage.lab, "john");
    stage.finish().await;
}
