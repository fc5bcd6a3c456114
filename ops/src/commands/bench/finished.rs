//! Whether runs that are over slow down those that live.

use std::time::Duration;

use serde::Serialize;

use super::load::{Measured, Plan, SIX_STEPS, Until, carry};
use super::report::{Settings, mib, number, per_second, resident_mib};
use super::start;
use crate::cli::Global;
use crate::cli::demo::FinishedLoad;
use crate::exit::Ended;
use crate::output;
use crate::processes::broker::version;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// How long each rate is measured.
const MEASURED_FOR: Duration = Duration::from_secs(15);
/// How many runs come first and are not measured.
const WARM_UP: usize = 3_000;

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    /// How many runs are over.
    pub finished: u32,
    in_flight: u32,
    /// The rate with few runs in the log.
    pub runs_per_second_before: f64,
    /// The rate with all of them in the log.
    pub runs_per_second_after: f64,
    /// The second of the first, in hundredths.
    pub percent: f64,
    filling_seconds: f64,
    engine_resident_mib_before: Option<f64>,
    engine_resident_mib_after: Option<f64>,
    nats_server_resident_mib_after: Option<f64>,
    settings: Settings,
}

/// Carries the measurement out.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &FinishedLoad,
) -> Result<(), Ended> {
    let report = measured(sandbox, load).await?;
    show(global, &report);
    Ok(())
}

/// Measures on a platform that is not up yet.
pub async fn measured(sandbox: &mut Sandbox, load: &FinishedLoad) -> Result<Report, Ended> {
    let nats_server = version(&load.nats_server).await?;
    start(sandbox, &load.nats_server, load.partitions, &["probe"]).await?;
    let settings = Settings::new(load.partitions, nats_server, sandbox.folder());
    sandbox.or_broken(measure(sandbox, load, settings)).await
}

async fn measure(
    sandbox: &Sandbox,
    load: &FinishedLoad,
    settings: Settings,
) -> Result<Report, Ended> {
    let place = sandbox.place()?;
    let plan = |prefix, until| Plan {
        url: place.url.clone(),
        prefix,
        order: SIX_STEPS,
        in_flight: load.in_flight as usize,
        until,
    };
    let rate = |measured: &Measured| per_second(measured.counted, measured.took);
    carry(plan("warm", Until::Runs(WARM_UP))).await?;
    let before = rate(&carry(plan("before", Until::Elapsed(MEASURED_FOR))).await?);
    let engine = sandbox.pid("engine");
    let resident_before = resident_mib(engine);
    let filling = carry(plan("fill", Until::Runs(load.runs as usize))).await?;
    let after = rate(&carry(plan("after", Until::Elapsed(MEASURED_FOR))).await?);
    Ok(Report {
        what: "the rate of six-step runs before and after so many others have ended",
        finished: load.runs,
        in_flight: load.in_flight,
        runs_per_second_before: number(before, 0),
        runs_per_second_after: number(after, 0),
        percent: number(100.0 * after / before.max(0.001), 0),
        filling_seconds: number(filling.took.as_secs_f64(), 0),
        engine_resident_mib_before: resident_before,
        engine_resident_mib_after: resident_mib(engine),
        nats_server_resident_mib_after: resident_mib(Some(place.broker)),
        settings,
    })
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { finished, in_flight, filling_seconds, .. } = report;
    output::line(&format!(
        "six steps, {in_flight} in flight, before and after {finished} runs have ended \
         ({filling_seconds} s)"
    ));
    output::line(&sheet(&[
        ("  before", format!("{} runs/s", report.runs_per_second_before)),
        (
            "  after",
            format!("{} runs/s, {} % of that", report.runs_per_second_after, report.percent),
        ),
        (
            "  memory",
            format!(
                "engine {}, {} before; nats-server {}",
                mib(report.engine_resident_mib_after),
                mib(report.engine_resident_mib_before),
                mib(report.nats_server_resident_mib_after)
            ),
        ),
        ("  measured", report.settings.to_string()),
    ]));
}
