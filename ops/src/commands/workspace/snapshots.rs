//! What is said of the snapshots of a machine.

use serde_json::Value;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace::KIND;
use stead_schemas::owner::Owner;
use stead_schemas::step::proxmox::snapshots::{SnapshotSeen, SnapshotsSeen};
use stead_schemas::time::Timestamp;

use crate::cli::Global;
use crate::cli::fields::Command;
use crate::commands::give::{Order, Told, give};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{counted, span};

/// Lists them; the answer is waited for.
pub(super) async fn list(global: &Global, owner: &Owner, name: &str) -> Result<(), Ended> {
    let (id, priority) = (None, None);
    let command = Command { name: name.to_owned(), id, priority, wait: true, dry_run: false };
    let (fields, told) = (command.fields(), Told::Result(listed));
    let (kind, verb, command) = (KIND, "snapshots", &command);
    give(global, &Order { owner, kind, verb, command, fields, told }).await
}

/// One is taken.
pub(super) fn taken(name: &str, result: &Value) -> String {
    let snapshot = result["snapshot"].as_str().unwrap_or("it");
    format!("{snapshot} is taken; `stead workspace rollback {name} {snapshot}` goes back to it")
}

/// One is deleted.
pub(super) fn dropped(_: &str, _: &Value) -> String {
    "it is deleted".to_owned()
}

/// All of them, the latest first.
fn listed(name: &str, result: &Value) -> String {
    told(name, result, SystemClock.now())
}

fn told(name: &str, result: &Value, now: Timestamp) -> String {
    let seen: SnapshotsSeen = serde_json::from_value(result.clone()).unwrap_or_default();
    if seen.snapshots.is_empty() {
        return format!("there is no snapshot; `stead workspace snapshot {name}` takes one");
    }
    let row = |one: &SnapshotSeen| {
        let age = one.taken_at.map_or_else(String::new, |at| span(now.since(at)));
        let whose = match (one.is_cut, &one.marker) {
            (true, _) => "not whole",
            (false, Some(_)) => "Stead",
            (false, None) => "others",
        };
        let said = one.description.clone().unwrap_or_default();
        [one.snapshot.clone(), age, whose.to_owned(), said]
    };
    let rows: Vec<_> = seen.snapshots.iter().map(row).collect();
    let mut told = table(["SNAPSHOT", "AGE", "TAKEN BY", "DESCRIPTION"], &rows, output::width());
    if seen.older > 0 {
        let older = counted(u64::from(seen.older), "snapshot");
        told.push_str(&format!("\nbefore them: {older}"));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_schemas::time::Timestamp;

    use super::told;

    #[test]
    fn snapshots_are_told_with_their_ages_and_who_took_them() {
        let now = Timestamp::from_millis(7_200_000);
        let none = told("dev", &json!({ "snapshots": [] }), now);
        assert_eq!(none, "there is no snapshot; `stead workspace snapshot dev` takes one");
        let at = "1970-01-01T01:00:00.000Z";
        let ours =
            json!({ "snapshot": "b", "taken_at": at, "marker": "m", "description": "Debian 12" });
        let (theirs, cut) = (
            json!({ "snapshot": "a", "taken_at": at }),
            json!({ "snapshot": "c", "is_cut": true }),
        );
        let told = told("dev", &json!({ "snapshots": [ours, theirs, cut], "older": 1 }), now);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            told.lines().map(words).collect::<Vec<_>>(),
            [
                "SNAPSHOT AGE TAKEN BY DESCRIPTION",
                "b 1 h 0 min Stead Debian 12",
                "a 1 h 0 min others",
                "c not whole",
                "before them: 1 snapshot"
            ]
        );
    }
}
