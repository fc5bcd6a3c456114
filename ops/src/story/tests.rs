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
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use super::apart::{Exactness, apart};
use super::explain::{Case, Kind, explain};
use super::operations::{Operation, operations};
use super::standing::standing;
use super::svg::{Drawn, picture};
use super::timeline::{Below, Beneath, timeline};
use super::usual::Usual;
use super::{Moment, moments, story};

mod explained;
mod tried;
mod usual;

/// A run of which nothing else is known.
fn alone<'a>(history: &'a [Transition], views: &'a BTreeMap<RunId, RunView>) -> Case<'a> {
    Case { history, related: &[], alike: &[], views, broken: None, diverges: None }
}

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
    Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts, met: None })
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
    let beneath = of_home.filter_map(|operation| {
        let seq = operation.reply.as_ref()?.seq;
        Some((seq, Below { operation, usual: Usual::default() }))
    });
    let beneath: Beneath = beneath.collect();
    let drawn = timeline(&create, &beneath, &Usual::default(), Timestamp::from_millis(0), width);
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

/// A workspace's life as the golden files have it.
fn golden() -> Vec<Transition> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/tests/golden/workspace-life.jsonl");
    let text = std::fs::read_to_string(file).expect("a golden file");
    text.lines().map(|line| Transition::decode(line.as_bytes()).expect("a transition")).collect()
}

