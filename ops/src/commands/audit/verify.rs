//! `stead audit verify`.

use serde_json::json;
use stead_nats::{NatsArchive, Placed, SteadClient};
use stead_runtime::archive;

use super::source;
use crate::audit::{Chains, Places, Stored, signed};
use crate::cli::Global;
use crate::config::{AuditConfig, read_audit};
use crate::exit::Ended;
use crate::output;
use crate::story::words::counted;

/// What was read, and everything that is not as it was written.
#[derive(Default)]
struct Report {
    runs: u64,
    transitions: u64,
    segments: u64,
    archived: u64,
    /// What has expired, and by whom.
    expired: Vec<String>,
    altered: Vec<String>,
}

pub async fn print(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    let (mut report, audit) = (Report::default(), read_audit(&global.config)?);
    for partition in client.platform().all_partitions() {
        let (mut chains, mut places) = (Chains::default(), Places::default());
        let epoch = client.epoch(partition).await?;
        let mut seen = |placed: Placed| {
            let Placed { seq, subject, behind, transition } = placed;
            places.follow(&subject, seq, behind);
            if let Some((run, bytes)) = transition {
                report.transitions += 1;
                let stored = Stored { partition, epoch, seq, run, bytes };
                report.altered.extend(chains.follow(&stored));
            }
        };
        let read = source::read_places(client, partition, epoch, &mut seen).await;
        let place = |words| format!("partition {partition}, epoch {epoch}, {words}");
        report.altered.extend(places.fault().map(place));
        report.runs += u64::try_from(chains.runs()).unwrap_or(u64::MAX);
        if let Err(error) = read {
            // A log that was left meanwhile is in the archive and in the next one.
            let now = client.epoch(partition).await?;
            let words = match now == epoch {
                true => error.to_string(),
                false => format!("it went on in epoch {now} meanwhile; verify again"),
            };
            report.altered.push(format!("partition {partition}, epoch {epoch}: {words}"));
        }
        report.add_archive(client, partition, &audit).await?;
    }
    report.tell(global)
}

impl Report {
    async fn add_archive(
        &mut self,
        client: &SteadClient,
        partition: stead_schemas::ids::Partition,
        audit: &AuditConfig,
    ) -> Result<(), Ended> {
        let kept = NatsArchive::new(client.platform());
        let mut n = 0;
        let seen = archive::verify(&kept, partition, |verdict| {
            n += 1;
            self.segments += 1;
            self.archived += verdict.segment.as_ref().map_or(0, |segment| segment.runs);
            let place = format!("segment {n} of partition {partition}");
            let altered = verdict.altered.iter().map(|altered| format!("{place}: {altered}"));
            self.altered.extend(altered);
            if let Some(tombstone) = &verdict.expired {
                let fault = signed::fault(tombstone, audit);
                self.altered.extend(fault.map(|words| format!("{place}: {words}")));
                self.expired.push(format!("{}; signed by {}", tombstone.told(), tombstone.key));
            }
        });
        Ok(seen.await?)
    }

    fn tell(self, global: &Global) -> Result<(), Ended> {
        if global.json {
            output::json(&json!({
                "whole": self.altered.is_empty(), "altered": self.altered, "runs": self.runs,
                "transitions": self.transitions, "segments": self.segments,
                "archived_runs": self.archived, "expired": self.expired,
            }));
        }
        if !self.altered.is_empty() {
            let found = counted(u64::try_from(self.altered.len()).unwrap_or(u64::MAX), "fault");
            let words = format!("{found} in the record:\n  {}", self.altered.join("\n  "));
            return Err(Ended::Failed(words));
        }
        if !global.json {
            output::line(&format!(
                "whole: {} with {} in the log, {} with {} in the archive",
                counted(self.runs, "run"),
                counted(self.transitions, "transition"),
                counted(self.segments, "segment"),
                counted(self.archived, "run"),
            ));
            self.expired.iter().for_each(|words| output::line(&format!("expired: {words}")));
        }
        Ok(())
    }
}
