//! What the command line and the workers ask of engines.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind, StatusCode};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stead_runtime::archive::{self, Found};
use stead_runtime::inbound::{LimitsReply, OrderReply, OutcomeReply, QueryReply};
use stead_runtime::ports::{EventLog, LogError, Recorded};
use stead_runtime::worker::{Engines, Inbox};
use stead_schemas::dispatch::{
    Accepted, CommandReply, OrderRun, OutcomeQuery, OutsideAnswer, OutsideReply, RehearsalReply,
    RunQuery, TurnEpoch, TurnReply,
};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::limit::LimitView;
use stead_schemas::origin::{CLIENT_HEADER, claim};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::subjects;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::archive::NatsArchive;
use crate::bus::json;
use crate::connect::{Connection, until_heard};
use crate::door::Refused;
use crate::inspect;
use crate::jetstream;
use crate::log::{NatsLog, in_force, whole_subject};
use crate::partition::SubscribeError;
use crate::pause::Pause;
use crate::platform::Platform;

mod entity;
mod lists;

/// How long to look for an engine that owns a partition: longer than a lease lasts, so that one
/// engine's end goes by unnoticed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// How long a command is given again while engines are there and do not answer.
const API_PATIENCE: Duration = Duration::from_secs(16);
/// How long to look for an engine that serves the API.
const ENGINE_PATIENCE: Duration = Duration::from_secs(3);
/// How long an owner that was asked for an outcome is trusted to be there: one that takes over
/// knows nothing of who waits.
const ASKED_AGAIN: Duration = Duration::from_secs(2);
/// How long one request may take before it is sent again.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A client of a platform.
#[derive(Clone)]
pub struct SteadClient {
    platform: Platform,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No engine owns the partition, or none at all is running.
    #[error("no engine answers for partition {partition}: {words}")]
    NoOwner {
        /// The partition.
        partition: Partition,
        /// What was seen last.
        words: String,
    },
    /// No engine serves the API.
    #[error("no engine answers: {words}")]
    NoEngine {
        /// What was seen last.
        words: String,
    },
    /// The inbox did not take the command.
    #[error("the inbox does not take the command: {words}")]
    Inbox {
        /// Why.
        words: String,
    },
    /// The answer is of another build.
    #[error("the answer cannot be read; are all builds the same? {words}")]
    Unreadable {
        /// Why.
        words: String,
    },
}

