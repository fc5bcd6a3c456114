//! Gives a command to a bucket or a token, and follows it until it has an outcome if that is wanted.

use serde_json::{Value, json};
use stead_nats::SteadClient;
use stead_schemas::dispatch::{Accepted, CommandReply};
use stead_schemas::event::Outcome;
use stead_schemas::owner::Owner;

use super::run::follow::{Follower, Published, Until, listen};
use super::run::screen::Screen;
use super::run::{accepted, client};
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::exit::Ended;
use crate::output;

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
    /// A result in words, for the entity of this name.
    pub told: fn(&str, &Value) -> String,
}

/// Gives a command, and follows it if that is wanted.
pub async fn give(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
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
            output::note(&format!("see what becomes of it with `stead run show {run}`"));
            Ok(())
        }
    }
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
    if global.json {
        let (run, command) = (&accepted.run, &accepted.command);
        output::json(&json!({ "run": run, "command": command, "outcome": outcome }));
    }
    match outcome {
        Outcome::Done(_) if global.json => Ok(()),
        Outcome::Done(result) => {
            output::line(&(order.told)(&order.command.name, &result));
            Ok(())
        }
        Outcome::Failed(failure) => Err(failure.into()),
    }
}
