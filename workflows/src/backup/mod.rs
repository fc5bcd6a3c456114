//! A backup: makes a copy at the times that the site's configuration says, has it proved, and removes
//! copies that have had their time. A copy that is not proved is none: it is told, and tried again.
//!
//! It is told what it is to be by the engines, as pools are. What its copies are made of is in
//! `copies.rs`, what it knows in `state.rs`, and `admit.rs` is the door.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::backup::{BackupOrder, KIND, Taken};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::notice::Topic;
use stead_schemas::step::schedule::{Plan, PlanFirings};

use crate::{as_value, notice};
use state::{Backup, Due};

mod admit;
mod copies;
mod state;

/// How long it may take to be told what a cron expression means.
const PLAN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["keep", "run"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut backup = match cx.carried()? {
        Some(backup) => backup,
        None => begin(&cx).await?,
    };
    loop {
        backup.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&backup)));
        }
        match next(&cx, &backup).await {
            Next::Command(command) if command.verb == "keep" => {
                let order: Option<BackupOrder> = command.read()?;
                cx.complete(&command, Ok(json!({})));
                match order {
                    Some(order) => backup.becomes(order, cx.now()),
                    None => return Ok(Ending::Completed(end(&cx))),
                }
            }
            Next::Command(command) => {
                let outcome = make(&cx, &mut backup).await;
                cx.complete(&command, outcome);
            }
            Next::Due(Due::Plan) => plan(&cx, &mut backup).await,
            Next::Due(Due::Copy) => drop(make(&cx, &mut backup).await),
        }
    }
}

async fn begin(cx: &Context) -> Result<Backup, Failure> {
    let command = cx.next_command().await;
    let backup = Backup::new(command.read()?, cx.now());
    cx.complete(&command, Ok(json!({})));
    Ok(backup)
}

enum Next {
    Command(Command),
    Due(Due),
}

async fn next(cx: &Context, backup: &Backup) -> Next {
    let Some((at, due, reason)) = backup.next() else {
        return Next::Command(cx.next_command().await);
    };
    let command = cx.next_command_within(at.since(cx.now()), reason).await;
    command.map_or(Next::Due(due), Next::Command)
}

async fn plan(cx: &Context, backup: &mut Backup) {
    let (cron, time_zone) = (&backup.order.backup.cron, &backup.order.backup.time_zone);
    let ask = PlanFirings::of_calendar(&cx.owner(), cron, time_zone);
    let ask = ask.between(backup.handled, cx.now());
    let planned: Result<Plan, Failure> =
        cx.operation(async { cx.step(ask).within(PLAN_WITHIN).await }).await;
    if let Err(failure) = &planned {
        let words = format!("it is not known when the next copy is made: {failure}");
        cx.note("backup-not-planned", words, failure);
    }
    backup.planned(cx.now(), planned);
}

/// A copy, proved, and the end of those that have had their time. Old ones go even where the new
/// one came to nothing, or a target that is full would never have room again.
async fn make(cx: &Context, backup: &mut Backup) -> Result<Value, Failure> {
    let copy = copies::name(cx);
    let begun = cx.now();
    backup.begins(begun);
    backup.show_making(cx);
    let made = cx.operation(copies::make(cx, &backup.order, &copy)).await;
    let taken =
        Taken { copy: copy.clone(), begun, proved: None, words: String::new(), bytes: None };
    match &made {
        Ok(proof) => backup.has(cx, taken, proof),
        Err(failure) => backup.has_not(cx, taken, failure),
    }
    if let Some(failure) = made.as_ref().err().filter(|failure| failure.class != Class::Cancelled) {
        let words =
            format!("no copy was made and proved ({} in a row): {failure}", backup.failures);
        notice::tell(cx, Topic::Backup, &words).await;
    }
    if let Some(old) = backup.old(cx.now()) {
        let removed = cx.operation(copies::remove(cx, &backup.order, &copy, old)).await;
        backup.removed(cx, removed);
    }
    made.map(|_| as_value(&backup.last.front()))
}

/// The configuration knows it no more. Whoever wants a copy of it now must declare it again.
fn end(cx: &Context) -> Value {
    cx.show("ended", &Value::Null);
    while let Some(command) = cx.waiting_command() {
        let outcome = if command.verb == "keep" { Ok(json!({})) } else { Err(unknown()) };
        cx.complete(&command, outcome);
    }
    json!({ "phase": "ended" })
}

fn unknown() -> Failure {
    Failure::new(Class::Refused, "the site's configuration knows this backup no more")
}
