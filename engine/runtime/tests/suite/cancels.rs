//! A cancel hits what it was meant for, and nothing that begins in the same moment.

use serde_json::{Map, Value, json};
use stead_runtime::inbound::{Inbound, OrderReply};
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{
    Caller, EntityCommand, RunOrder, StepAddress, StepReply, StepRequest,
};
use stead_schemas::event::{Event, Outcome, Signal};
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::step::entity::CancelCommand;

use crate::desk::{Desk, on_simulated_time};

/// A run that takes commands for ever is at the last step of its command `a`. The answer of that step
/// waits behind an append that the log does not take yet, and so does what comes next.
async fn about_to_end(desk: &Desk, also: &[&str]) -> RunId {
    command(desk, "a", Map::new()).await;
    desk.done(&desk.step("test.first")).await;
    let second = desk.step("test.second");
    for id in also {
        command(desk, id, Map::new()).await;
    }
    end_waits(desk, &second).await;
    desk.run("shift")
}

async fn end_waits(desk: &Desk, second: &StepRequest) {
    desk.log.set_away(true);
    let go = Signal { name: "go".into(), payload: Value::Null };
    desk.order_unanswered(&second.address.run, RunOrder::Signal(go)).await;
    desk.done(second).await;
}

async fn command(desk: &Desk, id: &str, fields: Map<String, Value>) {
    desk.command_of_fields(Caller::Api, ("shift", "x"), id, fields).await;
}

async fn log_comes_back(desk: &Desk) {
    desk.log.set_away(false);
    desk.settle().await;
}

/// What became of each command of a run that has an outcome.
async fn outcomes(desk: &Desk, run: &RunId) -> Vec<(String, Result<Value, Class>)> {
    let completed = |event| match event {
        Event::CommandCompleted(completed) => Some(completed),
        _ => None,
    };
    let ended = desk.history(run).await.into_iter().filter_map(completed);
    let outcomes = ended.map(|completed| match completed.outcome {
        Outcome::Done(done) => (completed.id, Ok(done)),
        Outcome::Failed(failure) => (completed.id, Err(failure.class)),
    });
    outcomes.collect()
}

/// Nobody has stopped the command that came next: it is carried out to its end.
async fn is_carried_out(desk: &Desk, run: &RunId, id: &str) {
    let first = desk.step("test.first");
    assert!(!desk.cancels().contains(&first.address), "nobody stops it");
    desk.done(&first).await;
    desk.done(&desk.step("test.second")).await;
    assert!(outcomes(desk, run).await.contains(&(id.into(), Ok(json!("both")))));
    assert!(!desk.events(run).await.contains(&"cancel-requested"));
}

/// The codes of what was refused among the replies to an operator.
fn refused(desk: &Desk) -> Vec<String> {
    let replies = desk.replies("operator");
    let read = |reply: &Vec<u8>| serde_json::from_slice::<OrderReply>(reply).expect("a reply");
    replies.iter().filter_map(|reply| read(reply).err()).map(|refusal| refusal.code).collect()
}

/// A step of another run that has given a command, and that cancels it.
fn step(name: &str, seq: u32) -> StepAddress {
    let key = EntityKey::of("parent", &Owner::new("john").expect("a name"), name);
    StepAddress { run: key.run(1), seq }
}

async fn parent_cancels(desk: &Desk, command: &StepAddress) -> StepAddress {
    let asker = StepAddress { seq: command.seq + 1, ..command.clone() };
    let id = format!("{}:{}", command.run, command.seq);
    let cancel = EntityCommand {
        kind: "shift".into(),
        owner: Owner::new("john").expect("a name"),
        name: "x".into(),
        verb: CancelCommand::VERB.into(),
        fields: Map::from_iter([("command".to_owned(), json!(id))]),
        id: format!("{}:{}", asker.run, asker.seq),
        by: Caller::Run(asker.clone()),
    };
    desk.say(Inbound::Command(cancel, ReplyTo("nobody".into()))).await;
    asker
}

#[test]
fn a_cancel_of_what_ends_in_the_same_moment_is_too_late_and_says_so() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = about_to_end(&desk, &[]).await;
        desk.cancel_unanswered(&run).await;
        log_comes_back(&desk).await;
        assert_eq!(refused(&desk), ["run.order-late"]);
        assert_eq!(outcomes(&desk, &run).await, [("a".into(), Ok(json!("both")))]);
        assert!(!desk.events(&run).await.contains(&"cancel-requested"));
    });
}

