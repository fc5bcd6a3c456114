//! `stead replay --all`: every run that lives, every history that is kept for ever, and every one
//! in a folder, decided again by this build, before it is let at them.

use std::path::{Path, PathBuf};

use serde_json::json;
use stead_nats::SteadClient;
use stead_schemas::ids::RunId;

use super::kept::KEPT;
use super::{client, judge, wrong};
use crate::assemble::BUILD;
use crate::bundle::pack::lines;
use crate::cli::Global;
use crate::commands::source::{decoded, read};
use crate::exit::Ended;
use crate::output;
use crate::story::words::counted;

/// What a rehearsal came to.
#[derive(Default)]
struct Rehearsal {
    /// How many histories of runs that live were decided again.
    live: u64,
    /// How many others.
    kept: u64,
    /// Which of them would not go on, and why.
    wrong: Vec<(String, String)>,
    /// Which could not be read, so that nothing is known of them, and why.
    unread: Vec<(String, String)>,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, golden: Option<&Path>) -> Result<(), Ended> {
    let mut rehearsal = Rehearsal::default();
    let client = client(global).await?;
    for line in client.list_all().await? {
        if line.state.lives() {
            rehearsal.live += 1;
            rehearsal.note(&line.run.to_string(), live(&client, &line.run).await);
        }
    }
    rehearsal.note_kept();
    for file in golden.map(files).transpose()?.unwrap_or_default() {
        rehearsal.kept += 1;
        rehearsal.note(&file.display().to_string(), read(&file).map(|bytes| lines(&bytes)));
    }
    rehearsal.conclude(global)
}

/// The histories in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Ended> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Ended::Usage(format!("cannot read {}: {error}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    Ok(files)
}

async fn live(client: &SteadClient, run: &RunId) -> Result<Vec<Vec<u8>>, Ended> {
    let recorded = client.history(run).await?;
    Ok(recorded.messages.into_iter().map(|message| message.bytes).collect())
}

fn check(lines: &[Vec<u8>]) -> Result<(), String> {
    let verdict = decoded(lines).and_then(|history| {
        let first = history.first().map(|first| first.run.clone());
        let run = first.ok_or_else(|| Ended::Failed("there is no transition in it".to_owned()))?;
        judge(&run, lines, &history)
    });
    verdict.and_then(|verdict| wrong(&verdict)).map_err(|ended| ended.to_string())
}

impl Rehearsal {
    /// Decides a history again, if it could be read. One that could not ends nothing: the others
    /// are to be known all the more.
    fn note(&mut self, what: &str, history: Result<Vec<Vec<u8>>, Ended>) {
        match history.map(|lines| check(&lines)) {
            Ok(Ok(())) => {}
            Ok(Err(words)) => self.wrong.push((what.to_owned(), words)),
            Err(ended) => self.unread.push((what.to_owned(), ended.to_string())),
        }
    }

    /// Decides the histories again that are kept for ever.
    fn note_kept(&mut self) {
        for (name, history) in KEPT {
            self.kept += 1;
            self.note(&format!("the kept history {name}"), Ok(lines(history)));
        }
    }

    fn conclude(&self, global: &Global) -> Result<(), Ended> {
        if global.json {
            let listed = |those: &[(String, String)]| -> Vec<_> {
                those.iter().map(|(of, words)| json!({ "history": of, "words": words })).collect()
            };
            output::json(&json!({
                "build": BUILD, "histories": self.live + self.kept, "live": self.live,
                "wrong": listed(&self.wrong), "unread": listed(&self.unread),
            }));
        } else {
            for (of, words) in self.wrong.iter().chain(&self.unread) {
                output::line(&format!("{of}\n{words}\n"));
            }
        }
        let verdict = self.verdict().map_err(Ended::Failed)?;
        if !global.json {
            output::line(&verdict);
        }
        Ok(())
    }

    /// What it came to, in a sentence; an error if not every run would go on.
    fn verdict(&self) -> Result<String, String> {
        let many = |those: &[_]| u64::try_from(those.len()).unwrap_or(u64::MAX);
        let all = self.live + self.kept;
        let mut words = Vec::new();
        if !self.wrong.is_empty() {
            words.push(format!(
                "{BUILD} would not go on with {} of {}; they would be parked",
                counted(many(&self.wrong), "run"),
                all
            ));
        }
        if !self.unread.is_empty() {
            words.push(format!(
                "{} of {} could not be read, and nothing is known of what {BUILD} makes of them",
                counted(many(&self.unread), "run"),
                all
            ));
        }
        match words.is_empty() {
            true => Ok(format!(
                "{BUILD} decides the same in {} that live and {} that are kept",
                counted(self.live, "run"),
                self.kept
            )),
            false => Err(words.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, Rehearsal, lines};

    #[test]
    fn a_history_that_cannot_be_read_is_named_and_the_others_are_decided() {
        let probe = include_bytes!("../../../../schemas/tests/golden/probe-life.jsonl");
        let other = String::from_utf8_lossy(probe).replace("probe.noop", "probe.other");
        let mut rehearsal = Rehearsal { live: 3, ..Rehearsal::default() };
        rehearsal.note("a", Err(Ended::Failed("it is damaged".to_owned())));
        rehearsal.note("b", Ok(lines(probe)));
        assert!(rehearsal.wrong.is_empty(), "{:?}", rehearsal.wrong);
        rehearsal.note("c", Ok(lines(other.as_bytes())));
        let names = |those: &[(String, String)]| -> Vec<_> {
            those.iter().map(|(of, _)| of.clone()).collect()
        };
        assert_eq!(
            (names(&rehearsal.unread), names(&rehearsal.wrong)),
            (vec!["a".to_owned()], vec!["c".to_owned()])
        );
        let words = rehearsal.verdict().expect_err("it is no success");
        assert!(words.contains("would not go on with 1 run of 3"), "{words}");
        assert!(words.contains("1 run of 3 could not be read"), "{words}");
    }

    #[test]
    fn a_run_of_a_kind_that_this_build_does_not_have_would_be_parked() {
        let probe = include_bytes!("../../../../schemas/tests/golden/probe-life.jsonl");
        let other = String::from_utf8_lossy(probe).replace("\"probe-", "\"dragon-");
        let mut rehearsal = Rehearsal { live: 1, ..Rehearsal::default() };
        rehearsal.note("a", Ok(lines(other.as_bytes())));
        let (_, words) = &rehearsal.wrong[0];
        assert!(words.contains("has no workflow `dragon`"), "{words}");
        assert!(rehearsal.verdict().is_err());
    }

    #[test]
    fn what_is_kept_for_ever_is_decided_the_same() {
        let mut rehearsal = Rehearsal::default();
        rehearsal.note_kept();
        assert!(rehearsal.kept > 0);
        let verdict = rehearsal.verdict();
        assert!(verdict.is_ok(), "{verdict:?}: {:?}", rehearsal.wrong);
    }
}
