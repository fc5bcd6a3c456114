//! `stead workspace`: gives commands to workspaces, and shows them.

use serde_json::Value;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace::{KIND, WorkspaceView};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::time::Timestamp;

use super::give::{Ending, Order, give};
use super::run::{client, find, show};
use crate::cli::Global;
use crate::cli::fields::Command;
use crate::cli::workspace::{Verb, Workspace};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{counted, span};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Workspace) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| order(&owner, verb, command);
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
        Verb::Configure { command, autostop_minutes, ttl_hours, by_itself } => Order {
            fields: command
                .fields()
                .number("autostop_minutes", autostop_minutes.as_ref())
                .number("ttl_hours", ttl_hours.as_ref())
                .by_itself(by_itself),
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
    give(global, &order).await
}

fn order<'a>(owner: &'a Owner, verb: &'a str, command: &'a Command) -> Order<'a> {
    Order { owner, kind: KIND, verb, command, fields: command.fields(), told }
}

/// A good end in words: where the workspace stands now.
fn told(ending: &Ending<'_>, _result: &Value) -> String {
    let name = ending.entity();
    let took = ending.took().map_or(String::new(), |took| format!(", after {took}"));
    let view = ending.view.as_ref().map(|view| view.view.clone());
    let shown = view.and_then(|view| serde_json::from_value::<WorkspaceView>(view).ok());
    let Some(shown) = shown else { return format!("{name}: {} is done{took}", ending.verb) };
    let size = shown.size;
    let mut facts = vec![format!("{} cores, {} GiB", size.cpu_cores, size.memory_gb)];
    facts.extend(shown.vmid.map(|vmid| format!("VMID {vmid} on {}", shown.node)));
    let home = |home| format!("home {home} ({} GiB)", size.storage_quota_gb);
    facts.extend(shown.home_source.map(home));
    match shown.phase.word() {
        "deleted" => format!("{name} is deleted{took}"),
        phase => format!("{name} is {phase}{took}\n  {}", facts.join("\n  ")),
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
