//! `stead home`: lists homes, shows one, and keeps it in a snapshot.

use serde_json::{Map, Value, json};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::public::RunState;
use stead_schemas::step::home::{KIND, NAME};

use super::run::{accepted, client, find, show};
use crate::cli::Global;
use crate::cli::home::{Home, Verb};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::span;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Home) -> Result<(), Ended> {
    match &options.verb {
        Verb::List => list(global).await,
        Verb::Show => {
            let owner = find::owner(options.owner.as_deref())?;
            let client = client(global).await?;
            let run = find::latest(&client, KIND, &owner, NAME).await?;
            show(global, &client, &run).await
        }
        Verb::Snapshot { snapshot, id } => {
            let mut fields = Map::from_iter([("name".to_owned(), json!(NAME))]);
            let said = [("snapshot", snapshot), ("id", id)];
            let said = said.into_iter().filter_map(|(field, text)| {
                text.as_ref().map(|text| (field.to_owned(), Value::from(text.as_str())))
            });
            fields.extend(said);
            give(global, options, &fields).await
        }
    }
}

async fn give(global: &Global, options: &Home, fields: &Map<String, Value>) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let reply = client(global).await?.command(&owner, KIND, "snapshot", fields).await?;
    let accepted = accepted(reply, fields.get("id").and_then(Value::as_str))?;
    if global.json {
        output::json(&accepted);
    } else {
        output::line(&format!("snapshot is accepted: run {}", accepted.run));
        output::note("`stead home show` shows it once it is there");
    }
    Ok(())
}

async fn list(global: &Global) -> Result<(), Ended> {
    let mut lines = client(global).await?.list_all().await?;
    lines.retain(|line| {
        line.kind == KIND && matches!(line.state, RunState::Running | RunState::Paused)
    });
    lines.sort_by(|one, other| one.owner.cmp(&other.owner));
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<[String; 4]> = lines
        .iter()
        .map(|line| {
            let since = span(now.since(line.updated));
            [line.owner.to_string(), line.phase.clone(), since, line.waiting.clone()]
        })
        .collect();
    output::line(&table(["OWNER", "PHASE", "FOR", "WAITS FOR"], &rows, output::width()));
    Ok(())
}
