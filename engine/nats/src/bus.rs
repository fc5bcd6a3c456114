//! What engines send: core NATS messages, as JSON, kept nowhere.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use stead_runtime::ports::{Bus, Outgoing};
use stead_schemas::ids::Partition;
use stead_schemas::subjects;
use stead_schemas::trace::{self, TraceParent};

use crate::connect::Connection;
use crate::outbox::{Letter, Outbox};

/// The bus on NATS.
#[derive(Clone, Debug)]
pub struct NatsBus {
    outbox: Outbox,
}

/// Who owns a partition now, as announced to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseNotice {
    pub(crate) partition: Partition,
    pub(crate) epoch: u64,
}

impl NatsBus {
    /// The bus on the connection's own lane. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(connection: &Connection) -> Self {
        Self { outbox: Outbox::start(connection.bus.clone()) }
    }
}

impl Bus for NatsBus {
    fn send(&self, message: Outgoing) {
        self.outbox.send(letter(message));
    }
}

fn letter(message: Outgoing) -> Letter {
    match message {
        Outgoing::Step(request) => {
            let reply = subjects::answer(
                request.partition,
                &request.address,
                request.attempt,
                &request.proof,
            );
            Letter {
                subject: subjects::step(&request.step),
                reply: Some(reply),
                headers: request.trace.as_ref().map(traced),
                payload: json(&request),
            }
        }
        Outgoing::CancelStep(cancel) => plain(subjects::step_cancel(), json(&cancel)),
        Outgoing::Command { to, command, from, home, attempt } => Letter {
            subject: subjects::partition_request(to, "command"),
            reply: Some(subjects::told(home, &from, attempt)),
            headers: None,
            payload: json(&command),
        },
        Outgoing::Answer { to, address, reply } => {
            plain(subjects::told(to, &address, 0), json(&reply))
        }
        Outgoing::Place { to, ask } => plain(subjects::partition_request(to, "place"), json(&ask)),
        Outgoing::Placed { to, reply } => {
            plain(subjects::partition_request(to, "placed"), json(&reply))
        }
        Outgoing::Reply { to, bytes } => plain(to.0, bytes.into()),
        Outgoing::Event { subject, bytes } => plain(subject, bytes.into()),
        Outgoing::Lease { partition, epoch } => {
            plain(subjects::LEASE_SUBJECT.to_string(), json(&LeaseNotice { partition, epoch }))
        }
    }
}

fn plain(subject: String, payload: Bytes) -> Letter {
    Letter { subject, reply: None, headers: None, payload }
}

fn traced(parent: &TraceParent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(trace::HEADER, parent.to_string());
    headers
}

/// Messages are plain data, which JSON can always hold.
pub(crate) fn json(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap_or_default().into()
}
