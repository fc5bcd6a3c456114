//! Tells the world that a command was refused, and keeps it for a week.
//!
//! What the inbox refuses is kept before it leaves the inbox, since nobody else hears of it. Whoever
//! asked on the service interface is answered, and what he was refused is kept for the audit: nobody
//! waits for that.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::Caller;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

use crate::bus::json;
use crate::jetstream::{self, NotAcked};
use crate::platform::{Platform, ensure_refusals};

/// Whatever could be read of a refused command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Whose it was.
    pub owner: Option<Owner>,
    /// What it was for: `workspace`; empty if that could not be read.
    pub kind: String,
    /// What was asked.
    pub verb: String,
    /// The id that the command was given.
    pub id: Option<String>,
    /// The name of what it was for.
    pub name: Option<String>,
    /// The run that it was for.
    pub run: Option<RunId>,
}

/// A command that was refused, as it is published and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// What was asked.
    pub command: Said,
    /// When.
    pub at: Timestamp,
    /// Who asked, and how; nothing in what was written before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
}

impl Refused {
    pub(super) fn now(command: Said, refusal: &Refusal, by: Caller) -> Self {
        Self { refusal: refusal.clone(), command, at: SystemClock.now(), by: Some(by) }
    }
}

impl Said {
    /// Reads what can be read.
    pub(super) fn of(subject: &str, body: &[u8]) -> Self {
        let tokens = subjects::parse_command(subject);
        let fields: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |field: &str| {
            let text = fields.get(field)?.as_str()?;
            Some(text.chars().take(300).collect::<String>())
        };
        Self {
            owner: tokens.as_ref().and_then(|tokens| Owner::from_token(tokens.owner).ok()),
            kind: tokens.as_ref().map_or(String::new(), |tokens| subjects::shown(tokens.kind)),
            verb: tokens.as_ref().map_or(String::new(), |tokens| subjects::shown(tokens.verb)),
            id: text("id"),
            name: text("name"),
            run: text("run").and_then(|run| run.parse().ok()),
        }
    }

    fn subject(&self) -> String {
        let kind = if self.kind.is_empty() { subjects::UNREADABLE } else { &self.kind };
        subjects::refused(self.owner.as_ref(), kind, self.run.as_ref())
    }
}

/// Publishes a refusal and waits until it is kept. `unique` makes a repetition within minutes
/// harmless.
pub(super) async fn publish(
    platform: &Platform,
    refused: &Refused,
    unique: &str,
) -> Result<(), NotAcked> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, unique);
    let payload = json(refused);
    let (client, subject) = (&platform.connection.api, refused.command.subject());
    let sent = jetstream::publish(client, &subject, headers.clone(), payload.clone()).await;
    // Whoever watches the events hears a refusal, too: then a missing stream looks like silence.
    if !matches!(sent, Err(NotAcked::NoStream | NotAcked::Unknown(_))) {
        return sent.map(|_| ());
    }
    tracing::warn!("the stream of refusals may be missing; making sure of it");
    let made = ensure_refusals(platform).await;
    made.map_err(|error| NotAcked::Passing(error.to_string()))?;
    jetstream::publish(client, &subject, headers, payload).await.map(|_| ())
}

/// Publishes a refusal of which its caller hears, and does not wait until it is kept.
pub(super) async fn tell(platform: &Platform, refused: &Refused) {
    let subject = refused.command.subject();
    if let Err(error) = platform.connection.api.publish(subject, json(refused)).await {
        tracing::debug!(%error, "a refusal is not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    fn check(subject: &str, body: &[u8], told: &str) {
        assert_eq!(Said::of(subject, body).subject(), told);
    }

    #[test]
    fn a_refusal_is_told_where_its_owner_listens() {
        let run = br#"{"run":"workspace-k3j5x7q2m4n6p8r9-2"}"#;
        check("stead.cmd.john.workspace.create", b"{}", "stead.evt.john.workspace._.refused");
        check(
            "stead.cmd.john.run.cancel",
            run,
            "stead.evt.john.run.workspace-k3j5x7q2m4n6p8r9-2.refused",
        );
        check("stead.cmd.jo%6An.workspace.create", b"", "stead.evt._.workspace._.refused");
        check("stead.cmd.john", b"", "stead.evt._._._.refused");
    }
}
