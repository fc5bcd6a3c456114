//! Whether runs that are over slow down those that live.
//!
//! Two platforms are up at once: one with as good as nothing in its log, one with so many runs
//! that are over in log and archive. They are measured in turns, so that what else the machine
//! does meanwhile meets both.

use std::time::Duration;

use serde::Serialize;
use stead_nats::{NatsArchive, SteadClient};
use stead_runtime::archive;
use tokio::time::{Instant, sleep};

use super::load::{Order, Plan, SIX_STEPS, Until, carry};
use super::report::{Settings, Spread, brokers_mib, mib, number, per_second, resident_mib};
use super::start;
use crate::cli::Global;
use crate::cli::demo::FinishedLoad;
use crate::commands::archive::turn;
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// How long each rate is measured, each time.
const MEASURED_FOR: Duration = Duration::from_secs(5);
/// How many runs come first and are not measured.
const WARM_UP: usize = 3_000;
/// How many runs are under way at once while a log is filled.
const FILLING: usize = 1_024;
/// How many runs go into the archive at once.
const A_TURN: usize = 100_000;
/// What ended only just now is not archived yet: its owner might not have told of it.
const TOLD_AFTER: Duration = Duration::from_secs(6);

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    /// How many runs are over.
    pub finished: u32,
    /// How many of them are in the archive.
    pub archived: u64,
    /// How many steps each of them made.
    steps: u32,
    in_flight: u32,
    /// The rate without them, each time.
    pub runs_per_second_without: Spread,
    /// The rate with them, each time.
    pub runs_per_second_with: Spread,
    /// The second of the first in hundredths, over all times.
    pub percent: f64,
    /// The same, of each time and the one beside it.
    pub percents: Spread,
    filling_seconds: f64,
    archiving_seconds: f64,
    engine_resident_mib_without: Option<f64>,
    engine_resident_mib_with: Option<f64>,
    nats_server_resident_mib_with: Option<f64>,
    /// What it was measured under.
    pub settings: Settings,
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

/// Measures on a platform that is not up yet, and on another one beside it.
pub async fn measured(sandbox: &mut Sandbox, load: &FinishedLoad) -> Result<Report, Ended> {
    let mut full = Sandbox::new("stead-bench-full-")?;
    let report = both(sandbox, &mut full, load).await;
    full.close().await;
    report
}

async fn both(
    empty: &mut Sandbox,
    full: &mut Sandbox,
    load: &FinishedLoad,
) -> Result<Report, Ended> {
    let settings = Settings::new(load.partitions, &load.servers, empty.folder()).await?;
    start(empty, &load.servers, load.partitions, &["probe"]).await?;
    let client = start(full, &load.servers, load.partitions, &["probe"]).await?;
    let (empty, full) = (&*empty, &*full);
    full.or_broken(empty.or_broken(measure(empty, full, &client, load, settings))).await
}

async fn measure(
    empty: &Sandbox,
    full: &Sandbox,
    client: &SteadClient,
    load: &FinishedLoad,
    settings: Settings,
) -> Result<Report, Ended> {
    let filled = fill(full, client, load).await?;
    for sandbox in [empty, full] {
        rate(sandbox, load, "warm", Until::Runs(WARM_UP)).await?;
    }
    let mut rounds = Rounds::default();
    for round in 0..load.rounds {
        let name = format!("round-{round}");
        let until = Until::Elapsed(MEASURED_FOR);
        // First the one, then the other: what grows while it is measured favours nobody.
        let (without, with) = if round % 2 == 0 {
            let without = rate(empty, load, &name, until).await?;
            (without, rate(full, load, &name, until).await?)
        } else {
            let with = rate(full, load, &name, until).await?;
            (rate(empty, load, &name, until).await?, with)
        };
        rounds.add(without, with);
    }
    Ok(Report {
        what: "the rate of six-step runs with so many others that are over, and with none",
        finished: load.runs,
        archived: filled.archived,
        steps: load.steps,
        in_flight: load.in_flight,
        runs_per_second_without: Spread::of(&rounds.without, 0),
        runs_per_second_with: Spread::of(&rounds.with, 0),
        percent: rounds.percent(),
        percents: Spread::of(&rounds.percents(), 0),
        filling_seconds: number(filled.filling.as_secs_f64(), 0),
        archiving_seconds: number(filled.archiving.as_secs_f64(), 0),
        engine_resident_mib_without: resident_mib(empty.pid("engine")),
        engine_resident_mib_with: resident_mib(full.pid("engine")),
        nats_server_resident_mib_with: brokers_mib(full),
        settings,
    })
}

