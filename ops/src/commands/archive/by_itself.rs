//! Histories that expire by themselves, where `audit.expire_hours` says how often: the engine that
//! owns the first partition sees to it, as somebody with `stead archive expire` would. If two do
//! at once, while the partition changes hands, each tombstone is written by one of them.

use std::time::Duration;

use stead_nats::{NatsLeases, SteadClient};
use stead_schemas::ids::Partition;
use stead_schemas::time::spoken;

use super::expire::{Gravedigger, Old};
use crate::assemble::RunningEngine;
use crate::config::AuditConfig;
use crate::exit::Ended;

/// How long an engine runs before it looks for the first time.
const FIRST: Duration = Duration::from_secs(10 * 60);
/// An hour.
const HOUR: Duration = Duration::from_secs(3600);
/// How far this machine's clock may be from the server's.
const APART_MAX: Duration = HOUR;

/// An engine that has histories expire.
pub struct Undertaker {
    client: SteadClient,
    engine: String,
    old: Old,
    digger: Gravedigger,
    first: Duration,
    every: Duration,
}

impl Undertaker {
    /// Whether an engine of this configuration could do what it is to do. It is asked before the
    /// engine takes anything over.
    ///
    /// # Errors
    /// If there is no key to sign tombstones with.
    pub fn check(audit: &AuditConfig) -> Result<(), Ended> {
        match audit.expire_hours {
            Some(_) => Gravedigger::of(audit, String::new(), String::new()).map(drop),
            None => Ok(()),
        }
    }

    /// What this engine is to do about what expires: nothing, where that is left to people.
    ///
    /// # Errors
    /// If there is no key to sign tombstones with.
    pub fn of(engine: &RunningEngine, audit: &AuditConfig) -> Result<Option<Self>, Ended> {
        let (Some(days), Some(hours)) = (audit.keep_days, audit.expire_hours) else {
            return Ok(None);
        };
        let number = |name: &str| -> Option<u32> { std::env::var(name).ok()?.parse().ok() };
        let name = engine.name();
        let why = format!("kept for {days} days, as the configuration has it");
        // Tests can wait neither for days nor for minutes.
        let soon = number("STEAD_EXPIRE_MS").map(|millis| Duration::from_millis(millis.into()));
        Ok(Some(Self {
            client: engine.client(),
            engine: name.to_owned(),
            old: Old { days, ahead_days: number("STEAD_EXPIRE_AHEAD_DAYS").unwrap_or(0) },
            digger: Gravedigger::of(audit, name.to_owned(), why)?,
            first: soon.unwrap_or(FIRST),
            every: soon.unwrap_or(HOUR * hours),
        }))
    }

    /// Sees to it for as long as the engine runs.
    pub async fn work(self) {
        tokio::time::sleep(self.first).await;
        loop {
            match self.once().await {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "histories do not expire now"),
            }
            tokio::time::sleep(self.every).await;
        }
    }

    async fn once(&self) -> Result<(), Ended> {
        let platform = self.client.platform();
        let owners = NatsLeases::new(platform).owners().await;
        let owners = owners.map_err(|error| Ended::Failed(error.to_string()))?;
        if owners.owned.get(&Partition(0)) != Some(&self.engine) {
            return Ok(());
        }
        let behind_ms = self.client.clock_behind_ms().await.map_err(Ended::Failed)?;
        if let Some(words) = too_far(behind_ms) {
            return Err(Ended::Failed(words));
        }
        let partitions: Vec<Partition> = platform.all_partitions().collect();
        let done = self.old.expire(&self.client, &partitions, Some(&self.digger)).await?;
        for (segment, _) in done.segments.iter().filter(|(_, stays)| stays.is_none()) {
            tracing::info!(segment = segment.name(), runs = segment.runs, "histories have expired");
        }
        if done.swept > 0 {
            tracing::info!(parts = done.swept, "what no segment needs is gone from the shelf");
        }
        Ok(())
    }
}

/// Why nothing expires, if the clocks are too far apart: what is gone does not come back, and nobody is
/// there to wonder what year it is.
fn too_far(behind_ms: i64) -> Option<String> {
    let apart = Duration::from_millis(behind_ms.unsigned_abs());
    (apart > APART_MAX).then(|| {
        format!(
            "this machine's clock and the server's are {} apart; set them by NTP (`timedatectl set-ntp \
             true`)",
            spoken(apart)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::too_far;

    #[test]
    fn nothing_expires_by_a_clock_that_is_far_from_the_server_s() {
        let hour = 3_600_000;
        for near in [0, 500, -hour, hour] {
            assert_eq!(too_far(near), None);
        }
        for far in [hour + 1, -hour - 1, -365 * 24 * hour] {
            assert!(too_far(far).is_some_and(|words| words.contains("apart")), "{far}");
        }
    }
}
