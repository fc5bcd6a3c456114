//! Lists one owner's entities of a kind, a line for each life, and shows one of them.

use serde::de::DeserializeOwned;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView};
use stead_schemas::time::Timestamp;

use super::run::{self, client, find};
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{counted, span};

/// Lists those that live, or `all`; where there is none, `none` says what to do.
pub async fn list(
    global: &Global,
    (kind, owner): (&str, &Owner),
    all: bool,
    none: &str,
) -> Result<(), Ended> {
    let mut lines = client(global).await?.list_kind(kind, Some(owner)).await?;
    let found = lines.len();
    lines.retain(|line| all || line.state.lives());
    lines.sort_by(|one, other| (&one.name, one.started).cmp(&(&other.name, other.started)));
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    match lines.is_empty() {
        true => output::line(&format!("{owner} has no {kind}; {none}")),
        false => output::line(&listed(&lines, SystemClock.now(), output::width())),
    }
    if lines.len() < found {
        let gone = u64::try_from(found - lines.len()).unwrap_or(u64::MAX);
        let gone = counted(gone, kind);
        output::note(&format!("{gone} that are gone or failed; --all shows them, too"));
    }
    Ok(())
}

/// Lists everybody's that live, by name, in a table of what each shows of itself; where there is none,
/// `none` says so.
pub async fn tabulate<const COLUMNS: usize>(
    global: &Global,
    kind: &str,
    none: &str,
    (head, row): ([&str; COLUMNS], impl Fn(&RunView, Timestamp) -> [String; COLUMNS]),
) -> Result<(), Ended> {
    let client = client(global).await?;
    let mut lines = client.list_kind(kind, None).await?;
    lines.retain(|line| line.state.lives());
    lines.sort_by(|one, other| one.name.cmp(&other.name));
    let mut views = Vec::new();
    for line in &lines {
        views.extend(client.view(&line.run).await?);
    }
    if global.json {
        output::json(&views);
        return Ok(());
    }
    if views.is_empty() {
        output::line(none);
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<[String; COLUMNS]> = views.iter().map(|view| row(view, now)).collect();
    output::line(&table(head, &rows, output::width()));
    Ok(())
}

/// Shows one as `told` has it, which is given what the latest life shows of itself, the time and the
/// width there is. A life that is over, or another build's, is shown as any run is.
pub async fn show<V: DeserializeOwned>(
    global: &Global,
    (kind, owner): (&str, &Owner),
    name: &str,
    told: impl FnOnce(&RunView, &V, Timestamp, usize) -> String,
) -> Result<(), Ended> {
    let client = client(global).await?;
    let latest = find::latest(&client, kind, owner, name).await?;
    let view = find::view(&client, &latest).await?;
    if global.json {
        output::json(&view);
        return Ok(());
    }
    match serde_json::from_value::<V>(view.view.clone()) {
        Ok(seen) if view.outcome.is_none() => {
            output::line(&told(&view, &seen, SystemClock.now(), output::width()));
            Ok(())
        }
        _ => run::show(global, &client, &latest).await,
    }
}

/// The word for where an entity stands; a line of one that is over has none of its own.
fn phase(line: &RunSummary) -> &str {
    match line.state {
        RunState::Running => &line.phase,
        RunState::Completed => "deleted",
        other => other.word(),
    }
}

fn listed(lines: &[RunSummary], now: Timestamp, width: usize) -> String {
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
