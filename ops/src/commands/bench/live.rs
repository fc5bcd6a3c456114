//! Runs that wait: what they take of the engine's memory, and how soon another engine has taken
//! them up after theirs was killed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Map, json};
use stead_nats::SteadClient;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::{RunState, RunView};
use tokio::time::{Instant, sleep};

use super::load::{Order, Plan, Until, ask, carry, id, owner};
use super::report::{Settings, mib, number, peak_mib, resident_mib};
use super::wanted;
use crate::cli::Global;
use crate::cli::demo::LiveLoad;
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// How many runs are brought to where they wait at once.
const IN_FLIGHT: usize = 256;
/// How many questions are open at once.
const ASKED_AT_ONCE: usize = 64;
/// How many runs are let go on after the kill.
const SAMPLE: usize = 100;
/// How often the new engine is asked whether it has a partition.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// An engine that takes longer than this is broken.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long until the last run has left the engine's memory: it waits ten seconds there, and is
/// looked at every five.
const AT_REST_AFTER: Duration = Duration::from_secs(18);
/// What the runs' names begin with.
const PREFIX: &str = "live";

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    /// How many runs wait.
    pub runs: u32,
    steps: u32,
    engine_resident_mib_idle: Option<f64>,
    /// What the engine took when the last run had just begun to wait.
    engine_resident_mib_busy: Option<f64>,
    /// What the engine takes when all have waited for a while.
    pub engine_resident_mib: Option<f64>,
    /// From the kill until the new engine serves every partition, and so every run in it.
    pub back_seconds: f64,
    /// From the kill until every run has been asked for.
    pub proven_seconds: f64,
    /// How many of the runs were found waiting as before.
    pub found_waiting: usize,
    finished_after: usize,
    engine_resident_mib_after: Option<f64>,
    engine_peak_mib_after: Option<f64>,
    settings: Settings,
}

/// Carries the measurement out.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &LiveLoad,
) -> Result<(), Ended> {
    let report = measured(sandbox, load).await?;
    show(global, &report);
    Ok(())
}

/// Measures on a platform that is not up yet.
pub async fn measured(sandbox: &mut Sandbox, load: &LiveLoad) -> Result<Report, Ended> {
    let settings = Settings::new(load.partitions, &load.servers, sandbox.folder()).await?;
    let wanted = wanted(&load.servers, load.partitions, &["probe"]);
    let client = sandbox.start(&wanted).await?;
    let idle = resident_mib(sandbox.pid("engine"));
    sandbox.or_broken(fill(sandbox, load)).await?;
    let busy = resident_mib(sandbox.pid("engine"));
    let rested = async {
        sleep(AT_REST_AFTER).await;
        Ok(())
    };
    sandbox.or_broken(rested).await?;
    let resident = resident_mib(sandbox.pid("engine"));
    let runs = runs(load)?;

    let killed = Instant::now();
    sandbox.kill_engine(&wanted).await?;
    sandbox.or_broken(until_back(&client, &runs, load.partitions)).await?;
    let back = killed.elapsed();
    let found_waiting = sandbox.or_broken(count_waiting(&client, &runs)).await?;
    let proven = killed.elapsed();
    let engine = sandbox.pid("engine");
    let (after, peak) = (resident_mib(engine), peak_mib(engine));
    let finished_after = sandbox.or_broken(finish(&client, load, &runs)).await?;
    Ok(Report {
        what: "runs that wait for a timer or a command; then the engine is killed",
        runs: load.runs,
        steps: load.steps,
        engine_resident_mib_idle: idle,
        engine_resident_mib_busy: busy,
        engine_resident_mib: resident,
        back_seconds: number(back.as_secs_f64(), 2),
        proven_seconds: number(proven.as_secs_f64(), 2),
        found_waiting,
        finished_after,
        engine_resident_mib_after: after,
        engine_peak_mib_after: peak,
        settings,
    })
}

fn names(load: &LiveLoad) -> impl Iterator<Item = String> {
    (0..load.runs).map(|number| format!("{PREFIX}-{number}"))
}

/// The runs, in the order of their names.
pub fn runs(load: &LiveLoad) -> Result<Vec<RunId>, Ended> {
    names(load).map(|name| Ok(id(&owner()?, &name))).collect()
}

/// Brings the runs to where they wait.
pub async fn fill(sandbox: &Sandbox, load: &LiveLoad) -> Result<(), Ended> {
    let url = sandbox.place()?.url.clone();
    let order = Order { steps: load.steps, waits: true };
    let until = Until::Runs(load.runs as usize);
    carry(Plan { url, prefix: PREFIX.to_owned(), order, in_flight: IN_FLIGHT, until })
        .await
        .map(drop)
}

/// An owner answers only once it has taken up every run of its partition, so that one answer
/// from each partition speaks for all.
async fn until_back(client: &SteadClient, runs: &[RunId], partitions: u16) -> Result<(), Ended> {
    let one_of_each: BTreeMap<Partition, &RunId> =
        runs.iter().map(|run| (run.partition(partitions), run)).collect();
    let deadline = Instant::now() + PATIENCE;
    for run in one_of_each.into_values() {
        while !client.view(run).await.is_ok_and(|view| view.is_some_and(waits)) {
            if Instant::now() > deadline {
                return Err(Ended::Failed(format!("{run} is not taken up")));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn count_waiting(client: &SteadClient, runs: &[RunId]) -> Result<usize, Ended> {
    let views = stream::iter(runs).map(|run| client.view(run)).buffer_unordered(ASKED_AT_ONCE);
    let found =
        views.try_fold(0, async |found, view| Ok(found + usize::from(view.is_some_and(waits))));
    Ok(found.await?)
}

/// Whether a run waits for its timer.
pub fn waits(view: RunView) -> bool {
    view.summary.state == RunState::Running
        && view.waiting.iter().any(|waiting| waiting.what == "timer")
}

/// Lets some of the runs come to their end, and counts those that do.
async fn finish(client: &SteadClient, load: &LiveLoad, runs: &[RunId]) -> Result<usize, Ended> {
    let owner = owner()?;
    let mut finished = 0;
    for (name, run) in names(load).zip(runs).take(SAMPLE) {
        ask(client, &owner, "finish", Map::from_iter([("name".to_owned(), json!(name))])).await?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if client.view(run).await?.is_some_and(|view| view.outcome.is_some()) {
                finished += 1;
                break;
            }
        }
    }
    Ok(finished)
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { runs, steps, found_waiting, finished_after, .. } = report;
    output::line(&format!(
        "{runs} runs that wait for a timer or a command, after {steps} steps each"
    ));
    output::line(&sheet(&[
        (
            "  engine",
            format!(
                "{} resident, {} when the last began to wait, {} without runs",
                mib(report.engine_resident_mib),
                mib(report.engine_resident_mib_busy),
                mib(report.engine_resident_mib_idle)
            ),
        ),
        ("  back", format!("{} s after kill -9 every run is taken up", report.back_seconds)),
        (
            "  proof",
            format!(
                "{} s after it all had been asked for, {found_waiting} waited as before; \
                 {finished_after} of {} came to their end",
                report.proven_seconds,
                SAMPLE.min(*runs as usize)
            ),
        ),
        (
            "  afterwards",
            format!(
                "{} resident, {} at most",
                mib(report.engine_resident_mib_after),
                mib(report.engine_peak_mib_after)
            ),
        ),
        ("  measured", report.settings.to_string()),
    ]));
}
