//! `stead schedule`: gives commands to schedules, and shows them.
//!
//! `shown.rs` is a schedule in words.

use serde_json::json;
use stead_nats::SteadClient;
use stead_schemas::command::schedule::{KIND, ScheduleView};
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::Outcome;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView};

use super::entities::show;
use super::give::tell_rehearsal;
use super::run::{accepted, client, find};
use crate::cli::Global;
use crate::cli::fields::Fields;
use crate::cli::schedule::{Command, Schedule, Verb};
use crate::exit::Ended;
use crate::output;

mod shown;

/// A command as it is given.
struct Order<'a> {
    owner: &'a Owner,
    verb: &'a str,
    command: &'a Command,
    fields: Fields,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Schedule) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| Order { owner: &owner, verb, command, fields: command.fields() };
    let order = match &options.verb {
        Verb::List { all } => return list(global, &owner, *all).await,
        Verb::Show { name } => return show(global, (KIND, &owner), name, shown::schedule).await,
        Verb::Create { command, cron, give, to, choices } => Order {
            fields: command
                .fields()
                .text("cron", Some(cron))
                .give(Some(give), Some(to), choices.with.as_ref())
                .choices(choices),
            ..order("create", command)
        },
        Verb::Update { command, cron, give, to, choices } => Order {
            fields: command
                .fields()
                .text("cron", cron.as_ref())
                .give(give.as_ref(), to.as_ref(), choices.with.as_ref())
                .choices(choices),
            ..order("update", command)
        },
        Verb::Pause(command) => order("pause", command),
        Verb::Resume(command) => order("resume", command),
        Verb::Trigger(command) => order("trigger", command),
        Verb::Delete { command, dry_run: true } => {
            let (client, fields) = (client(global).await?, command.fields());
            let reply = client.rehearse(&owner, KIND, "delete", &fields.0).await?;
            return tell_rehearsal(global, reply, &format!("delete of {}", command.name));
        }
        Verb::Delete { command, dry_run: false } => order("delete", command),
    };
    give(global, &order).await
}

/// Gives a command. A schedule carries it out in the moment in which it takes it in, so its
/// outcome is there with the answer.
async fn give(global: &Global, order: &Order<'_>) -> Result<(), Ended> {
    let client = client(global).await?;
    let reply = client.command(order.owner, KIND, order.verb, &order.fields.0).await?;
    let accepted = accepted(reply, order.command.id.as_deref())?;
    let view = find::view(&client, &accepted.run).await?;
    let outcome = outcome_of(&view, &accepted.command);
    if global.json {
        output::json(&json!({
            "run": accepted.run, "command": accepted.command, "repeated": accepted.repeated,
            "outcome": outcome,
        }));
    }
    match outcome {
        Some(Outcome::Failed(failure)) => Err(failure.into()),
        Some(Outcome::Done(_)) | None if global.json => Ok(()),
        Some(Outcome::Done(result)) => {
            output::line(&told(order, &accepted, &result, &view));
            Ok(())
        }
        None => {
            output::line(&format!("{} is accepted: run {}", order.verb, accepted.run));
            Ok(())
        }
    }
}

fn outcome_of(view: &RunView, id: &str) -> Option<Outcome> {
    view.commands.iter().find(|command| command.id == id)?.outcome.clone()
}

fn told(
    order: &Order<'_>,
    accepted: &Accepted,
    result: &serde_json::Value,
    view: &RunView,
) -> String {
    let name = &order.command.name;
    let next = || {
        let view: Option<ScheduleView> = serde_json::from_value(view.view.clone()).ok();
        view.and_then(|view| shown::next(&view))
            .map_or(String::new(), |next| format!("; it fires next at {next}"))
    };
    match (order.verb, result["command"].as_str()) {
        ("trigger", Some(command)) => format!("{name} has fired: command {command}"),
        ("trigger", None) => format!("{name} fires as soon as the command before is done"),
        ("delete", _) => format!("{name} is deleted; what it has given goes on"),
        ("pause", _) => format!("{name} is paused; `stead schedule resume {name}` goes on"),
        _ => format!("{name} is {}, run {}{}", view.summary.phase, accepted.run, next()),
    }
}

async fn list(global: &Global, owner: &Owner, all: bool) -> Result<(), Ended> {
    let client = client(global).await?;
    let mut lines = client.list_kind(KIND, Some(owner)).await?;
    lines.retain(|line| all || line.state == RunState::Running);
    lines.sort_by(|one, other| (&one.name, one.started).cmp(&(&other.name, other.started)));
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    if lines.is_empty() {
        output::line(&format!("{owner} has no schedule; `stead schedule create NAME` makes one"));
        return Ok(());
    }
    let mut rows = Vec::new();
    for line in &lines {
        rows.push(shown::row(line, view_of(&client, line).await.as_ref()));
    }
    output::line(&shown::list(&rows, output::width()));
    Ok(())
}

/// What a schedule that lives shows of itself.
async fn view_of(client: &SteadClient, line: &RunSummary) -> Option<ScheduleView> {
    let view = client.view(&line.run).await.ok().flatten()?;
    serde_json::from_value(view.view).ok()
}
