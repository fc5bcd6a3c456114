//! `stead workspace`: gives commands to workspaces, and shows them.
//!
//! `outcome.rs` says in words how a command ended.

use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace::KIND;
use stead_schemas::dispatch::{Accepted, CommandReply, Rehearsal, RehearsalReply};
use stead_schemas::event::Outcome;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::time::Timestamp;

use super::run::follow::{Follower, Published, Until, listen};
use super::run::screen::Screen;
use super::run::{accepted, client, find, show};
use crate::cli::Global;
use crate::cli::fields::Fields;
use crate::cli::workspace::{Command, Verb, Workspace};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{counted, span};

mod outcome;

/// A command as it is given.
struct Order<'a> {
    owner: &'a Owner,
    verb: &'a str,
    command: &'a Command,
    fields: Fields,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Workspace) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| Order { owner: &owner, verb, command, fields: command.fields() };
    let order = match &options.verb {
        Verb::List { all } => return list(global, &owner, *all).await,
        Verb::Show { name } => {
            let client = client(global).await?;
            let run = find::latest(&client, KIND, &owner, name).await?;
            return show(global, &client, &run).await;
        }
        Verb::Create { command, template, size, storage_backend, on_failure } => Order {
            fields: command
                .fields()
                .text("template", template.as_ref())
                .size(size)
                .text("storage_backend", storage_backend.as_ref())
                .text("on_failure", on_failure.as_ref()),
            ..order("create", command)
        },
        Verb::Resize { command, size } => {
            Order { fields: command.fields().size(size), ..order("resize", command) }
        }
        Verb::Start(command) => order("start", command),
        Verb::Stop(command) => order("stop", command),
        Verb::Restart(command) => order("restart", command),
        Verb::Rebuild { command, template } => Order {
            fields: command.fields().text("template", template.as_ref()),
            ..order("rebuild", command)
        },
        Verb::Configure { command, autostop_minutes, ttl_hours } => Order {
            fields: command
                .fields()
                .number("autostop_minutes", autostop_minutes.as_ref())
                .number("ttl_hours", ttl_hours.as_ref()),
            ..order("configure", command)
        },
        Verb::Update(command) => order("update", command),
        Verb::Retry { command, change } => {
            Order { fields: command.fields().change(change), ..order("retry", command) }
        }
        Verb::Delete { command, now } => {
            Order { fields: command.fields().flag("now", *now), ..order("delete", command) }
        }
        Verb::Undelete(command) => order("undelete", command),
    };
    match order.command.dry_run {
        true => rehearse(global, &order).await,
        false => give(global, &order).await,
    }
}

/// Says what a command would do.
async fn rehearse(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    let client = client(global).await?;
    let rehearsal = match client.rehearse(order.owner, KIND, order.verb, &order.fields.0).await? {
        RehearsalReply::Rehearsed(rehearsal) => rehearsal,
        RehearsalReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
        RehearsalReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
    };
    if global.json {
        output::json(&rehearsal);
        return Ok(());
    }
    let Rehearsal { run, interrupts, plan, .. } = rehearsal;
    output::line(&format!("{} of {} would be accepted", order.verb, order.command.name));
    if let (true, Some(run)) = (interrupts, run) {
        output::line(&format!("  first, whatever {run} is doing then is stopped and taken back"));
    }
    for line in plan {
        output::line(&format!("  {line}"));
    }
    output::note("nothing has happened; give it again without --dry-run");
    Ok(())
}

/// Gives a command, and follows it if that is wanted.
async fn give(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    let client = client(global).await?;
    // Whoever listens before he asks misses nothing.
    let published = match order.command.wait {
        true => Some(listen(&client, order.owner, KIND).await?),
        false => None,
    };
    let reply = client.command(order.owner, KIND, order.verb, &order.fields.0).await?;
    let accepted = accepted(reply, order.command.id.as_deref())?;
    match published {
        Some(published) => wait(global, &client, order, &accepted, published).await,
        None => {
            tell_accepted(global, order, &accepted);
            Ok(())
        }
    }
}

fn tell_accepted(global: &Global, order: &Order<'_>, accepted: &Accepted) {
    if global.json {
        return output::json(&CommandReply::Accepted(accepted.clone()));
    }
    let Accepted { run, command, repeated, .. } = accepted;
    let before = if *repeated { "had been accepted before" } else { "is accepted" };
    output::line(&format!("{} {before}: run {run}, command {command}", order.verb));
    output::note(&format!(
        "follow it with `stead run watch {run}`, see it with `stead run show {run}`"
    ));
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
    let how = ended?;
    let ending = outcome::Ending {
        run,
        verb: order.verb,
        command: &accepted.command,
        seen: follower.seen(),
        view: client.view(run).await.ok().flatten(),
    };
    if global.json {
        output::json(&ending.as_json(&how));
    }
    match how {
        Outcome::Done(_) if global.json => Ok(()),
        Outcome::Done(_) => {
            output::line(&ending.done());
            Ok(())
        }
        Outcome::Failed(failure) => Err(Ended::Failed(ending.failed(&failure))),
    }
}

async fn list(global: &Global, owner: &Owner, all: bool) -> Result<(), Ended> {
    let mut lines = client(global).await?.list_all().await?;
    lines.retain(|line| line.kind == KIND && line.owner == *owner);
    let found = lines.len();
    lines.retain(|line| all || matches!(line.state, RunState::Running | RunState::Paused));
    lines.sort_by(|one, other| (&one.name, one.started).cmp(&(&other.name, other.started)));
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    if lines.is_empty() {
        output::line(&format!("{owner} has no workspace; `stead workspace create NAME` makes one"));
    } else {
        output::line(&listed(&lines, SystemClock.now(), output::width()));
    }
    if lines.len() < found {
        let gone = u64::try_from(found - lines.len()).unwrap_or(u64::MAX);
        let gone = counted(gone, "workspace");
        output::note(&format!("{gone} that are gone or failed; --all shows them, too"));
    }
    Ok(())
}

/// The word for where a workspace stands; a line of one that is over has none of its own.
fn phase(line: &RunSummary) -> &str {
    match line.state {
        RunState::Running => &line.phase,
        RunState::Completed => "deleted",
        other => other.word(),
    }
}

/// A line for each life of an entity.
pub(super) fn listed(lines: &[RunSummary], now: Timestamp, width: usize) -> String {
    let rows: Vec<[String; 5]> = lines
        .iter()
        .map(|line| {
            [
                line.name.clone(),
                phase(line).to_owned(),
                span(now.since(line.updated)),
                line.run.to_string(),
                line.waiting.clone(),
            ]
        })
        .collect();
    table(["NAME", "PHASE", "FOR", "RUN", "WAITS FOR"], &rows, width)
}
