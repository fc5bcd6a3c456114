//! A partition that changes hands without haste: one of two engines is told to stop, as for an upgrade,
//! and the time until everything that it owned answers at the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use stead_nats::{NatsLeases, Platform, PlatformSettings, SteadClient, open_platform};
use stead_schemas::ids::{Partition, RunId};
use tokio::time::{Instant, sleep};

use super::live::{fill, runs, waits};
use super::report::{Settings, Spread};
use super::wanted;
use crate::assemble::connection;
use crate::cli::Global;
use crate::cli::demo::{HandoverLoad, LiveLoad};
use crate::config::NatsConfig;
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::Sandbox;
use crate::story::table::sheet;

/// The steps of a run before it waits.
const STEPS: u32 = 2;
/// How often it is looked who owns what.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Engines that take longer than this are broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    runs: u32,
    /// How many partitions changed hands each time.
    moved: Vec<usize>,
    /// From the word to stop until each of them answered at the other engine.
    pub handed_over_seconds: Spread,
    settings: Settings,
}

/// Who owns each partition.
type Owned = BTreeMap<Partition, String>;

/// Carries the measurement out.
pub async fn carry_out(
    sandbox: &mut Sandbox,
    global: &Global,
    load: &HandoverLoad,
) -> Result<(), Ended> {
    let report = measured(sandbox, load).await?;
    if global.json {
        output::json(&report);
        return Ok(());
    }
    let moved: Vec<String> = report.moved.iter().map(usize::to_string).collect();
    output::line(&format!(
        "one of two engines is told to stop, with {} runs that wait in {} partitions",
        report.runs, load.partitions
    ));
    output::line(&sheet(&[
        ("  moved", format!("{} partitions", moved.join(", "))),
        (
            "  over",
            format!("{} s until all of them answer at the other", report.handed_over_seconds),
        ),
        ("  measured", report.settings.to_string()),
    ]));
    Ok(())
}

/// Measures on a platform that is not up yet.
pub async fn measured(sandbox: &mut Sandbox, load: &HandoverLoad) -> Result<Report, Ended> {
    let settings = Settings::new(load.partitions, &load.servers, sandbox.folder()).await?;
    let wanted = wanted(&load.servers, load.partitions, &["probe"]);
    let client = sandbox.start(&wanted).await?;
    let (servers, partitions) = (load.servers.clone(), load.partitions);
    let live = LiveLoad { servers, runs: load.runs, steps: STEPS, partitions };
    sandbox.or_broken(fill(sandbox, &live)).await?;
    let platform = platform(sandbox).await?;
    let of_each: BTreeMap<Partition, RunId> =
        runs(&live)?.into_iter().map(|run| (run.partition(load.partitions), run)).collect();
    let (mut spans, mut moved) = (Vec::new(), Vec::new());
    for _ in 0..load.times {
        let first = owned(&platform).await?.into_values().next();
        let first = first.ok_or_else(|| Ended::Failed("nobody owns anything".to_owned()))?;
        sandbox.start_second_engine(&wanted)?;
        let shared = sandbox.or_broken(until_shared(&platform, load.partitions)).await?;
        let of_first = shared.into_iter().filter(|(_, owner)| *owner == first);
        let going: Vec<Partition> = of_first.map(|(partition, _)| partition).collect();
        let told = Instant::now();
        let stopping = sandbox.stop_first_engine();
        let over = async {
            until_over(&platform, &client, &first, &going, &of_each).await?;
            Ok::<_, Ended>(told.elapsed())
        };
        let ((), span) = tokio::join!(stopping, over);
        spans.push(span?.as_secs_f64());
        moved.push(going.len());
    }
    Ok(Report {
        what: "an engine that is told to stop hands its partitions to another one",
        runs: load.runs,
        moved,
        handed_over_seconds: Spread::of(&spans, 2),
        settings,
    })
}

async fn platform(sandbox: &Sandbox) -> Result<Platform, Ended> {
    let url = sandbox.place()?.url.clone();
    let connection =
        connection(&NatsConfig { url, ..NatsConfig::default() }, "stead-bench").await?;
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    Ok(open_platform(&connection, settings).await?)
}

async fn owned(platform: &Platform) -> Result<Owned, Ended> {
    let owners = NatsLeases::new(platform).owners().await;
    let owners =
        owners.map_err(|error| Ended::Failed(format!("who owns what cannot be read: {error}")))?;
    Ok(owners.owned)
}

/// Waits until two engines own all partitions, and each its share.
async fn until_shared(platform: &Platform, partitions: u16) -> Result<Owned, Ended> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let owned = owned(platform).await?;
        let names: BTreeSet<&String> = owned.values().collect();
        let share = |name: &String| owned.values().filter(|owner| *owner == name).count();
        let has_share = names.iter().all(|name| share(name) >= usize::from(partitions) / 2);
        if names.len() == 2 && has_share && owned.len() == usize::from(partitions) {
            return Ok(owned);
        }
        if Instant::now() > deadline {
            return Err(Ended::Failed("the two engines do not share the partitions".to_owned()));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until these partitions are another's and a run in each of them answers there: an owner
/// answers only once it has taken up every run of its partition.
async fn until_over(
    platform: &Platform,
    client: &SteadClient,
    first: &str,
    going: &[Partition],
    of_each: &BTreeMap<Partition, RunId>,
) -> Result<(), Ended> {
    let deadline = Instant::now() + PATIENCE;
    let is_taken = |owned: &Owned| {
        going.iter().all(|partition| owned.get(partition).is_some_and(|owner| owner != first))
    };
    while !is_taken(&owned(platform).await?) {
        if Instant::now() > deadline {
            return Err(Ended::Failed("the other engine does not take them over".to_owned()));
        }
        sleep(LOOK_EVERY).await;
    }
    for run in going.iter().filter_map(|partition| of_each.get(partition)) {
        while !client.view(run).await.is_ok_and(|view| view.is_some_and(waits)) {
            if Instant::now() > deadline {
                return Err(Ended::Failed(format!("{run} is not taken up")));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
