//! Which event may stand where: every kind of event in every state a run can be in.

use serde_json::{Value, json};
use stead_core::fold::Folded;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    ByHand, CancelRequested, ChangeMarked, ContinuedAsNew, Event, Noted, RunCompleted, RunFailed,
    RunPaused, RunResumed, RunTerminated, Seq, Signal, SignalReceived, StepCancelled,
    StepCompleted, StepDropped, StepEdited, StepFailed, StepRetried, StepScheduled, StepSkipped,
    TerminateRequested, TimerDropped, TimerFired, UndoAbandoned,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::time::Timestamp;

use crate::{accepted, command_completed, started, step_scheduled, timer_started};

/// A state has what its column says, and what is open has the number 1. `yes` may follow.
const TABLE: &str = "
                     nothing  quiet  paused  command  step  undo  timer  over
run-started          yes      no     no      no       no    no    no     no
command-accepted     no       yes    yes     no       yes   yes   yes    no
command-completed    no       no     no      yes      no    no    no     no
step-scheduled       no       yes    yes     yes      yes   yes   yes    no
step-completed       no       no     no      no       yes   yes   no     no
step-failed          no       no     no      no       yes   yes   no     no
step-cancelled       no       no     no      no       yes   yes   no     no
step-dropped         no       no     no      no       yes   yes   no     no
step-retried         no       no     no      no       yes   yes   no     no
step-skipped         no       no     no      no       yes   no    no     no
step-edited          no       no     no      no       yes   yes   no     no
undo-abandoned       no       no     no      no       no    yes   no     no
timer-started        no       yes    yes     yes      yes   yes   yes    no
timer-fired          no       no     no      no       no    no    yes    no
timer-dropped        no       no     no      no       no    no    yes    no
cancel-requested     no       yes    yes     yes      yes   yes   yes    no
run-paused           no       yes    no      yes      yes   yes   yes    no
run-resumed          no       no     yes     no       no    no    no     no
signal-received      no       yes    yes     yes      yes   yes   yes    no
change-marked        no       yes    yes     yes      yes   yes   yes    no
noted                no       yes    yes     yes      yes   yes   yes    no
terminate-requested  no       yes    yes     yes      yes   yes   yes    no
run-completed        no       yes    yes     yes      yes   yes   yes    no
run-failed           no       yes    yes     yes      yes   yes   yes    no
run-terminated       no       yes    yes     yes      yes   yes   yes    no
continued-as-new     no       yes    yes     no       no    no    no     no
";

const AT: Timestamp = Timestamp::from_millis(1);

/// The events that lead to a state, and the number that comes next in it.
fn state(name: &str) -> (Vec<Event>, Seq) {
    match name {
        "nothing" => (vec![], 1),
        "quiet" => (vec![started()], 1),
        "command" => (vec![started(), accepted(1)], 1),
        "paused" => (vec![started(), paused()], 1),
        "step" => (vec![started(), step_scheduled(1)], 2),
        "undo" => (vec![started(), undo_scheduled(1)], 2),
        "timer" => (vec![started(), timer_started(1)], 2),
        "over" => (vec![started(), completed()], 1),
        other => panic!("there is no state {other}"),
    }
}

fn by_hand() -> ByHand {
    ByHand { by: Caller::Api, why: "a test".into(), id: None }
}

fn paused() -> Event {
    Event::RunPaused(RunPaused { seq: None, order: by_hand() })
}

fn undo_scheduled(seq: Seq) -> Event {
    match step_scheduled(seq) {
        Event::StepScheduled(step) => Event::StepScheduled(StepScheduled { undo: true, ..step }),
        other => other,
    }
}

fn completed() -> Event {
    Event::RunCompleted(RunCompleted { result: Value::Null })
}

/// One event of each kind. Those that begin something have the number `next`, those that end
/// something end number 1.
fn every_event(next: Seq) -> Vec<Event> {
    each_event(1, 1, next, &by_hand())
}

