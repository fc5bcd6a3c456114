//! Callers who wait for the outcome of their command.
//!
//! Nothing is written for them and the log is not asked again and again: the owner of the
//! partition says when the command has ended. Where there is a new owner meanwhile, it is asked
//! anew. Whoever asked at an engine that was killed gives the command again, with the same id.

use std::time::Duration;

use async_nats::{HeaderName, Message};
use stead_schemas::command::wait::{WAIT_HEADER, WAIT_SECONDS_MAX, read_wait};
use stead_schemas::dispatch::{Accepted, Caller, CommandReply};
use stead_schemas::public::RunView;
use stead_schemas::refusal::Refusal;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::replies::Reply;
use super::{Counter, WAITING_MAX};
use crate::door::read::EntityOrder;
use crate::door::{forward, shut};
use crate::pause::Pause;

/// How long looking what a command waits for may take: the caller's time is over.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What the endpoint of a command says about waiting.
pub(super) fn about() -> String {
    format!(
        "with the header {WAIT_HEADER}: N, of 1 to {WAIT_SECONDS_MAX} seconds, the answer comes \
         when the command has ended, and says how, or after that time"
    )
}

/// For how long the caller wants to wait; nothing if he does not.
pub(super) fn wanted(message: &Message) -> Result<Option<Duration>, Refusal> {
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    // Some clients write every header in their own way.
    let is_ours = |name: &HeaderName| name.to_string().eq_ignore_ascii_case(WAIT_HEADER);
    let ours = headers.filter(|(name, _)| is_ours(name));
    read_wait(ours.flat_map(|(_, values)| values).map(|value| value.as_str()))
}

impl Counter {
    /// Gives a command and answers when it has ended, or when the time is over.
    pub(super) async fn order_and_wait(
        &self,
        mut order: EntityOrder,
        by: Caller,
        wait: Duration,
    ) -> Reply {
        let Ok(_chair) = self.chairs.try_acquire() else {
            let words = format!(
                "{WAITING_MAX} callers wait at this engine already; nothing was done: ask without \
                 {WAIT_HEADER}, or again in a moment"
            );
            return Reply::too_many(Refusal::new("wait.too-many", words).field(WAIT_HEADER));
        };
        let until = Instant::now() + wait;
        let id = order.id.take().unwrap_or_else(|| Uuid::now_v7().to_string());
        match self.give(&order, &by, &id, until).await {
            CommandReply::Accepted(accepted) => {
                let accepted = self.with_outcome(accepted, until).await;
                Reply::command(&CommandReply::Accepted(accepted))
            }
            reply => Reply::command(&reply),
        }
    }

    /// Gives a command, again while nobody can take it in and there is time.
    async fn give(
        &self,
        order: &EntityOrder,
        by: &Caller,
        id: &str,
        until: Instant,
    ) -> CommandReply {
        let mut pause = Pause::new();
        loop {
            let reply = forward(&self.client, order.clone(), id.to_owned(), by.clone()).await;
            let is_final = !matches!(reply, CommandReply::Unavailable { .. });
            if is_final || Instant::now() >= until || *self.shutdown.borrow() {
                return reply;
            }
            pause.wait().await;
        }
    }

    async fn with_outcome(&self, accepted: Accepted, until: Instant) -> Accepted {
        let left = until.saturating_duration_since(Instant::now());
        let mut shutdown = self.shutdown.clone();
        let told = tokio::select! {
            told = timeout_at(until, self.client.outcome(&accepted, left)) => told,
            () = shut(&mut shutdown) => {
                let words = "the engine that was asked is being stopped; give the same command \
                             again, with the same id, to wait on";
                return Accepted { waits_for: Some(words.to_owned()), ..accepted };
            }
        };
        match told {
            Ok(Ok(Some(outcome))) => Accepted { outcome: Some(outcome), ..accepted },
            Ok(Ok(None) | Err(_)) | Err(_) => {
                let waits_for = Some(self.waits_for(&accepted).await);
                Accepted { waits_for, ..accepted }
            }
        }
    }

    async fn waits_for(&self, accepted: &Accepted) -> String {
        match timeout(LOOK_WITHIN, self.client.view(&accepted.run)).await {
            Ok(Ok(Some(view))) => words(&view, &accepted.command),
            Ok(Ok(None)) | Err(_) => "an engine that takes its partition over".to_owned(),
            Ok(Err(error)) => format!("an engine that takes its partition over: {error}"),
        }
    }
}

/// What a command waits for: commands to a run are carried out one after the other.
fn words(view: &RunView, command: &str) -> String {
    let open = view.commands.iter().find(|known| known.outcome.is_none());
    let waiting = match view.summary.waiting.as_str() {
        "" => "its next transition, which is on its way into the log",
        waiting => waiting,
    };
    match open {
        Some(first) if first.id != command => {
            format!("its turn after `{}` ({}), which waits for {waiting}", first.verb, first.id)
        }
        _ => waiting.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use stead_schemas::event::Outcome;
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;
    use stead_schemas::public::{CommandView, RunState, RunSummary, RunView};
    use stead_schemas::time::Timestamp;

    use super::words;

    fn command(id: &str, verb: &str, outcome: Option<Outcome>) -> CommandView {
        CommandView { id: id.into(), verb: verb.into(), outcome }
    }

    fn check(waiting: &str, asked: &str, expected: &str) {
        let owner = Owner::new("john").expect("a name");
        let summary = RunSummary {
            run: EntityKey::of("workspace", &owner, "dev").run(1),
            kind: "workspace".into(),
            owner,
            name: "dev".into(),
            state: RunState::Running,
            phase: "ready".into(),
            waiting: waiting.into(),
            started: Timestamp::from_millis(0),
            updated: Timestamp::from_millis(0),
            transitions: 1,
        };
        let commands = vec![
            command("a", "create", Some(Outcome::Done(Value::Null))),
            command("b", "stop", None),
            command("c", "start", None),
        ];
        let view = RunView {
            summary,
            view: Value::Null,
            waiting: vec![],
            commands,
            outcome: None,
            left: vec![],
            warnings: vec![],
        };
        assert_eq!(words(&view, asked), expected);
    }

    #[test]
    fn what_a_command_waits_for_is_said_in_words() {
        let step = "proxmox.shutdown-vm (running)";
        check(step, "b", step);
        check(step, "c", &format!("its turn after `stop` (b), which waits for {step}"));
        check("", "b", "its next transition, which is on its way into the log");
    }
}
