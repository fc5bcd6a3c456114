//! `stead explain`: what an alert or a refusal means, and what to do. The pages of ops/runbooks are
//! compiled in, so that they are there when nothing else is.

use serde_json::json;

use crate::cli::Global;
use crate::cli::config::Explain;
use crate::exit::Ended;
use crate::output;

/// A page: its code and its text.
type Page = (&'static str, &'static str);

/// The page of a code.
macro_rules! page {
    ($code:literal) => {
        ($code, include_str!(concat!("../../runbooks/", $code, ".md")))
    };
}

/// Every page, by its code.
const PAGES: &[Page] = &[
    page!("AppendConflicts"),
    page!("AppendSlow"),
    page!("AppendStuck"),
    page!("ArchiveLag"),
    page!("BackupOverdue"),
    page!("CommandOld"),
    page!("CommandsWait"),
    page!("EngineAbsent"),
    page!("ForgedAnswers"),
    page!("HistoryLong"),
    page!("NatsDisconnected"),
    page!("NoWorker"),
    page!("OrphansFound"),
    page!("OwnersFlap"),
    page!("PartitionUnowned"),
    page!("PoolShort"),
    page!("ProcessGone"),
    page!("ProcessUnreachable"),
    page!("RunNeedsPerson"),
    page!("RunParked"),
    page!("RunPaused"),
    page!("TimersLate"),
    page!("TokenExpires"),
    page!("UndoOld"),
    page!("VendorDown"),
    page!("VendorRefusesLogin"),
    page!("command.id-reused"),
    page!("kind.unknown"),
    page!("run.parked"),
    page!("workspace.exists"),
    page!("workspace.held"),
];

/// Walks through what nobody wants to do for the first time: an incident, a restore.
const WALKS: [Page; 2] = [page!("first-incident"), page!("restore-a-backup")];

/// Carries the verb out.
pub fn carry_out(global: &Global, options: &Explain) -> Result<(), Ended> {
    let Some(code) = &options.code else {
        list(global);
        return Ok(());
    };
    let Some((code, text)) = find(code) else {
        let words = format!(
            "there is no page for `{code}`: what a refusal says is all there is to it, unless it has a \
             page; `stead explain` lists the pages"
        );
        return Err(Ended::Usage(words));
    };
    match global.json {
        true => output::json(&json!({ "code": code, "page": text })),
        false => output::line(text.trim_end()),
    }
    Ok(())
}

fn list(global: &Global) {
    if global.json {
        return output::json(&all().map(|(code, _)| code).collect::<Vec<_>>());
    }
    let (alerts, refusals): (Vec<Page>, Vec<Page>) =
        PAGES.iter().copied().partition(|(code, _)| is_alert(code));
    for (title, pages) in
        [("To begin with", WALKS.to_vec()), ("Alerts", alerts), ("Refusals", refusals)]
    {
        output::line(&format!("{title}:"));
        pages.iter().for_each(|(code, _)| output::line(&format!("  {code}")));
    }
}

/// The page of a code, however its letters are written.
fn find(code: &str) -> Option<Page> {
    all().find(|(known, _)| known.eq_ignore_ascii_case(code))
}

fn all() -> impl Iterator<Item = Page> {
    PAGES.iter().copied().chain(WALKS)
}

/// Alerts are named by one word, refusals by two with a dot between.
fn is_alert(code: &str) -> bool {
    !code.contains('.')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{PAGES, all, find, is_alert};

    const ALERTS: &str = include_str!("../../alerts/stead.yml");
    const PARTS: [&str; 5] = [
        "## What happened",
        "## Is my data safe?",
        "## What to do",
        "## Usual causes",
        "## Commands",
    ];

    fn alerts() -> BTreeSet<&'static str> {
        ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
    }

    #[test]
    fn every_alert_has_a_page_and_every_page_an_alert_or_a_refusal() {
        let pages: BTreeSet<_> = PAGES.iter().map(|(code, _)| *code).collect();
        let of_alerts: BTreeSet<_> = pages.iter().copied().filter(|code| is_alert(code)).collect();
        assert_eq!(of_alerts, alerts());
        for code in alerts() {
            assert!(ALERTS.contains(&format!("runbook: \"stead explain {code}\"")), "{code}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
        let files = fs::read_dir(folder).expect("the folder of pages");
        let names =
            files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
        let written: BTreeSet<String> = names.collect();
        let known = all().map(|(code, _)| format!("{code}.md")).collect();
        assert_eq!(written, known, "a page is not compiled in");
    }

    #[test]
    fn every_page_answers_the_same_questions() {
        for (code, text) in PAGES {
            assert!(text.starts_with(&format!("# {code}\n")), "{code}");
            let places: Vec<_> = PARTS.iter().map(|part| text.find(part)).collect();
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{code}: {places:?}");
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{code} has long lines");
            for line in text.lines().filter_map(|line| line.strip_prefix("stead explain ")) {
                assert!(find(line).is_some(), "{code} names `{line}`, which has no page");
            }
        }
    }

    #[test]
    fn letters_may_be_small() {
        assert_eq!(find("runpaused").expect("a page").0, "RunPaused");
        assert!(find("nothing").is_none());
    }
}