/// The same, about the command `id` and the step or timer `seq`, where it is about one, and as this
/// order where it is one.
pub fn each_event(id: u8, seq: Seq, next: Seq, order: &ByHand) -> Vec<Event> {
    let (failure, attempts, order) = (Failure::new(Class::Permanent, "no"), 1, order.clone());
    let signal = Signal { name: "go".into(), payload: json!(7) };
    vec![
        started(),
        accepted(id),
        command_completed(id),
        step_scheduled(next),
        Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts, met: None }),
        Event::StepFailed(StepFailed { seq, failure: failure.clone(), attempts }),
        Event::StepCancelled(StepCancelled { seq }),
        Event::StepDropped(StepDropped { seq }),
        Event::StepRetried(StepRetried { seq, order: order.clone() }),
        Event::StepSkipped(StepSkipped { seq, answer: json!({}), order: order.clone() }),
        Event::StepEdited(StepEdited { seq, request: json!({}), order: order.clone() }),
        Event::UndoAbandoned(UndoAbandoned { seq, order: order.clone() }),
        timer_started(next),
        Event::TimerFired(TimerFired { seq }),
        Event::TimerDropped(TimerDropped { seq }),
        Event::CancelRequested(CancelRequested {
            by: Caller::Api,
            why: "no".into(),
            command: None,
            id: None,
        }),
        Event::RunPaused(RunPaused { seq: None, order: order.clone() }),
        Event::RunResumed(RunResumed { order: order.clone() }),
        Event::SignalReceived(SignalReceived { signal, order: order.clone() }),
        Event::ChangeMarked(ChangeMarked { name: "a".into() }),
        Event::Noted(Noted { what: "a".into(), words: "a".into(), about: Value::Null }),
        Event::TerminateRequested(TerminateRequested { order }),
        completed(),
        Event::RunFailed(RunFailed { failure }),
        Event::RunTerminated(RunTerminated { why: "no".into(), left: vec![], view: Value::Null }),
        Event::ContinuedAsNew(ContinuedAsNew {
            carried: Value::Null,
            next_seq: next,
            signals: vec![],
        }),
    ]
}

fn fold(events: &[Event]) -> Folded {
    let mut folded = Folded::default();
    for event in events {
        folded.apply(event, AT).expect("the way to a state is legal");
    }
    folded
}

/// Whether the event may follow; if not, nothing may have changed.
fn is_legal(before: &Folded, event: &Event) -> bool {
    let mut after = before.clone();
    let legal = after.apply(event, AT).is_ok();
    assert!(legal || &after == before, "{} was refused and changed something", event.name());
    legal
}

#[test]
fn every_event_is_legal_just_where_the_table_says() {
    let mut lines = TABLE.lines().filter(|line| !line.is_empty());
    let states: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    let mut rows = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a name");
        for (state_name, word) in states.iter().zip(words) {
            let (way, next) = state(state_name);
            let events = every_event(next);
            let event = events.iter().find(|event| event.name() == name).expect("a kind of event");
            assert_eq!(is_legal(&fold(&way), event), word == "yes", "{name} in `{state_name}`");
        }
        rows.push(name);
    }
    let names: Vec<&str> = every_event(1).iter().map(Event::name).collect();
    assert_eq!(rows, names, "every kind of event has its row, in the order of the list");
}

/// The name of every kind of event, as the schemas have them.
pub fn every_kind() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/events");
    let written = std::fs::read_dir(folder).expect("the folder is there").flatten();
    let written = written.map(|file| file.file_name().to_string_lossy().replace(".json", ""));
    // These are told to the world and stand in no history.
    let told = ["refused", "step-progress", "step-retrying"];
    written.filter(|name| !told.contains(&name.as_str())).collect()
}

/// A new kind of event that has no row here is found.
#[test]
fn the_table_has_every_kind_of_event() {
    for name in every_kind() {
        assert!(every_event(1).iter().any(|event| event.name() == name), "{name}");
    }
}

#[test]
fn a_number_is_taken_once_and_in_order() {
    for name in ["quiet", "command", "step", "timer"] {
        let (way, next) = state(name);
        let folded = fold(&way);
        for wrong in [0, next + 1, next + 2, Seq::MAX].into_iter().chain(1..next) {
            for event in [step_scheduled(wrong), timer_started(wrong)] {
                assert!(!is_legal(&folded, &event), "{} {wrong} in `{name}`", event.name());
            }
            let anew = ContinuedAsNew { carried: Value::Null, next_seq: wrong, signals: vec![] };
            assert!(!is_legal(&folded, &Event::ContinuedAsNew(anew)), "anew {wrong} in `{name}`");
        }
    }
}

#[test]
fn what_is_settled_is_settled_once() {
    let steps = ["step-completed", "step-failed", "step-cancelled", "step-dropped", "step-skipped"];
    for (name, settling) in [("step", &steps[..]), ("timer", &["timer-fired", "timer-dropped"])] {
        let way = state(name).0;
        let of = |name: &&str| every_event(9).into_iter().find(|event| event.name() == *name);
        for first in settling {
            let mut folded = fold(&way);
            folded.apply(&of(first).expect("a kind"), AT).expect("it is open");
            for second in settling {
                assert!(!is_legal(&folded, &of(second).expect("a kind")), "{first} {second}");
            }
        }
    }
}

#[test]
fn a_command_ends_once_and_its_id_is_never_used_again() {
    let mut folded = fold(&[started(), accepted(1), command_completed(1)]);
    assert!(!is_legal(&folded, &command_completed(1)));
    assert!(!is_legal(&folded, &accepted(1)));
    let anew = ContinuedAsNew { carried: Value::Null, next_seq: 1, signals: vec![] };
    folded.apply(&Event::ContinuedAsNew(anew), AT).expect("nothing is open");
    assert!(!is_legal(&folded, &accepted(1)), "a run that begins anew remembers it");
}
