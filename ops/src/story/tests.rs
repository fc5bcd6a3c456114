//! One history, made by hand, told and drawn at the width of a narrow and of a wide terminal.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, Route, StepAddress};
use stead_schemas::event::{
    CommandAccepted, CommandCompleted, Event, Outcome, RunFailed, RunStarted, StepCompleted,
    StepFailed, StepScheduled,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;

use super::operations::{Operation, operations};
use super::timeline::timeline;
use super::{Moment, story};

fn john() -> Owner {
    Owner::new("john").expect("a plain name")
}

fn run() -> RunId {
    EntityKey::of("workspace", &john(), "dev").run(1)
}

fn moment(n: u64, millis: i64, event: Event) -> Moment {
    Moment { n, at: Timestamp::from_millis(1_800_000_000_000 + millis), event }
}

fn started(kind: &str, name: &str) -> Event {
    Event::RunStarted(RunStarted {
        workflow: kind.into(),
        owner: john(),
        name: name.into(),
        build: "stead 0.1.0".into(),
    })
}

fn asked(id: &str, verb: &str, by: Caller) -> Event {
    let reply = match &by {
        Caller::Run(address) => Some(address.clone()),
        _ => None,
    };
    let (id, verb) = (id.into(), verb.into());
    Event::CommandAccepted(CommandAccepted {
        id,
        verb,
        payload: Value::Null,
        digest: String::new(),
        by,
        reply,
        priority: stead_schemas::limit::Priority::Normal,
    })
}

fn step(seq: u32, name: &str, undo: bool) -> Event {
    let route = match name.split_once('.') {
        Some(("home", _)) => {
            Route::Entity { kind: "home".into(), owner: john(), name: "home".into() }
        }
        _ => Route::Worker,
    };
    let request = Value::Null;
    Event::StepScheduled(StepScheduled {
        seq,
        step: name.into(),
        route,
        request,
        within_ms: 0,
        undo,
        detached: false,
        policy: Default::default(),
    })
}

fn done(seq: u32, attempts: u32) -> Event {
    Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts })
}

fn no_room() -> Failure {
    let failure = Failure::new(Class::Permanent, "no room on any node");
    failure.vendor("storage 'nvme-pool' is full").at("proxmox.clone-vm")
}

fn answered(id: &str, outcome: Outcome) -> Event {
    Event::CommandCompleted(CommandCompleted { id: id.into(), outcome })
}

/// A create that fails when it clones and is taken back.
fn workspace() -> Vec<Moment> {
    let failed = StepFailed { seq: 3, failure: no_room(), attempts: 3 };
    vec![
        moment(1, 0, started("workspace", "dev")),
        moment(1, 0, asked("c1", "create", Caller::Api)),
        moment(1, 0, step(1, "vault.pin-secrets", false)),
        moment(2, 12, done(1, 1)),
        moment(2, 12, step(2, "home.attach", false)),
        moment(3, 700, done(2, 1)),
        moment(3, 700, step(3, "proxmox.clone-vm", false)),
        moment(4, 4_100, Event::StepFailed(failed)),
        moment(4, 4_100, step(4, "home.detach", true)),
        moment(5, 4_300, done(4, 2)),
        moment(5, 4_300, answered("c1", Outcome::Failed(no_room()))),
        moment(5, 4_300, Event::RunFailed(RunFailed { failure: no_room() })),
    ]
}

/// The home that it asks for: attached, and detached again.
fn home() -> Vec<Moment> {
    let by = |seq| Caller::Run(StepAddress { run: run(), seq });
    vec![
        moment(1, 15, started("home", "home")),
        moment(1, 15, asked("h1", "attach", by(2))),
        moment(1, 15, step(1, "truenas.ensure-dataset", false)),
        moment(2, 500, done(1, 1)),
        moment(2, 500, step(2, "truenas.ensure-share", false)),
        moment(3, 690, done(2, 1)),
        moment(3, 690, answered("h1", Outcome::Done(json!({})))),
        moment(4, 4_110, asked("h2", "detach", by(4))),
        moment(4, 4_110, answered("h2", Outcome::Done(json!({})))),
    ]
}

fn check_story(width: usize, expected: &str) {
    let told = story(&workspace(), width);
    assert_eq!(told, expected.trim_matches('\n'), "\n{told}");
}

fn check_timeline(width: usize, expected: &str) {
    let create = operations(&workspace()).remove(0);
    let of_home = operations(&home()).into_iter();
    let beneath: BTreeMap<u32, Operation> =
        of_home.filter_map(|o| Some((o.reply.as_ref()?.seq, o.clone()))).collect();
    let drawn = timeline(&create, &beneath, Timestamp::from_millis(0), width);
    assert_eq!(drawn, expected.trim_matches('\n'), "\n{drawn}");
}

