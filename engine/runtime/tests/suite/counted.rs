//! What metrics say of runs: why they do not go on, and how long their histories have become.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stead_runtime::memory::MemoryLog;
use stead_runtime::ports::{Append, EventLog};
use stead_schemas::dispatch::{Caller, RunOrder, StepReply};
use stead_schemas::event::{Event, Signal, SignalReceived};
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::limit::Limit;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};

use crate::desk::{Desk, PARTITION, by_hand};
use crate::shown::shown;

/// Longer than it takes until runs are counted again.
pub const COUNTED: Duration = Duration::from_secs(6);
/// Longer than a run may wait in memory, and until it is counted then.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn runs_are_counted_by_what_they_wait_for() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        for kind in ["nap", "guest", "listener"] {
            desk.start(kind).await;
        }
        let paused = desk.start("relay").await;
        let relay = desk.step("test.shape");
        let torn = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        for _ in 0..COUNTED.as_secs() {
            for at_work in [&relay, &second] {
                desk.answer(at_work, StepReply::Heartbeat { progress: None }).await;
            }
            desk.pass(Duration::from_secs(1)).await;
        }
        let waiting = [("outside", 1.0), ("running", 2.0), ("signal", 1.0), ("timer", 1.0)];
        assert_eq!(shown.waiting(), waiting);
        let steps = |reason| shown.gauge("stead_steps_open", reason);
        assert_eq!(["outside", "running"].map(steps), [1.0, 2.0]);
        let oldest = shown.gauge("stead_runs_waiting_oldest_seconds", "timer");
        assert!((4.0..=6.0).contains(&oldest), "{oldest}");

        desk.order(&paused, RunOrder::Pause).await;
        desk.failed(&relay, Class::VendorDown).await;
        desk.failed(&second, Class::Permanent).await;
        desk.failed(&desk.step("test.undo-first"), Class::Permanent).await;
        assert_eq!(desk.view(&torn).await.waiting[0].reason, "human");
        desk.pass(COUNTED).await;
        assert_eq!(steps("running"), 0.0);
        let waiting =
            [("human", 1.0), ("paused", 1.0), ("outside", 1.0), ("signal", 1.0), ("timer", 1.0)];
        assert_eq!(shown.waiting(), waiting);
    });
}

#[test]
fn a_run_that_no_worker_listens_to_is_counted_as_such() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.start("stranger").await;
        desk.unheard(&desk.step("other.strange")).await;
        desk.start("pair").await;
        let first = desk.step("test.first");
        // Whenever it is asked again, it is the same.
        for _ in 0..200 {
            desk.answer(&first, StepReply::Heartbeat { progress: None }).await;
            desk.pass(Duration::from_millis(100)).await;
            for step in desk.steps() {
                desk.unheard(&step).await;
            }
            if shown.waiting() == [("no-worker", 1.0), ("running", 1.0)] {
                return;
            }
        }
        panic!("{:?}", shown.waiting());
    });
}

#[test]
fn runs_that_wait_for_others_are_counted_by_what_holds_them_up() {
    shown(|shown| async move {
        let limit = Limit {
            name: "firsts".into(),
            steps: vec!["test.first".into()],
            per: None,
            at_once: Some(1),
            per_minute: None,
        };
        let desk = Desk::limited(Arc::new(MemoryLog::new(1)), &[limit]).await;
        for name in ["a", "b"] {
            desk.command_to(Caller::Api, "pair", name, name).await;
            desk.carry_places().await;
        }
        let first = desk.step("test.first");
        desk.start("parent").await;
        desk.start("relay").await;
        let wanted = ["retrying", "limit", "queued", "entity"].map(|reason| (reason, 1.0));
        // Until the pauses between the attempts are long enough.
        for _ in 0..200 {
            desk.answer(&first, StepReply::Queued).await;
            for step in desk.steps() {
                desk.failed(&step, Class::VendorDown).await;
            }
            desk.pass_in_line(Duration::from_secs(1)).await;
            if shown.waiting() == wanted {
                let places = ["held", "waiting"].map(|state| shown.gauge("stead_places", state));
                return assert_eq!(places, [1.0, 1.0]);
            }
        }
        panic!("{:?}", shown.waiting());
    });
}

