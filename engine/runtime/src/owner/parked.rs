//! Runs that this build does not go on with. Nothing of that is in the log: another build may.
//!
//! A run of a kind that this build does not know is kept as its history says, so that its name stays
//! taken and people see it; whoever has its workflow goes on with it.
//!
//! One thing can be done to any other such run by hand: it can be terminated. In memory it may be ahead of
//! the log, or half way; so its history is read for that. Where this build decides as the history
//! says, what the workflow would have taken back is listed with what stays; elsewhere, what is open.

use futures_util::FutureExt;
use stead_core::definition::Definition;
use stead_core::run::Run;
use stead_schemas::dispatch::OrderRun;
use stead_schemas::event::{Event, TerminateRequested};
use stead_schemas::ids::RunId;
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::bugs::caught;
use super::commands::PARKED;
use super::live::{Fact, Live, Tell};
use super::load::read_into;
use super::orders::LATE;
use super::reading::Message;
use super::{Finished, Owner};
use crate::metric;
use crate::ports::{LogError, ReplyTo};

/// Why a run is not gone on with.
#[derive(Clone)]
pub(super) struct Parked {
    /// In one word, as it is counted.
    pub cause: &'static str,
    pub words: String,
}

/// The build has no workflow of the run's kind.
const UNKNOWN_KIND: &str = "unknown-kind";

impl Parked {
    /// Whether a person may end the run where it stands. What this build knows nothing of, a build
    /// that does will go on with.
    pub fn may_be_ended(&self) -> bool {
        self.cause != UNKNOWN_KIND
    }
}

/// That there is no workflow of this kind in this build.
pub(super) fn unknown_kind(kind: &str) -> String {
    format!("this build has no workflow `{kind}`, and an engine of another one must go on with it")
}

/// The run of this history, where this build has that workflow, if any. A run that it cannot go on
/// with is parked.
pub(super) fn taken_in(
    definition: Option<&Definition>,
    id: &RunId,
    history: Vec<Message>,
    now: Timestamp,
) -> Live {
    if let Some(definition) = definition {
        let mut live = Live::new(Run::new(*definition, id.clone()), now);
        read_into(&mut live, history);
        return live;
    }
    let run = as_it_stands(Definition::MISSING, id, &history);
    let run = run.unwrap_or_else(|_| Run::new(Definition::MISSING, id.clone()));
    let mut live = Live::new(run, now);
    let read = history.iter().rev().find_map(|message| message.transition.as_ref().ok());
    live.updated = read.map_or(now, |last| last.at);
    let words = unknown_kind(id.kind());
    live.parked = Some(Parked { cause: UNKNOWN_KIND, words });
    read_into(&mut live, history);
    live
}

/// The run is not gone on with until a build comes that can.
pub(super) fn park(live: &mut Live, cause: &'static str, words: String) {
    live.parked = Some(Parked { cause, words });
    tell_if_parked(live);
}

/// What an owner has read of a run's history may have parked it.
pub(super) fn tell_if_parked(live: &Live) {
    let Some(Parked { cause, words }) = &live.parked else { return };
    tracing::error!(run = %live.run.id(), %words, "the run is parked");
    metric::PARKED.count([cause]);
}

/// Nothing but one thing can be done to it, or nothing at all.
pub(super) fn refused(parked: &Parked) -> Refusal {
    let rest = match parked.may_be_ended() {
        true => "it may be terminated, and nothing else",
        false => "nothing can be done to it until then",
    };
    let words =
        format!("this build cannot go on with the run, it is parked: {}; {rest}", parked.words);
    Refusal::new(PARKED, words)
}

impl Owner {
    /// Somebody wants a parked run terminated: its history is read.
    pub(super) fn terminate_parked(&self, order: OrderRun, to: ReplyTo) {
        let read = self.history_aside(order.run.clone());
        let job = async move { Finished::ReadToEnd { order, to, history: read.await } };
        self.jobs.push(job.boxed_local());
    }

    /// The history of a parked run has been read: it ends where that does.
    pub(super) fn read_to_end(
        &mut self,
        order: OrderRun,
        to: ReplyTo,
        history: Result<Vec<Message>, LogError>,
    ) {
        if self.runs.get(&order.run).is_some_and(|live| live.parked.is_none()) {
            // Asked twice, and the other one was first.
            return self.order(order, to);
        }
        let read = history.map_err(|error| Refusal::new(LATE, format!("{error}; ask again")));
        let run = read.and_then(|history| self.run_to_end(&order.run, &history));
        let run = match run {
            Ok(run) => run,
            Err(refusal) => return self.reply_to_order(to, &Err(refusal)),
        };
        let Some(live) = self.runs.get_mut(&order.run) else { return };
        (live.run, live.parked) = (run, None);
        let event = Event::TerminateRequested(TerminateRequested { order: order.by.clone() });
        // What else waits for its turn comes too late.
        let tell = Some(Tell::Order(to));
        live.queue.push_front(Fact { tell, ..event.into() });
        self.advance(&order.run);
    }

    fn run_to_end(&self, id: &RunId, history: &[Message]) -> Result<Run, Refusal> {
        let parked = self.runs.get(id).filter(|live| live.parked.is_some());
        let ends_here = parked
            .is_some_and(|live| history.last().is_some_and(|message| message.link == live.prev));
        let Some(definition) = self.env.definition(id.kind()).filter(|_| ends_here) else {
            let words = "the log has nothing of the run, or it went on in the same moment";
            return Err(Refusal::new(LATE, words));
        };
        as_it_stands(*definition, id, history).map_err(|words| {
            let words = format!("its history cannot be read, and is left as it is: {words}");
            Refusal::new(PARKED, words)
        })
    }
}

/// The run as its history says. Where this build would decide otherwise, or does not know its kind, it
/// has no workflow.
pub(super) fn as_it_stands(
    definition: Definition,
    id: &RunId,
    history: &[Message],
) -> Result<Run, String> {
    let (mut transitions, mut prev) = (Vec::new(), "");
    for message in history {
        let transition = message.transition.as_ref().map_err(Clone::clone)?;
        if transition.prev != prev {
            return Err(format!("transition {} does not follow the one before it", transition.n));
        }
        transitions.push(transition);
        prev = &message.link;
    }
    let replayed = caught(|| replayed(definition, id, &transitions));
    match replayed.ok().flatten() {
        Some(run) => Ok(run),
        None => Run::of_history(definition, id.clone(), &transitions)
            .map_err(|illegal| illegal.to_string()),
    }
}

fn replayed(definition: Definition, id: &RunId, history: &[&Transition]) -> Option<Run> {
    let mut run = Run::new(definition, id.clone());
    history.iter().all(|transition| run.replay(transition).is_ok()).then_some(run)
}
