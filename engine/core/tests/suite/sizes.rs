//! What no message of the log would hold, and what nobody could send: it fails in words where a
//! workflow asks for it. A history that an older build wrote replays as it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::all;
use stead_core::context::Context;
use stead_core::definition::{Ending, Execution};
use stead_core::run::{Run, execution};
use stead_core::size::{ASKED_BYTES_MAX, LEFT_BYTES_MAX};
use stead_schemas::dispatch::Route;
use stead_schemas::event::{
    Event, LeftBehind, RunTerminated, Seq, Signal, SignalReceived, StepCompleted, StepScheduled,
    TerminateRequested,
};
use stead_schemas::ids::EntityKey;
use stead_schemas::policy::StepPolicy;
use stead_schemas::step::probe::Noop;
use stead_schemas::step::{Done, Step};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use crate::desk::{Desk, by_hand, definition, owner};
use crate::started;

/// A step that asks for a text.
#[derive(Clone, Serialize, Deserialize)]
pub struct Load(String);

impl Step for Load {
    const NAME: &'static str = "probe.load";
    type Answer = Done;
}

/// As many bytes as JSON.
pub fn load(bytes: usize) -> Load {
    Load("x".repeat(bytes - 2))
}

const LARGEST: usize = 128 * 1024;

pub fn scheduled(seq: Seq, request: &impl Step, undo: bool) -> Event {
    Event::StepScheduled(StepScheduled {
        seq,
        step: request.name(),
        route: Route::Worker,
        request: serde_json::to_value(request).expect("JSON"),
        within_ms: 0,
        undo,
        detached: false,
        policy: StepPolicy::default(),
    })
}

/// What an older build wrote, of which this one thinks otherwise, replays; where the run stands then.
pub fn replayed(page: fn(Context) -> Execution, history: Vec<Vec<Event>>) -> Run {
    let mut run = Run::new(definition(page), EntityKey::of("test", &owner(), "x").run(1));
    for (n, events) in (1..).zip(history) {
        let transition = Transition {
            v: VERSION,
            run: run.id().clone(),
            n,
            at: Timestamp::from_millis(1),
            engine: "e".into(),
            prev: String::new(),
            events,
        };
        run.replay(&transition).unwrap_or_else(|divergence| panic!("{divergence:.300}"));
    }
    run
}

/// Asks for six of the largest requests, so many at once.
fn asking(cx: Context, at_once: usize) -> Execution {
    execution(async move {
        let loads: Vec<_> = (0..6).map(|_| cx.step(load(LARGEST)).into_future()).collect();
        let ends = all(at_once, loads).await;
        Ok(Ending::Completed(json!(ends.iter().filter(|end| end.is_ok()).count())))
    })
}

#[test]
fn what_is_asked_for_at_once_fits_into_one_message_or_fails() {
    let (mut desk, told) = Desk::start(|cx| asking(cx, 6));
    let four = (1..=4).map(|seq| format!("{seq}: probe.load")).collect::<Vec<_>>().join(", ");
    assert_eq!(told, format!("{four}, change-marked"));
    let told: Vec<String> = (1..=4).map(|seq| desk.done(seq)).collect();
    assert_eq!(told[3], "completed 4");
    let (mut desk, told) = Desk::start(|cx| asking(cx, 4));
    assert_eq!(told, four);
    assert_eq!(desk.done(1), "5: probe.load", "what was asked for before does not count");
    let six = (1..=6).map(|seq| scheduled(seq, &load(LARGEST), false));
    replayed(|cx| asking(cx, 6), vec![[started()].into_iter().chain(six).collect()]);
}

