//! Several things at once: joins, races, deadlines, operations inside others, children.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::{Either, all, both, race};
use stead_core::context::Context;
use stead_core::definition::{Ending, Execution};
use stead_core::run::execution;
use stead_core::step_call::StepCall;
use stead_schemas::dispatch::Route;
use stead_schemas::event::{ChangeMarked, Event, StepCancelled};
use stead_schemas::failure::Failure;
use stead_schemas::step::probe::Noop;
use stead_schemas::step::{Done, REQUEST_BYTES_MAX, Step};

use crate::accepted;
use crate::desk::{Desk, definition, owner};

const MINUTE: Duration = Duration::from_secs(60);

fn noop(number: u32) -> Noop {
    Noop { number }
}

/// A command to another entity.
#[derive(Clone, Serialize, Deserialize)]
struct Child {}

impl Step for Child {
    const NAME: &'static str = "child.go";
    type Answer = Done;

    fn route(&self) -> Route {
        Route::Entity { kind: "child".into(), owner: owner(), name: "c".into() }
    }
}

#[test]
fn both_are_asked_at_once_and_waited_for() {
    let (mut desk, told) = Desk::start(|cx| {
        execution(async move {
            let (one, two) =
                both(cx.step(noop(1)).into_future(), cx.step(noop(2)).into_future()).await;
            Ok(Ending::Completed(json!(one.is_ok() && two.is_ok())))
        })
    });
    assert_eq!(told, "1: probe.noop 1, 2: probe.noop 2");
    assert_eq!(desk.done(2), "");
    assert_eq!(desk.done(1), "completed true");
}

#[test]
fn a_fan_out_is_bounded_and_its_results_keep_their_order() {
    let (mut desk, told) = Desk::start(|cx| {
        execution(async move {
            let steps = (1..=4).map(|number| {
                let step = cx.step(noop(number)).into_future();
                async move { step.await.map(|_| number).map_err(|_| number) }
            });
            Ok(Ending::Completed(json!(format!("{:?}", all(2, steps).await))))
        })
    });
    assert_eq!(told, "1: probe.noop 1, 2: probe.noop 2");
    assert_eq!(desk.done(2), "3: probe.noop 3");
    assert_eq!(desk.failed(1), "4: probe.noop 4");
    assert_eq!(desk.done(4), "");
    assert_eq!(desk.done(3), "completed \"[Err(1), Ok(2), Ok(3), Ok(4)]\"");
}

#[test]
fn the_loser_of_a_race_is_dropped() {
    let workflow = |cx: Context| -> Execution {
        execution(async move {
            let won = race(cx.step(noop(1)).into_future(), cx.step(noop(2)).into_future()).await;
            Ok(Ending::Completed(json!(matches!(won, Either::First(_)))))
        })
    };
    let (mut desk, _) = Desk::start(workflow);
    assert_eq!(desk.done(2), "dropped 1, completed false");
    assert_eq!(desk.done(1), "not legal");
    let (mut desk, _) = Desk::start(workflow);
    assert_eq!(desk.done(1), "dropped 2, completed true");
}

#[test]
fn a_deadline_ends_what_it_is_for() {
    let workflow = |cx: Context| -> Execution {
        execution(async move {
            let step = cx.step(noop(1)).into_future();
            let done = cx.within(MINUTE, "a deadline", step).await;
            Ok(Ending::Completed(json!(done.is_some())))
        })
    };
    let (mut desk, told) = Desk::start(workflow);
    assert_eq!(told, "1: probe.noop 1, timer 2: a deadline");
    assert_eq!(desk.fired(2), "dropped 1, completed false");
    let (mut desk, _) = Desk::start(workflow);
    assert_eq!(desk.done(1), "timer 2 dropped, completed true");
}

