//! What is published of all runs, kept: the demo is the only one here, so nothing is a
//! stranger's.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use stead_nats::SteadClient;
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::{Event, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;

use crate::commands::run::follow::Published;
use crate::exit::{Ended, with_causes};
use crate::story::Moment;
use crate::story::operations::{Operation, operations};

/// Everything that is published of any owner's runs.
const EVERYTHING: &str = "stead.evt.>";

/// What has been seen of every run.
pub struct Seen {
    published: Published,
    runs: BTreeMap<RunId, Vec<Moment>>,
}

/// What is new.
pub enum News {
    /// Something that stands in a history.
    Event(RunId, Moment),
    /// How far a step is, or why it is tried again: written nowhere.
    Remark(StepAddress, String),
    /// A command was turned away.
    Refused(Refusal),
}

/// A message as it is published.
#[derive(Deserialize)]
#[serde(untagged)]
enum Notice {
    Event { run: RunId, n: u64, at: Timestamp, event: Event },
    Progress { run: RunId, seq: Seq, words: String },
    Retrying { run: RunId, seq: Seq, failure: stead_schemas::failure::Failure },
    Refused(Refusal),
}

impl Seen {
    /// Listens from now on.
    pub async fn listen(client: &SteadClient) -> Result<Self, Ended> {
        let published = client.watch(EVERYTHING).await;
        let published = published.map_err(|error| Ended::Unavailable(with_causes(&error)))?;
        Ok(Self { published: Box::pin(published), runs: BTreeMap::new() })
    }

    /// The next that is new.
    pub async fn next(&mut self) -> Result<News, Ended> {
        while let Some((_, body)) = self.published.next().await {
            if let Some(news) = self.take(body) {
                return Ok(news);
            }
        }
        Err(Ended::Unavailable("the connection is closed".to_owned()))
    }

    fn take(&mut self, body: Value) -> Option<News> {
        Some(match serde_json::from_value(body).ok()? {
            Notice::Event { run, n, at, event } => {
                let moment = Moment { n, at, event };
                let known = self.runs.entry(run.clone()).or_default();
                // Whoever takes a partition over tells again what may not have been told.
                if known.contains(&moment) {
                    return None;
                }
                known.push(moment.clone());
                News::Event(run, moment)
            }
            Notice::Progress { run, seq, words } => News::Remark(StepAddress { run, seq }, words),
            Notice::Retrying { run, seq, failure } => {
                News::Remark(StepAddress { run, seq }, format!("again, after: {failure}"))
            }
            Notice::Refused(refusal) => News::Refused(refusal),
        })
    }

    /// The operation of a run whose turn it is.
    pub fn latest(&self, run: &RunId) -> Option<Operation> {
        operations(self.runs.get(run)?).pop()
    }

    /// What another entity carried out for this step.
    pub fn beneath(&self, step: &StepAddress) -> Option<Operation> {
        let others = self.runs.iter().filter(|(run, _)| **run != step.run);
        let operations = others.flat_map(|(_, moments)| operations(moments));
        operations.into_iter().find(|operation| operation.reply.as_ref() == Some(step))
    }

    /// Whether all runs of this kind are over.
    pub fn are_over(&self, kind: &str) -> bool {
        let of_kind = self.runs.iter().filter(|(run, _)| run.kind() == kind);
        let last = of_kind.map(|(_, moments)| moments.last());
        last.into_iter().flatten().all(|moment| moment.event.is_last())
    }
}
