//! Undos that are wanted at once: as many are asked for as one message has room for, and the others
//! behind those.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::sample::{Index, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::{all, race};
use stead_core::context::Context;
use stead_core::definition::{Ending, Execution};
use stead_core::run::execution;
use stead_core::size::ASKED_BYTES_MAX;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    CancelRequested, Event, RunPaused, RunResumed, Seq, StepCompleted, StepScheduled,
    TerminateRequested, TimerFired,
};
use stead_schemas::failure::Failure;
use stead_schemas::step::probe::Noop;
use stead_schemas::step::{Done, REQUEST_BYTES_MAX, Step};

use crate::desk::{Desk, by_hand};
use crate::sizes::{load, replayed, scheduled};
use crate::{accepted_with, started};

const MINUTE: Duration = Duration::from_secs(60);

/// What each of the first pages takes back.
const LARGE: usize = 100 * 1024;

/// How many of them fit into one message.
const FIT: usize = 6;

/// The numbers of the undos that were asked for in the last transition.
fn asked(desk: &Desk) -> Vec<Seq> {
    undos(desk).map(|step| step.seq).collect()
}

fn undos(desk: &Desk) -> impl Iterator<Item = &StepScheduled> {
    let events = desk.history.iter().next_back().into_iter().flat_map(|last| &last.events);
    events.filter_map(|event| match event {
        Event::StepScheduled(step) if step.undo => Some(step),
        _ => None,
    })
}

fn has_mark(desk: &Desk) -> bool {
    let events = desk.history.iter().flat_map(|transition| &transition.events);
    let mut names = events.filter_map(|event| match event {
        Event::ChangeMarked(mark) => Some(&*mark.name),
        _ => None,
    });
    names.any(|name| name == "stead.undos-wait")
}

/// Eleven operations beside each other, which wait; each has one large undo.
fn waiting(cx: Context) -> Execution {
    execution(async move {
        let one = |_| {
            let cx = cx.clone();
            async move {
                let work = async {
                    cx.step(Noop { number: 1 }).undo(load(LARGE)).await?;
                    cx.sleep(MINUTE, "a cancel").await;
                    cx.step(Noop { number: 2 }).await
                };
                cx.operation(work).await
            }
        };
        let ends = all(11, (0..11).map(one)).await;
        Ok(Ending::Completed(json!(ends.iter().filter(|end| end.is_ok()).count())))
    })
}

#[test]
fn undos_that_no_message_has_room_for_are_asked_for_once_others_are_done() {
    let (mut desk, _) = Desk::start(waiting);
    (1..=11).for_each(|seq| drop(desk.done(seq)));
    desk.cancel();
    assert_eq!(asked(&desk).len(), FIT);
    assert!(has_mark(&desk));
    let mut open = asked(&desk);
    let mut done = 0;
    let mut told = String::new();
    while let Some(seq) = open.pop() {
        told = desk.done(seq);
        done += 1;
        open.extend(asked(&desk));
    }
    assert_eq!((done, &*told), (11, "completed 0"));
}

#[test]
fn facts_of_one_transition_have_room_for_undos_together() {
    let (mut desk, _) = Desk::start(waiting);
    (1..=11).for_each(|seq| drop(desk.done(seq)));
    desk.facts(vec![Event::RunPaused(RunPaused { seq: None, order: by_hand("wait") })]);
    desk.facts(vec![cancel(), Event::RunResumed(RunResumed { order: by_hand("go on") })]);
    assert_eq!(asked(&desk).len(), FIT);
}

/// Takes eleven things back at once, outside of any operation.
fn taking_back(cx: Context) -> Execution {
    execution(async move {
        let one = |_| cx.take_back(load(LARGE));
        let ends = all(11, (0..11).map(one)).await;
        Ok(Ending::Completed(json!(ends.iter().filter(|end| end.is_ok()).count())))
    })
}

#[test]
fn what_an_older_build_asked_for_at_once_replays() {
    let (desk, _) = Desk::start(taking_back);
    assert_eq!(asked(&desk).len(), FIT);
    let all = (1..=11).map(|seq| scheduled(seq, &load(LARGE), true));
    replayed(taking_back, vec![[started()].into_iter().chain(all).collect()]);
}

#[test]
fn undos_that_wait_are_listed_where_the_run_is_terminated() {
    let (mut desk, _) = Desk::start(taking_back);
    let end = Event::TerminateRequested(TerminateRequested { order: by_hand("enough") });
    let told = desk.fact(end);
    assert_eq!(told.matches("undo under way").count(), FIT, "{told:.300}");
    assert_eq!(told.matches("undo not begun").count(), 11 - FIT, "{told:.300}");
}

/// How something comes to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Way {
    /// Its operation is cancelled.
    Cancelled,
    /// Its operation loses a race.
    Dropped,
    /// All of it is taken back at once, outside of an operation.
    Apart,
}

/// What is taken back in one way: each by its bytes in the log, and the character that it has most of.
type Branch = (Way, Vec<(usize, char)>);