/// Two operations, one inside the other, and a step that may fail.
fn nested(cx: Context) -> Execution {
    execution(async move {
        let outer = cx.operation(async {
            cx.step(noop(1)).undo(noop(11)).await?;
            let inner = cx.operation(async {
                cx.step(noop(2)).undo(noop(12)).await?;
                cx.step(noop(3)).undo(noop(13)).await
            });
            let inner = inner.await.is_ok();
            cx.step(noop(4)).await.map(|_| inner)
        });
        outer.await.map(|inner| Ending::Completed(json!(inner)))
    })
}

#[test]
fn an_inner_operation_that_fails_is_taken_back_alone() {
    let (mut desk, _) = Desk::start(nested);
    desk.done(1);
    assert_eq!(desk.done(2), "3: probe.noop 3");
    assert_eq!(desk.failed(3), "undo 4: probe.noop 13");
    assert_eq!(desk.done(4), "undo 5: probe.noop 12");
    assert_eq!(desk.done(5), "6: probe.noop 4");
    assert_eq!(desk.done(6), "completed false");
}

#[test]
fn an_inner_operation_that_was_done_is_taken_back_with_the_outer_one() {
    let (mut desk, _) = Desk::start(nested);
    (1..=3).for_each(|seq| drop(desk.done(seq)));
    assert_eq!(desk.failed(4), "undo 5: probe.noop 13");
    assert_eq!(desk.done(5), "undo 6: probe.noop 12");
    assert_eq!(desk.done(6), "undo 7: probe.noop 11");
    assert_eq!(desk.done(7), "failed probe.noop: no");
}

#[test]
fn what_is_being_taken_back_is_taken_back_to_the_end_though_nobody_waits_for_it() {
    let (mut desk, told) = Desk::start(|cx| {
        execution(async move {
            let works = cx.operation(async {
                cx.step(noop(1)).undo(noop(11)).await?;
                cx.step(noop(2)).undo(noop(12)).await
            });
            race(works, cx.sleep(MINUTE, "patience")).await;
            race(cx.take_back(noop(21)), cx.sleep(MINUTE, "more patience")).await;
            Ok(Ending::ContinueAsNew(Value::Null))
        })
    });
    assert_eq!(told, "1: probe.noop 1, timer 2: patience");
    assert_eq!(desk.done(1), "3: probe.noop 2");
    assert_eq!(desk.failed(3), "undo 4: probe.noop 12");
    assert_eq!(desk.fired(2), "undo 5: probe.noop 21, timer 6: more patience");
    assert_eq!(desk.fired(6), "", "both undos are under way");
    assert_eq!(desk.done(4), "undo 7: probe.noop 11", "the last one first, one after the other");
    assert_eq!(desk.done(7), "");
    let anew = desk.done(5);
    assert!(anew.starts_with("continued-as-new"), "{anew}");
}

#[test]
fn a_command_that_comes_while_a_new_beginning_waits_is_carried_out_first() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            if cx.carried::<u32>()?.is_none() {
                let works = cx.operation(async {
                    cx.step(noop(1)).undo(noop(11)).await?;
                    cx.step(noop(2)).await
                });
                race(works, cx.sleep(MINUTE, "patience")).await;
            }
            if let Some(command) = cx.waiting_command() {
                cx.complete(&command, Ok(json!(cx.carried::<u32>()?)));
            } else if cx.carried::<u32>()?.is_some() {
                cx.sleep(MINUTE, "the next command").await;
            }
            Ok(Ending::ContinueAsNew(json!(7)))
        })
    });
    desk.done(1);
    assert_eq!(desk.fired(2), "dropped 3, undo 4: probe.noop 11");
    assert_eq!(desk.fact(accepted(1)), "", "the undo is under way");
    let told = desk.done(4);
    assert!(told.starts_with("command-completed, continued-as-new"), "{told}");
}

#[test]
fn an_undo_that_no_operation_would_carry_out_is_refused_before_anything_is_done() {
    let (_, first) = Desk::start(|cx| {
        execution(async move {
            cx.step(noop(1)).undo(noop(11)).await?;
            Ok(Ending::Completed(Value::Null))
        })
    });
    assert!(first.contains("outside of an operation"), "{first}");
    assert!(first.starts_with("failed"), "{first}");
}

