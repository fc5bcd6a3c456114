//! The one thing that can be done to a run that this build does not go on with.

use serde_json::{Map, json};

use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{EventLog, ReplyTo};
use stead_schemas::dispatch::{
    Caller, CommandReply, OrderRun, OutsideAnswer, Route, RunOrder, StepReply,
};
use stead_schemas::event::{ByHand, Event, Outcome, StepCompleted, StepScheduled};
use stead_schemas::ids::RunId;
use stead_schemas::policy::StepPolicy;
use stead_schemas::public::RunView;
use stead_schemas::transition::{Transition, link};

use crate::desk::{Desk, by_hand, on_simulated_time};

/// What stays of a run, and why.
fn left(view: &RunView) -> Vec<(&str, &str)> {
    view.left.iter().map(|left| (left.step.as_str(), left.why.as_str())).collect()
}

async fn cause(desk: &Desk, run: &RunId) -> String {
    desk.view(run).await.waiting.remove(0).cause
}

#[test]
fn a_run_whose_next_transition_no_log_takes_is_terminated_and_its_name_is_free() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("huge").await;
        desk.done(&desk.step("test.first")).await;
        assert_eq!(cause(&desk, &run).await, "log");
        assert_eq!(desk.order(&run, RunOrder::Retry { step: None }).await, "run.parked");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        let end = ["terminate-requested", "command-completed", "run-terminated"];
        assert_eq!(desk.events(&run).await[3..], end);
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "terminated");
        assert_eq!(left(&view), [("test.first", "step under way")]);
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "run.over");
        desk.command_to(Caller::Api, "huge", "x", "id-2").await;
        assert_eq!(desk.step("test.first").address.run.life(), 2);
    });
}

/// What came of a command whose answer has so many bytes.
async fn command(desk: &Desk, id: &str, bytes: u32) -> CommandReply {
    let fields = Map::from_iter([("bytes".to_owned(), json!(bytes))]);
    desk.command_of_fields(Caller::Api, ("bulky", "x"), id, fields).await;
    serde_json::from_slice(&desk.replies("caller").pop().expect("a reply")).expect("its JSON")
}

#[test]
fn a_run_whose_first_transition_no_log_takes_leaves_its_name_free() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        for id in ["id-1", "id-1", "id-2"] {
            let reply = command(&desk, id, 2 << 20).await;
            let CommandReply::Refused(refusal) = reply else { panic!("{id}: {reply:?}") };
            assert_eq!(refusal.code, "command.not-kept", "{}", refusal.words);
        }
        assert_eq!(desk.held_up().await, []);
        let reply = command(&desk, "id-3", 1).await;
        assert!(matches!(reply, CommandReply::Accepted(_)), "{reply:?}");
    });
}

#[test]
fn a_command_that_no_log_took_is_not_known_again_once_its_run_is_terminated() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "id-1", 1).await;
        let run = desk.run("bulky");
        let reply = command(&desk, "id-2", 2 << 20).await;
        assert!(matches!(reply, CommandReply::Unavailable { .. }), "{reply:?}");
        let reply = command(&desk, "id-2", 2 << 20).await;
        assert!(matches!(reply, CommandReply::Refused(_)), "{reply:?}");
        assert_eq!(cause(&desk, &run).await, "log");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        let CommandReply::Accepted(accepted) = command(&desk, "id-2", 1).await else {
            panic!("it is given anew")
        };
        assert!(!accepted.repeated && accepted.run.life() == 2, "{accepted:?}");
    });
}

/// Gives `bulky` a command of sixty kibibytes.
async fn heavy_command(desk: &Desk, id: &str) {
    let text = json!("x".repeat(60 * 1024));
    let fields = Map::from_iter([("bytes".to_owned(), json!(1)), ("text".to_owned(), text)]);
    desk.command_of_fields(Caller::Api, ("bulky", "x"), id, fields).await;
}