impl SteadClient {
    /// A client of this platform.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        Self { platform: platform.clone(), patience: PATIENCE }
    }

    /// The same client, which looks for the owner of a partition for no longer than this: for whoever
    /// can do without.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Gives a command and waits until it is in the log or refused. An engine that took the
    /// request and stays silent, because it is frozen or was killed, is not waited for long: the
    /// command is given again, to whichever engine is there, and its id sees to it that it acts
    /// once. One without an id is given one.
    ///
    /// # Errors
    /// If no engine answers. The command may be in the log or not.
    pub async fn command(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: &Map<String, Value>,
    ) -> Result<CommandReply, ClientError> {
        let mut fields = fields.clone();
        let id = || Value::from(Uuid::now_v7().to_string());
        fields.entry("id").or_insert_with(id);
        let (subject, payload) = (subjects::api(owner, kind, verb), json(&fields));
        let (started, mut pause) = (Instant::now(), Pause::new());
        loop {
            let request = Request::new().headers(self.claim()).payload(payload.clone());
            let request = request.timeout(Some(ANSWER_WITHIN));
            let sent = self.platform.connection.api.send_request(subject.clone(), request).await;
            let waited = started.elapsed();
            match sent {
                Ok(message) => match decode(&message.payload)? {
                    CommandReply::Unavailable { .. } if waited < ENGINE_PATIENCE => {}
                    reply => return Ok(reply),
                },
                Err(error) if waited >= patience_with(error.kind()) => {
                    return Err(ClientError::NoEngine { words: error.to_string() });
                }
                Err(_) => {}
            }
            pause.wait().await;
        }
    }

    /// Asks what would become of a command; nothing is written for it.
    ///
    /// # Errors
    /// If no engine answers.
    pub async fn rehearse(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: &Map<String, Value>,
    ) -> Result<RehearsalReply, ClientError> {
        let mut fields = fields.clone();
        fields.insert("dry_run".to_string(), Value::Bool(true));
        let request = Request::new().payload(json(&fields)).timeout(Some(API_PATIENCE));
        let subject = subjects::api(owner, kind, verb);
        let sent = self.platform.connection.api.send_request(subject, request).await;
        let message = sent.map_err(|error| ClientError::NoEngine { words: error.to_string() })?;
        decode(&message.payload)
    }

    /// Leaves a command in the durable inbox; the result is its place there. What becomes of it
    /// shows in the events. It is sealed if we have the keys to what is.
    ///
    /// # Errors
    /// If the inbox does not take it.
    pub async fn publish_command(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: &Map<String, Value>,
    ) -> Result<u64, ClientError> {
        let subject = subjects::command(owner, kind, verb);
        let Connection { api, keys, .. } = &self.platform.connection;
        let not_taken = |words: String| ClientError::Inbox { words };
        let mut headers = self.claim();
        let body = keys.seal(&subject, &mut headers, json(fields).into());
        let body = body.map_err(|error| not_taken(error.to_string()))?;
        let kept = jetstream::publish(api, &subject, headers, body).await;
        kept.map_err(|error| not_taken(error.to_string()))
    }

    /// The commands that were refused lately, each with its place among those that are kept.
    ///
    /// # Errors
    /// If they cannot be read now.
    pub async fn refusals(&self) -> Result<Vec<(u64, Refused)>, LogError> {
        let (stream, subjects) = (subjects::REFUSALS_STREAM, subjects::REFUSAL_SUBJECTS.to_owned());
        let kept = whole_subject(&self.platform, stream, subjects).await?;
        // What another build wrote otherwise is none that we know.
        let read = |(seq, body): (u64, Vec<u8>)| Some((seq, serde_json::from_slice(&body).ok()?));
        Ok(kept.into_iter().filter_map(read).collect())
    }

    /// What the site limits, with everyone who has or wants a place, wherever that is kept.
    ///
    /// # Errors
    /// If a partition has no owner.
    pub async fn limits(&self) -> Result<Vec<LimitView>, ClientError> {
        let all = self.platform.all_partitions();
        let asked = all.map(|partition| self.ask(partition, "limits", Bytes::new()));
        let mut limits: Vec<LimitView> = Vec::new();
        for kept in futures_util::future::join_all(asked).await {
            let kept: LimitsReply = kept?;
            for view in kept {
                match limits.iter_mut().find(|known| known.limit.name == view.limit.name) {
                    Some(known) => known.keys.extend(view.keys),
                    None => limits.push(view),
                }
            }
        }
        limits.iter_mut().for_each(|view| view.keys.sort_by(|one, other| one.key.cmp(&other.key)));
        Ok(limits)
    }

    /// What a run shows of itself; nothing if there is none of that id.
    ///
    /// # Errors
    /// If its partition has no owner.
    pub async fn view(&self, run: &RunId) -> Result<QueryReply, ClientError> {
        self.ask(self.home(run), "query", json(&RunQuery { run: run.clone() })).await
    }

    /// Waits until an accepted command has ended, however often its partition changes hands;
    /// whoever waits no longer drops this. Nothing if waiting will not tell.
    ///
    /// # Errors
    /// If the connection is closed.
    pub(crate) async fn outcome(
        &self,
        accepted: &Accepted,
        within: Duration,
    ) -> Result<OutcomeReply, ClientError> {
        let partition = self.home(&accepted.run);
        let subject = subjects::partition_request(partition, "outcome");
        let no_owner = |words: String| ClientError::NoOwner { partition, words };
        let body = json(&OutcomeQuery {
            run: accepted.run.clone(),
            command: accepted.command.clone(),
            within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        });
        let api = &self.platform.connection.api;
        let inbox = api.new_inbox();
        let mut replies =
            api.subscribe(inbox.clone()).await.map_err(|error| no_owner(error.to_string()))?;
        let mut pause = Pause::new();
        loop {
            api.publish_with_reply(subject.clone(), inbox.clone(), body.clone())
                .await
                .map_err(|error| no_owner(error.to_string()))?;
            match timeout(ASKED_AGAIN, replies.next()).await {
                Ok(Some(reply)) if reply.status == Some(StatusCode::NO_RESPONDERS) => {
                    pause.wait().await;
                }
                Ok(Some(reply)) => return decode(&reply.payload),
                Ok(None) => return Err(no_owner("the connection is closed".to_owned())),
                Err(_) => {}
            }
        }
    }

    /// Does something to a run by hand.
    ///
    /// # Errors
    /// If its partition has no owner.
    pub async fn order(&self, order: &OrderRun) -> Result<OrderReply, ClientError> {
        self.ask(self.home(&order.run), "order", json(order)).await
    }

    /// A run's history, read from the log itself or else from the archive.
    ///
    /// # Errors
    /// If they cannot be read now.
    pub async fn history(&self, run: &RunId) -> Result<Found, LogError> {
        let (log, archive) = (NatsLog::new(&self.platform), NatsArchive::new(&self.platform));
        archive::history(&log, &archive, self.home(run), run).await
    }

    /// By how much this machine's clock is behind the server's; see [`inspect::clock_behind_ms`].
    ///
    /// # Errors
    /// In words, if the server does not say what time it is.
    pub async fn clock_behind_ms(&self) -> Result<i64, String> {
        inspect::clock_behind_ms(&self.platform.connection).await
    }

    /// The epoch of a partition's log that is in force.
    ///
    /// # Errors
    /// If the log cannot be read now.
    pub async fn epoch(&self, partition: Partition) -> Result<u32, LogError> {
        in_force(&self.platform, partition).await
    }

    /// Everything in the epoch of a partition's log that is in force, oldest first: the histories of
    /// all runs that live, and of those that are over and not in the archive.
    ///
    /// # Errors
    /// If the log cannot be read now, or a new epoch has begun meanwhile.
    pub async fn read_partition(
        &self,
        partition: Partition,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        let epoch = in_force(&self.platform, partition).await?;
        NatsLog::new(&self.platform).read_partition(partition, epoch, 0).await
    }

    /// Has the owner of a partition leave this epoch of its log. To be asked again until the
    /// epoch is another one.
    ///
    /// # Errors
    /// If the partition has no owner.
    pub async fn turn(
        &self,
        partition: Partition,
        asked: TurnEpoch,
    ) -> Result<TurnReply, ClientError> {
        self.ask(partition, "turn", json(&asked)).await
    }

    /// What is published from now on, as subject and JSON. A message that is no JSON comes as
    /// text.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn watch(
        &self,
        filter: &str,
    ) -> Result<impl Stream<Item = (String, Value)> + Send + Unpin + 'static, SubscribeError> {
        let client = &self.platform.connection.api;
        let subscribed = client.subscribe(filter.to_string()).await;
        let messages = subscribed.map_err(|error| SubscribeError {
            subject: filter.to_string(),
            words: error.to_string(),
        })?;
        until_heard(client).await;
        Ok(messages.map(|message| (message.subject.to_string(), value(&message.payload))))
    }

    /// How many bytes a message may have, with its headers.
    pub(crate) fn reply_bytes_max(&self) -> usize {
        self.platform.connection.api.max_payload()
    }

    /// The header in which commands say what they come from.
    fn claim(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(says) = self.platform.connection.says.as_deref().and_then(claim) {
            headers.insert(CLIENT_HEADER, says);
        }
        headers
    }

    fn home(&self, run: &RunId) -> Partition {
        run.partition(self.platform.partitions)
    }

    /// Asks the owner of a partition, again and again while there is none.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        partition: Partition,
        what: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.patience;
        let mut pause = Pause::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.ask_once(partition, what, body.clone(), left).await {
                Ok(reply) => return decode(&reply),
                Err(error) => error,
            };
            let lasting = matches!(
                error.kind(),
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject
            );
            if lasting || Instant::now() >= deadline {
                return Err(ClientError::NoOwner { partition, words: error.to_string() });
            }
            pause.wait().await;
        }
    }

    async fn ask_once(
        &self,
        partition: Partition,
        what: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, async_nats::RequestError> {
        let subject = subjects::partition_request(partition, what);
        let request = Request::new().payload(body).timeout(Some(ANSWER_WITHIN.min(within)));
        let message = self.platform.connection.api.send_request(subject, request).await?;
        Ok(message.payload)
    }

    /// Gives a command straight to the owner of its entity's partition.
    pub(crate) async fn forward(
        &self,
        partition: Partition,
        command: &impl Serialize,
    ) -> CommandReply {
        match self.ask(partition, "command", json(command)).await {
            Ok(reply) => reply,
            Err(error) => CommandReply::Unavailable { words: error.to_string() },
        }
    }
}

#[async_trait::async_trait]
impl Engines for SteadClient {
    async fn view(&self, run: &RunId) -> Result<Option<RunView>, String> {
        Self::view(self, run).await.map_err(|error| error.to_string())
    }

    async fn answer(&self, answer: OutsideAnswer) -> Result<OutsideReply, String> {
        let partition = self.home(&answer.run);
        self.ask(partition, "outside", json(&answer)).await.map_err(|error| error.to_string())
    }
}

#[async_trait::async_trait]
impl Inbox for SteadClient {
    async fn leave(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: Map<String, Value>,
    ) -> Result<(), String> {
        let left = self.publish_command(owner, kind, verb, &fields).await;
        left.map(drop).map_err(|error| error.to_string())
    }
}

/// Where nobody listens nobody will answer; where somebody does, it may be a frozen engine.
const fn patience_with(error: RequestErrorKind) -> Duration {
    match error {
        RequestErrorKind::NoResponders => ENGINE_PATIENCE,
        _ => API_PATIENCE,
    }
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(payload)
        .map_err(|error| ClientError::Unreadable { words: error.to_string() })
}

fn value(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()))
}
