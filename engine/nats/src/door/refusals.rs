//! Tells the world that a command was refused, and keeps it for a week.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use serde::Serialize;
use serde_json::Value;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

use crate::bus::json;
use crate::jetstream::{self, NotAcked};
use crate::platform::{Platform, ensure_refusals};

/// Whatever could be read of a refused command.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Said {
    owner: Option<Owner>,
    kind: String,
    verb: String,
    id: Option<String>,
    name: Option<String>,
    run: Option<RunId>,
}

/// What is published.
#[derive(Serialize)]
struct Notice<'a> {
    #[serde(flatten)]
    refusal: &'a Refusal,
    command: &'a Said,
    at: Timestamp,
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
    said: &Said,
    refusal: &Refusal,
    unique: &str,
) -> Result<(), NotAcked> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, unique);
    let payload = json(&Notice { refusal, command: said, at: SystemClock.now() });
    let (client, subject) = (&platform.connection.api, said.subject());
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