/// An order that says so much about why.
async fn wordy_order(desk: &Desk, run: &RunId, order: RunOrder) {
    let by = ByHand { why: "x".repeat(130 * 1024), ..by_hand(None) };
    let order = OrderRun { run: run.clone(), by, order };
    desk.say(Inbound::Order(order, ReplyTo("operator".into()))).await;
}

async fn transitions(desk: &Desk, run: &RunId) -> Vec<Vec<&'static str>> {
    let recorded = desk.log.read_run(run).await.unwrap();
    let read = recorded.iter().map(|one| Transition::decode(&one.bytes).unwrap());
    read.map(|one| one.events.iter().map(Event::name).collect()).collect()
}

#[test]
fn what_waited_for_a_slow_log_goes_into_as_many_messages_as_it_needs() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "first", 1).await;
        let run = desk.run("bulky");
        desk.log.set_away(true);
        for n in 0..20 {
            heavy_command(&desk, &n.to_string()).await;
        }
        assert!(desk.replies("caller").is_empty(), "nothing is in the log yet");
        desk.log.set_away(false);
        desk.settle().await;
        assert_eq!(desk.replies("caller").len(), 20, "each of them is accepted");
        assert_eq!(desk.held_up().await, []);
        let events = desk.events(&run).await;
        assert_eq!(events.iter().filter(|name| **name == "command-completed").count(), 21);
        let appends = desk.log.read_run(&run).await.unwrap();
        assert!((11..=13).contains(&appends.len()), "{} messages", appends.len());
        assert!(appends.iter().all(|message| message.bytes.len() < 256 * 1024));
    });
}

#[test]
fn what_follows_from_answers_that_waited_for_a_slow_log_counts_for_its_messages() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("fan").await;
        let steps = desk.steps();
        desk.log.set_away(true);
        for step in &steps {
            desk.answer(step, StepReply::Done(json!({ "made": 1 }))).await;
        }
        desk.log.set_away(false);
        desk.settle().await;
        let bulks = desk.steps();
        assert_eq!(bulks.len(), 12, "all of them are asked for");
        for bulk in &bulks {
            desk.done(bulk).await;
        }
        assert_eq!(desk.view(&run).await.outcome, Some(Outcome::Done(json!(12))));
    });
}

#[test]
fn a_cancel_that_takes_more_back_than_one_message_holds_takes_it_back_in_several() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("makers").await;
        for step in desk.steps() {
            desk.answer(&step, StepReply::Done(json!({ "made": 1 }))).await;
        }
        desk.cancel(&run).await;
        let mut undone = 0;
        loop {
            let undos = desk.steps();
            if undos.is_empty() {
                break;
            }
            undone += undos.len();
            for undo in &undos {
                assert_eq!(undo.step, "test.bulk");
                desk.done(undo).await;
            }
        }
        let outcome = desk.view(&run).await.outcome;
        assert_eq!((undone, outcome), (11, Some(Outcome::Done(json!(11)))));
    });
}

#[test]
fn a_cancel_and_what_resumes_the_run_for_it_are_in_one_message_however_large_they_are() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "done");
        desk.step("test.first");
        wordy_order(&desk, &run, RunOrder::Cancel).await;
        let transitions = transitions(&desk, &run).await;
        assert_eq!(transitions[2][..2], ["cancel-requested", "run-resumed"]);
    });
}

#[test]
fn a_command_behind_the_end_of_its_run_is_for_the_next_life() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "first", 1).await;
        let run = desk.run("bulky");
        desk.log.set_away(true);
        heavy_command(&desk, "second").await;
        wordy_order(&desk, &run, RunOrder::Terminate).await;
        heavy_command(&desk, "third").await;
        desk.log.set_away(false);
        desk.settle().await;
        let last = transitions(&desk, &run).await.pop();
        assert_eq!(last, Some(vec!["terminate-requested", "run-terminated"]));
        let replies = desk.replies("caller");
        let read = |reply: &Vec<u8>| serde_json::from_slice(reply).expect("its JSON");
        let replies: Vec<CommandReply> = replies.iter().map(read).collect();
        let [CommandReply::Accepted(_), CommandReply::Unavailable { .. }] = &replies[..] else {
            panic!("{replies:?}")
        };
        let CommandReply::Accepted(accepted) = command(&desk, "third", 1).await else {
            panic!("it is given anew")
        };
        assert_eq!(accepted.run.life(), 2);
    });
}

