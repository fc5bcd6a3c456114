//! `stead replay --all`: every run that lives, and every history in a folder, decided again by
//! this build, before it is let at them.

use std::path::{Path, PathBuf};

use serde_json::json;
use stead_nats::SteadClient;
use stead_schemas::ids::RunId;
use stead_schemas::public::RunState;

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
    /// How many histories were decided again.
    histories: u64,
    /// Which of them would not go on, and why.
    wrong: Vec<(String, String)>,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, golden: Option<&Path>) -> Result<(), Ended> {
    let mut rehearsal = Rehearsal::default();
    let client = client(global).await?;
    for line in client.list_all().await? {
        if matches!(line.state, RunState::Running | RunState::Paused) {
            rehearsal.note(&line.run.to_string(), live(&client, &line.run).await?);
        }
    }
    for file in golden.map(files).transpose()?.unwrap_or_default() {
        let lines = lines(&read(&file)?);
        rehearsal.note(&file.display().to_string(), check(&lines));
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

async fn live(client: &SteadClient, run: &RunId) -> Result<Result<(), String>, Ended> {
    let recorded = client.history(run).await?;
    let lines: Vec<Vec<u8>> = recorded.messages.into_iter().map(|message| message.bytes).collect();
    Ok(check(&lines))
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
    fn note(&mut self, what: &str, result: Result<(), String>) {
        self.histories += 1;
        if let Err(words) = result {
            self.wrong.push((what.to_owned(), words));
        }
    }

    fn conclude(&self, global: &Global) -> Result<(), Ended> {
        if global.json {
            let wrong =
                self.wrong.iter().map(|(of, words)| json!({ "history": of, "words": words }));
            output::json(&json!({
                "build": BUILD, "histories": self.histories, "wrong": wrong.collect::<Vec<_>>(),
            }));
        } else {
            for (of, words) in &self.wrong {
                output::line(&format!("{of}\n{words}\n"));
            }
        }
        if !self.wrong.is_empty() {
            let wrong = u64::try_from(self.wrong.len()).unwrap_or(u64::MAX);
            return Err(Ended::Failed(format!(
                "{BUILD} would not go on with {} of {}; they would be parked",
                counted(wrong, "run"),
                self.histories
            )));
        }
        if !global.json {
            let runs = counted(self.histories, "run");
            output::line(&format!("{BUILD} decides the same in {runs}"));
        }
        Ok(())
    }
}
