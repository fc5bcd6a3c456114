//! Leases: messages with an end, written by compare-and-set.
//!
//! The client library's key-value helpers lose the end of a message on every update, so the
//! publishes are made by hand. The stream may be deleted while everything runs: it is made anew
//! by whoever needs it first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use stead_runtime::env::LEASE;
use stead_runtime::ports::{Clock, LeaseError, Leases, SystemClock};
use stead_schemas::ids::Partition;
use stead_schemas::owner::encode_token;
use stead_schemas::subjects::LEASE_BUCKET;
use stead_schemas::time::Timestamp;

use crate::bus::json;
use crate::jetstream::{self, NotAcked, Unread};
use crate::once::{COMMIT, new_commit};
use crate::platform::{Platform, ensure_leases};

/// How long a lease lasts, in whole seconds: the server knows no shorter unit.
pub const LEASE_SECONDS: u64 = LEASE.as_secs();
/// Beneath this engines say that they are there.
const ENGINES: &str = "stead.lease.engine.";
/// How often a lease that is given back is looked for. What is left then ends by itself.
const TAKEN_BACK_WITHIN: usize = 3;

/// An engine that says that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineSeen {
    /// Its name.
    pub engine: String,
    /// Its build, if that says so.
    pub build: Option<String>,
    /// By how much the clock of its machine is behind the server's, in milliseconds; ahead of it, if
    /// that is negative. What the message took on its way counts as behind. Nothing if the engine does
    /// not say what it reads.
    pub behind_ms: Option<i64>,
}

/// Who owns what now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// The engines that say that they are there.
    pub engines: Vec<EngineSeen>,
    /// The partitions that an engine holds.
    pub owned: BTreeMap<Partition, String>,
}

/// The leases on JetStream.
pub struct NatsLeases {
    platform: Platform,
    build: Option<String>,
    /// Who holds what through us and the sequence of each lease, to renew it without asking.
    held: Mutex<HashMap<(Partition, String), u64>>,
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    engine: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<String>,
    /// What its clock read when it said that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
}

/// What a subject says now.
struct Standing {
    seq: u64,
    /// When the server took it in, by its own clock.
    taken_in: Timestamp,
    holder: Option<Holder>,
    /// Which write of whom it is.
    commit: Option<String>,
}

