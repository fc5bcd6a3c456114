//! Runs of six steps that do nothing, carried out by a worker in another process: what the
//! engine itself costs.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use serde_json::{Map, json};
use stead_nats::SteadClient;
use stead_schemas::command::probe::KIND;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use tokio::time::{Instant, timeout};

use super::report::{Settings, percentile, resident_mib};
use super::start;
use crate::cli::Global;
use crate::cli::demo::SixSteps;
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::processes::broker::version;
use crate::processes::sandbox::Sandbox;

/// Whose runs these are.
const OWNER: &str = "bench";

/// Appends of one run: it begins with one, and each step's answer is one.
const APPENDS: f64 = 7.0;
/// A load that stands still this long is broken.
const STILL: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Report {
    what: &'static str,
    runs: usize,
    in_flight: usize,
    seconds: f64,
    runs_per_second: f64,
    appends_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    engine_resident_mib_idle: Option<f64>,
    engine_resident_mib: Option<f64>,
    settings: Settings,
}

/// Carries the measurement out.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &SixSteps,
) -> Result<(), Ended> {
    let nats_server = version(&load.nats_server).await?;
    let client = start(sandbox, &load.nats_server, load.partitions).await?;
    let in_flight = load.in_flight as usize;
    let runs =
        load.runs.map_or_else(|| (in_flight * 50).clamp(1_000, 15_000), |runs| runs as usize);
    let idle = resident_mib(sandbox.pid("engine"));
    sandbox.or_broken(run(&client, "warm", (runs / 10).max(in_flight), in_flight)).await?;
    let began = Instant::now();
    let mut spans = sandbox.or_broken(run(&client, "run", runs, in_flight)).await?;
    let seconds = began.elapsed().as_secs_f64();
    let resident = resident_mib(sandbox.pid("engine"));
    let settings = Settings::new(load.partitions, nats_server);
    spans.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of runs")]
    let rate = spans.len() as f64 / seconds;
    let report = Report {
        what: "runs of six steps that do nothing, worker in its own process",
        runs: spans.len(),
        in_flight,
        seconds: (seconds * 100.0).round() / 100.0,
        runs_per_second: rate.round(),
        appends_per_second: (rate * APPENDS).round(),
        p50_ms: percentile(&spans, 0.5),
        p99_ms: percentile(&spans, 0.99),
        engine_resident_mib_idle: idle,
        engine_resident_mib: resident,
        settings,
    };
    show(global, &report);
    Ok(())
}

/// Keeps `in_flight` runs going until `runs` are through; returns how long each took, from
/// before it was asked for until its end was heard of.
async fn run(
    client: &SteadClient,
    prefix: &str,
    runs: usize,
    in_flight: usize,
) -> Result<Vec<Duration>, Ended> {
    let owner = Owner::new(OWNER).map_err(|error| Ended::Usage(error.to_string()))?;
    let filter = format!("stead.evt.{}.{KIND}.*.run-completed", owner.token());
    let ends = client.watch(&filter).await;
    let mut ends = ends.map_err(|error| Ended::Unavailable(with_causes(&error)))?;
    let mut begun: HashMap<RunId, Instant> = HashMap::new();
    let mut asking = FuturesUnordered::new();
    let mut spans = Vec::with_capacity(runs);
    let mut next = 0;
    while spans.len() < runs {
        while next < runs && begun.len() < in_flight {
            let name = format!("{prefix}-{next}");
            begun.insert(EntityKey::of(KIND, &owner, &name).run(1), Instant::now());
            asking.push(ask(client, &owner, name));
            next += 1;
        }
        tokio::select! {
            Some(asked) = asking.next(), if !asking.is_empty() => asked?,
            ended = timeout(STILL, ends.next()) => {
                let Ok(Some((subject, _))) = ended else { return Err(still(spans.len(), runs)) };
                let run = subject.split('.').nth(4).and_then(|run| run.parse::<RunId>().ok());
                let began = run.and_then(|run| begun.remove(&run));
                spans.extend(began.map(|began| began.elapsed()));
            }
        }
    }
    Ok(spans)
}

async fn ask(client: &SteadClient, owner: &Owner, name: String) -> Result<(), Ended> {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(name));
    match client.command(owner, KIND, "start", &fields).await? {
        CommandReply::Accepted(_) => Ok(()),
        CommandReply::Refused(refusal) => Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => Err(Ended::Unavailable(words)),
    }
}

fn still(done: usize, runs: usize) -> Ended {
    Ended::Failed(format!("the load stands still: {done} of {runs} runs came through"))
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let mib = |resident: Option<f64>| resident.map_or("?".to_owned(), |mib| format!("{mib} MiB"));
    let Settings { profile, cores, partitions, fsync, nats_server, .. } = &report.settings;
    output::line(&format!(
        "{} runs of six steps, {} in flight: {} runs/s ({} appends/s)\n\
         latency p50 {} ms, p99 {} ms\n\
         engine resident {} ({} idle)\n\
         {profile} build, {cores} cores shared by all, {partitions} partitions, R1, \
         fsync on {fsync}, {nats_server}",
        report.runs,
        report.in_flight,
        report.runs_per_second,
        report.appends_per_second,
        report.p50_ms,
        report.p99_ms,
        mib(report.engine_resident_mib),
        mib(report.engine_resident_mib_idle),
    ));
}
