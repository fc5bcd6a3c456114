//! `stead home`: lists homes, shows one, changes how much it may hold, and looks after its snapshots.

use serde_json::Value;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::owner::Owner;
use stead_schemas::step::home::{KIND, NAME};
use stead_schemas::step::truenas::{SnapshotSeen, SnapshotsSeen};
use stead_schemas::time::Timestamp;

use super::give::{Order, Told, give};
use super::run::{client, find, show};
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::cli::home::{Home, How, Verb};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{counted, span};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Home) -> Result<(), Ended> {
    let owner = || find::owner(options.owner.as_deref());
    match &options.verb {
        Verb::List => list(global).await,
        Verb::Show => {
            let (client, owner) = (client(global).await?, owner()?);
            let run = find::latest(&client, KIND, &owner, NAME).await?;
            show(global, &client, &run).await
        }
        Verb::Resize { quota_gb, how } => {
            let more = |fields: Fields| fields.number("quota_gb", Some(quota_gb));
            ask(global, &owner()?, "quota", &how.command(), more, |_, _| {
                "the home is resized".to_owned()
            })
            .await
        }
        Verb::Snapshots => {
            let how = How { id: None, wait: true, dry_run: false };
            let told = |_: &str, result: &Value| snapshots(result, SystemClock.now());
            ask(global, &owner()?, "snapshots", &how.command(), |fields| fields, told).await
        }
        Verb::Drop { snapshot, how } => {
            let more = |fields: Fields| fields.text("snapshot", Some(snapshot));
            ask(global, &owner()?, "drop", &how.command(), more, |_, _| "it is deleted".to_owned())
                .await
        }
        Verb::Snapshot { snapshot, how } => {
            let more = |fields: Fields| fields.text("snapshot", snapshot.as_ref());
            ask(global, &owner()?, "snapshot", &how.command(), more, taken).await
        }
    }
}

async fn ask(
    global: &Global,
    owner: &Owner,
    verb: &str,
    command: &Command,
    more: impl FnOnce(Fields) -> Fields,
    told: fn(&str, &Value) -> String,
) -> Result<(), Ended> {
    let fields = more(command.fields());
    give(global, &Order { owner, kind: KIND, verb, command, fields, told: Told::Result(told) })
        .await
}

fn taken(_: &str, result: &Value) -> String {
    let name = result["snapshot"].as_str().unwrap_or("it");
    format!("{name} is taken; `stead home snapshots` lists it")
}

/// All snapshots, the latest first.
fn snapshots(result: &Value, now: Timestamp) -> String {
    let seen: SnapshotsSeen = serde_json::from_value(result.clone()).unwrap_or_default();
    if seen.snapshots.is_empty() {
        return "there is no snapshot; `stead home snapshot` takes one".to_owned();
    }
    let row = |one: &SnapshotSeen| {
        let age = one.taken_at.map_or_else(String::new, |at| span(now.since(at)));
        let alone = one.used_bytes.map_or_else(String::new, |bytes| format!("{} MiB", bytes >> 20));
        [one.snapshot.clone(), age, alone]
    };
    let rows: Vec<_> = seen.snapshots.iter().map(row).collect();
    let mut told = table(["SNAPSHOT", "AGE", "KEEPS ALONE"], &rows, output::width());
    if seen.older > 0 {
        told.push_str(&format!(
            "\nand {} that are older",
            counted(u64::from(seen.older), "snapshot")
        ));
    }
    told
}

async fn list(global: &Global) -> Result<(), Ended> {
    let mut lines = client(global).await?.list_kind(KIND, None).await?;
    lines.retain(|line| line.state.lives());
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_schemas::time::Timestamp;

    use super::snapshots;

    #[test]
    fn snapshots_are_told_with_their_ages_and_what_they_alone_keep() {
        let now = Timestamp::from_millis(7_200_000);
        assert!(snapshots(&json!({ "snapshots": [] }), now).starts_with("there is no snapshot"));
        let one = json!({ "snapshot": "a", "taken_at": "1970-01-01T01:00:00.000Z", "used_bytes": 5 << 20 });
        let told = snapshots(&json!({ "snapshots": [one, { "snapshot": "b" }], "older": 2 }), now);
        let lines: Vec<_> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "SNAPSHOT AGE KEEPS ALONE",
                "a 1 h 0 min 5 MiB",
                "b",
                "and 2 snapshots that are older"
            ]
        );
    }
}
