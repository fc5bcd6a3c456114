//! Creates on the lab without vendor latency: from the command to an agent that answers.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, json};
use stead_nats::SteadClient;
use stead_schemas::command::workspace::KIND;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunState;
use tokio::time::Instant;

use super::report::{Settings, percentile};
use super::start;
use crate::cli::Global;
use crate::cli::demo::CreateLoad;
use crate::commands::run::follow::{Follower, Until, listen};
use crate::commands::run::screen::Screen;
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// Whose workspaces these are.
const OWNER: &str = "john";

#[derive(Serialize)]
struct Report {
    what: &'static str,
    creates: usize,
    median_ms: f64,
    p99_ms: f64,
    appends_per_create: usize,
    appends_of_the_workspace: usize,
    settings: Settings,
}

/// Carries the measurement out: each workspace is made alone, with its home, and deleted before
/// the next.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &CreateLoad,
) -> Result<(), Ended> {
    let settings = Settings::new(load.partitions, &load.servers, sandbox.folder()).await?;
    let client = start(sandbox, &load.servers, load.partitions, &[]).await?;
    let report = sandbox.or_broken(measure(&client, load.runs, settings)).await?;
    show(global, &report);
    Ok(())
}

async fn measure(client: &SteadClient, runs: u32, settings: Settings) -> Result<Report, Ended> {
    let owner = Owner::new(OWNER).map_err(|error| Ended::Usage(error.to_string()))?;
    let (mut spans, mut all, mut own) = (Vec::new(), 0, 0);
    for number in 0..=runs {
        let name = format!("w{number}");
        let before = appends(client).await?;
        let (span, run) = give(client, &owner, "create", &name).await?;
        // The first one finds every connection cold, and no ledger yet.
        if number > 0 {
            spans.push(span);
            all = appends(client).await? - before;
            own = client.history(&run).await?.messages.len();
        }
        give(client, &owner, "delete", &name).await?;
    }
    spans.sort_unstable();
    Ok(Report {
        what: "workspace.create on the lab without vendor latency, command to ready",
        creates: spans.len(),
        median_ms: percentile(&spans, 50),
        p99_ms: percentile(&spans, 99),
        appends_per_create: all,
        appends_of_the_workspace: own,
        settings,
    })
}

/// How many transitions the log has of the runs that live.
async fn appends(client: &SteadClient) -> Result<usize, Ended> {
    let mut appends = 0;
    for line in client.list_all().await? {
        if line.state == RunState::Running {
            appends += client.history(&line.run).await?.messages.len();
        }
    }
    Ok(appends)
}

async fn give(
    client: &SteadClient,
    owner: &Owner,
    verb: &str,
    name: &str,
) -> Result<(Duration, RunId), Ended> {
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
        Outcome::Done(_) => Ok((span, run)),
        Outcome::Failed(failure) => Err(Ended::Failed(failure.to_string())),
    }
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { creates, appends_per_create, appends_of_the_workspace, .. } = report;
    output::line(&format!(
        "{creates} workspaces, each made alone and deleted before the next; the vendors take no time"
    ));
    output::line(&sheet(&[
        ("  median", format!("{} ms, from the command to ready", report.median_ms)),
        ("  p99", format!("{} ms", report.p99_ms)),
        (
            "  appends",
            format!(
                "{appends_per_create} for each: {appends_of_the_workspace} of the workspace, the \
                 rest of its home and of the VMID ledger"
            ),
        ),
        ("  measured", report.settings.to_string()),
    ]));
}
