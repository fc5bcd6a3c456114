//! The figures of a measurement, and what they were measured under.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use serde::Serialize;

use crate::assemble::BUILD;

/// What a figure was measured under.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub build: String,
    pub profile: &'static str,
    pub cores: usize,
    pub partitions: u16,
    pub replicas: usize,
    pub fsync: &'static str,
    pub nats_server: String,
}

impl Settings {
    /// The settings that all measurements share.
    pub fn new(partitions: u16, nats_server: String) -> Self {
        Self {
            build: BUILD.to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            cores: available_parallelism().map_or(1, usize::from),
            partitions,
            replicas: 1,
            fsync: "every append",
            nats_server,
        }
    }
}

/// The value below which `share` of the sorted spans lie, in milliseconds.
pub fn percentile(sorted: &[Duration], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list that fits into memory"
    )]
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    let millis = sorted.get(index).map_or(0.0, |span| span.as_secs_f64() * 1_000.0);
    (millis * 100.0).round() / 100.0
}

/// How much memory a process holds, in MiB.
pub fn resident_mib(process: Option<u32>) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process?)).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
