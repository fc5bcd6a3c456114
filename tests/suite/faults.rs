//! Vendors fail: for good, for a while, or in the answer only. A workspace ends up whole or is
//! taken back, and says why.

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::event::{Event, Outcome};

use crate::stage::effects::{check_once, count};
use crate::stage::ledger::{compare, ledger};
use crate::stage::{Desk, Stage, check_gone, check_ledger_after, check_whole, until};

/// The call by which each step of a create has its effect.
const CALLS: &[(&str, &str, &str)] = &[
    ("vault.pin-secrets", "vault", "GET /secret/data/coder/api"),
    ("vault.pin-secrets", "vault", "GET /secret/data/truenas/api"),
    ("coder.survey", "coder", "GET /users/john"),
    ("proxmox.survey", "proxmox", "GET /cluster/resources"),
    ("truenas.survey-pool", "truenas", "pool.dataset.query"),
    ("truenas.ensure-dataset", "truenas", "pool.dataset.create"),
    ("truenas.set-permissions", "truenas", "filesystem.setperm"),
    ("truenas.ensure-share", "truenas", "sharing.nfs.create"),
    ("proxmox.check-vmid", "proxmox", "GET /cluster/nextid"),
    ("proxmox.clone-vm", "proxmox", "POST /clone"),
    ("proxmox.configure-vm", "proxmox", "POST /config"),
    ("proxmox.resize-disk", "proxmox", "PUT /resize"),
    ("coder.start-workspace", "coder", "POST /workspaces"),
    ("proxmox.start-vm", "proxmox", "POST /status/start"),
];

/// The calls by which a delete has its effects.
const DELETE_CALLS: &[(&str, &str)] = &[
    ("proxmox", "POST /status/shutdown"),
    ("proxmox", "DELETE /qemu/"),
    ("coder", "POST /builds"),
    ("truenas", "sharing.nfs.delete"),
    ("truenas", "pool.snapshot.create"),
    ("truenas", "pool.dataset.update"),
    ("truenas", "pool.snapshot.delete"),
    ("truenas", "pool.dataset.delete"),
];

/// Calls that change nothing, or only the caller's own session.
const HARMLESS: &[&str] = &[
    "auth.",
    "core.",
    ".query",
    ".processes",
    "filesystem.stat",
    "api_key.my_keys",
    "/auth/approle/login",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_of_a_create_fails_for_good_everything_is_undone() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    for (step, vendor, call) in CALLS {
        stage.lab.break_call(vendor, call, CallFault::FailLasting).expect("a vendor");
        check_fails(&stage, &john, step).await;
        stage.lab.mend();
    }
    stage.lab.break_("coder", "agent-start-error").expect("a fault");
    check_fails(&stage, &john, "coder.await-agent").await;
    stage.lab.mend();
    john.carry_out("create", json!({})).await;
    check_whole(&stage.lab, "john");
    stage.finish().await;
}

