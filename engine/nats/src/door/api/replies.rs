//! What the service interface answers. The body always says it all; the headers are for tools
//! that know NATS services.

use async_nats::HeaderMap;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use bytes::Bytes;
use serde::Serialize;
use stead_schemas::command::run::RunCommand;
use stead_schemas::dispatch::{Accepted, Caller, CommandReply, ListRuns, RehearsalReply};
use stead_schemas::event::Outcome;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunPage, RunSummary, RunView};
use stead_schemas::refusal::Refusal;
use uuid::Uuid;

use super::{Counter, bug};
use crate::bus::json;
use crate::client::ClientError;
use crate::door::read::EntityOrder;
use crate::door::{forward, no_such_run, order_run};

/// The code of a refusal: asking the same again is of no use.
const REFUSED: &str = "400";
/// The code of a command that was carried out, but not to its end: what it had begun is taken back.
const FAILED: &str = "422";
/// The code of too many who wait: asking the same again may help.
const TOO_MANY: &str = "429";
/// The code of "not now": asking the same again may help.
const UNAVAILABLE: &str = "503";

/// The most letters of a header; the body has all.
const HEADER_LETTERS_MAX: usize = 1_000;
/// What the lines of headers have beside name and value, and the first one of all, at most.
const HEADER_BYTES: usize = 16;

/// A body and what tools read.
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    /// Why a command is refused that it answers.
    pub(super) refusal: Option<Refusal>,
}

/// As many runs as one message carries. If there are more, whoever asks again after the one that is
/// named gets the next.
#[derive(Serialize)]
struct RunsReply {
    runs: Vec<RunSummary>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<RunId>,
}

#[derive(Serialize)]
struct RunReply {
    run: RunView,
}

impl Reply {
    fn good(body: &impl Serialize) -> Self {
        Self { body: json(body), headers: HeaderMap::new(), refusal: None }
    }

    fn bad(reply: &impl Serialize, code: &str, words: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_SERVICE_ERROR, one_line(words));
        headers.insert(NATS_SERVICE_ERROR_CODE, code);
        Self { body: json(reply), headers, refusal: None }
    }

    /// The reply to a command.
    pub(super) fn command(reply: &CommandReply) -> Self {
        match reply {
            CommandReply::Accepted(Accepted {
                outcome: Some(Outcome::Failed(failure)), ..
            }) => Self::bad(reply, FAILED, &failure.to_string()),
            CommandReply::Accepted(_) => Self::good(reply),
            CommandReply::Refused(refusal) => Self {
                refusal: Some(refusal.clone()),
                ..Self::bad(reply, REFUSED, &refusal.to_string())
            },
            CommandReply::Unavailable { words } => Self::bad(reply, UNAVAILABLE, words),
        }
    }

    /// The reply to a command that is only asked about.
    pub(super) fn rehearsal(reply: &RehearsalReply) -> Self {
        match reply {
            RehearsalReply::Rehearsed(_) => Self::good(reply),
            RehearsalReply::Refused(refusal) => Self::bad(reply, REFUSED, &refusal.to_string()),
            RehearsalReply::Unavailable { words } => Self::bad(reply, UNAVAILABLE, words),
        }
    }

    /// The reply to what is refused.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self::command(&CommandReply::Refused(refusal.clone()))
    }

    /// The reply to a caller for whom there is no room to wait.
    pub(super) fn too_many(refusal: Refusal) -> Self {
        let words = refusal.to_string();
        Self::bad(&CommandReply::Refused(refusal), TOO_MANY, &words)
    }

    /// What the server would not carry could never arrive, and whoever asks would wait in vain: he
    /// learns why instead.
    pub(super) fn fitting(self, bytes_max: usize) -> Self {
        let heads = self.headers.iter().flat_map(|(name, values)| {
            values
                .iter()
                .map(|value| AsRef::<str>::as_ref(name).len() + value.as_str().len() + HEADER_BYTES)
        });
        let bytes = self.body.len() + heads.sum::<usize>() + HEADER_BYTES;
        if bytes <= bytes_max {
            return self;
        }
        let words = format!("the reply has {bytes} bytes; a message may have {bytes_max}");
        Self::refused(&Refusal::new("reply.too-large", words))
    }

    fn unavailable(error: &ClientError) -> Self {
        Self::command(&CommandReply::Unavailable { words: error.to_string() })
    }
}

/// A header holds one line, and no long one; a refusal may quote what was sent.
fn one_line(words: &str) -> String {
    let letters = words.chars().take(HEADER_LETTERS_MAX);
    letters.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

impl Counter {
    pub(super) async fn order(&self, order: EntityOrder, by: Caller) -> CommandReply {
        let id = order.id.clone().unwrap_or_else(new_id);
        forward(&self.client, order, id, by).await
    }

    pub(super) async fn order_run(
        &self,
        owner: &Owner,
        order: RunCommand,
        by: Caller,
    ) -> CommandReply {
        let id = order.id.clone().unwrap_or_else(new_id);
        order_run(&self.client, owner, order, id, by).await
    }

    /// A page of an owner's runs of a kind. Few are made at a time: for each, owners of partitions
    /// look at lines of others, too.
    pub(super) async fn list(&self, owner: Owner, kind: String, after: Option<RunId>) -> Reply {
        let Ok(_place) = self.lists.acquire().await else { return bug() };
        let (owner, kind) = (Some(owner), Some(kind));
        match self.client.page(&ListRuns { after, owner, kind, ..ListRuns::default() }).await {
            Ok(RunPage { lines: mut runs, more, .. }) => {
                let after = runs.last().map(|run| run.run.clone()).filter(|_| more);
                runs.sort_by_key(|run| run.started);
                Reply::good(&RunsReply { runs, more, after })
            }
            Err(error) => Reply::unavailable(&error),
        }
    }

    pub(super) async fn show_entity(&self, owner: &Owner, kind: &str, name: &str) -> Reply {
        match self.client.latest(&EntityKey::of(kind, owner, name)).await {
            Ok(Some(line)) => self.show_run(owner, &line.run).await,
            Ok(None) => {
                let words = format!("`{owner}` has no {kind} `{name}`");
                Reply::refused(&Refusal::new("entity.unknown", words).field("name"))
            }
            Err(error) => Reply::unavailable(&error),
        }
    }

    pub(super) async fn show_run(&self, owner: &Owner, run: &RunId) -> Reply {
        match self.client.view(run).await {
            Ok(Some(run)) if run.summary.owner == *owner => Reply::good(&RunReply { run }),
            // Whether another owner has such a run is nobody's business.
            Ok(_) => Reply::refused(&no_such_run(owner)),
            Err(error) => Reply::unavailable(&error),
        }
    }
}