#[test]
fn a_cancel_does_not_hit_the_command_that_comes_next() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = about_to_end(&desk, &["b"]).await;
        desk.cancel_unanswered(&run).await;
        log_comes_back(&desk).await;
        assert_eq!(refused(&desk), ["run.order-late"]);
        is_carried_out(&desk, &run, "b").await;
    });
}

#[test]
fn a_run_that_is_cancelled_too_late_is_not_resumed_for_that() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "a", Map::new()).await;
        desk.done(&desk.step("test.first")).await;
        let (run, second) = (desk.run("shift"), desk.step("test.second"));
        command(&desk, "b", Map::new()).await;
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "done");
        end_waits(&desk, &second).await;
        desk.cancel_unanswered(&run).await;
        log_comes_back(&desk).await;
        assert_eq!(refused(&desk), ["run.order-late"]);
        assert!(!desk.events(&run).await.contains(&"run-resumed"));
        assert_eq!(desk.order(&run, RunOrder::Resume).await, "done");
        is_carried_out(&desk, &run, "b").await;
    });
}

#[test]
fn a_cancel_is_done_though_somebody_else_has_resumed_the_run_in_the_same_moment() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "a", Map::new()).await;
        let (run, first) = (desk.run("shift"), desk.step("test.first"));
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "done");
        desk.log.set_away(true);
        let go = Signal { name: "go".into(), payload: Value::Null };
        for order in [RunOrder::Signal(go), RunOrder::Resume, RunOrder::Cancel] {
            desk.order_unanswered(&run, order).await;
        }
        log_comes_back(&desk).await;
        assert!(refused(&desk).is_empty());
        assert_eq!(desk.cancels(), [first.address]);
    });
}

#[test]
fn a_parent_s_cancel_does_not_hit_the_command_that_comes_next() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let (one, other) = (step("one", 1), step("other", 1));
        desk.command_of("shift", &one).await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        desk.command_of("shift", &other).await;
        end_waits(&desk, &second).await;
        desk.answers();
        let asker = parent_cancels(&desk, &one).await;
        log_comes_back(&desk).await;
        let told: Vec<_> = desk.answers().into_iter().filter(|(to, _)| *to == asker).collect();
        assert_eq!(told.last().map(|(_, reply)| reply), Some(&StepReply::Done(json!({}))));
        is_carried_out(&desk, &desk.run("shift"), &format!("{}:1", other.run)).await;
    });
}

#[test]
fn a_command_that_is_cancelled_before_its_turn_leaves_the_one_under_way_alone() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let (one, other) = (step("one", 1), step("other", 1));
        desk.command_of("shift", &one).await;
        let first = desk.step("test.first");
        desk.command_of("shift", &other).await;
        parent_cancels(&desk, &other).await;
        assert!(desk.cancels().is_empty());
        desk.done(&first).await;
        desk.done(&desk.step("test.second")).await;
        // Its first step was cancelled before it could be sent.
        desk.done(&desk.step("test.undo-first")).await;
        let of = |step: &StepAddress| format!("{}:{}", step.run, step.seq);
        let ends = [(of(&one), Ok(json!("both"))), (of(&other), Err(Class::Cancelled))];
        assert_eq!(outcomes(&desk, &desk.run("shift")).await, ends);
    });
}

#[test]
fn a_command_that_interrupts_does_not_hit_the_one_that_comes_next() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = about_to_end(&desk, &["b"]).await;
        command(&desk, "c", Map::from_iter([("interrupts".to_owned(), json!(true))])).await;
        log_comes_back(&desk).await;
        is_carried_out(&desk, &run, "b").await;
        let accepted = |name: &&&str| **name == "command-accepted";
        assert_eq!(desk.events(&run).await.iter().filter(accepted).count(), 3, "it is taken in");
    });
}

#[test]
fn a_command_that_interrupts_stops_what_is_under_way() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        command(&desk, "a", Map::new()).await;
        let first = desk.step("test.first");
        command(&desk, "b", Map::from_iter([("interrupts".to_owned(), json!(true))])).await;
        assert_eq!(desk.cancels(), std::slice::from_ref(&first.address));
        desk.failed(&first, Class::Cancelled).await;
        desk.done(&desk.step("test.undo-first")).await;
        let ends = outcomes(&desk, &desk.run("shift")).await;
        assert_eq!(ends, [("a".into(), Err(Class::Cancelled))]);
        let named =
            desk.history(&desk.run("shift")).await.into_iter().find_map(|event| match event {
                Event::CancelRequested(cancel) => Some(cancel.command),
                _ => None,
            });
        assert_eq!(named, Some(Some("a".into())), "the log says what was to be cancelled");
    });
}