#[test]
fn a_run_that_waits_for_a_signal_says_which_and_is_counted_in_memory_and_out_of_it() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        let run = desk.start("listener").await;
        for so_long in [COUNTED, LONG] {
            desk.pass(so_long).await;
            assert_eq!(shown.waiting(), [("signal", 1.0)], "after {so_long:?}");
            let waiting = desk.view(&run).await.waiting.remove(0);
            assert_eq!((waiting.reason.as_str(), waiting.words.as_str()), ("signal", "go"));
            assert_eq!(waiting.since, Timestamp::from_millis(1_700_000_000_000));
        }
        let signal = Signal { name: "go".into(), payload: json!(7) };
        assert_eq!(desk.order(&run, RunOrder::Signal(signal)).await, "done");
        assert_eq!(desk.view(&run).await.waiting, []);
        desk.pass(COUNTED).await;
        assert_eq!(shown.waiting(), []);
    });
}

/// Gives a run so many transitions that change nothing.
async fn lengthen(desk: &Desk, run: &RunId, transitions: u64) {
    let recorded = desk.log.read_run(run).await.unwrap();
    let last = recorded.last().expect("it has begun");
    let (mut expected, mut prev) = (last.seq, link(&last.bytes));
    let signal = Signal { name: "go".into(), payload: json!(7) };
    let event = Event::SignalReceived(SignalReceived { signal, order: by_hand(None) });
    for n in recorded.len() as u64 + 1..=transitions {
        let transition = Transition {
            v: VERSION,
            run: run.clone(),
            n,
            at: Timestamp::from_millis(1_700_000_000_000),
            engine: "other".into(),
            prev: std::mem::take(&mut prev),
            events: vec![event.clone()],
        };
        let (bytes, commit) = (transition.encode(), n.to_string());
        prev = link(&bytes);
        let append =
            Append { partition: PARTITION, epoch: 0, run: run.clone(), expected, commit, bytes };
        expected = desk.log.append(append).await.unwrap();
    }
}

#[test]
fn a_history_that_becomes_long_says_so_and_goes_on() {
    const MANY: &str = "4096 transitions have to be replayed, which is many; the workflow should \
                        begin anew at a quiet point";
    shown(|shown| async move {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.owner.abort();
        lengthen(&desk, &run, 4_094).await;
        let desk = Desk::on(desk.log.clone()).await;
        assert!(desk.view(&run).await.warnings.is_empty());
        for order in [RunOrder::Pause, RunOrder::Resume] {
            assert_eq!(desk.order(&run, order).await, "done");
        }
        assert_eq!(desk.view(&run).await.warnings, [MANY]);
        desk.pass(LONG).await;
        let longest = || shown.gauge("stead_history_longest_transitions", "nap");
        assert!((longest() - 4_096.0).abs() < 0.5, "{} when it is not in memory", longest());

        desk.owner.abort();
        lengthen(&desk, &run, 16_384).await;
        let desk = Desk::on(desk.log.clone()).await;
        let warnings = desk.view(&run).await.warnings;
        assert!(warnings[0].contains("16384") && warnings[0].contains("far too many"));
        desk.pass(COUNTED).await;
        assert!((longest() - 16_384.0).abs() < 0.5, "{} in memory", longest());
        desk.pass(Duration::from_secs(3_600)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed", "nothing stops it");
    });
}

#[test]
fn a_pool_that_is_short_is_counted_in_memory_and_out_of_it_and_nowhere_once_it_is_another_owners() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.start("pool").await;
        let kept = || ["ready", "wanted"].map(|state| shown.gauge("stead_pool_machines", state));
        for so_long in [COUNTED, LONG] {
            desk.pass(so_long).await;
            assert_eq!(kept(), [1.0, 3.0], "after {so_long:?}");
        }
        desk.owner.abort();
        desk.pass(COUNTED).await;
        assert_eq!(kept(), [0.0, 0.0]);
    });
}