/// A create fails at this step, says so, and leaves nothing.
async fn check_fails(stage: &Stage, john: &Desk, step: &str) {
    let before = stage.lab.effects().len();
    let accepted = john.order("create", json!({})).await;
    let Outcome::Failed(failure) = john.outcome(&accepted).await else {
        panic!("a create without {step} is carried out");
    };
    assert_eq!(failure.step.as_deref(), Some(step), "{failure}");
    assert!(!failure.words.is_empty() && failure.vendor.is_some(), "{failure:?}");
    let inventory = stage.lab.inventory();
    assert!(inventory.is_empty(), "{step}: {inventory:#?}");
    check_ledger_after(stage, step).await;
    let effects = stage.lab.effects().split_off(before);
    check_once(&effects, step);
    for (done, undone) in [
        ("vm-cloned", "vm-destroyed"),
        ("dataset-created", "dataset-destroyed"),
        ("share-created", "share-removed"),
        ("coder-build-start", "coder-build-delete"),
    ] {
        assert_eq!(count(&effects, done), count(&effects, undone), "{step}: {effects:#?}");
    }
    let history = john.history(&accepted.run).await.expect("a history");
    let last = history.last().and_then(|last| last.events.last());
    let Some(Event::RunFailed(failed)) = last else { panic!("{step}: {last:?}") };
    assert_eq!(failed.failure, failure);
    let view = john.view(&accepted.run).await;
    assert_eq!(view.outcome, Some(Outcome::Failed(failure)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_fail_twice_or_lose_their_answers_cost_time_only() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let create: Vec<_> = CALLS.iter().map(|(_, vendor, call)| (*vendor, *call)).collect();
    for (fault, times) in
        [(CallFault::FailPassing, 2), (CallFault::LoseResponse, 1), (CallFault::DropBefore, 2)]
    {
        let before = stage.lab.effects().len();
        stage.lab.clear_requests();
        for (verb, calls) in [("create", create.as_slice()), ("delete", DELETE_CALLS)] {
            for (vendor, call) in calls {
                stage.lab.break_call_times(vendor, call, fault, times).expect("a vendor");
            }
            john.carry_out(verb, json!({})).await;
            let rules = stage.lab.faults();
            let struck = |rule: &&stead_lab::FaultStatus| rule.name.starts_with("call ");
            for rule in rules.iter().filter(struck) {
                assert!(!rule.active, "{fault:?}: {} {} is left over", rule.vendor, rule.name);
            }
            stage.lab.mend();
            check_ledger_after(&stage, &format!("{fault:?} in a {verb}")).await;
            if verb == "create" {
                check_whole(&stage.lab, "john");
            }
        }
        check_gone(&stage.lab, "john");
        check_once(&stage.lab.effects()[before..], &format!("{fault:?}"));
        check_all_changes_are_listed(&stage);
    }
    stage.finish().await;
}

/// Every call that changes something stands in one of the tables above.
fn check_all_changes_are_listed(stage: &Stage) {
    let listed: Vec<&str> = CALLS
        .iter()
        .map(|(_, _, call)| *call)
        .chain(DELETE_CALLS.iter().map(|(_, call)| *call))
        .collect();
    for call in stage.lab.requests() {
        let words = format!("{} {}", call.method, call.path);
        let fits = |rule: &str| match rule.split_once(' ') {
            Some((method, part)) => call.method == method && call.path.contains(part),
            None => words.contains(rule),
        };
        let harmless = call.method == "GET" || HARMLESS.iter().any(|part| words.contains(part));
        assert!(harmless || listed.iter().any(|rule| fits(rule)), "{words} is in no table");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_vault_is_waited_for_visibly() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    let accepted = john.order("create", json!({})).await;
    let waiting = until("the run says what it waits for", || async {
        let waiting = john.view(&accepted.run).await.waiting;
        waiting.into_iter().find(|waiting| waiting.words.contains("sealed"))
    });
    let waiting = waiting.await;
    assert_eq!((waiting.what.as_str(), waiting.reason.as_str()), ("vault.pin-secrets", "retrying"));
    assert!(waiting.attempts > 0, "{waiting:?}");
    let lines = stage.client.list_all().await.expect("a list");
    let line = lines.iter().find(|line| line.run == accepted.run).expect("the run");
    assert!(line.waiting.contains("sealed"), "{line:?}");
    let length = john.history(&accepted.run).await.expect("a history").len();
    assert_eq!(length, 1, "failure does not grow history");
    stage.lab.mend();
    assert!(matches!(john.outcome(&accepted).await, Outcome::Done(_)));
    check_whole(&stage.lab, "john");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_on_our_vmid_is_stepped_around_and_never_touched() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_times("proxmox", "vmid-taken", 2).expect("a fault");
    john.carry_out("create", json!({})).await;
    check_whole(&stage.lab, "john");
    assert_eq!(stage.lab.inventory().vms[0].vmid, 10_002);
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    let effects = stage.lab.effects();
    for stranger in ["10000", "10001"] {
        let touched: Vec<_> = effects.iter().filter(|effect| effect.subject == stranger).collect();
        assert!(touched.is_empty(), "{touched:?}");
    }
    stage.finish().await;
}

/// A vendor and the name of its fault.
type Fault<'a> = (&'a str, &'a str);

/// Faults that last until somebody mends them.
const UNTIL_MENDED: &[Fault<'_>] = &[
    ("coder", "agent-never-ready"),
    ("coder", "build-stuck"),
    ("guest", "agent-before-home"),
    ("guest", "agent-never-connects"),
    ("guest", "cloud-init-fails"),
    ("guest", "home-never-mounts"),
    ("guest", "home-read-only"),
    ("guest", "never-boots"),
    ("guest", "no-lease"),
    ("proxmox", "task-stuck"),
];

/// Faults that a guest does not recover from, mended or not.
const DEAD: &[Fault<'_>] = &[
    ("guest", "agent-before-home"),
    ("guest", "agent-never-connects"),
    ("guest", "cloud-init-fails"),
    ("guest", "never-boots"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_catalogue_ends_whole_or_taken_back() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let names: Vec<_> = stage.lab.faults().into_iter().map(|f| (f.vendor, f.name)).collect();
    let left_over = ("proxmox", "lock-left");
    let sweep = names.iter().map(|(vendor, name)| (vendor.as_str(), name.as_str()));
    // A workspace has nothing to do with Kubernetes; `mcp.rs` tries what does.
    let sweep = sweep.filter(|(vendor, _)| *vendor != "kubernetes");
    // Nor with copies of homes and machines; their worker's own tests try that.
    let sweep =
        sweep.filter(|(_, name)| !name.starts_with("replication-") && !name.starts_with("dump-"));
    for fault in sweep.filter(|fault| *fault != left_over) {
        let (vendor, name) = fault;
        let story = format!("{vendor} {name}");
        match broken(&mut stage, &john, "create", fault).await {
            Outcome::Done(_) => {
                check_whole(&stage.lab, "john");
                check_ledger_after(&stage, &story).await;
                let deleted = broken(&mut stage, &john, "delete", fault).await;
                assert!(matches!(deleted, Outcome::Done(_)), "{story}: {deleted:?}");
            }
            Outcome::Failed(failure) => assert!(failure.step.is_some(), "{story}: {failure}"),
        }
        let inventory = stage.lab.inventory();
        assert!(inventory.is_empty(), "{story}: {inventory:#?}");
        check_ledger_after(&stage, &story).await;
    }
    // A lock that a crashed node left can only be taken away by root; the run waits and says so.
    stage.lab.break_times("proxmox", "lock-left", 1).expect("a fault");
    let accepted = john.order("create", json!({})).await;
    until("the run asks somebody to unlock the machine", || async {
        let waiting = john.view(&accepted.run).await.waiting;
        waiting.iter().any(|waiting| waiting.words.contains("must unlock it")).then_some(())
    })
    .await;
    compare(&stage.lab.inventory(), &ledger(&stage).await, "a lock that is left");
    stage.finish().await;
}

/// Carries a command out while a vendor is broken. What lasts is mended once it is seen; what
/// waits for a person is tried again at once by an engine that starts anew.
async fn broken(stage: &mut Stage, john: &Desk, verb: &str, (vendor, name): Fault<'_>) -> Outcome {
    let lasts = UNTIL_MENDED.contains(&(vendor, name));
    stage.lab.break_times(vendor, name, if lasts { u32::MAX } else { 2 }).expect("a fault");
    let accepted = john.order(verb, json!({})).await;
    let what = format!("{verb} with {vendor} {name} ends, or says what it waits for");
    let wants_human = stage.events.until(&what, || async {
        let view = john.view(&accepted.run).await;
        let command = view.commands.iter().find(|command| command.id == accepted.command);
        let is_over = command.is_some_and(|command| command.outcome.is_some());
        let explained: Vec<_> = view.waiting.iter().filter(|w| !w.words.is_empty()).collect();
        let wants_human = is_stuck(stage, john).await;
        let struck = vendor != "guest" || has_struck(stage, (vendor, name));
        let is_seen = lasts && struck && !explained.is_empty();
        (is_over || wants_human || is_seen).then_some(wants_human)
    });
    let wants_human = wants_human.await;
    stage.lab.mend();
    if DEAD.contains(&(vendor, name)) && verb == "create" {
        let why = json!({ "run": accepted.run, "why": "its guest is dead" });
        john.ask("run", "cancel", why).await.expect("a cancel is let in");
    }
    if wants_human {
        stage.stop_engine(0).await;
        stage.start_engine(0);
    }
    john.outcome(&accepted).await
}

fn has_struck(stage: &Stage, (vendor, name): Fault<'_>) -> bool {
    stage.lab.faults().iter().any(|f| f.vendor == vendor && f.name == name && f.fired > 0)
}

/// Whether a run of this owner waits for a person, in words.
async fn is_stuck(stage: &Stage, john: &Desk) -> bool {
    let lines = stage.client.list_all().await.unwrap_or_default();
    let mut ours = lines.iter().filter(|line| line.owner == john.owner);
    ours.any(|line| line.waiting.contains("(human): "))
}
