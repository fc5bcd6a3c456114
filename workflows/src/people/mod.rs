//! People: who owns workspaces, by the subject that Authentik has for him, and whether he still may.
//! Authentik is asked at intervals. Whoever is disabled there, or gone, has his workspaces stopped and
//! not started any more; nothing of his is taken away.
//!
//! A missing answer is no statement: nothing follows from it. Nor does anything follow from an answer
//! by which too many would be disabled at once, until somebody confirms it.
//!
//! `state.rs` is what is known, `judge.rs` what follows from an answer, `round.rs` what is asked and
//! told, `admit.rs` the door.

use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stead_core::combine::{Either, race};
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::people::{ConfirmPeople, ForgetOwner, KIND, LookAtPeople, PeopleOrder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::people::{Meet, Part, Record};

use crate::as_value;
use round::{Came, Job};
use state::People;

mod admit;
mod judge;
mod round;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["confirm", "forget", "look", "meet", "part", "record"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

/// What has come about.
enum News {
    Command(Command),
    Came(Came),
    Alarm,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut people: People = cx.carried()?.unwrap_or_default();
    let mut job: Option<Job> = None;
    // Whoever wants to know what Authentik says now is told once it was asked after that.
    let (mut askers, mut asking) = (Vec::new(), Vec::new());
    loop {
        people.show(&cx);
        if job.is_none() && !askers.is_empty() && people.has_nobody_to_ask_for() {
            people.looked(&cx);
            answer(&cx, &people, &mut askers);
        }
        if job.is_none() {
            job = round::next(&cx, &mut people, !askers.is_empty());
            if matches!(job, Some(Job::Look(_))) {
                asking.append(&mut askers);
            }
        }
        let is_quiet = job.is_none() && askers.is_empty();
        if is_quiet && cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&people)));
        }
        match news(&cx, &people, &mut job).await {
            News::Alarm => {}
            News::Came(Came::Seen(seen)) => {
                people.judge(&cx, seen);
                answer(&cx, &people, &mut asking);
            }
            News::Came(Came::Told(told)) => people.told(told),
            News::Command(command) => match carry_out(&cx, &mut people, &command) {
                // It is answered when Authentik was.
                Ok(None) => askers.push(command),
                Ok(Some(result)) => cx.complete(&command, Ok(result)),
                Err(failure) => cx.complete(&command, Err(failure)),
            },
        }
    }
}

/// Waits for whatever comes first. What is under way goes on while commands are carried out.
async fn news(cx: &Context, people: &People, job: &mut Option<Job>) -> News {
    if let Some(under_way) = job {
        return match race(under_way.came(), cx.next_command()).await {
            Either::First(came) => {
                *job = None;
                News::Came(came)
            }
            Either::Second(command) => News::Command(command),
        };
    }
    let Some(due) = people.due() else { return News::Command(cx.next_command().await) };
    let reason = "when Authentik is asked next who may own workspaces";
    let command = cx.next_command_within(due.since(cx.now()), reason).await;
    command.map_or(News::Alarm, News::Command)
}

/// What came of a command; nothing as long as Authentik is to be asked first.
fn carry_out(
    cx: &Context,
    people: &mut People,
    command: &Command,
) -> Result<Option<Value>, Failure> {
    let result = match command.verb.as_str() {
        "look" => {
            let LookAtPeople { workspaces, .. } = read(people, command)?;
            people.adopt(cx, workspaces)?;
            return Ok(None);
        }
        "meet" => {
            let Meet { owner, workspace } = read(people, command)?;
            as_value(&people.meet(cx, owner, workspace)?)
        }
        "part" => {
            let Part { owner, workspace } = read(people, command)?;
            people.part(&owner, &workspace);
            as_value(&Done {})
        }
        "record" => {
            let Record { owner, user } = read(people, command)?;
            people.record(cx, &owner, user)?;
            as_value(&Done {})
        }
        "confirm" => {
            let ConfirmPeople { why, .. } = read(people, command)?;
            people.confirm(cx, &why)?
        }
        _ => {
            let ForgetOwner { owner, why, .. } = read(people, command)?;
            people.forget(cx, &owner, &why)?
        }
    };
    Ok(Some(result))
}

/// Reads what is asked, and takes over what the site says.
fn read<T: DeserializeOwned>(people: &mut People, command: &Command) -> Result<T, Failure> {
    let PeopleOrder { ask, authentik } = command.read()?;
    people.configure(authentik);
    Ok(ask)
}

fn answer(cx: &Context, people: &People, askers: &mut Vec<Command>) {
    for command in askers.drain(..) {
        let outcome = match people.trouble() {
            Some(words) => Err(Failure::new(Class::VendorDown, words)),
            None => Ok(json!({ "owners": people.counted(), "doubted": people.doubted() })),
        };
        cx.complete(&command, outcome);
    }
}
