//! `stead ledger`: every resource outside that a run of ours made, for whom, and how it stands.
//!
//! It is folded from the histories in the log and the archive, and from nothing else: no engine is
//! asked, so that it can be had when none runs. `read.rs` reads them.

use serde_json::json;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::touch;
use stead_schemas::time::Timestamp;

use super::run::client;
use crate::cli::Global;
use crate::cli::ledger::{Ledger, List, Verb};
use crate::exit::Ended;
use crate::output;
use crate::story::table::{sheet, table};
use crate::story::words::{counted, moment, span};

mod read;

pub use read::{Book, read};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Ledger) -> Result<(), Ended> {
    match &options.verb {
        Some(Verb::Show { resource, place }) => {
            let book = book(&client(global).await?, place.no_archive).await?;
            show(global, &book, resource)
        }
        None => list(global, &options.list).await,
    }
}

async fn book(client: &SteadClient, no_archive: bool) -> Result<Book, Ended> {
    let book = read(client, no_archive, None).await?;
    if !book.unread.is_empty() {
        let steps: Vec<&str> = book.unread.iter().map(String::as_str).collect();
        output::warn(&format!(
            "this build does not know what these steps make: {}; use a newer Stead",
            steps.join(", ")
        ));
    }
    Ok(book)
}

/// How a line is named: unique, and in the order of the list.
fn name(held: &Held) -> String {
    format!("{}@{}", held.resource.path(), held.run)
}

async fn list(global: &Global, which: &List) -> Result<(), Ended> {
    check(which)?;
    let book = book(&client(global).await?, which.place.no_archive).await?;
    let mut held = book.held;
    held.retain(|held| {
        which.system.as_ref().is_none_or(|system| *system == held.resource.system)
            && which.owner.as_ref().is_none_or(|owner| owner == held.owner.as_str())
            && which.state.is_none_or(|state| state.standing() == held.standing)
            && which.after.as_ref().is_none_or(|after| name(held) > *after)
    });
    held.sort_by_cached_key(name);
    let more = held.len().saturating_sub(which.limit);
    held.truncate(which.limit);
    let after = held.last().map(name).filter(|_| more > 0);
    if global.json {
        output::json(&json!({ "held": held, "after": after, "unread": book.unread }));
        return Ok(());
    }
    output::line(&listed(&held, SystemClock.now(), output::width()));
    if let Some(after) = after {
        let more = counted(u64::try_from(more).unwrap_or(u64::MAX), "more resource");
        output::note(&format!("{more}; see them with --after {after}"));
    }
    Ok(())
}

fn check(which: &List) -> Result<(), Ended> {
    let systems = touch::systems();
    if which.system.as_ref().is_some_and(|system| !systems.contains(&system.as_str())) {
        let known = systems.join(", ");
        return Err(Ended::Usage(format!("nothing is made in such a system; there are {known}")));
    }
    if which.limit == 0 {
        return Err(Ended::Usage("--limit must be at least 1".to_owned()));
    }
    Ok(())
}

fn listed(held: &[Held], now: Timestamp, width: usize) -> String {
    let rows: Vec<[String; 6]> = held
        .iter()
        .map(|held| {
            let seen = held.seen.map_or("never".to_owned(), |seen| span(now.since(seen)));
            let why = if held.why.is_empty() { String::new() } else { format!(": {}", held.why) };
            [
                held.resource.path(),
                format!("{} {}/{}", held.entity, held.owner, held.name),
                held.standing.word().to_owned(),
                span(now.since(held.since)),
                seen,
                format!("{}{why}", held.step),
            ]
        })
        .collect();
    table(["RESOURCE", "FOR", "STATE", "SINCE", "SEEN", "LAST STEP"], &rows, width)
}

fn show(global: &Global, book: &Book, resource: &str) -> Result<(), Ended> {
    let is_it = |held: &&Held| {
        let (path, id) = (held.resource.path(), &held.resource.id);
        name(held) == resource || path == resource || id == resource
    };
    let found: Vec<&Held> = book.held.iter().filter(is_it).collect();
    if found.is_empty() {
        let words = format!("the ledger has no `{resource}`; `stead ledger` lists what there is");
        return Err(Ended::Refused(Refusal::new("ledger.unknown", words).field("resource")));
    }
    if global.json {
        output::json(&found);
        return Ok(());
    }
    let sheets: Vec<String> = found.iter().map(|held| shown(held, SystemClock.now())).collect();
    output::line(&sheets.join("\n\n"));
    Ok(())
}

fn shown(held: &Held, now: Timestamp) -> String {
    let ago = |at| format!("{}, {} ago", moment(at), span(now.since(at)));
    let means = match held.standing {
        Standing::Wanted => "it is there and wanted",
        Standing::Unknown => "it may be there or not: what became of its last step is not known",
        Standing::Debt => "it is being taken away",
        Standing::Left => "nobody takes it away: remove it by hand if it is not wanted",
    };
    sheet(&[
        ("resource", held.resource.path()),
        ("there", held.resource.vendor_id.clone().unwrap_or_default()),
        ("marker", held.marker.clone()),
        ("for", format!("{} {}/{}", held.entity, held.owner, held.name)),
        ("run", held.run.to_string()),
        ("state", format!("{}: {means}", held.standing.word())),
        ("since", ago(held.since)),
        ("seen", held.seen.map_or("never".to_owned(), ago)),
        ("last step", held.step.clone()),
        ("why", held.why.clone()),
    ])
}
