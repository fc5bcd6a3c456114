//! A run that asks another entity: what the stage does about it is what the engine does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::Context;
use stead_core::definition::Definition;
use stead_core::run::execution;
use stead_schemas::dispatch::{Caller, EntityCommand, Route};
use stead_schemas::event::Outcome;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::step::Step;
use stead_testkit::{Kit, Lapse, Stage, Trouble, Twice, Which};

use crate::{GOOD, Shop, definition, make, open, unmake};

/// Opens the shop at the corner.
#[derive(Serialize, Deserialize)]
struct OpenShop {}

impl Step for OpenShop {
    const NAME: &'static str = "shop.open";
    type Answer = Value;

    fn route(&self) -> Route {
        Route::Entity { kind: "shop".into(), owner: john(), name: "corner".into() }
    }
}

/// Asks for the shop, which ends with it, and then for a bench.
const STREET: Definition = street(|cx| {
    execution(open(cx, async |cx: &Context| {
        cx.step(OpenShop {}).cancel_with_parent().await?;
        cx.step(make("bench")).await
    }))
});

/// Asks for the shop and does not wait for it.
const HASTY: Definition =
    street(|cx| execution(open(cx, async |cx: &Context| cx.step(OpenShop {}).detached().await)));

/// Asks for the shop, and then for paint that takes a minute to dry.
const PAINTED: Definition = street(|cx| {
    execution(open(cx, async |cx: &Context| {
        cx.step(OpenShop {}).cancel_with_parent().await?;
        cx.sleep(Duration::from_secs(60), "the paint").await;
        cx.step(make("bench")).await
    }))
});

/// The same, and says how the shop is taken back.
const THOROUGH: Definition = street(|cx| {
    execution(open(cx, async |cx: &Context| {
        cx.step(OpenShop {}).cancel_with_parent().undo(unmake("table")).await?;
        cx.sleep(Duration::from_secs(60), "the paint").await;
        cx.step(make("bench")).await
    }))
});

const fn street(execute: fn(Context) -> stead_core::definition::Execution) -> Definition {
    Definition { kind: "street", ..definition(execute) }
}

fn john() -> Owner {
    Owner::new("john").expect("a good owner")
}

fn corner() -> EntityKey {
    EntityKey::of("shop", &john(), "corner")
}

fn command(kind: &str, name: &str) -> EntityCommand {
    EntityCommand {
        kind: kind.into(),
        owner: john(),
        name: name.into(),
        verb: "open".into(),
        fields: serde_json::Map::new(),
        id: format!("open the {kind}"),
        by: Caller::Api,
    }
}

fn stage(street: Definition, trouble: &Trouble) -> Stage<Shop<false>> {
    Kit::of(&[street, GOOD]).stage(trouble)
}

fn check(stage: &Stage<Shop<false>>, key: &EntityKey, lines: &[&str]) {
    let told = stage.story(key);
    let bare = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.lines().map(bare).collect::<Vec<_>>(), lines, "{told}");
}

const CANCEL: &str = "the run that had asked for this no longer wants it";

#[test]
fn a_command_is_cancelled_with_its_parent_and_taken_back_first() {
    for trouble in [Trouble::default(), Trouble::default().twice(Twice::All).crash()] {
        let mut stage = stage(STREET, &trouble);
        let street = command("street", "main");
        let run = stage.give(&street).expect("it is let in");
        stage.work();
        assert_eq!(stage.world.things, ["table"], "the glue dries");
        assert!(stage.cancel(&run, "a test"));
        stage.work();
        assert!(stage.outcome(&street.key(), &street.id).is_some(), "nobody waits for the glue");
        assert!(stage.world.things.is_empty(), "{trouble}: {}", stage.story(&corner()));
        let cancel = format!("cancel {CANCEL}");
        check(
            &stage,
            &corner(),
            &[
                "command shop.open",
                "step shop.make done",
                &cancel,
                "undo shop.unmake done",
                &format!("failed it was cancelled: {CANCEL}"),
                "over failed",
            ],
        );
        check(
            &stage,
            &street.key(),
            &[
                "command street.open",
                "cancel a test",
                "step shop.open cancelled",
                "undo entity.cancel-command done",
                "failed shop.open: it was cancelled: a test",
                "over failed",
            ],
        );
        stage.everything_replays();
    }
}

#[test]
fn a_cancel_does_not_stop_the_command_of_another() {
    let mut stage = stage(STREET, &Trouble::default().crash());
    let (shop, street) = (command("shop", "corner"), command("street", "main"));
    stage.give(&shop).expect("it is let in");
    let run = stage.give(&street).expect("it is let in");
    stage.work();
    stage.cancel(&run, "a test");
    stage.work();
    assert_eq!(stage.world.things, ["table"], "john's own goes on");
    assert_eq!(stage.outcome(&street.key(), &street.id), None, "its own is not over");
    stage.settle();
    assert!(matches!(stage.outcome(&corner(), &shop.id), Some(Outcome::Done(_))));
    assert!(matches!(stage.outcome(&street.key(), &street.id), Some(Outcome::Failed(_))));
    stage.everything_replays();
}

#[test]
fn a_command_that_is_over_is_not_cancelled() {
    let mut stage = stage(STREET, &Trouble::fault(Which::Nth(2), Lapse::BeforeEffect).crash());
    let street = command("street", "main");
    let outcome = stage.ask(&street).expect("it is let in");
    assert!(matches!(outcome, Some(Outcome::Failed(_))), "{outcome:?}");
    assert_eq!(stage.world.things, ["table", "chair"]);
    assert!(stage.story(&street.key()).contains("undo     entity.cancel-command  done"));
    assert!(!stage.story(&corner()).contains(CANCEL));
}

#[test]
fn a_command_that_has_just_ended_is_taken_back_by_a_declared_undo_alone() {
    for (definition, undone, left) in [
        (PAINTED, &["undo entity.cancel-command done"][..], &["table", "chair"][..]),
        (THOROUGH, &["undo entity.cancel-command done", "undo shop.unmake done"], &["chair"]),
    ] {
        let mut stage = stage(definition, &Trouble::default().twice(Twice::All).crash());
        let street = command("street", "main");
        let run = stage.give(&street).expect("it is let in");
        stage.pass(Duration::from_secs(90));
        assert_eq!(stage.world.things, ["table", "chair"], "the shop is open, the paint is wet");
        assert!(stage.cancel(&run, "a test"));
        stage.work();
        assert_eq!(stage.world.things, left);
        assert!(!stage.story(&corner()).contains("cancel"), "{}", stage.story(&corner()));
        let (begin, end) = (
            ["command street.open", "step shop.open done", "cancel a test"],
            ["failed it was cancelled: a test", "over failed"],
        );
        check(&stage, &street.key(), &[&begin, undone, &end].concat());
        stage.everything_replays();
    }
}

#[test]
fn a_detached_command_is_done_when_it_is_accepted() {
    let mut stage = stage(HASTY, &Trouble::default().twice(Twice::All).crash());
    let street = command("street", "main");
    stage.give(&street).expect("it is let in");
    stage.work();
    assert_eq!(stage.outcome(&street.key(), &street.id), Some(Outcome::Done(Value::Null)));
    assert_eq!(stage.world.things, ["table"], "the shop goes on by itself");
    stage.settle();
    assert_eq!(stage.world.things, ["table", "chair"]);
    stage.everything_replays();
}
