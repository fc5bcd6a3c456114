//! `stead lab press`: a developer presses something in the lab's Coder, and reads the build's log.

use std::time::Duration;

use serde_json::json;
use stead_lab::{BuildLog, LabClient};

use super::ended;
use crate::cli::Global;
use crate::cli::lab::Pressed;
use crate::exit::Ended;
use crate::output;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is pressed.
pub struct Order<'a> {
    pub what: Pressed,
    pub workspace: &'a str,
    pub parameters: &'a [String],
    pub template: &'a str,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, lab: &LabClient, order: &Order<'_>) -> Result<(), Ended> {
    let Order { what, workspace, parameters, template } = order;
    let of =
        workspace.rsplit_once('/').filter(|(owner, name)| !(owner.is_empty() || name.is_empty()));
    let of = of.ok_or_else(|| {
        Ended::Usage(format!("`{workspace}` is not a workspace's owner and name, as john/dev"))
    })?;
    let set = |text: &String| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Ended::Usage(format!("`{text}` is no parameter, as cpu_cores=8")))
    };
    let parameters: Vec<_> = parameters.iter().map(set).collect::<Result<_, _>>()?;
    let build = lab.press(what.word(), of, template, &parameters).await.map_err(ended)?;
    let log = follow(lab, &build, global.json).await?;
    if global.json {
        output::json(&json!({ "build": build, "status": log.status, "log": log.lines }));
    }
    match log.status.as_str() {
        "succeeded" => Ok(()),
        status => Err(Ended::Failed(format!("the build in Coder is {status}"))),
    }
}

/// Shows the log until the build has ended.
async fn follow(lab: &LabClient, build: &str, is_silent: bool) -> Result<BuildLog, Ended> {
    let mut shown = 0;
    loop {
        let log = lab.build(build).await.map_err(ended)?;
        let fresh = log.lines.iter().skip(shown).filter(|_| !is_silent);
        fresh.for_each(|line| output::line(line));
        shown = log.lines.len();
        if !["pending", "running", "canceling"].contains(&log.status.as_str()) {
            return Ok(log);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
