//! Creates on the lab without vendor latency: from the command to an agent that answers.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, json};
use stead_nats::SteadClient;
use stead_schemas::command::workspace::KIND;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::event::Outcome;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use tokio::time::Instant;

use super::report::{Settings, percentile};
use super::start;
use crate::cli::Global;
use crate::cli::demo::CreateLoad;
use crate::commands::run::follow::{Follower, Until, listen};
use crate::commands::run::screen::Screen;
use crate::exit::Ended;
use crate::output;
use crate::processes::broker::version;
use crate::processes::sandbox::Sandbox;

#[derive(Serialize)]
struct Report {
    what: &'static str,
    creates: usize,
    median_ms: f64,
    p99_ms: f64,
    appends_of_the_workspace: u64,
    settings: Settings,
}

/// Carries the measurement out: each workspace is made alone, and deleted before the next.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &CreateLoad,
) -> Result<(), Ended> {
    let nats_server = version(&load.nats_server).await?;
    let client = start(sandbox, &load.nats_server, load.partitions).await?;
    let owner = Owner::new("john").map_err(|error| Ended::Usage(error.to_string()))?;
    let (mut spans, mut appends) = (Vec::new(), 0);
    for number in 0..=load.runs {
        let name = format!("w{number}");
        let (span, view) = sandbox.or_broken(give(&client, &owner, "create", &name)).await?;
        // The first one finds every connection cold.
        if number > 0 {
            spans.push(span);
            appends = view.map_or(0, |view| view.summary.transitions);
        }
        sandbox.or_broken(give(&client, &owner, "delete", &name)).await?;
    }
    let settings = Settings::new(load.partitions, nats_server);
    spans.sort_unstable();
    let report = Report {
        what: "workspace.create on the lab without vendor latency, command to ready",
        creates: spans.len(),
        median_ms: percentile(&spans, 0.5),
        p99_ms: percentile(&spans, 0.99),
        appends_of_the_workspace: appends,
        settings,
    };
    show(global, &report);
    Ok(())
}

async fn give(
    client: &SteadClient,
    owner: &Owner,
    verb: &str,
    name: &str,
) -> Result<(Duration, Option<RunView>), Ended> {
    let published = listen(client, owner, KIND).await?;
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(name));
    let began = Instant::now();
    let accepted = match client.command(owner, KIND, verb, &fields).await? {
        CommandReply::Accepted(accepted) => accepted,
        CommandReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
    };
    let run = accepted.run.clone();
    let mut follower = Follower::new(client, accepted.run, published, Screen::new(true));
    let outcome = follower.follow(&Until::Command(accepted.command)).await?;
    let span = began.elapsed();
    match outcome {
        Outcome::Done(_) => Ok((span, client.view(&run).await.ok().flatten())),
        Outcome::Failed(failure) => Err(Ended::Failed(failure.to_string())),
    }
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    output::line(&format!(
        "{} workspaces made one after the other: median {} ms, p99 {} ms from command to ready\n\
         {} appends to the workspace's own history; {} build, {} cores shared by all, fsync on \
         every append, {}",
        report.creates,
        report.median_ms,
        report.p99_ms,
        report.appends_of_the_workspace,
        report.settings.profile,
        report.settings.cores,
        report.settings.nats_server,
    ));
}