fn branch() -> impl Strategy<Value = Branch> {
    let way = select(&[Way::Cancelled, Way::Dropped, Way::Apart][..]);
    let one = (1..REQUEST_BYTES_MAX - 100, select(&['x', '"', '\u{1}'][..]));
    (way, vec(one, 1..4))
}

/// An undo that can be told from others.
#[derive(Clone, Serialize, Deserialize)]
struct Back {
    branch: usize,
    place: usize,
    text: String,
}

impl Step for Back {
    const NAME: &'static str = "probe.back";
    type Answer = Done;
}

fn backs(branch: usize, wanted: &[(usize, char)]) -> Vec<Back> {
    let text = |bytes: usize, most: char| match most {
        'x' => "x".repeat(bytes),
        '"' => "\"".repeat(bytes / 2),
        other => String::from(other).repeat(bytes / 6),
    };
    let back = |(place, &(bytes, most)): (usize, &(usize, char))| Back {
        branch,
        place,
        text: text(bytes, most),
    };
    wanted.iter().enumerate().map(back).collect()
}

/// Takes back what its command names.
fn several(cx: Context) -> Execution {
    execution(async move {
        let command = cx.next_command().await;
        let plan: Vec<Branch> = command.read()?;
        let branches = plan.into_iter().enumerate().map(|(branch, (way, wanted))| {
            let cx = cx.clone();
            async move { taken_back(&cx, way, backs(branch, &wanted)).await }
        });
        let branches: Vec<_> = branches.collect();
        all(branches.len(), branches).await;
        cx.complete(&command, Ok(Value::Null));
        Ok(Ending::Completed(Value::Null))
    })
}

async fn taken_back(cx: &Context, way: Way, backs: Vec<Back>) {
    let made = async || {
        let first = cx.step(Noop { number: 1 });
        backs.iter().cloned().fold(first, |step, back| step.undo(back)).await
    };
    match way {
        Way::Cancelled => {
            let work = async {
                made().await?;
                cx.sleep(MINUTE, "a cancel").await;
                cx.step(Noop { number: 2 }).await
            };
            drop(cx.operation(work).await);
        }
        Way::Dropped => {
            let work = async {
                made().await?;
                pending::<Result<(), Failure>>().await
            };
            drop(race(cx.operation(work), cx.sleep(MINUTE, "patience")).await);
        }
        Way::Apart => {
            cx.sleep(MINUTE, "patience").await;
            let backs = backs.iter().map(|back| cx.take_back(back.clone()));
            all(backs.len(), backs).await;
        }
    }
}

/// The run when all of it is to be taken back, and the facts that say so.
fn about_to_take_back(plan: &[Branch]) -> (Desk, Vec<Event>) {
    let (mut desk, _) = Desk::start(several);
    desk.facts(vec![accepted_with(1, json!(plan))]);
    let open: Vec<Seq> = desk.run.folded().steps.keys().copied().collect();
    open.into_iter().for_each(|seq| desk.facts(vec![done(seq)]).clear());
    let timers = desk.run.folded().timers.values();
    let patience = timers.filter(|timer| timer.timer.reason == "patience");
    let fired = |seq| Event::TimerFired(TimerFired { seq });
    let mut facts: Vec<Event> = patience.map(|timer| fired(timer.timer.seq)).collect();
    facts.push(cancel());
    (desk, facts)
}

fn cancel() -> Event {
    Event::CancelRequested(CancelRequested {
        by: Caller::Api,
        why: "no".into(),
        command: None,
        id: None,
    })
}

fn done(seq: Seq) -> Event {
    let met = None;
    Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts: 1, met })
}

/// Everything is taken back, each thing once, and within an operation the last one first.
fn check_order(desk: &Desk, plan: &[Branch]) {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for event in desk.history.iter().flat_map(|transition| &transition.events) {
        let Event::StepScheduled(step) = event else { continue };
        let Ok(back) = serde_json::from_value::<Back>(step.request.clone()) else { continue };
        found.entry(back.branch).or_default().push(back.place);
    }
    for (branch, (way, wanted)) in plan.iter().enumerate() {
        let mut places = found.remove(&branch).unwrap_or_default();
        places.reverse();
        if *way == Way::Apart {
            places.sort_unstable();
        }
        assert_eq!(places, (0..wanted.len()).collect::<Vec<_>>(), "{branch}: {way:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_taken_back_at_once_fits_into_messages_and_is_taken_back_to_the_end(
        plan in vec(branch(), 1..10),
        order in vec(any::<Index>(), 40),
    ) {
        let (mut desk, facts) = about_to_take_back(&plan);
        desk.facts(facts);
        for next in order {
            let open: Vec<Seq> = desk.run.folded().steps.keys().copied().collect();
            if open.is_empty() {
                break;
            }
            desk.facts(vec![done(open[next.index(open.len())])]);
        }
        assert!(desk.run.folded().ended.is_some(), "nothing is left to be asked for");
        check_order(&desk, &plan);
        for transition in &desk.history {
            // One is asked for whatever else there is; the command itself is no step.
            let bytes = transition.encode().len();
            assert!(bytes < ASKED_BYTES_MAX + REQUEST_BYTES_MAX, "{bytes}");
        }
        desk.replays_on(crate::desk::definition(several));
    }
}
