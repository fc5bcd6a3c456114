//! What counters without labels say, and what is in the archive. Each of them is looked up once in a
//! process, wherever it is shown: so this is a process of its own, with one test.

#[expect(dead_code, reason = "the suite needs all of it")]
#[path = "suite/desk.rs"]
mod desk;
#[path = "suite/pages.rs"]
mod pages;
#[expect(dead_code, reason = "the suite needs all of it")]
#[path = "suite/shown.rs"]
mod shown;
#[path = "suite/world.rs"]
mod world;

use std::time::Duration;

use desk::Desk;
use serde_json::json;
use shown::shown;
use stead_runtime::inbound::Inbound;
use stead_runtime::owner::Stopped;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{StepReply, StepRequest, TurnEpoch};
use stead_schemas::event::{Event, StepCompleted};
use stead_schemas::proof::Proof;

/// Longer than it takes until runs are counted again.
const COUNTED: Duration = Duration::from_secs(6);

#[test]
fn whatever_only_grows_has_grown() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.command("nap", "nap-1").await;
        desk.command("pair", "id-1").await;
        let first = desk.step("test.first");
        let forged = StepRequest { proof: Proof::new("guessed".into()), ..first.clone() };
        desk.answer(&forged, StepReply::Done(json!({}))).await;
        // Nor is one to an attempt that there never was, or that shows nothing.
        let none = StepRequest { attempt: first.attempt.wrapping_add(7), ..forged.clone() };
        desk.answer(&none, StepReply::Heartbeat { progress: None }).await;
        let mute = StepRequest { proof: Proof::default(), ..none };
        desk.answer(&mute, StepReply::Heartbeat { progress: None }).await;
        assert_eq!(shown.counts("stead_forged_answers_total"), [3]);
        // It is taken for dead, and answers when another one is at it.
        desk.pass(Duration::from_secs(7)).await;
        let second = desk.step("test.first");
        desk.done(&first).await;
        assert_eq!(shown.counts("stead_late_answers_total"), [1]);
        desk.done(&second).await;
        desk.done(&desk.step("test.second")).await;

        // Somebody else writes to the same history.
        desk.command("relay", "relay-1").await;
        let other = StepCompleted { seq: 1, answer: json!({}), attempts: 1 };
        desk.append_of_another_build(&desk.run("relay"), vec![Event::StepCompleted(other)]).await;
        desk.done(&desk.step("test.shape")).await;
        assert_eq!(shown.counts("stead_append_refused_total"), [1]);
        let next = desk.next_owner().await;
        assert_eq!(desk.owner.await.unwrap(), Stopped::Fenced);

        next.pass(Duration::from_secs(20)).await;
        assert_eq!(shown.of("stead_archive_lag_messages").to_string(), "3");
        let turn = || Inbound::Turn(TurnEpoch { from: 0, anew: false }, ReplyTo("me".into()));
        next.say(turn()).await;
        next.pass(COUNTED).await;
        assert_eq!(shown.counts("stead_epochs_turned_total"), [1]);
        assert_eq!(shown.counts("stead_archived_runs_total"), [1]);
        assert_eq!(shown.of("stead_archive_lag_messages").to_string(), "0");

        // The nap was over long before anybody came to end it.
        next.owner.abort();
        next.pass(Duration::from_secs(3_600 + 60)).await;
        let last = next.next_owner().await;
        last.pass(Duration::from_secs(1)).await;
        let late = shown.of("stead_timer_late_seconds");
        assert!((60.0..100.0).contains(&late), "{late}");
    });
}
