//! Gives a command to an entity, and follows it until it has an outcome if that is wanted.
//!
//! `ending.rs` says in words how a command ended, `aftermath.rs` what one that failed left.

use serde_json::{Map, Value};
use stead_nats::SteadClient;
use stead_schemas::dispatch::{Accepted, CommandReply, Rehearsal, RehearsalReply};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::step::vmids::PLATFORM;

use super::run::follow::{Follower, Published, Until, listen};
use super::run::screen::Screen;
use super::run::{accepted, client, find};
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::exit::Ended;
use crate::output;

pub mod aftermath;
mod ending;

pub use ending::Ending;

/// A command as it is given.
pub struct Order<'a> {
    /// Whose entity it is for.
    pub owner: &'a Owner,
    /// Which kind of entity.
    pub kind: &'static str,
    /// What is wanted of it.
    pub verb: &'a str,
    /// What was typed of every command.
    pub command: &'a Command,
    /// All that is sent.
    pub fields: Fields,
    /// A good end in words.
    pub told: Told,
}

/// How a good end is told.
pub enum Told {
    /// By its result, for the entity of this name.
    Result(fn(&str, &Value) -> String),
    /// By what the entity shows of itself afterwards.
    Shown(fn(&Ending<'_>) -> String),
}

impl Told {
    fn words(&self, ending: &Ending<'_>, result: &Value) -> String {
        match self {
            Self::Result(told) => told(ending.name, result),
            Self::Shown(told) => told(ending),
        }
    }
}

/// Gives a command, or says what it would do, if that is wanted.
pub async fn give(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    match order.command.dry_run {
        true => rehearse(global, order).await,
        false => send(global, order).await,
    }
}

/// Says what a command would do.
async fn rehearse(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    let client = client(global).await?;
    let reply = client.rehearse(order.owner, order.kind, order.verb, &order.fields.0).await?;
    tell_rehearsal(global, reply, &format!("{} of {}", order.verb, order.command.name))
}

async fn send(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    let client = client(global).await?;
    // Whoever listens before he asks misses nothing.
    let published = match order.command.wait {
        true => Some(listen(&client, order.owner, order.kind).await?),
        false => None,
    };
    let reply = client.command(order.owner, order.kind, order.verb, &order.fields.0).await?;
    let accepted = accepted(reply, order.command.id.as_deref())?;
    match published {
        Some(published) => wait(global, &client, order, &accepted, published).await,
        None if global.json => {
            output::json(&CommandReply::Accepted(accepted));
            Ok(())
        }
        None => {
            let Accepted { run, command, repeated, .. } = accepted;
            let before = if repeated { "had been accepted before" } else { "is accepted" };
            output::line(&format!("{} {before}: run {run}, command {command}", order.verb));
            output::note(&format!(
                "follow it with `stead run watch {run}`, see it with `stead run show {run}`"
            ));
            Ok(())
        }
    }
}

/// Gives a command of the platform's own and follows it to its end. Returns its run and its result.
///
/// # Errors
/// If it is refused or fails, in its own words.
pub async fn carry_out(
    global: &Global,
    client: &SteadClient,
    (kind, verb): (&str, &str),
    fields: &Map<String, Value>,
) -> Result<(RunId, Value), Ended> {
    let owner = find::owner(Some(PLATFORM))?;
    let published = listen(client, &owner, kind).await?;
    let reply = client.command(&owner, kind, verb, fields).await?;
    let accepted = accepted(reply, fields.get("id").and_then(Value::as_str))?;
    let screen = Screen::new(global.json);
    let mut follower = Follower::new(client, accepted.run.clone(), published, screen);
    match follower.follow(&Until::Command(accepted.command)).await? {
        Outcome::Done(result) => Ok((accepted.run, result)),
        Outcome::Failed(failure) => Err(failure.into()),
    }
}

/// Says what a command would do: `what` names it, as `delete of dev`.
pub fn tell_rehearsal(global: &Global, reply: RehearsalReply, what: &str) -> Result<(), Ended> {
    let rehearsal = match reply {
        RehearsalReply::Rehearsed(rehearsal) => rehearsal,
        RehearsalReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
        RehearsalReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
    };
    if global.json {
        output::json(&rehearsal);
        return Ok(());
    }
    let Rehearsal { run, interrupts, plan, .. } = rehearsal;
    output::line(&format!("{what} would be accepted"));
    if let (true, Some(run)) = (interrupts, run) {
        output::line(&format!("  first, whatever {run} is doing then is stopped and taken back"));
    }
    for line in plan {
        output::line(&format!("  {line}"));
    }
    output::note("nothing has happened; give it again without --dry-run");
    Ok(())
}

async fn wait(
    global: &Global,
    client: &SteadClient,
    order: &Order<'_>,
    accepted: &Accepted,
    published: Published,
) -> Result<(), Ended> {
    let run = &accepted.run;
    let screen = Screen::new(global.json);
    let mut follower = Follower::new(client, run.clone(), published, screen);
    let ended = follower.follow(&Until::Command(accepted.command.clone())).await;
    if matches!(ended, Err(Ended::Interrupted)) {
        output::note(&format!("it goes on; follow it with `stead run watch {run}`"));
    }
    let outcome = ended?;
    let after = match outcome {
        Outcome::Done(_) if order.verb != "delete" => None,
        _ => aftermath::read(client, run, &accepted.command).await,
    };
    let ending = Ending {
        run,
        kind: order.kind,
        name: &order.command.name,
        verb: order.verb,
        command: &accepted.command,
        seen: follower.seen(),
        view: client.view(run).await.ok().flatten(),
        after,
    };
    if global.json {
        output::json(&ending.as_json(&outcome));
    }
    match outcome {
        Outcome::Done(_) if global.json => Ok(()),
        Outcome::Done(result) => {
            output::line(&order.told.words(&ending, &result));
            Ok(())
        }
        Outcome::Failed(failure) => Err(Ended::Failed(ending.failed(&failure))),
    }
}