/// The rates of all rounds; each of the one was measured beside its neighbour of the other.
#[derive(Default)]
struct Rounds {
    without: Vec<f64>,
    with: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, without: f64, with: f64) {
        self.without.push(without);
        self.with.push(with);
    }

    /// All were measured for the same time, so that their sums are what came through.
    fn percent(&self) -> f64 {
        let (without, with): (f64, f64) = (self.without.iter().sum(), self.with.iter().sum());
        number(100.0 * with / without.max(0.001), 1)
    }

    fn percents(&self) -> Vec<f64> {
        let pairs = self.without.iter().zip(&self.with);
        pairs.map(|(without, with)| 100.0 * with / without.max(0.001)).collect()
    }
}

async fn rate(
    sandbox: &Sandbox,
    load: &FinishedLoad,
    prefix: &str,
    until: Until,
) -> Result<f64, Ended> {
    let measured = carry(Plan {
        url: sandbox.place()?.url.clone(),
        prefix: prefix.to_owned(),
        order: SIX_STEPS,
        in_flight: load.in_flight as usize,
        until,
    });
    let measured = measured.await?;
    Ok(per_second(measured.counted, measured.took))
}

/// What filling took, and what came of it.
struct Filled {
    archived: u64,
    filling: Duration,
    archiving: Duration,
}

/// Brings so many runs to their end. Nine of ten go into the archive, by as many epochs of the
/// log as it takes.
async fn fill(
    sandbox: &Sandbox,
    client: &SteadClient,
    load: &FinishedLoad,
) -> Result<Filled, Ended> {
    let (runs, began) = (load.runs as usize, Instant::now());
    let (mut archiving, mut left) = (Duration::ZERO, runs - runs / 10);
    for turn in 0.. {
        let some = left.min(A_TURN);
        if some == 0 {
            break;
        }
        end(sandbox, load, format!("turn-{turn}"), some).await?;
        sleep(TOLD_AFTER).await;
        let since = Instant::now();
        turn_all(client).await?;
        archiving += since.elapsed();
        left -= some;
    }
    end(sandbox, load, "log".to_owned(), runs / 10).await?;
    let filling = began.elapsed().saturating_sub(archiving);
    Ok(Filled { archived: archived(client).await?, filling, archiving })
}

async fn end(
    sandbox: &Sandbox,
    load: &FinishedLoad,
    prefix: String,
    runs: usize,
) -> Result<(), Ended> {
    let url = sandbox.place()?.url.clone();
    let order = Order { steps: load.steps, waits: false };
    carry(Plan { url, prefix, order, in_flight: FILLING, until: Until::Runs(runs) }).await.map(drop)
}

/// Moves what is over in every partition into the archive.
async fn turn_all(client: &SteadClient) -> Result<(), Ended> {
    for partition in client.platform().all_partitions() {
        let from = client.epoch(partition).await?;
        let reply = turn(client, partition, from).await?;
        if let Some(words) = reply.failed {
            return Err(Ended::Failed(format!("partition {partition} is not archived: {words}")));
        }
    }
    Ok(())
}

async fn archived(client: &SteadClient) -> Result<u64, Ended> {
    let (archive, mut runs) = (NatsArchive::new(client.platform()), 0);
    for partition in client.platform().all_partitions() {
        let segments = archive::segments(&archive, partition).await?;
        runs += segments.iter().map(|segment| segment.runs).sum::<u64>();
    }
    Ok(runs)
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { finished, archived, steps, in_flight, .. } = report;
    output::line(&format!(
        "six steps, {in_flight} in flight, with {finished} runs of {steps} steps that are over, \
         {archived} of them in the archive, and without"
    ));
    output::line(&sheet(&[
        ("  without", format!("{} runs/s", report.runs_per_second_without)),
        (
            "  with",
            format!(
                "{} runs/s, {} % of that; side by side {}",
                report.runs_per_second_with, report.percent, report.percents
            ),
        ),
        (
            "  filled in",
            format!("{} s, archived in {} s", report.filling_seconds, report.archiving_seconds),
        ),
        (
            "  memory",
            format!(
                "engine {}, {} without; nats-server {}",
                mib(report.engine_resident_mib_with),
                mib(report.engine_resident_mib_without),
                mib(report.nats_server_resident_mib_with)
            ),
        ),
        ("  measured", report.settings.to_string()),
    ]));
}
