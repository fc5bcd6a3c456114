//! A schedule: gives a command to an entity of its owner at the times that a cron expression
//! says, durably, from its creation until it is deleted.
//!
//! `state.rs` is what it knows, `firing.rs` what becomes of a firing, `news.rs` how it waits,
//! `cron.rs` and `calendar.rs` say when, and `admit.rs` is the door.
//!
//! What a time zone means is looked up at the door alone, where a schedule asks for its plan: the
//! answer is in its history. The rules of zones change, and a page must decide the same as before.

use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::schedule::KIND;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;

use crate::as_value;
use news::{News, Open};
use state::State;

pub(crate) mod admit;
pub(crate) mod calendar;
mod cron;
mod firing;
mod news;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["create", "update", "pause", "resume", "trigger", "delete", "plan"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

/// Whether there are such times: for whoever writes down when something is to happen.
///
/// # Errors
/// If one of them is none.
pub fn check_times(cron: &str, time_zone: &str) -> Result<(), Refusal> {
    calendar::Calendar::read(cron, time_zone).map(drop)
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut open = Open::default();
    let mut state = match cx.carried()? {
        Some(state) => state,
        None => create(&cx).await?,
    };
    loop {
        if open.is_quiet() && cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&state)));
        }
        state.go_on(&cx, &mut open);
        state.show(&cx, &open);
        match open.news(&cx, state.alarm(&open)).await {
            News::Command(command) if command.verb == "delete" => {
                return Ok(Ending::Completed(delete(&cx, &command)));
            }
            News::Command(command) => {
                let outcome = carry_out(&cx, &mut state, &mut open, &command);
                cx.complete(&command, outcome);
            }
            News::Ended(firing, result) => state.ended(&cx, &firing, result),
            News::Planned(Some(plan)) => state.planned(&cx, plan),
            News::Planned(None) | News::Alarm | News::Interrupted => {}
        }
    }
}

async fn create(cx: &Context) -> Result<State, Failure> {
    let command = cx.next_command().await;
    let state = State::new(command.read()?, cx.now());
    cx.complete(&command, Ok(json!({ "phase": "active" })));
    Ok(state)
}

fn carry_out(
    cx: &Context,
    state: &mut State,
    open: &mut Open,
    command: &Command,
) -> Result<Value, Failure> {
    match command.verb.as_str() {
        // The door has made the plan.
        "plan" => return Ok(command.payload.clone()),
        "trigger" => return state.trigger(cx, open),
        "update" => state.update(cx, open, command.read()?),
        "pause" => state.pause(cx),
        _ => state.resume(cx, open),
    }
    Ok(json!({ "phase": if state.paused { "paused" } else { "active" } }))
}

/// Whoever asked for a delete meanwhile has what he wanted. A command that was given goes on.
fn delete(cx: &Context, command: &Command) -> Value {
    let gone = json!({ "phase": "deleted" });
    cx.show("deleted", &Value::Null);
    cx.complete(command, Ok(gone.clone()));
    while let Some(command) = cx.waiting_command() {
        if command.verb == "delete" {
            cx.complete(&command, Ok(gone.clone()));
        }
    }
    gone
}
