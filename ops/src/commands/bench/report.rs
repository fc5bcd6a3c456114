//! The figures of a measurement, and what they were measured under.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use serde::Serialize;

use crate::assemble::BUILD;
use crate::cli::demo::Servers;
use crate::exit::Ended;
use crate::processes::broker::version;
use crate::processes::sandbox::Sandbox;

/// What a figure was measured under.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    build: String,
    profile: &'static str,
    cores: usize,
    partitions: u16,
    replicas: usize,
    fsync: &'static str,
    file_system: String,
    nats_server: String,
}

impl Settings {
    /// The settings that all measurements share; the log lies beneath `folder`.
    ///
    /// # Errors
    /// If there is no such nats-server.
    pub async fn new(partitions: u16, servers: &Servers, folder: &Path) -> Result<Self, Ended> {
        Ok(Self {
            build: BUILD.to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            cores: available_parallelism().map_or(1, usize::from),
            partitions,
            replicas: servers.replicas,
            fsync: "every append",
            file_system: file_system(folder),
            nats_server: version(&servers.nats_server).await?,
        })
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { build, profile, cores, partitions, replicas, .. } = self;
        let Self { fsync, file_system, nats_server, .. } = self;
        write!(
            out,
            "{build}, {profile}, on {cores} cores that all share, {partitions} partitions, \
             R{replicas}, fsync on {fsync} ({file_system}), nats-server {nats_server}"
        )
    }
}

/// The kind of file system that a folder is on: on one in memory, fsync costs nothing.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(place, _)| folder.starts_with(place));
    // Of two mounts at one place, the later hides the earlier.
    let nearest = above.max_by_key(|(place, _)| place.len());
    nearest.map_or("an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}

/// How many cores each process kept busy.
#[derive(Clone, Debug, Serialize)]
pub struct Processors {
    engine: f64,
    nats_server: f64,
    worker: f64,
    load: f64,
    /// Everybody else, the kernel's own threads and a virtual machine's host among them: if it is
    /// much, the machine was not quiet.
    others: f64,
    #[serde(skip)]
    at: Duration,
}

impl Processors {
    /// The processor time that each has taken so far, in seconds.
    pub fn so_far(sandbox: &Sandbox) -> Self {
        let of = |name| sandbox.pid(name).map_or(0.0, processor_seconds);
        let brokers = sandbox.place().map(|place| place.brokers.as_slice()).unwrap_or_default();
        let nats_server: f64 = brokers.iter().copied().map(processor_seconds).sum();
        let (engine, worker) = (of("engine"), of("worker"));
        let load = processor_seconds(std::process::id());
        let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let up = up.split_whitespace().next().and_then(|word| word.parse().ok());
        Self {
            engine,
            nats_server,
            worker,
            load,
            others: busy_seconds() - engine - nats_server - worker - load,
            at: Duration::from_secs_f64(up.unwrap_or_default()),
        }
    }

    /// The share of a core that each has taken since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let span = self.at.saturating_sub(before.at).as_secs_f64().max(0.01);
        let share = |now: f64, then: f64| number((now - then) / span, 2);
        Self {
            engine: share(self.engine, before.engine),
            nats_server: share(self.nats_server, before.nats_server),
            worker: share(self.worker, before.worker),
            load: share(self.load, before.load),
            // The kernel counts in ticks, and a little late.
            others: share(self.others, before.others).max(0.0),
            at: self.at,
        }
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, nats_server, worker, load, others, .. } = self;
        write!(
            out,
            "engine {engine} of a core, nats-server {nats_server}, worker {worker}, load {load}, \
             everybody else {others}"
        )
    }
}

/// The processor time of a process, user and system. The kernel counts it in hundredths.
fn processor_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, which may hold anything, ends with the last bracket; two counts of ticks are the
    // twelfth and thirteenth word behind it.
    let words = stat.rsplit_once(')').map_or("", |(_, words)| words);
    let ticks = words.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The processor time that anybody has taken, on all cores.
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // Idle and waiting for the disk are the fourth and the fifth; what guests take is counted
    // among the first, too.
    let busy = ticks.enumerate().filter(|(place, _)| !matches!(place, 3 | 4 | 8..));
    busy.filter_map(|(_, ticks)| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// How much memory a process holds, in MiB.
pub fn resident_mib(process: Option<u32>) -> Option<f64> {
    status_mib(process, "VmRSS:")
}

/// How much memory all servers of a platform hold, in MiB.
pub fn brokers_mib(sandbox: &Sandbox) -> Option<f64> {
    let brokers = sandbox.place().ok()?.brokers.iter();
    brokers.map(|broker| resident_mib(Some(*broker))).sum()
}

/// The most memory that a process has held so far, in MiB.
pub fn peak_mib(process: Option<u32>) -> Option<f64> {
    status_mib(process, "VmHWM:")
}

fn status_mib(process: Option<u32>, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process?)).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(number(kib / 1024.0, 1))
}

/// The span below which so many of a hundred lie, in milliseconds; the spans are sorted.
pub fn percentile(sorted: &[Duration], of_hundred: usize) -> f64 {
    let rank = (sorted.len() * of_hundred).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |span| number(span.as_secs_f64() * 1_000.0, 2))
}

/// What was measured several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// How often.
    pub times: usize,
}

impl Spread {
    /// Of these, rounded to so many decimals.
    pub fn of(samples: &[f64], decimals: i32) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).map_or(0.0, |value| number(*value, decimals));
        let last = sorted.len().saturating_sub(1);
        Self { median: at(last / 2), low: at(0), high: at(last), times: sorted.len() }
    }

    /// From the lowest to the highest; nothing where there is but one.
    pub fn range(&self) -> String {
        match self.times {
            0 | 1 => String::new(),
            _ => format!("{}-{}", self.low, self.high),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            0 | 1 => write!(out, "{}", self.median),
            times => write!(out, "{} ({}, {times} times)", self.median, self.range()),
        }
    }
}

/// How many that is in a second.
pub fn per_second(count: usize, span: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / span.as_secs_f64().max(0.001)
}

/// A size in words.
pub fn mib(size: Option<f64>) -> String {
    size.map_or("?".to_owned(), |mib| format!("{mib} MiB"))
}

/// A number, rounded to so many decimals.
pub fn number(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Spread, percentile};

    #[test]
    fn a_percentile_is_one_of_the_spans() {
        let spans: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!((percentile(&spans, 50), percentile(&spans, 99)), (100.0, 198.0));
        assert_eq!(percentile(&spans[..1], 99), 1.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn a_spread_is_shown_by_its_median_and_its_ends() {
        let shown = |samples: &[f64]| Spread::of(samples, 1).to_string();
        assert_eq!(shown(&[3.04, 1.0, 2.0]), "2 (1-3, 3 times)");
        assert_eq!(shown(&[7.25]), "7.3");
        assert_eq!(Spread::of(&[4.0, 1.0], 0).range(), "1-4");
        assert_eq!(Spread::of(&[7.0], 0).range(), "");
    }
}
