//! Counts for the dashboards what the last scan found that no run wants.
//!
//! The ledger is folded from the whole log, which an owner of one partition cannot do while it
//! decides. So every engine does it beside, once for each scan and each decision.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_core::drift::{Drift, kind_of};
use stead_nats::SteadClient;
use stead_runtime::metric;
use stead_schemas::ids::RunId;
use stead_schemas::step::sight::KINDS;

use super::decide::Decisions;
use super::{found, newest};
use crate::exit::Ended;

/// Counts again and again; whoever has enough of it drops this.
pub async fn count(client: SteadClient, every: Duration) {
    let mut counted = None;
    loop {
        match look(&client, counted.as_ref()).await {
            Ok(Some(now)) => counted = Some(now),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the findings of the last scan are not counted"),
        }
        tokio::time::sleep(every).await;
    }
}

/// Counts, if there was a scan or a decision since; says what it has counted.
async fn look(
    client: &SteadClient,
    counted: Option<&(RunId, usize)>,
) -> Result<Option<(RunId, usize)>, Ended> {
    let Some(run) = newest(client).await? else { return Ok(None) };
    let decisions = Decisions::read(client).await?;
    let now = (run, decisions.settled());
    if counted == Some(&now) {
        return Ok(None);
    }
    let scan = found(client, now.0.clone()).await?;
    let mut orphans: BTreeMap<String, u32> = KINDS.map(|kind| (kind.to_owned(), 0)).into();
    for finding in &scan.findings {
        if finding.drift == Drift::Orphan && !decisions.settles(&scan, finding) {
            *orphans.entry(kind_of(&finding.resource)).or_default() += 1;
        }
    }
    for (kind, number) in &orphans {
        metric::ORPHANS.set(f64::from(*number), [kind]);
    }
    Ok(Some(now))
}
