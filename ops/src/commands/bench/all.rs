//! Every figure of the engine in one report, beside its target. Each is measured on a platform
//! of its own.

use serde::Serialize;

use super::{finished, live, replay, six_steps};
use crate::cli::Global;
use crate::cli::demo::{FinishedLoad, LiveLoad, LongHistory, ReportSizes, SixSteps};
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::table;

/// The partitions of each platform.
const PARTITIONS: u16 = 8;
/// The steps of a run before it waits.
const STEPS: u32 = 2;

/// One line: what was measured, the target, and what came of it.
#[derive(Serialize)]
struct Figure {
    what: String,
    target: &'static str,
    measured: String,
    reached: bool,
}

/// Carries all measurements out.
pub async fn carry_out(global: &Global, sizes: &ReportSizes) -> Result<(), Ended> {
    let mut figures = rates(sizes).await?;
    figures.extend(crowds(sizes).await?);
    figures.push(one_history().await?);
    if global.json {
        output::json(&figures);
        return Ok(());
    }
    let rows: Vec<[String; 4]> = figures
        .into_iter()
        .map(|Figure { what, target, measured, reached }| {
            let reached = if reached { "yes" } else { "no" };
            [what, target.to_owned(), measured, reached.to_owned()]
        })
        .collect();
    output::line(&table(["WHAT", "TARGET", "MEASURED", "REACHED"], &rows, output::width()));
    Ok(())
}

async fn rates(sizes: &ReportSizes) -> Result<Vec<Figure>, Ended> {
    let load = |in_flight, runs| SixSteps {
        nats_server: sizes.nats_server.clone(),
        in_flight,
        runs: Some(runs),
        warm_up: None,
        partitions: PARTITIONS,
    };
    let many =
        alone(async |sandbox| six_steps::measured(sandbox, &load(256, 15_000)).await).await?;
    let one = alone(async |sandbox| six_steps::measured(sandbox, &load(1, 1_500)).await).await?;
    Ok(vec![
        Figure {
            what: "six remote steps, 256 in flight".to_owned(),
            target: ">= 1000 runs/s",
            measured: format!("{} runs/s", many.runs_per_second),
            reached: many.runs_per_second >= 1_000.0,
        },
        Figure {
            what: "six remote steps, one at a time, p50".to_owned(),
            target: "<= 5 ms",
            measured: format!("{} ms", one.p50_ms),
            reached: one.p50_ms <= 5.0,
        },
    ])
}

async fn crowds(sizes: &ReportSizes) -> Result<Vec<Figure>, Ended> {
    let load = |runs| LiveLoad {
        nats_server: sizes.nats_server.clone(),
        runs,
        steps: STEPS,
        partitions: PARTITIONS,
    };
    let over = FinishedLoad {
        nats_server: sizes.nats_server.clone(),
        runs: sizes.finished,
        in_flight: 256,
        partitions: PARTITIONS,
    };
    let held = alone(async |sandbox| live::measured(sandbox, &load(sizes.live)).await).await?;
    let back = alone(async |sandbox| live::measured(sandbox, &load(sizes.killed)).await).await?;
    let after = alone(async |sandbox| finished::measured(sandbox, &over).await).await?;
    let resident = held.engine_resident_mib.unwrap_or(f64::INFINITY);
    Ok(vec![
        Figure {
            what: format!("engine resident with {} live runs", held.runs),
            target: "<= 150 MB",
            measured: format!("{resident} MiB"),
            reached: resident * 1.048_576 <= 150.0,
        },
        Figure {
            what: format!("{} live runs back after kill -9", back.runs),
            target: "<= 10 s",
            measured: format!(
                "{} s; all asked for by {} s, {} waited",
                back.back_seconds, back.proven_seconds, back.found_waiting
            ),
            reached: back.back_seconds <= 10.0 && back.found_waiting == back.runs as usize,
        },
        Figure {
            what: format!("rate with {} finished runs in the log", after.finished),
            target: ">= 90 %",
            measured: format!("{} % ({} runs/s)", after.percent, after.runs_per_second_after),
            reached: after.percent >= 90.0,
        },
    ])
}

async fn one_history() -> Result<Figure, Ended> {
    let long = replay::measured(&LongHistory { events: 10_000, nats_server: None }).await?;
    Ok(Figure {
        what: format!("replay of one history of {} events", long.events),
        target: "<= 50 ms",
        measured: format!("{} ms; `stead replay` {} ms", long.replay_ms, long.verb_ms),
        reached: long.replay_ms <= 50.0,
    })
}

/// Measures on a platform that is taken away afterwards.
async fn alone<T>(measure: impl AsyncFnOnce(&mut Sandbox) -> Result<T, Ended>) -> Result<T, Ended> {
    let mut sandbox = Sandbox::new("stead-bench-")?;
    let measured = measure(&mut sandbox).await;
    sandbox.close().await;
    measured
}
