//! Runs of six steps that do nothing, carried out by a worker in another process: what the
//! engine itself costs.

use std::time::Duration;

use serde::Serialize;
use stead_nats::SteadClient;

use super::load::{Measured, Plan, SIX_STEPS, Until, carry};
use super::report::{Processors, Settings, mib, number, per_second, percentile, resident_mib};
use super::start;
use crate::cli::Global;
use crate::cli::demo::SixSteps;
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// How long is measured if no number of runs is given.
const MEASURED_FOR: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    runs: usize,
    in_flight: usize,
    warm_up: usize,
    seconds: f64,
    /// The rate.
    pub runs_per_second: f64,
    appends_per_run: usize,
    appends_per_second: f64,
    /// The client's latency in the median.
    pub p50_ms: f64,
    p99_ms: f64,
    engine_resident_mib_idle: Option<f64>,
    engine_resident_mib: Option<f64>,
    processors: Processors,
    /// What it was measured under.
    pub settings: Settings,
}

/// Carries the measurement out.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &SixSteps,
) -> Result<(), Ended> {
    let report = measured(sandbox, load).await?;
    show(global, &report);
    Ok(())
}

/// Measures on a platform that is not up yet.
pub async fn measured(sandbox: &mut Sandbox, load: &SixSteps) -> Result<Report, Ended> {
    let settings = Settings::new(load.partitions, &load.servers, sandbox.folder()).await?;
    let client = start(sandbox, &load.servers, load.partitions, &["probe"]).await?;
    sandbox.or_broken(measure(sandbox, &client, load, settings)).await
}

async fn measure(
    sandbox: &Sandbox,
    client: &SteadClient,
    load: &SixSteps,
    settings: Settings,
) -> Result<Report, Ended> {
    let in_flight = usize::try_from(load.in_flight).unwrap_or(1);
    let warm_up = load.warm_up.map_or((2 * in_flight).max(500), |runs| runs as usize);
    let until = load.runs.map_or(Until::Elapsed(MEASURED_FOR), |runs| Until::Runs(runs as usize));
    let engine = sandbox.pid("engine");
    let idle = resident_mib(engine);
    let url = sandbox.place()?.url.clone();
    let plan = Plan {
        url,
        prefix: "warm".to_owned(),
        order: SIX_STEPS,
        in_flight,
        until: Until::Runs(warm_up),
    };
    carry(plan.clone()).await?;
    let before = Processors::so_far(sandbox);
    let mut measured = carry(Plan { prefix: "run".to_owned(), until, ..plan }).await?;
    let processors = Processors::so_far(sandbox).since(&before);
    let resident = resident_mib(engine);
    let appends = client.history(&measured.sample).await?.messages.len();
    measured.spans.sort_unstable();
    let Measured { spans, counted, took, .. } = &measured;
    let rate = per_second(*counted, *took);
    Ok(Report {
        what: "runs of six steps that do nothing, worker in its own process",
        runs: spans.len(),
        in_flight,
        warm_up,
        seconds: number(took.as_secs_f64(), 2),
        runs_per_second: number(rate, 0),
        appends_per_run: appends,
        appends_per_second: number(per_second(counted * appends, *took), 0),
        p50_ms: percentile(spans, 50),
        p99_ms: percentile(spans, 99),
        engine_resident_mib_idle: idle,
        engine_resident_mib: resident,
        processors,
        settings,
    })
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { runs, in_flight, seconds, warm_up, .. } = report;
    output::line(&format!(
        "{runs} runs of six steps that do nothing, {in_flight} in flight, {seconds} s after \
         {warm_up} to warm up"
    ));
    output::line(&sheet(&[
        ("  runs/s", report.runs_per_second.to_string()),
        ("  p50", format!("{} ms, from the command to the run's end", report.p50_ms)),
        ("  p99", format!("{} ms", report.p99_ms)),
        (
            "  appends/s",
            format!("{}, {} for each run", report.appends_per_second, report.appends_per_run),
        ),
        (
            "  engine",
            format!(
                "{} resident, {} before the load",
                mib(report.engine_resident_mib),
                mib(report.engine_resident_mib_idle)
            ),
        ),
        ("  processor", report.processors.to_string()),
        ("  measured", report.settings.to_string()),
    ]));
}
