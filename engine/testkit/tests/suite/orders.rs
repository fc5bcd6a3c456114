//! Signals, what else people do to a run, and cancels while time passes.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_core::context::Context;
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::dispatch::{Caller, EntityCommand, RunOrder};
use stead_schemas::event::{Outcome, Seq};
use stead_schemas::failure::Failure;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_testkit::{Ended, Kit, Stage, Trouble, Twice, survives, tells};

use crate::{GOOD, Shop, check, definition, kit, make, open, unmake, words};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A table is made, and a chair once somebody has agreed.
const AGREED: Definition = Definition {
    signals: &["agreed"],
    ..definition(|cx| {
        execution(open(cx, async |cx: &Context| {
            cx.step(make("table")).undo(unmake("table")).await?;
            agreed(cx).await
        }))
    })
};

/// The same, and the table is never taken back.
const FORGETFUL: Definition = Definition {
    signals: &["agreed"],
    ..definition(|cx| {
        execution(open(cx, async |cx: &Context| {
            cx.step(make("table")).await?;
            agreed(cx).await
        }))
    })
};

async fn agreed(cx: &Context) -> Result<(), Failure> {
    let chair: String = cx.signal("agreed").await?;
    cx.sleep(Duration::from_secs(60), "the glue").await;
    cx.step(make(&chair)).undo(unmake(&chair)).await.map(drop)
}

/// The shop opens at once and makes a table an hour later.
const LATE: Definition = definition(|cx| execution(late(cx, "table")));

/// The same, and where nobody lets it rest afterwards it makes something nobody has asked for.
const RESTLESS: Definition = definition(|cx| execution(late(cx, "bench")));

async fn late(cx: Context, restless: &'static str) -> Result<Ending, Failure> {
    let open = cx.next_command().await;
    cx.complete(&open, Ok(Value::Null));
    cx.sleep(HOUR, "the wood").await;
    while cx.operation(async { cx.step(make("table")).undo(unmake("table")).await }).await.is_err()
    {
        cx.sleep(HOUR, "other wood").await;
    }
    let rests = async {
        cx.sleep(HOUR, "a rest").await;
        Ok(())
    };
    if cx.operation(rests).await.is_err() {
        cx.step(make(restless)).await?;
    }
    Ok(Ending::Completed(Value::Null))
}

fn signalled(definition: Definition) -> Kit<Shop<false>> {
    kit(definition)
        .leaves(["1 table"])
        .passes(HOUR)
        .leaves(["1 table"])
        .signal("agreed", json!("chair"))
        .leaves(["1 chair", "1 table"])
}

#[test]
fn a_page_that_waits_for_a_signal_survives() {
    survives(&signalled(AGREED));
    tells(
        &signalled(AGREED),
        "
        command  shop.open
        step     shop.make  done
        signal   agreed
        timer    the glue
        step     shop.make  done
        done     shop.open
        over     completed
        ",
    );
    let (_, played) = signalled(AGREED).play(&Trouble::default());
    assert_eq!((&played[0].ended, &played[1].ended), (&Ended::Waits, &Ended::Passed));
    assert!(matches!(played[2].ended, Ended::Command(Outcome::Done(_))), "{:?}", played[2]);
    assert!(played[2].before.is_empty(), "it is the command's: {:?}", played[2]);
}

#[test]
fn a_forgotten_undo_is_found_while_a_signal_is_waited_for() {
    let words = words(|| survives(&signalled(FORGETFUL)));
    check(&words, &["step 0 fails after its effect", "shop.open is failed", "1 table"]);
    let (_, played) = signalled(FORGETFUL).play(&Trouble::cancel_after(1));
    assert_eq!(played[0].ended.to_string(), "failed: it was cancelled: nobody wants it any more");
}

#[test]
fn a_signal_that_nobody_waits_for_is_refused() {
    let words = words(|| survives(&kit::<Shop<false>>(GOOD).signal("agreed", json!("chair"))));
    check(&words, &["the signal agreed should go well, and is refused"]);
}

#[test]
fn a_cancel_comes_while_time_passes_too() {
    let life = |definition| kit::<Shop<false>>(definition).passes(HOUR * 9);
    survives(&life(LATE).leaves(["1 table"]));
    let words = words(|| survives(&life(RESTLESS).leaves(["1 table"])));
    check(&words, &["a cancel after", "pass is interrupted by a cancel", "1 bench"]);
}