#[test]
fn a_run_is_shown_as_it_stood_at_a_moment() {
    let history = golden();
    let begun = standing(&history, 2, &[]);
    assert_eq!((begun.n, begun.phase.as_str()), (2, "creating"));
    assert_eq!(begun.unknown, None, "this build decides the same");
    assert_eq!(begun.open[0].what, "home.attach");
    assert_eq!(begun.known[0].step, "vault.pin-secrets");
    assert_eq!(begun.held, []);
    let ready = history.iter().map(|transition| standing(&history, transition.n, &[]));
    let ready = ready.into_iter().find(|standing| standing.phase == "ready").expect("it is ready");
    let held: Vec<String> =
        ready.held.iter().map(|held| format!("{} {}", held.resource.path(), held.step)).collect();
    assert_eq!(
        held,
        ["proxmox/machine/10000 proxmox.start-vm", "coder/workspace/alice/dev coder.await-agent",]
    );
    let over = standing(&history, u64::MAX, &[]);
    assert_eq!((over.n, over.over.as_deref()), (over.of, Some("run-completed")));
    assert_eq!(over.held, [], "everything was taken away");
    let told = ready.told(80);
    assert!(told.contains("proxmox/machine/10000: wanted, proxmox.start-vm"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

/// A run of the golden life under other ids, changed by `change`.
fn changed(from: &str, to: &str) -> Vec<Transition> {
    let text: Vec<String> =
        golden().iter().map(|t| String::from_utf8(t.encode()).expect("JSON")).collect();
    assert!(text.iter().any(|line| line.contains(from)), "{from} is in it");
    let other = EntityKey::of("workspace", &john(), "other").run(1).to_string();
    let run = golden()[0].run.to_string();
    let lines = text.iter().map(|line| line.replace(&run, &other).replace(from, to));
    lines.map(|line| Transition::decode(line.as_bytes()).expect("a transition")).collect()
}

#[test]
fn runs_that_differ_in_ids_only_are_alike_unless_to_the_letter() {
    let (one, other) = (golden(), changed("01a20e02-3aca-74da", "01a20e02-3aca-7fff"));
    assert_eq!(apart(&one, &other, Exactness::Sense).differences, []);
    assert_ne!(apart(&one, &other, Exactness::Letter).differences, []);
    assert!(apart(&one, &one, Exactness::Letter).told(80).starts_with("the runs are alike"));
}

#[test]
fn the_first_difference_of_two_runs_is_shown_with_both_sides() {
    let found = apart(&golden(), &changed("\"vmid\":10000", "\"vmid\":10001"), Exactness::Sense);
    let first = &found.differences[0];
    assert_eq!((first.place.as_str(), first.what), ("create, step vmids.reserve", "end"));
    assert_eq!((&first.one["vmid"], &first.other["vmid"]), (&json!(10_000), &json!(10_001)));
    let told = found.told(100);
    assert!(told.contains("differs at  vmid: 10000, and 10001"), "{told}");
    assert!(told.contains("create, step proxmox.clone-vm: request differs"), "{told}");
    // However long it is: once as a side, and once where it differs.
    let long = format!("\"vmid\":10000,\"why\":\"{} the-very-end\"", "x ".repeat(500));
    let told = apart(&golden(), &changed("\"vmid\":10000", &long), Exactness::Sense).told(100);
    let first = told.split("after that").next().unwrap_or_default();
    assert_eq!(first.matches("the-very-end").count(), 2, "{told}");
    let mut shorter = golden();
    shorter.truncate(6);
    let told = apart(&golden(), &shorter, Exactness::Sense).told(100);
    assert!(told.contains("only the first has it"), "{told}");
}

#[test]
fn a_picture_is_well_formed_and_names_every_step() {
    let told = moments(&golden());
    let (beneath, usual) = (BTreeMap::new(), Usual::default());
    let all = operations(&told);
    let drawn: Vec<Drawn<'_>> =
        all.iter().map(|operation| Drawn { operation, beneath: &beneath, usual: &usual }).collect();
    let picture = picture("a <life> & \"more\"", &drawn, Timestamp::from_millis(0));
    assert!(picture.starts_with("<svg xmlns="), "{picture}");
    assert!(picture.contains("a &lt;life&gt; &amp; &quot;more&quot;"), "{picture}");
    assert!(picture.contains("prefers-color-scheme:dark"), "{picture}");
    assert!(!picture.contains("<script"), "{picture}");
    for step in all.iter().flat_map(|operation| &operation.steps) {
        assert!(picture.contains(&format!(">{}</text>", step.name)), "{}", step.name);
    }
    let open = picture.matches("<rect").count();
    assert_eq!(open, picture.matches("</rect>").count() + picture.matches("rx=\"2\"/>").count());
}

#[test]
fn a_build_that_decides_otherwise_is_the_first_cause() {
    let history = golden();
    let views = BTreeMap::new();
    let words = "transition 5: the history has\n  one thing\nand this build decides\n  another";
    let case = |diverges| Case { diverges, ..alone(&history, &views) };
    let explained = explain(&case(Some(words))).expect("a history");
    let cause = explained.cause.expect("a cause");
    assert_eq!((cause.kind, cause.n), (Kind::Divergence, 5));
    assert_eq!(cause.at, history[4].at);
    let well = explain(&case(None)).expect("a history");
    assert_eq!(well.cause, None);
    assert!(well.verdict.starts_with("nothing went wrong"), "{}", well.verdict);
}

#[test]
fn the_same_trouble_of_other_runs_is_found_and_other_trouble_is_not() {
    let failed = |class, words: &str, name: &str| {
        let run = EntityKey::of("workspace", &john(), name).run(1);
        let failure = Failure::new(class, words).at("one.step");
        let ended = StepFailed { seq: 1, failure: failure.clone(), attempts: 1 };
        let events = vec![
            started("workspace", name),
            asked("c1", "create", Caller::Api),
            step(1, "one.step", false),
            Event::StepFailed(ended),
            answered("c1", Outcome::Failed(failure.clone())),
            Event::RunFailed(RunFailed { failure }),
        ];
        let at = Timestamp::from_millis(1_800_000_000_000);
        let (engine, prev) = (String::new(), String::new());
        vec![Transition { v: VERSION, run, n: 1, at, engine, prev, events }]
    };
    let history = failed(Class::Permanent, "no room", "dev");
    let alike = [failed(Class::Auth, "401", "two"), golden()];
    let views = BTreeMap::new();
    let case = Case { alike: &alike, ..alone(&history, &views) };
    let explained = explain(&case).expect("a history");
    let cause = explained.cause.as_ref().expect("a cause");
    assert_eq!(cause.words, "it failed (it will not pass): no room");
    let names: Vec<&str> = explained.similar.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["john/two"], "the same step failed there");
    let told = explained.told(80);
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(told.contains("first cause"), "{told}");
}

#[test]
fn what_is_being_tried_again_in_this_moment_is_a_cause_and_a_first_attempt_is_none() {
    let events = vec![
        started("workspace", "dev"),
        asked("c1", "create", Caller::Api),
        step(1, "vault.pin-secrets", false),
    ];
    let at = Timestamp::from_millis(1_800_000_000_000);
    let (engine, prev) = (String::new(), String::new());
    let history = [Transition { v: VERSION, run: run(), n: 1, at, engine, prev, events }];
    let cause = |attempts: u32| {
        let waiting = json!([{
            "seq": 1, "what": "vault.pin-secrets", "reason": "running", "words": "it is sealed",
            "since": at, "attempts": attempts,
        }]);
        let summary = json!({
            "run": run(), "kind": "workspace", "owner": "john", "name": "dev",
            "state": "running", "phase": "creating", "waiting": "", "started": at, "updated": at,
            "transitions": 1,
        });
        let view = json!({
            "summary": summary, "view": {}, "waiting": waiting, "commands": [], "outcome": null,
        });
        let view = serde_json::from_value(view).expect("a view");
        let views = BTreeMap::from([(run(), view)]);
        explain(&alone(&history, &views)).expect("a history").cause
    };
    assert_eq!(cause(1), None);
    let again = cause(2).expect("a cause");
    assert_eq!(again.kind, Kind::Waits);
    assert!(again.words.contains("it is sealed"), "{}", again.words);
}