#[test]
fn a_story_reads_well_on_a_wide_terminal() {
    check_story(
        120,
        r"
       +0 ms  begun    workspace john/dev, by stead 0.1.0
       +0 ms  asked    create, through the API [c1]
       +0 ms  step     1 vault.pin-secrets
      +12 ms  done     1 vault.pin-secrets in 12 ms
      +12 ms  step     2 home.attach, of home john/home
     +700 ms  done     2 home.attach in 688 ms
     +700 ms  step     3 proxmox.clone-vm
      +4.1 s  failed   3 proxmox.clone-vm, after 3 attempts in 3.4 s: no room on any node (the vendor said: storage
                       'nvme-pool' is full)
      +4.1 s  undo     4 home.detach, of home john/home
      +4.3 s  undone   4 home.detach in 200 ms, at attempt 2
      +4.3 s  answered create failed, after 4.3 s: proxmox.clone-vm: no room on any node (the vendor said: storage
                       'nvme-pool' is full)
      +4.3 s  over     the run failed, by that
",
    );
}

#[test]
fn a_story_reads_well_on_a_narrow_terminal() {
    check_story(
        60,
        r"
       +0 ms  begun    workspace john/dev, by stead 0.1.0
       +0 ms  asked    create, through the API [c1]
       +0 ms  step     1 vault.pin-secrets
      +12 ms  done     1 vault.pin-secrets in 12 ms
      +12 ms  step     2 home.attach, of home john/home
     +700 ms  done     2 home.attach in 688 ms
     +700 ms  step     3 proxmox.clone-vm
      +4.1 s  failed   3 proxmox.clone-vm, after 3 attempts
                       in 3.4 s: no room on any node (the
                       vendor said: storage 'nvme-pool' is
                       full)
      +4.1 s  undo     4 home.detach, of home john/home
      +4.3 s  undone   4 home.detach in 200 ms, at attempt 2
      +4.3 s  answered create failed, after 4.3 s:
                       proxmox.clone-vm: no room on any node
                       (the vendor said: storage 'nvme-pool'
                       is full)
      +4.3 s  over     the run failed, by that
",
    );
}

#[test]
fn a_timeline_reads_well_on_a_wide_terminal() {
    check_timeline(
        120,
        r"
create: failed after 4.3 s: proxmox.clone-vm: no room on any node (the vendor said: storage 'nvme-pool' is full)
                          0                                                                    4.3 s
vault.pin-secrets         █·········································································   12 ms
home.attach               ████████████······························································  688 ms
  truenas.ensure-dataset  ████████··································································  485 ms
  truenas.ensure-share    ········███·······························································  190 ms
proxmox.clone-vm          ············█████████████████████████████████████████████████████████x····   3.4 s  3 attempts
home.detach               ······································································▒▒▒▒  200 ms  2 attempts
▒ takes back   x failed or stopped
",
    );
}

#[test]
fn a_timeline_reads_well_on_a_narrow_terminal() {
    check_timeline(
        60,
        r"
create: failed after 4.3 s: proxmox.clone-vm: no room on any
  node (the vendor said: storage 'nvme-pool' is full)
                        0          4.3 s
vault.pin-secrets       █···············   12 ms
home.attach             ██··············  688 ms
  truenas.ensure-data…  █···············  485 ms
  truenas.ensure-share  ·█··············  190 ms
proxmox.clone-vm        ··████████████x·   3.4 s  3 attempts
home.detach             ···············▒  200 ms  2 attempts
▒ takes back   x failed or stopped
",
    );
}

#[test]
fn a_command_that_waits_its_turn_has_its_own_steps() {
    let history = [
        moment(1, 0, asked("a", "start", Caller::Api)),
        moment(1, 0, step(1, "one.step", false)),
        moment(2, 5, asked("b", "stop", Caller::Api)),
        moment(3, 9, done(1, 1)),
        moment(3, 9, answered("a", Outcome::Done(Value::Null))),
        moment(3, 9, step(2, "two.step", false)),
        moment(4, 11, done(2, 1)),
        moment(4, 11, answered("b", Outcome::Done(Value::Null))),
        moment(5, 90, step(3, "three.step", true)),
    ];
    let found = operations(&history);
    let names =
        |o: &Operation| o.steps.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(" ");
    let told: Vec<String> = found.iter().map(|o| format!("{}: {}", o.verb, names(o))).collect();
    assert_eq!(told, ["start: one.step", "stop: two.step", "by itself: three.step"]);
}