#[test]
fn an_order_whose_transition_no_log_takes_is_told_that_the_run_is_parked() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("huge").await;
        let skip = RunOrder::Skip { step: 1, answer: json!({}) };
        assert_eq!(desk.order(&run, skip).await, "run.parked");
        assert_eq!(cause(&desk, &run).await, "log");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
    });
}

#[test]
fn what_a_workflow_that_panicked_would_have_taken_back_is_listed() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("brittle").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        desk.done(&second).await;
        assert_eq!(cause(&desk, &run).await, "panicked");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        let stays = [("test.second", "step under way"), ("test.undo-first", "undo not begun")];
        assert_eq!(left(&desk.view(&run).await), stays);
        assert_eq!(desk.held_up().await, []);
    });
}

#[test]
fn a_report_for_a_parked_run_is_not_wanted_now() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("guest").await;
        desk.owner.abort();
        desk.append_of_another_build(&run, vec![third()]).await;
        let desk = Desk::on(desk.log.clone()).await;
        desk.settle().await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "human", "it is parked");
        for _ in 0..2 {
            let (run, reply) = (run.clone(), StepReply::Done(json!({})));
            let report = OutsideAnswer { run, step: "test.await".into(), reply };
            desk.say(Inbound::Outside(report, ReplyTo("guest".into()))).await;
            assert_eq!(desk.replies("guest"), [br#""not-waiting""#]);
        }
    });
}

/// A step that no workflow here asks for.
fn third() -> Event {
    Event::StepScheduled(StepScheduled {
        seq: 2,
        step: "test.third".into(),
        route: Route::Worker,
        request: json!({}),
        within_ms: 0,
        undo: false,
        detached: false,
        policy: StepPolicy::default(),
    })
}

/// A run of which this build would have asked for something else than another one did.
pub async fn diverged(desk: &Desk) -> RunId {
    let run = desk.start("pair").await;
    desk.owner.abort();
    let done = StepCompleted { seq: 1, answer: json!({}), attempts: 1, met: None };
    let decided = vec![Event::StepCompleted(done), third()];
    desk.append_of_another_build(&run, decided).await;
    run
}

#[test]
fn a_run_that_this_build_would_continue_otherwise_is_terminated_where_its_history_ends() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = diverged(&desk).await;
        let after = Desk::on(desk.log.clone()).await;
        assert_eq!(cause(&after, &run).await, "diverged");
        after.cancels();
        assert_eq!(after.order(&run, RunOrder::Terminate).await, "done");
        assert_eq!(after.cancels()[0].seq, 2, "whoever is at it is told");
        let check = async |desk: &Desk| {
            let view = desk.view(&run).await;
            assert_eq!(view.summary.state.word(), "terminated");
            assert_eq!(left(&view), [("test.third", "step under way")]);
            assert!(view.waiting.is_empty(), "{:?}", view.waiting);
        };
        check(&after).await;
        after.owner.abort();
        check(&Desk::on(desk.log.clone()).await).await;
    });
}

#[test]
fn a_history_that_was_altered_is_left_as_it_is() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = diverged(&desk).await;
        desk.append_forged(&run, 3, &link(b"something else")).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        assert_eq!(after.order(&run, RunOrder::Terminate).await, "run.parked");
        assert_eq!(desk.log.read_run(&run).await.unwrap().len(), 3);
    });
}

#[test]
fn a_run_that_asks_for_a_person_is_listed_among_those_that_are_held_up() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let stuck = desk.start("stuck").await;
        desk.start("nap").await;
        assert_eq!(desk.view(&stuck).await.waiting[0].reason, "human");
        assert_eq!(desk.held_up().await, [stuck]);
    });
}