#[test]
fn what_would_come_to_nothing_where_it_is_said_is_refused_before_anything_is_done() {
    let check = |execute: fn(Context) -> Execution, words: &str| {
        let (_, first) = Desk::start(execute);
        assert!(first.starts_with("failed") && first.contains(words), "{first}");
    };
    check(|cx| alone(cx.step(Child {}).cancel_with_parent()), "asked for outside of an operation");
    check(|cx| alone(cx.step(noop(1)).detached()), "a worker's step has an answer");
    let with_parent = |cx: Context| {
        execution(async move {
            let asked = async { cx.step(noop(1)).cancel_with_parent().await };
            cx.operation(asked).await.map(|_| Ending::Completed(Value::Null))
        })
    };
    check(with_parent, "only a command to another entity is cancelled with its parent");
}

/// Asks for one step and nothing else.
fn alone<S: Step + 'static>(call: StepCall<S>) -> Execution {
    execution(async move { call.await.map(|_| Ending::Completed(Value::Null)) })
}

/// A step whose request is as large as it is said to be.
#[derive(Serialize, Deserialize)]
struct Load(String);

impl Step for Load {
    const NAME: &'static str = "probe.load";
    type Answer = Done;
}

#[test]
fn a_request_that_is_too_large_to_travel_fails_with_the_limit_and_is_not_asked_for() {
    for (bytes, asked) in [(REQUEST_BYTES_MAX, true), (REQUEST_BYTES_MAX + 1, false)] {
        let (_, first) = Desk::start(match asked {
            true => |cx| loaded(cx, REQUEST_BYTES_MAX),
            false => |cx| loaded(cx, REQUEST_BYTES_MAX + 1),
        });
        assert_eq!(first.starts_with("1: probe.load"), asked, "{bytes}: {first:.80}");
        let words = format!("has {bytes} bytes, the limit for a step is {REQUEST_BYTES_MAX}");
        assert_eq!(first.contains(&words), !asked, "{first:.200}");
    }
}

/// Asks for a step with a request of so many bytes, the quotes of a JSON text included.
fn loaded(cx: Context, bytes: usize) -> Execution {
    execution(async move {
        cx.step(Load("x".repeat(bytes - 2))).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

#[test]
fn an_operation_that_loses_a_race_is_taken_back_before_the_run_ends() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            let slow = cx.operation(async {
                cx.step(noop(1)).undo(noop(11)).await?;
                cx.step(noop(2)).undo(noop(12)).await
            });
            race(slow, cx.sleep(MINUTE, "patience")).await;
            Ok(Ending::Completed(Value::Null))
        })
    });
    desk.done(1);
    assert_eq!(desk.fired(2), "dropped 3, undo 4: probe.noop 12");
    assert_eq!(desk.done(4), "undo 5: probe.noop 11");
    assert_eq!(desk.done(5), "completed null");
}

#[test]
fn a_cancel_is_not_for_the_next_command_though_something_is_still_taken_back() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            loop {
                let command = cx.next_command().await;
                let slow = cx.operation(async {
                    cx.step(noop(1)).undo(noop(11)).await?;
                    cx.step(noop(2)).await
                });
                let quick = cx.operation(cx.step(noop(3)).into_future());
                let (Either::First(end) | Either::Second(end)) = race(slow, quick).await;
                cx.complete(&command, end.map(|_| Value::Null));
            }
        })
    });
    assert_eq!(desk.fact(accepted(1)), "1: probe.noop 1, 2: probe.noop 3");
    assert_eq!(desk.done(1), "3: probe.noop 2");
    assert_eq!(desk.cancel(), "");
    let stopped = Event::StepCancelled(StepCancelled { seq: 2 });
    assert_eq!(desk.fact(stopped), "dropped 3, command-completed, undo 4: probe.noop 11");
    let told = desk.fact(accepted(2));
    assert_eq!(told, "change-marked, 5: probe.noop 1, 6: probe.noop 3");
    assert!(desk.run.can_cancel(), "it can be cancelled by itself");
    assert_eq!(desk.done(4), "");
    assert!(desk.done(6).contains("dropped 5"), "it is done");
}

