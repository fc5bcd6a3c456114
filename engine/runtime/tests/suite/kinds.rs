//! Runs of a kind that the owner's build does not know: another build began them, and goes on.

use std::sync::Arc;

use serde_json::Map;
use stead_core::definition::Definition;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{
    Caller, CommandReply, EntityCommand, RehearsalReply, RunOrder, StepAddress, StepReply,
};
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;

use crate::desk::{Desk, PARTITION, on_simulated_time};
use crate::pages::PAGES;
use crate::turning::{Kept, one_over_and_one_alive, turn};

/// The workflows of a build that has all but this one.
pub fn without(kind: &str) -> &'static [Definition] {
    PAGES.iter().filter(|page| page.kind != kind).copied().collect::<Vec<_>>().leak()
}

/// A `pair` at its second step, which an owner takes up that does not know it.
async fn taken_up_by_another_build() -> (Desk, RunId) {
    let desk = Desk::new().await;
    let run = desk.start("pair").await;
    desk.done(&desk.step("test.first")).await;
    desk.owner.abort();
    let older = Desk::knowing(desk.log.clone(), Arc::default(), without("pair")).await;
    older.settle().await;
    (older, run)
}

/// What a caller hears of the command.
async fn said(desk: &Desk, id: &str) -> CommandReply {
    desk.command("pair", id).await;
    serde_json::from_slice(&desk.replies("caller").pop().expect("a reply")).expect("its JSON")
}

#[test]
fn a_run_of_a_kind_that_this_build_does_not_know_is_parked_and_shown() {
    on_simulated_time(async {
        let (older, run) = taken_up_by_another_build().await;
        let view = older.view(&run).await;
        let waiting = &view.waiting[0];
        assert_eq!((&*waiting.reason, &*waiting.cause), ("human", "unknown-kind"));
        assert!(waiting.words.contains("no workflow `pair`"), "{}", waiting.words);
        let line = &view.summary;
        assert_eq!((line.owner.as_str(), &*line.name, line.transitions), ("john", "x", 2));
        assert_eq!(view.commands[0].id, "id-1");
        assert_eq!(older.held_up().await, [run]);
        assert!(older.steps().is_empty(), "nothing is done for it");
    });
}

#[test]
fn a_build_that_knows_the_kind_goes_on_where_the_history_ends() {
    on_simulated_time(async {
        let (older, run) = taken_up_by_another_build().await;
        older.owner.abort();
        let newer = Desk::on(older.log.clone()).await;
        newer.settle().await;
        newer.done(&newer.step("test.second")).await;
        assert_eq!(newer.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn nothing_can_be_done_by_hand_to_what_this_build_does_not_know() {
    on_simulated_time(async {
        let (older, run) = taken_up_by_another_build().await;
        let written = older.log.len(PARTITION);
        for order in [RunOrder::Terminate, RunOrder::Cancel, RunOrder::Pause, RunOrder::Resume] {
            assert_eq!(older.order(&run, order).await, "run.parked");
        }
        assert_eq!(older.log.len(PARTITION), written);
    });
}

#[test]
fn what_is_asked_of_a_kind_that_this_build_does_not_know_waits_for_one_that_does() {
    on_simulated_time(async {
        let (older, run) = taken_up_by_another_build().await;
        let CommandReply::Accepted(known) = said(&older, "id-1").await else {
            panic!("it is known")
        };
        assert!(known.repeated && known.run == run, "{known:?}");
        let waits = said(&older, "id-2").await;
        assert!(matches!(waits, CommandReply::Unavailable { .. }), "{waits:?}");
        let parent = StepAddress { run: older.run("plain"), seq: 1 };
        older.command_of("pair", &parent).await;
        let [(_, StepReply::Failed(failure))] = &older.answers()[..] else { panic!("an answer") };
        assert_eq!(failure.class, Class::Wait, "{failure}");
        older.say(Inbound::Rehearse(start_of_pair(), ReplyTo("caller".into()))).await;
        let reply = serde_json::from_slice(&older.replies("caller")[0]).expect("its JSON");
        assert!(matches!(reply, RehearsalReply::Unavailable { .. }), "{reply:?}");
        assert_eq!(older.log.len(PARTITION), 4, "two claims and what was there");
    });
}

fn start_of_pair() -> EntityCommand {
    EntityCommand {
        kind: "pair".into(),
        owner: Owner::new("john").unwrap(),
        name: "x".into(),
        verb: "start".into(),
        fields: Map::new(),
        id: "id-3".into(),
        by: Caller::Api,
    }
}

#[test]
fn lives_that_are_over_count_whoever_archives_them() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        let (over, alive) = one_over_and_one_alive(&desk).await;
        desk.owner.abort();
        let older = Desk::knowing(kept.log.clone(), kept.archive.clone(), &[]).await;
        older.settle().await;
        for epoch in [0, 1] {
            assert_eq!(older.view(&over).await.summary.state.word(), "completed", "{epoch}");
            assert_eq!(older.view(&alive).await.waiting[0].cause, "unknown-kind", "{epoch}");
            turn(&older, 0).await;
            older.settle().await;
            assert_eq!(turn(&older, 0).await.epoch, 1);
        }
        older.owner.abort();
        let newer = kept.owner().await;
        newer.command("pair", "id-2").await;
        assert_eq!(newer.step("test.first").address.run, over.key().run(2));
        newer.pass(std::time::Duration::from_secs(3_700)).await;
        assert_eq!(newer.view(&alive).await.summary.state.word(), "completed");
    });
}
