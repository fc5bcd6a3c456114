//! The workers' side of the bus: steps, cancels and lease notices in, answers out.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, SelectAll};
use stead_runtime::harness_ports::{WorkerInbound, WorkerReplies};
use stead_runtime::metric;
use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::subjects;
use stead_schemas::trace;
use tokio::sync::mpsc;

use crate::bus::{LeaseNotice, json};
use crate::connect::{Connection, until_heard};
use crate::outbox::{Letter, Outbox};
use crate::partition::SubscribeError;

/// Workers of one system share this queue group: each request goes to one of them.
const GROUP: &str = "workers";

/// The way between workers and engines.
pub struct WorkerLink;

impl WorkerLink {
    /// Listens to the steps of `systems`, and to what all workers are told. Ends when the
    /// receiver is dropped.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn start(
        connection: &Connection,
        systems: &[&str],
    ) -> Result<(mpsc::UnboundedReceiver<WorkerInbound>, Arc<dyn WorkerReplies>), SubscribeError>
    {
        let client = connection.bus.clone();
        let mut steps = Vec::with_capacity(systems.len());
        for system in systems {
            steps.push(listen(&client, subjects::steps_of(system), Some(GROUP)).await?);
        }
        let cancels = listen(&client, subjects::step_cancel(), None).await?;
        let leases = listen(&client, subjects::LEASE_SUBJECT.to_string(), None).await?;
        let notices = [cancels, leases];
        until_heard(&client).await;
        let (sender, receiver) = mpsc::unbounded_channel();
        let all = stream::select_all(steps.into_iter().chain(notices));
        let outbox = Outbox::start(client.clone());
        tokio::spawn(forward(all, sender, outbox.clone()));
        Ok((receiver, Arc::new(Replies { outbox, client })))
    }
}

async fn listen(
    client: &Client,
    subject: String,
    group: Option<&str>,
) -> Result<Subscriber, SubscribeError> {
    let subscribed = match group {
        Some(group) => client.queue_subscribe(subject.clone(), group.to_string()).await,
        None => client.subscribe(subject.clone()).await,
    };
    subscribed.map_err(|error| SubscribeError { subject, words: error.to_string() })
}

async fn forward(
    mut messages: SelectAll<Subscriber>,
    to: mpsc::UnboundedSender<WorkerInbound>,
    outbox: Outbox,
) {
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = to.closed() => return,
        };
        let Some(message) = message else { return };
        match read_inbound(&message.subject, &message.payload) {
            Ok(inbound) => {
                if to.send(traced(inbound, message.headers.as_ref())).is_err() {
                    return;
                }
            }
            Err(error) => turn_away(&message, &error, &outbox),
        }
    }
}

/// A step that says in its header beneath which span it is done. A header that cannot be read is
/// none: nobody is refused for how he traces.
fn traced(inbound: WorkerInbound, headers: Option<&HeaderMap>) -> WorkerInbound {
    let WorkerInbound::Step(mut request) = inbound else { return inbound };
    let parent = headers.and_then(|headers| headers.get(trace::HEADER));
    request.trace = parent.and_then(|text| text.as_str().parse().ok());
    WorkerInbound::Step(request)
}

/// Whoever sent a step that we cannot read is told so, or it would be sent for ever.
fn turn_away(message: &Message, error: &serde_json::Error, outbox: &Outbox) {
    metric::UNREADABLE.count([]);
    tracing::warn!(subject = %message.subject, %error, "cannot read a message");
    if let Some(reply) = &message.reply {
        let words =
            format!("this worker cannot read the request: {error}; are all builds the same?");
        let payload = json(&StepReply::Failed(Failure::new(Class::Permanent, words)));
        outbox.send(Letter { subject: reply.to_string(), reply: None, headers: None, payload });
    }
}

/// Reads what workers are told. Pure.
///
/// # Errors
/// If the body is not what the subject says.
pub fn read_inbound(subject: &str, body: &[u8]) -> Result<WorkerInbound, serde_json::Error> {
    if subject == subjects::LEASE_SUBJECT {
        let notice: LeaseNotice = serde_json::from_slice(body)?;
        return Ok(WorkerInbound::Lease { partition: notice.partition, epoch: notice.epoch });
    }
    if subject == subjects::step_cancel() {
        return serde_json::from_slice(body).map(WorkerInbound::Cancel);
    }
    serde_json::from_slice(body).map(WorkerInbound::Step)
}

struct Replies {
    outbox: Outbox,
    client: Client,
}

impl WorkerReplies for Replies {
    fn reply(
        &self,
        request_partition: Partition,
        address: &StepAddress,
        attempt: u32,
        proof: &Proof,
        reply: &StepReply,
    ) {
        let subject = subjects::answer(request_partition, address, attempt, proof);
        let payload = fitting(json(reply), self.client.max_payload());
        self.outbox.send(Letter { subject, reply: None, headers: None, payload });
    }
}

/// An answer that the server would not carry could never arrive, and the engine would ask for
/// ever: it learns why instead.
fn fitting(payload: Bytes, bytes_max: usize) -> Bytes {
    if payload.len() <= bytes_max {
        return payload;
    }
    let bytes = payload.len();
    let words = format!("the answer has {bytes} bytes; a message may have {bytes_max}");
    json(&StepReply::Failed(Failure::new(Class::Permanent, words)))
}