#[test]
fn a_cancel_wakes_what_sleeps_inside_an_operation() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            let slow = cx.operation(async {
                cx.step(noop(1)).undo(noop(11)).await?;
                cx.sleep(MINUTE, "patience").await;
                cx.step(noop(2)).await
            });
            slow.await.map(|_| Ending::Completed(Value::Null))
        })
    });
    assert_eq!(desk.done(1), "timer 2: patience");
    assert_eq!(desk.cancel(), "timer 2 dropped, undo 3: probe.noop 11");
    assert_eq!(desk.done(3), "failed it was cancelled: no");
}

#[test]
fn parallel_operations_know_their_own_steps() {
    let (mut desk, told) = Desk::start(|cx| {
        execution(async move {
            let branch = |number: u32| {
                let cx = cx.clone();
                async move {
                    let steps = cx.operation(async {
                        cx.step(noop(number)).undo(noop(number + 10)).await?;
                        cx.step(noop(number + 1)).await
                    });
                    steps.await.is_ok()
                }
            };
            let done = both(branch(1), branch(3)).await;
            Ok(Ending::Completed(json!(done)))
        })
    });
    assert_eq!(told, "1: probe.noop 1, 2: probe.noop 3");
    assert_eq!(desk.done(1), "3: probe.noop 2");
    assert_eq!(desk.done(2), "4: probe.noop 4");
    assert_eq!(desk.failed(3), "undo 5: probe.noop 11");
    assert_eq!(desk.done(4), "");
    assert_eq!(desk.done(5), "completed [false,true]");
}

#[test]
fn a_child_ends_with_its_parent_or_goes_on_as_it_was_asked_for() {
    let (mut desk, told) = Desk::start(|cx| {
        execution(async move {
            let asked = async {
                let child = cx.step(Child {}).cancel_with_parent().into_future();
                race(child, cx.sleep(MINUTE, "patience")).await;
                Ok::<_, Failure>(())
            };
            cx.operation(asked).await?;
            cx.step(Child {}).detached().await?;
            Ok(Ending::Completed(Value::Null))
        })
    });
    assert_eq!(told, "1: child.go, timer 2: patience");
    assert_eq!(desk.fired(2), "dropped 1, 3: child.go, undo 4: entity.cancel-command");
    assert_eq!(desk.done(3), "");
    assert_eq!(desk.done(4), "completed null");
}

#[test]
fn a_child_is_taken_back_with_the_operation_that_asked_for_it() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            let both: Result<_, Failure> = cx
                .operation(async {
                    cx.step(Child {}).cancel_with_parent().await?;
                    cx.step(noop(2)).await
                })
                .await;
            both.map(|_| Ending::Completed(Value::Null))
        })
    });
    desk.done(1);
    assert_eq!(desk.failed(2), "undo 3: entity.cancel-command");
    assert_eq!(desk.done(3), "failed probe.noop: no");
}

fn before(cx: Context) -> Execution {
    execution(async move {
        cx.step(noop(1)).await?;
        cx.step(noop(2)).await?;
        Ok(Ending::Completed(Value::Null))
    })
}

fn after(cx: Context) -> Execution {
    execution(async move {
        cx.step(noop(1)).await?;
        let number = if cx.changed("three") { 3 } else { 2 };
        cx.step(noop(number)).await?;
        Ok(Ending::Completed(json!(cx.changed("three"))))
    })
}

#[test]
fn a_change_holds_for_runs_that_had_not_come_so_far() {
    let (mut old, _) = Desk::start(before);
    old.replays_on(definition(after));
    old.done(1);
    old.replays_on(definition(after));
    old.done(2);
    let (mut new, _) = Desk::start(after);
    assert_eq!(new.done(1), "change-marked, 2: probe.noop 3");
    assert_eq!(new.done(2), "completed true");
    assert!(
        matches!(&new.history[1].events[1], Event::ChangeMarked(ChangeMarked { name }) if name == "three")
    );
}