impl NatsLeases {
    /// The leases of a platform.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        Self { platform: platform.clone(), build: None, held: Mutex::default() }
    }

    /// The same, of an engine of this build, for whoever looks.
    #[must_use]
    pub fn of_build(self, build: impl Into<String>) -> Self {
        Self { build: Some(build.into()), ..self }
    }

    /// Who owns what now. Only looks.
    ///
    /// # Errors
    /// If the leases cannot be read.
    pub async fn owners(&self) -> Result<Owners, LeaseError> {
        let mut owners = Owners::default();
        for subject in self.subjects("stead.lease.>").await? {
            let Some(Standing { taken_in, holder: Some(holder), .. }) = self.read(&subject).await?
            else {
                continue;
            };
            let partition = subject.strip_prefix("stead.lease.p.");
            match partition.and_then(|number| number.parse().ok()).map(Partition) {
                Some(partition) => drop(owners.owned.insert(partition, holder.engine)),
                None => {
                    let Holder { engine, build, at } = holder;
                    let behind_ms = at.map(|at| taken_in.as_millis() - at.as_millis());
                    owners.engines.push(EngineSeen { engine, build, behind_ms });
                }
            }
        }
        Ok(owners)
    }

    async fn subjects(&self, filter: &str) -> Result<Vec<String>, LeaseError> {
        let failed = |error: String| LeaseError(error);
        let js = &self.platform.connection.leases_js;
        let stream = js.get_stream_no_info(LEASE_BUCKET).await;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        let subjects = stream.info_with_subjects(filter).await;
        let subjects = subjects.map_err(|error| failed(error.to_string()))?;
        // To the first error only: whoever asks the library for more behind it has it panic.
        let names = subjects.map_ok(|(subject, _)| subject).try_collect().await;
        names.map_err(|error| failed(error.to_string()))
    }

    /// Writes a lease if `expected` is the subject's last message. Returns its sequence, or
    /// nothing if somebody else has the lease.
    async fn write(
        &self,
        subject: &str,
        engine: &str,
        expected: Option<u64>,
    ) -> Result<Option<u64>, LeaseError> {
        let commit = new_commit();
        let mut outcome = self.publish(subject, engine, expected, Some(&commit)).await;
        if matches!(outcome, Err(NotAcked::NoStream)) {
            self.make_stream().await?;
            outcome = self.publish(subject, engine, expected.map(|_| 0), Some(&commit)).await;
        }
        self.settle(subject, engine, &commit, outcome).await
    }

    async fn publish(
        &self,
        subject: &str,
        engine: &str,
        expected: Option<u64>,
        commit: Option<&str>,
    ) -> Result<u64, NotAcked> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_TTL, LEASE_SECONDS.to_string());
        if let Some(commit) = commit {
            headers.insert(COMMIT, commit);
        }
        if let Some(expected) = expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        }
        let at = subject.starts_with(ENGINES).then(|| SystemClock.now());
        let payload = json(&Holder { engine: engine.to_string(), build: self.build.clone(), at });
        jetstream::publish(&self.platform.connection.leases, subject, headers, payload).await
    }

    /// A lost acknowledgement may have been that of a lease won: the subject says whose it is. One
    /// of ours that was written earlier, or before this process began, is renewed: it would end
    /// sooner than its holder believes.
    async fn settle(
        &self,
        subject: &str,
        engine: &str,
        commit: &str,
        outcome: Result<u64, NotAcked>,
    ) -> Result<Option<u64>, LeaseError> {
        match outcome {
            Ok(seq) => return Ok(Some(seq)),
            Err(NotAcked::WrongLast | NotAcked::Unknown(_)) => {}
            Err(error) => return Err(LeaseError(error.to_string())),
        }
        match self.read(subject).await? {
            Some(standing) if standing.commit.as_deref() == Some(commit) => Ok(Some(standing.seq)),
            Some(standing) if is_held_by(&standing, engine) => {
                let again = self.publish(subject, engine, Some(standing.seq), Some(commit)).await;
                again.map(Some).map_err(|error| LeaseError(error.to_string()))
            }
            _ => Ok(None),
        }
    }

    async fn read(&self, subject: &str) -> Result<Option<Standing>, LeaseError> {
        let js = &self.platform.connection.leases_js;
        match jetstream::last_message(js, LEASE_BUCKET, subject).await {
            Ok(message) => Ok(message.map(|message| Standing {
                seq: message.sequence,
                taken_in: Timestamp::from_millis(message.time.timestamp_millis()),
                commit: message.headers.get(COMMIT).map(ToString::to_string),
                holder: serde_json::from_slice(&message.payload).ok(),
            })),
            Err(Unread::NoStream(_)) => Ok(None),
            Err(Unread::Other(words)) => Err(LeaseError(words)),
        }
    }

    /// Takes back the message at `subject` if it is the engine's own. A renewal that was under way may
    /// have put another one in its place since it was read, so it is looked for again.
    async fn take_back(&self, subject: &str, engine: &str) -> Result<(), LeaseError> {
        let js = &self.platform.connection.leases_js;
        for _ in 0..TAKEN_BACK_WITHIN {
            let Some(standing) = self.read(subject).await? else { return Ok(()) };
            if !is_held_by(&standing, engine) {
                return Ok(());
            }
            let stream = js.get_stream_no_info(LEASE_BUCKET).await;
            let stream = stream.map_err(|error| LeaseError(error.to_string()))?;
            match stream.delete_message(standing.seq).await {
                Ok(_) => return Ok(()),
                Err(error) => tracing::debug!(subject, %error, "a lease is not what it just was"),
            }
        }
        Ok(())
    }

    async fn make_stream(&self) -> Result<(), LeaseError> {
        tracing::warn!("the stream of leases is missing; making it anew");
        ensure_leases(&self.platform).await.map_err(|error| LeaseError(error.to_string()))
    }

    fn remember(&self, partition: Partition, engine: &str, seq: Option<u64>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (partition, engine.to_string());
        match seq {
            Some(seq) => held.insert(key, seq),
            None => held.remove(&key),
        };
    }

    fn remembered(&self, partition: Partition, engine: &str) -> Option<u64> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&(partition, engine.to_string())).copied()
    }

    /// Renews a lease whose last sequence is not the one we remember.
    async fn renew_as_found(&self, subject: &str, engine: &str) -> Result<Option<u64>, LeaseError> {
        match self.read(subject).await? {
            Some(standing) if is_held_by(&standing, engine) => {
                self.write(subject, engine, Some(standing.seq)).await
            }
            _ => Ok(None),
        }
    }
}

fn is_held_by(standing: &Standing, engine: &str) -> bool {
    standing.holder.as_ref().is_some_and(|holder| holder.engine == engine)
}

fn partition_subject(partition: Partition) -> String {
    format!("stead.lease.p.{partition}")
}

fn engine_subject(token: &str) -> String {
    format!("{ENGINES}{token}")
}

#[async_trait]
impl Leases for NatsLeases {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        self.write(&engine_subject(&encode_token(engine)), engine, None).await?;
        Ok(self.subjects(&engine_subject("*")).await?.len())
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let seq = self.write(&partition_subject(partition), engine, Some(0)).await?;
        self.remember(partition, engine, seq);
        Ok(seq.is_some())
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let subject = partition_subject(partition);
        let seq = match self.remembered(partition, engine) {
            Some(seq) => match self.publish(&subject, engine, Some(seq), None).await {
                Ok(seq) => Some(seq),
                Err(_) => self.renew_as_found(&subject, engine).await?,
            },
            None => self.renew_as_found(&subject, engine).await?,
        };
        self.remember(partition, engine, seq);
        Ok(seq.is_some())
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        self.remember(partition, engine, None);
        self.take_back(&partition_subject(partition), engine).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.take_back(&engine_subject(&encode_token(engine)), engine).await
    }
}
