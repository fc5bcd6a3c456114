//! `stead replay --against`: another build of Stead decides on the same history.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{Verdict, as_json, differ, proven, verdict, wrong};
use crate::cli::Global;
use crate::commands::source::Source;
use crate::exit::Ended;
use crate::output;

/// How long the other build may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What two builds make of a history, in words.
pub(super) struct Compared {
    /// What speaks for it.
    pub good: Vec<String>,
    /// What does not.
    pub wrong: Vec<String>,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, source: &Source, build: &Path) -> Result<(), Ended> {
    let theirs = asked(source, build).await?;
    let ours = verdict(source)?;
    let compared = compared(source.history.len(), &ours, &theirs, build);
    if global.json {
        let mut told = as_json(&source.run, source.history.len(), &ours);
        told["against"] = theirs;
        output::json(&told);
    } else {
        compared.good.iter().for_each(|words| output::line(words));
    }
    match compared.wrong.is_empty() {
        true => Ok(()),
        false => Err(Ended::Failed(compared.wrong.join("\n"))),
    }
}

/// What this build and another one say of a history of so many transitions.
pub(super) fn compared(
    transitions: usize,
    ours: &Verdict,
    theirs: &Value,
    build: &Path,
) -> Compared {
    let (mut good, mut wrongs) = (Vec::new(), Vec::new());
    match wrong(ours) {
        Ok(()) => good.push(format!("this build: {}", proven(transitions))),
        Err(ended) => wrongs.push(format!("this build: {ended}")),
    }
    let name = theirs["build"].as_str().unwrap_or("the other build");
    let name = format!("{name}, at {}", build.display());
    if theirs["chain_is_whole"] != true {
        let words = theirs["chain"].as_str().unwrap_or("it does not say that it is");
        wrongs.push(format!("{name}: the history is not whole: {words}"));
    }
    match theirs["decides_the_same"] == true {
        true => good.push(format!("{name}, decides the same")),
        false => wrongs.push(otherwise(&name, theirs)),
    }
    Compared { good, wrong: wrongs }
}

fn otherwise(name: &str, theirs: &Value) -> String {
    let text = |field: &str| theirs[field].as_str().unwrap_or("nothing").to_owned();
    let said = text("divergence");
    // Its first line says where.
    let place = said.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(n, _)| n);
    let head = format!("{name}, decides otherwise at {place}");
    match theirs["recorded"].is_string() {
        true => differ::shown(&head, "that build", &text("recorded"), &text("decided")),
        false => format!("{head}: {said}"),
    }
}

/// What the other build makes of the history.
async fn asked(source: &Source, build: &Path) -> Result<Value, Ended> {
    let failed = |words: String| Ended::Failed(format!("cannot ask {}: {words}", build.display()));
    let file = tempfile::NamedTempFile::new().map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    for line in &source.lines {
        text.extend(line);
        text.push(b'\n');
    }
    std::fs::write(file.path(), text).map_err(|error| failed(error.to_string()))?;
    let child = tokio::process::Command::new(build)
        .args(["replay", "--json", "--file"])
        .arg(file.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let told = tokio::time::timeout(PATIENCE, child)
        .await
        .map_err(|_| failed(format!("it did not answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| Ended::Usage(format!("cannot start {}: {error}", build.display())))?;
    serde_json::from_slice(&told.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&told.stderr);
        let said = match said.trim() {
            "" => "it says nothing",
            said => said,
        };
        failed(format!("it is no Stead, or one that cannot replay this: {said}"))
    })
}
