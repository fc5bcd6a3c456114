//! `stead copies`: how the backups of the platform stand, and a copy for whoever wants one now.

use stead_schemas::command::backup::{BackupView, KIND, Taken};
use stead_schemas::public::RunView;
use stead_schemas::site::BackupOf;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;

use super::entities::{show, tabulate};
use super::give::{Ending, Order, Told, give};
use super::run::find;
use crate::cli::Global;
use crate::cli::copies::{Copies, Verb};
use crate::exit::Ended;
use crate::story::table::{sheet, table};
use crate::story::words::span;

/// The columns of a list.
const HEAD: [&str; 5] = ["BACKUP", "PHASE", "PROVED", "NEXT", "TROUBLE"];

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Copies) -> Result<(), Ended> {
    let owner = find::owner(Some(PLATFORM))?;
    let command = match &options.verb {
        Verb::List => {
            let none = "there is no backup; write [[backups]] into the configuration";
            return tabulate(global, KIND, none, (HEAD, row)).await;
        }
        Verb::Show { name } => {
            return show(global, (KIND, &owner), name, |run, backup, now, width| {
                shown(&run.summary.name, backup, now, width)
            })
            .await;
        }
        Verb::Run(command) => command,
    };
    let (fields, told) = (command.fields(), Told::Shown(told));
    give(global, &Order { owner: &owner, kind: KIND, verb: "run", command, fields, told }).await
}

fn told(ending: &Ending<'_>) -> String {
    let taken = ending.view.as_ref().and_then(backup_of).and_then(|backup| backup.proved);
    taken.map_or_else(|| "done".to_owned(), |taken| format!("{}: {}", taken.copy, taken.words))
}

fn backup_of(view: &RunView) -> Option<BackupView> {
    serde_json::from_value(view.view.clone()).ok()
}

fn row(view: &RunView, now: Timestamp) -> [String; 5] {
    let (name, phase) = (view.summary.name.clone(), view.summary.phase.clone());
    let Some(backup) = backup_of(view) else {
        return [name, phase, String::new(), String::new(), String::new()];
    };
    let proved = backup.proved.as_ref().and_then(|taken| taken.proved);
    let proved = proved.map_or_else(|| "never".to_owned(), |at| ago(at, now));
    let next = backup.next.map_or_else(String::new, |at| within(at, now));
    [name, phase, proved, next, backup.trouble.unwrap_or_default()]
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.since(at)))
}

fn within(at: Timestamp, now: Timestamp) -> String {
    format!("in {}", span(at.since(now)))
}

fn shown(name: &str, backup: &BackupView, now: Timestamp, width: usize) -> String {
    let mut text = match &backup.proved {
        Some(taken) => {
            let at = ago(taken.proved.unwrap_or(taken.begun), now);
            format!("{name}: the latest copy was proved {at}: {}", taken.words)
        }
        None => format!("{name}: no copy was proved yet"),
    };
    let mut more = Vec::new();
    if let Some(site) = &backup.backup {
        more.push(("of", what(&site.of)));
        more.push(("when", format!("{} in {}", site.cron, site.time_zone)));
        more.push(("kept", format!("{} days, and the latest that was proved", site.keep_days)));
    }
    more.extend(backup.next.map(|at| ("next", within(at, now))));
    let overdue = backup.owed.filter(|owed| *owed < now);
    more.extend(overdue.map(|owed| ("overdue for", span(now.since(owed)))));
    more.extend(backup.trouble.clone().map(|trouble| ("trouble", trouble)));
    more.extend(backup.again_at.map(|at| ("tried again", within(at, now))));
    let counts = backup.counts;
    let counted = format!(
        "{} proved, {} failed, {} removed since",
        counts.proved, counts.failed, counts.removed
    );
    more.push(("copies", counted));
    text.push_str(&format!("\n{}", sheet(&more)));
    if !backup.last.is_empty() {
        let row = |taken: &Taken| {
            let proved = if taken.proved.is_some() { "proved" } else { "failed" };
            [taken.copy.clone(), ago(taken.begun, now), proved.to_owned(), taken.words.clone()]
        };
        let rows: Vec<_> = backup.last.iter().map(row).collect();
        let last = table(["COPY", "BEGUN", "IS", "BECAUSE"], &rows, width);
        text.push_str(&format!("\n\n{last}"));
    }
    text
}

fn what(of: &BackupOf) -> String {
    match of {
        BackupOf::Zfs(zfs) => {
            let on = |nas: &Option<String>| {
                nas.as_ref().map_or_else(String::new, |nas| format!(" on {nas}"))
            };
            let target_nas = zfs.target_nas.clone().or_else(|| zfs.nas.clone());
            format!("{}{}, sent to {}{}", zfs.dataset, on(&zfs.nas), zfs.target, on(&target_nas))
        }
        BackupOf::Guest(guest) => {
            format!("the guest {}, dumped to {}", guest.vmid, guest.storage)
        }
        BackupOf::Job(job) => {
            let namespace = job.namespace.as_deref().unwrap_or_default();
            format!("what the CronJob {namespace}/{} copies", job.cron_job)
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_schemas::command::backup::{BackupView, Counts, Taken};
    use stead_schemas::site::{BackupOf, BackupSite, ZfsBackup};
    use stead_schemas::time::Timestamp;

    use super::shown;

    #[test]
    fn a_backup_says_what_is_proved_and_what_is_not() {
        let minute = |number: i64| Timestamp::from_millis(number * 60_000);
        let good = Taken {
            copy: "stead-homes-1".to_owned(),
            begun: minute(0),
            proved: Some(minute(1)),
            words: "2 datasets have the same snapshot".to_owned(),
            bytes: Some(7),
        };
        let words = "out of space".to_owned();
        let bad = Taken { copy: "stead-homes-2".to_owned(), proved: None, words, ..good.clone() };
        let backup = BackupView {
            backup: Some(BackupSite {
                name: "homes".to_owned(),
                cron: "@hourly".to_owned(),
                time_zone: "UTC".to_owned(),
                keep_days: 7,
                of: BackupOf::Zfs(ZfsBackup {
                    dataset: "tank/home".to_owned(),
                    target: "backup/home".to_owned(),
                    target_nas: Some("nas04".to_owned()),
                    ..ZfsBackup::default()
                }),
            }),
            next: Some(minute(120)),
            owed: Some(minute(60)),
            proved: Some(good.clone()),
            last: vec![Taken { begun: minute(60), ..bad }, good],
            counts: Counts { proved: 1, failed: 1, removed: 0 },
            trouble: Some("out of space".to_owned()),
            again_at: Some(minute(75)),
        };
        let told = shown("homes", &backup, minute(61), 120);
        let lines: Vec<_> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "homes: the latest copy was proved 1 h 0 min ago: 2 datasets have the same snapshot",
                "of tank/home, sent to backup/home on nas04",
                "when @hourly in UTC",
                "kept 7 days, and the latest that was proved",
                "next in 59 min 0 s",
                "overdue for 1 min 0 s",
                "trouble out of space",
                "tried again in 14 min 0 s",
                "copies 1 proved, 1 failed, 0 removed since",
                "",
                "COPY BEGUN IS BECAUSE",
                "stead-homes-2 1 min 0 s ago failed out of space",
                "stead-homes-1 1 h 1 min ago proved 2 datasets have the same snapshot",
            ]
        );
    }
}
