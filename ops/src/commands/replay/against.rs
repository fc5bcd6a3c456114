//! `stead replay --against`: another build of Stead decides on the same history.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::{differ, proven, verdict};
use crate::assemble::BUILD;
use crate::cli::Global;
use crate::commands::source::Source;
use crate::exit::Ended;
use crate::output;

/// How long the other build may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Carries the verb out.
pub async fn carry_out(global: &Global, source: &Source, build: &Path) -> Result<(), Ended> {
    let theirs = asked(source, build).await?;
    let name = theirs["build"].as_str().unwrap_or("the other build").to_owned();
    let ours = verdict(source)?.decisions.err();
    if global.json {
        output::json(&json!({
            "run": source.run, "build": BUILD,
            "divergence": ours.as_ref().map(ToString::to_string), "against": theirs,
        }));
    }
    let this = match &ours {
        Some(divergence) => differ::told(divergence),
        None => proven(source.history.len()),
    };
    if !global.json {
        output::line(&format!("this build: {this}"));
    }
    if theirs["decides_the_same"] == true {
        if !global.json {
            output::line(&format!("{name}, at {}, decides the same", build.display()));
        }
        return ours
            .map_or(Ok(()), |_| Err(Ended::Failed("this build decides otherwise".to_owned())));
    }
    let text = |field: &str| theirs[field].as_str().unwrap_or("nothing").to_owned();
    let said = text("divergence");
    // Its first line says where.
    let place = said.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(n, _)| n);
    let head = format!("{name}, at {}, decides otherwise at {place}", build.display());
    Err(Ended::Failed(match theirs["recorded"].is_string() {
        true => differ::shown(&head, "that build", &text("recorded"), &text("decided")),
        false => format!("{head}: {said}"),
    }))
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
