//! The kit itself: that a workflow that keeps no promise is found out, and by what.

mod entities;
mod guide;
mod orders;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::{Done, Step};
use stead_testkit::{Asked, Fault, Kit, Lapse, Trouble, Which, World, answer, survives, tells};

/// Makes one thing.
#[derive(Serialize, Deserialize)]
struct Make {
    thing: String,
}

impl Step for Make {
    const NAME: &'static str = "shop.make";
    type Answer = Done;
}

/// Takes it away.
#[derive(Serialize, Deserialize)]
struct Unmake {
    thing: String,
}

impl Step for Unmake {
    const NAME: &'static str = "shop.unmake";
    type Answer = Done;
}

/// A world in which things are made; `COPIES` of them if it is asked again.
#[derive(Default)]
struct Shop<const COPIES: bool> {
    things: Vec<String>,
    tries: u32,
}

impl<const COPIES: bool> World for Shop<COPIES> {
    fn carry_out(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        self.tries += 1;
        match asked.step {
            Make::NAME => {
                let thing = asked.read::<Make>().thing;
                if thing == "never" || (thing == "later" && self.tries < 5) {
                    return Err(Failure::new(Class::Wait, "not now"));
                }
                if COPIES || !self.things.contains(&thing) {
                    self.things.push(thing);
                }
            }
            Unmake::NAME => {
                let thing = asked.read::<Unmake>().thing;
                if thing == "stuck" {
                    return Err(Failure::new(Class::Permanent, "it does not come off"));
                }
                let found = self.things.iter().position(|known| *known == thing);
                found.map(|at| self.things.remove(at));
            }
            unknown => panic!("the shop does not know the step {unknown}"),
        }
        answer::<Make>(Done {})
    }

    fn things(&self) -> BTreeSet<String> {
        let count = |thing: &String| self.things.iter().filter(|known| known == &thing).count();
        self.things.iter().map(|thing| format!("{} {thing}", count(thing))).collect()
    }
}

fn admit(_: &Admission<'_>) -> Result<Admitted, Refusal> {
    Ok(Admitted { payload: Value::Null, begins: true, interrupts: false })
}

const fn definition(execute: fn(Context) -> stead_core::definition::Execution) -> Definition {
    Definition { kind: "shop", public: true, verbs: &["open"], signals: &[], execute, admit }
}

fn make(thing: &str) -> Make {
    Make { thing: thing.into() }
}

fn unmake(thing: &str) -> Unmake {
    Unmake { thing: thing.into() }
}

async fn open<T>(
    cx: Context,
    body: impl AsyncFnOnce(&Context) -> Result<T, Failure>,
) -> Result<Ending, Failure> {
    let command = cx.next_command().await;
    let opened = cx.operation(body(&cx)).await.map(|_| Value::Null);
    cx.complete(&command, opened.clone());
    opened.map(Ending::Completed)
}

/// A table and a chair, each with its undo.
const GOOD: Definition = definition(|cx| {
    execution(open(cx, async |cx: &Context| {
        cx.step(make("table")).undo(unmake("table")).await?;
        cx.sleep(Duration::from_secs(60), "the glue").await;
        cx.step(make("chair")).undo(unmake("chair")).await
    }))
});

/// The table is never taken back.
const FORGETFUL: Definition = definition(|cx| {
    execution(open(cx, async |cx: &Context| {
        cx.step(make("table")).await?;
        cx.step(make("chair")).undo(unmake("chair")).await
    }))
});

fn kit<W: World>(definition: Definition) -> Kit<W> {
    Kit::of(&[definition]).entity("shop", "john", "corner").command("open", json!({}))
}

/// The words with which `test` fails.
fn words(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it should have failed");
    panic.downcast_ref::<String>().expect("a panic has words").clone()
}

fn check(words: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| words.contains(part)), "{words}");
}

#[test]
fn a_good_workflow_survives() {
    survives(&kit::<Shop<false>>(GOOD).leaves(["1 chair", "1 table"]));
}

#[test]
fn a_forgotten_undo_is_found() {
    let words = words(|| survives(&kit::<Shop<false>>(FORGETFUL)));
    check(&words, &["step 0 fails after its effect", "shop.open is failed", "1 table"]);
}

#[test]
fn a_worker_that_does_not_look_is_found() {
    let words = words(|| survives(&kit::<Shop<true>>(GOOD)));
    check(&words, &["step 0 fails after its effect, every step twice", "1 table"]);
}

#[test]
fn what_should_be_left_is_compared() {
    let words = words(|| survives(&kit::<Shop<false>>(GOOD).leaves(["1 table"])));
    check(&words, &["what shop.open leaves behind", "1 chair"]);
}

#[test]
fn a_workflow_that_cannot_be_replayed_is_found() {
    thread_local!(static LUCK: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    let fickle = definition(|cx| {
        execution(open(cx, async |cx: &Context| {
            let luck = LUCK.with(|luck| luck.replace(luck.get() + 1));
            cx.step(make(&format!("thing {luck}"))).await
        }))
    });
    let words = words(|| survives(&kit::<Shop<false>>(fickle)));
    check(&words, &["decides otherwise", "thing 0", "thing 1"]);
}

#[test]
fn a_step_that_passes_is_asked_again_and_one_that_never_does_is_given_up() {
    let later =
        definition(|cx| execution(open(cx, async |cx: &Context| cx.step(make("later")).await)));
    tells(
        &kit::<Shop<false>>(later),
        "command shop.open\n step shop.make done\n done shop.open\n over completed",
    );
    let never =
        definition(|cx| execution(open(cx, async |cx: &Context| cx.step(make("never")).await)));
    let words = words(|| survives(&kit::<Shop<false>>(never)));
    check(&words, &["shop.open should go well, and is failed: shop.make: not now"]);
}

#[test]
fn an_undo_that_never_succeeds_is_found() {
    let stuck = definition(|cx| {
        execution(open(cx, async |cx: &Context| {
            cx.step(make("stuck")).undo(unmake("stuck")).await?;
            cx.step(make("chair")).await
        }))
    });
    let words = words(|| survives(&kit::<Shop<false>>(stuck)));
    check(&words, &["the undo shop.unmake never succeeds", "it does not come off"]);
}

#[test]
fn a_command_that_is_never_completed_is_found() {
    let silent = definition(|cx| {
        execution(async move {
            cx.show("dreaming", &());
            loop {
                let _forgotten = cx.next_command().await;
            }
        })
    });
    let words = words(|| survives(&kit::<Shop<false>>(silent)));
    check(&words, &["shop.open is never completed; the run is `dreaming`"]);
}

#[test]
fn a_wrong_story_is_shown_beside_the_right_one() {
    let words = words(|| tells(&kit::<Shop<false>>(GOOD), "command shop.open\ndone shop.open"));
    let right = "command  shop.open\nstep     shop.make  done\ntimer    the glue\n\
                 step     shop.make  done\ndone     shop.open\nover     completed\n";
    check(&words, &["from line 2 on", "wanted  done shop.open", "told    step shop.make", right]);
}

#[test]
fn a_fault_strikes_the_first_step_of_its_name_once() {
    let fault = Fault { which: Which::Named("shop.make".into()), lapse: Lapse::AnswerLost };
    let trouble = Trouble { fault: Some(fault), ..Trouble::default() };
    let (stage, played) = kit::<Shop<false>>(GOOD).play(&trouble);
    assert!(played[0].ended.is_well());
    assert_eq!((stage.world.tries, stage.asked()), (3, 2));
}