fn command() -> EntityCommand {
    EntityCommand {
        kind: "shop".into(),
        owner: Owner::new("john").expect("a name"),
        name: "corner".into(),
        verb: "open".into(),
        fields: Map::new(),
        id: "open".into(),
        by: Caller::Api,
    }
}

fn corner() -> EntityKey {
    command().key()
}

/// A shop whose first step is asked for and not carried out.
fn held() -> (Stage<Shop<false>>, RunId, Seq) {
    let trouble = Trouble::default().crash().twice(Twice::All);
    let mut stage = Kit::of(&[GOOD]).stage(&trouble);
    stage.hold("shop");
    let run = stage.give(&command()).expect("it is let in");
    stage.work();
    let [(step, "shop.make")] = stage.open_steps(&run)[..] else { panic!("one step is open") };
    (stage, run, step)
}

fn refused(stage: &mut Stage<Shop<false>>, run: &RunId, order: &RunOrder) -> String {
    stage.order(run, order, "a test").expect_err("it makes no sense").code
}

#[test]
fn a_step_is_edited_and_skipped_by_hand() {
    let (mut stage, run, step) = held();
    let edit = |field: &str| {
        let fields = Map::from_iter([(field.to_owned(), json!("desk"))]);
        RunOrder::Edit { step, fields }
    };
    assert_eq!(refused(&mut stage, &run, &edit("colour")), "step.field-unknown");
    assert_eq!(refused(&mut stage, &run, &RunOrder::Abandon { step }), "step.no-undo");
    stage.order(&run, &edit("thing"), "a test").expect("it is edited");
    stage.let_go("shop");
    assert_eq!(stage.world.things, ["desk"]);
    stage.everything_replays();

    let (mut stage, run, step) = held();
    let skip = RunOrder::Skip { step, answer: json!({}) };
    stage.order(&run, &skip, "a test").expect("it is skipped");
    stage.let_go("shop");
    stage.settle();
    assert_eq!(stage.world.things, ["chair"]);
    assert_eq!(refused(&mut stage, &run, &RunOrder::Terminate), "run.over");
    stage.everything_replays();
}

#[test]
fn a_paused_run_does_nothing_until_it_is_resumed() {
    let (mut stage, run, _) = held();
    assert_eq!(refused(&mut stage, &run, &RunOrder::Resume), "run.not-paused");
    stage.order(&run, &RunOrder::Pause, "a test").expect("it is paused");
    stage.let_go("shop");
    assert!(stage.world.things.is_empty(), "no step");
    stage.order(&run, &RunOrder::Resume, "a test").expect("it is resumed");
    stage.work();
    stage.order(&run, &RunOrder::Pause, "a test").expect("it is paused");
    stage.pass(HOUR);
    assert_eq!(stage.world.things, ["table"], "no timer");
    stage.order(&run, &RunOrder::Retry { step: None }, "a test").expect("it is resumed");
    stage.settle();
    assert_eq!(stage.world.things, ["table", "chair"]);
    stage.everything_replays();
}

#[test]
fn an_undo_is_abandoned_and_a_run_terminated_by_hand() {
    let (mut stage, run, _) = held();
    stage.let_go("shop");
    stage.hold("shop");
    assert!(stage.cancel(&run, "a test"));
    let [(undo, "shop.unmake")] = stage.open_steps(&run)[..] else { panic!("an undo is open") };
    stage.order(&run, &RunOrder::Abandon { step: undo }, "a test").expect("it is given up");
    assert_eq!(stage.world.things, ["table"]);
    let story = stage.story(&corner());
    assert!(story.contains("undo     shop.unmake  abandoned"), "{story}");
    stage.everything_replays();

    let (mut stage, run, _) = held();
    stage.order(&run, &RunOrder::Terminate, "a test").expect("it is terminated");
    stage.let_go("shop");
    let outcome = stage.outcome(&corner(), "open");
    assert!(matches!(outcome, Some(Outcome::Failed(_))), "{outcome:?}");
    assert!(stage.world.things.is_empty());
    stage.everything_replays();
}
