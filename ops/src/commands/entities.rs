//! Lists one owner's entities of a kind, a line for each life.

use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::time::Timestamp;

use super::run::client;
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
    let mut lines = client(global).await?.list_all().await?;
    lines.retain(|line| line.kind == kind && line.owner == *owner);
    let found = lines.len();
    lines.retain(|line| all || matches!(line.state, RunState::Running | RunState::Paused));
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
