//! A schedule in words: the next firings, the last ones with what became of them, and counts.

use stead_schemas::command::schedule::{Cause, Counts, Firing, ScheduleView};
use stead_schemas::public::{RunSummary, RunView};
use stead_schemas::time::Timestamp;

use crate::story::table::{sheet, table};
use crate::story::words::{counted, hanging, moment, span};

/// How far the values of a sheet stand from the left.
const SHEET_INDENT: usize = 14;

/// When it fires next.
pub fn next(view: &ScheduleView) -> Option<String> {
    view.next.first().map(|next| format!("{} UTC", moment(*next)))
}

/// Everything about a schedule.
pub fn schedule(run: &RunView, view: &ScheduleView, now: Timestamp, width: usize) -> String {
    let line = &run.summary;
    let holds = &view.schedule;
    let command = &holds.command;
    let fields = serde_json::to_string(&command.fields).unwrap_or_default();
    let fields = if command.fields.is_empty() { String::new() } else { format!(" {fields}") };
    let within = std::time::Duration::from_secs(u64::from(holds.catch_up_within_seconds));
    let next =
        view.next.iter().map(|next| format!("{} UTC, in {}", moment(*next), span(next.since(now))));
    let room = width.saturating_sub(SHEET_INDENT);
    let firings = |firings: &[Firing]| {
        let lines = firings.iter().map(|one| hanging("", &firing(one), room, 2));
        lines.collect::<Vec<_>>().join("\n")
    };
    sheet(&[
        ("schedule", format!("{}/{}", line.owner, line.name)),
        ("run", line.run.to_string()),
        ("state", state(run, view)),
        ("fires", format!("{} in {}", holds.cron, holds.time_zone)),
        ("gives", format!("{}.{} to {}{fields}", command.kind, command.verb, command.name)),
        ("overlap", holds.overlap.word().to_owned()),
        ("catches up", format!("{}, within {}", holds.catch_up.word(), span(within))),
        ("note", holds.note.clone().unwrap_or_default()),
        ("next", next.collect::<Vec<_>>().join("\n")),
        ("running", firings(&view.running)),
        ("waiting", firings(&view.waiting)),
        ("last", firings(&view.last)),
        ("counts", counts(&view.counts)),
    ])
}

fn state(run: &RunView, view: &ScheduleView) -> String {
    match &view.trouble {
        Some(trouble) => format!("{}: {trouble}", run.summary.phase),
        None => run.summary.phase.clone(),
    }
}

/// `2026-06-01 03:00:00 UTC  done, caught up at 2026-06-01 04:10:02 [schedule-…-1:7]`.
fn firing(firing: &Firing) -> String {
    let many = counted(u64::from(firing.firings), "firing");
    let many = match (firing.firings, firing.from) {
        (1, _) => String::new(),
        (_, Some(from)) => format!("{many} from {} up to ", moment(from)),
        (_, None) => format!("{many} up to "),
    };
    let given = firing.given.map_or(String::new(), |given| match firing.cause {
        Cause::Time => String::new(),
        Cause::CaughtUp => format!(", caught up at {}", moment(given)),
        Cause::Trigger => ", triggered".to_owned(),
    });
    let words = firing.words.as_ref().map_or(String::new(), |words| format!(": {words}"));
    let command = firing.command.as_ref().map_or(String::new(), |id| format!(" [{id}]"));
    let (at, outcome) = (moment(firing.at), firing.outcome.word());
    format!("{many}{at} UTC  {outcome}{given}{words}{command}")
}

fn counts(counts: &Counts) -> String {
    let Counts { fired, caught_up, triggered, failed, skipped, missed } = counts;
    format!(
        "{fired} fired ({caught_up} caught up, {triggered} triggered, {failed} failed), \
         {skipped} skipped, {missed} missed"
    )
}

/// The line of a schedule in a list.
pub fn row(line: &RunSummary, view: Option<&ScheduleView>) -> [String; 6] {
    let of = |text: fn(&ScheduleView) -> String| view.map(text).unwrap_or_default();
    [
        line.name.clone(),
        line.phase.clone(),
        of(|view| format!("{} {}", view.schedule.cron, view.schedule.time_zone)),
        of(|view| next(view).unwrap_or_default()),
        of(|view| view.last.first().map_or(String::new(), |last| last.outcome.word().to_owned())),
        of(|view| {
            let command = &view.schedule.command;
            format!("{}.{} to {}", command.kind, command.verb, command.name)
        }),
    ]
}

/// A list of such lines.
pub fn list(rows: &[[String; 6]], width: usize) -> String {
    table(["NAME", "STATE", "FIRES", "NEXT", "LAST", "GIVES"], rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::{counts, firing};

    #[test]
    fn a_firing_reads_like_this() {
        let check = |firing_said: serde_json::Value, text: &str| {
            assert_eq!(firing(&from_value(firing_said).expect("a firing")), text);
        };
        let at = "2026-06-01T03:00:00.000Z";
        check(
            json!({ "at": at, "cause": "time", "outcome": "missed", "firings": 3,
                    "words": "no engine was there in time" }),
            "3 firings up to 2026-06-01 03:00:00 UTC  missed: no engine was there in time",
        );
        check(
            json!({ "at": at, "from": "2026-06-01T01:00:00.000Z", "cause": "time",
                    "outcome": "skipped", "firings": 3, "words": "the schedule was paused" }),
            "3 firings from 2026-06-01 01:00:00 up to 2026-06-01 03:00:00 UTC  skipped: the schedule \
             was paused",
        );
        check(
            json!({ "at": at, "cause": "caught-up", "outcome": "done", "firings": 1,
                    "given": "2026-06-01T04:10:02.000Z", "command": "schedule-x-1:7" }),
            "2026-06-01 03:00:00 UTC  done, caught up at 2026-06-01 04:10:02 [schedule-x-1:7]",
        );
        let none = counts(&Default::default());
        assert_eq!(none, "0 fired (0 caught up, 0 triggered, 0 failed), 0 skipped, 0 missed");
    }
}