/// Asks for more steps than fit, which are small but for the name of whom they are for, and patient.
fn many(cx: Context) -> Execution {
    execution(async move {
        let name = |number: u32| format!("{number}{}", "x".repeat(200));
        let call =
            |number| cx.step(Ask { name: name(number) }).within(DAY).attempts(7).into_future();
        let ends = all(10_000, (0..10_000).map(call)).await;
        Ok(Ending::Completed(json!(ends.iter().filter(|end| end.is_ok()).count())))
    })
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A command to an entity of this name.
#[derive(Clone, Serialize, Deserialize)]
struct Ask {
    #[serde(skip)]
    name: String,
}

impl Step for Ask {
    const NAME: &'static str = "test.go";
    type Answer = Done;

    fn route(&self) -> Route {
        Route::Entity { kind: "test".into(), owner: owner(), name: self.name.clone() }
    }
}

#[test]
fn names_addresses_and_patience_are_measured_too() {
    let (desk, told) = Desk::start(many);
    assert!(told.ends_with("change-marked"), "{}", &told[told.len() - 40..]);
    let bytes = desk.history[0].encode().len();
    assert!((ASKED_BYTES_MAX / 3..ASKED_BYTES_MAX).contains(&bytes), "{bytes}");
}

/// Asks for what is large only once it is written: a control character has six bytes there.
fn escaping(cx: Context) -> Execution {
    execution(async move {
        cx.step(Load("\u{1}".repeat(LARGEST / 6))).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

#[test]
fn a_request_is_measured_as_it_is_written() {
    let (_, told) = Desk::start(escaping);
    assert!(told.starts_with("1: probe.load"), "{told:.200}");
    let larger = |cx: Context| {
        execution(async move {
            cx.step(Load("\u{1}".repeat(LARGEST / 6 + 1))).await?;
            Ok(Ending::Completed(Value::Null))
        })
    };
    let (_, told) = Desk::start(larger);
    assert!(told.starts_with("change-marked, failed probe.load: the request has"), "{told:.200}");
    let request = Load("\u{1}".repeat(LARGEST / 6 + 1));
    replayed(larger, vec![vec![started(), scheduled(1, &request, false)]]);
}

fn undone(cx: Context) -> Execution {
    execution(async move {
        let step = cx.step(Noop { number: 1 }).undo(load(LARGEST + 1));
        cx.operation(step.into_future()).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

fn taken_back(cx: Context) -> Execution {
    execution(async move {
        cx.take_back(load(LARGEST + 1)).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

#[test]
fn what_takes_a_step_back_is_measured_before_the_step_is_asked_for() {
    for (page, of) in [(undone as fn(Context) -> _, "probe.noop"), (taken_back, "probe.load")] {
        let (_, told) = Desk::start(page);
        let words = format!(
            "change-marked, failed {of}: the request of the undo `probe.load` has 131073 bytes"
        );
        assert!(told.starts_with(&words), "{told}");
    }
    replayed(undone, vec![vec![started(), scheduled(1, &Noop { number: 1 }, false)]]);
    replayed(taken_back, vec![vec![started(), scheduled(1, &load(LARGEST + 1), true)]]);
}

/// Waits for a signal that its definition does not name.
fn deaf(cx: Context) -> Execution {
    execution(async move {
        cx.step(Noop { number: 1 }).await?;
        let said: u32 = cx.signal("stop").await?;
        Ok(Ending::Completed(json!(said)))
    })
}

fn signal(name: &str, payload: Value) -> Event {
    let signal = Signal { name: name.into(), payload };
    Event::SignalReceived(SignalReceived { signal, order: by_hand("now") })
}

#[test]
fn a_signal_that_nobody_can_send_is_not_waited_for() {
    let (mut desk, _) = Desk::start(deaf);
    let told = desk.done(1);
    let words = "change-marked, failed it waits for the signal `stop`, which its definition does \
                 not name: nobody could send it";
    assert_eq!(told, words);
    let first = || vec![started(), scheduled(1, &Noop { number: 1 }, false)];
    let done = StepCompleted { seq: 1, answer: json!({}), attempts: 1, met: None };
    let run = replayed(deaf, vec![first(), vec![Event::StepCompleted(done)]]);
    assert_eq!(run.awaited()[0].name, "stop", "it waits since an older build");
    // It may have been sent while an older build named it.
    let (mut desk, _) = Desk::start(deaf);
    assert_eq!(desk.fact(signal("stop", json!(7))), "");
    assert_eq!(desk.done(1), "completed 7");
}

fn showing(cx: Context) -> Execution {
    execution(async move {
        cx.show("busy", &load(300 * 1024));
        cx.signal::<u32>("go").await.map(|said| Ending::Completed(json!(said)))
    })
}

#[test]
fn a_view_that_would_reach_nobody_is_shown_as_one_that_is_too_large() {
    let (desk, told) = Desk::start(showing);
    assert_eq!(told, "change-marked");
    let words = json!("the view has 307200 bytes, the limit is 262144");
    assert_eq!(desk.run.view().as_deref(), Some(&words));
    let run = replayed(showing, vec![vec![started()]]);
    assert_eq!(run.view().as_deref(), Some(&json!(load(300 * 1024))));
}

/// Holds so much that its end by hand would not fit into a message.
fn laden(cx: Context) -> Execution {
    execution(async move {
        cx.show("busy", &load(200 * 1024));
        let mut step = cx.step(Noop { number: 1 });
        for _ in 0..600 {
            step = step.undo(load(1024));
        }
        cx.operation(step.undo(load(1025)).into_future()).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

fn terminate() -> Event {
    Event::TerminateRequested(TerminateRequested { order: by_hand("enough") })
}

#[test]
fn a_run_that_holds_more_than_a_message_is_terminated_and_says_what_it_can() {
    let (mut desk, _) = Desk::start(laden);
    desk.fact(terminate());
    let end = &desk.history.last().expect("an end").events;
    assert_eq!(end[1].name(), "change-marked");
    let bytes = serde_json::to_vec(end).expect("JSON").len();
    assert!((LEFT_BYTES_MAX / 2..LEFT_BYTES_MAX + 1024).contains(&bytes), "{bytes}");
    let Some(Event::RunTerminated(ended)) = end.last() else { panic!("it is over") };
    assert_eq!((&ended.view, ended.left.len()), (&Value::Null, 484));
    assert_eq!(ended.left[1].request, json!("1025 bytes, left out"));
    assert_eq!(ended.left[2].request, json!(load(1024)), "what is small is kept");
    let last = LeftBehind {
        step: "others".into(),
        request: Value::Null,
        why: "119 more, left out".into(),
    };
    assert_eq!(ended.left.last(), Some(&last));
}

#[test]
fn a_run_that_an_older_build_terminated_says_all_that_it_said() {
    let (mut desk, _) = Desk::start(laden);
    desk.fact(terminate());
    let undo = |bytes| LeftBehind {
        step: "probe.load".into(),
        request: json!(load(bytes)),
        why: "undo not begun".into(),
    };
    let open = LeftBehind {
        step: "probe.noop".into(),
        request: json!({ "number": 1 }),
        why: "step under way".into(),
    };
    let mut left = vec![open, undo(1025)];
    left.extend((0..600).map(|_| undo(1024)));
    let view = json!(load(200 * 1024));
    let end = Event::RunTerminated(RunTerminated { why: "enough".into(), left, view });
    let first = desk.history.remove(0).events;
    let run = replayed(laden, vec![first, vec![terminate(), end]]);
    assert_eq!(run.folded().left.len(), 602);
}

#[test]
fn signals_that_nobody_has_taken_count_among_what_is_carried_over() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            cx.step(Noop { number: 1 }).await?;
            Ok(Ending::ContinueAsNew(json!(load(700 * 1024))))
        })
    });
    for _ in 0..2 {
        desk.fact(signal("go", json!(load(100 * 1024))));
    }
    let done = StepCompleted { seq: 1, answer: json!({}), attempts: 1, met: None };
    let decided = desk.run.decide(Timestamp::from_millis(9), vec![Event::StepCompleted(done)]);
    let words = decided.map(drop).expect_err("it does not fit").to_string();
    assert!(words.contains("more than 800 KiB with the signals"), "{words}");
}
