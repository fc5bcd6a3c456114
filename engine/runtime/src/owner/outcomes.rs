//! Tells how commands ended: to the steps of other runs that gave them, and to callers who wait.
//!
//! A run in memory may be ahead of the log; nobody is told an outcome that is not in it.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use stead_schemas::dispatch::{OutcomeQuery, StepAddress, StepReply};
use stead_schemas::event::{CommandCompleted, Event, Outcome};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;
use tokio::time::Instant;

use super::live::{Asker, Live};
use super::{Finished, Owner};
use crate::archive;
use crate::env::Env;
use crate::inbound::{OutcomeReply, encoded};
use crate::ports::{LogError, Outgoing, Recorded, ReplyTo};

/// Who waits for the end of a command. Nothing of it is kept: whoever hears nothing asks again,
/// and may ask the next owner.
#[derive(Default)]
pub(super) struct Waiters(HashMap<RunId, Vec<Waiter>>);

struct Waiter {
    command: String,
    to: ReplyTo,
    /// When nobody listens there any more.
    until: Instant,
}

/// What the log and the archive say of a command's end.
pub(super) enum Said {
    Ended(Outcome),
    Nothing,
    /// Its history is gone for good, and why.
    Expired(String),
}

/// Where a command stands.
enum Standing {
    Open,
    Ended(Outcome),
    /// What is in memory does not say.
    AskTheLog,
}

impl Waiters {
    fn add(&mut self, run: RunId, waiter: Waiter) {
        let (waiters, now) = (self.0.entry(run).or_default(), Instant::now());
        waiters.retain(|known| known.until > now && known.to != waiter.to);
        waiters.push(waiter);
    }

    /// Whether anybody waits for something of this run.
    pub fn has(&self, run: &RunId) -> bool {
        let now = Instant::now();
        self.0.get(run).is_some_and(|waiters| waiters.iter().any(|waiter| waiter.until > now))
    }

    fn take(&mut self, run: &RunId, command: &str) -> Vec<Waiter> {
        let Some(waiters) = self.0.remove(run) else { return Vec::new() };
        let (taken, left): (Vec<_>, Vec<_>) =
            waiters.into_iter().partition(|waiter| waiter.command == command);
        if !left.is_empty() {
            self.0.insert(run.clone(), left);
        }
        taken
    }
}

impl Owner {
    /// Somebody waits for the end of a command: he is told as soon as it is in the log.
    pub(super) fn outcome(&mut self, query: OutcomeQuery, to: ReplyTo) {
        let OutcomeQuery { run, command, within_ms } = query;
        match standing(self.runs.get(&run).map(|live| &**live), &command) {
            Standing::Open => {
                let until = Instant::now() + Duration::from_millis(within_ms);
                self.waiters.add(run, Waiter { command, to, until });
            }
            Standing::Ended(outcome) => self.tell_caller(to, Some(outcome)),
            Standing::AskTheLog => self.read_outcome(&run, &command, Asker::Caller(to)),
        }
    }

    /// Another run's step asks again for a command that is known.
    pub(super) fn answer_again(&mut self, run: &RunId, id: &str, address: StepAddress) {
        match standing(self.runs.get(run).map(|live| &**live), id) {
            Standing::Open => self.step_goes_on(address),
            Standing::Ended(outcome) => self.answer_step(address, &outcome),
            Standing::AskTheLog => self.read_outcome(run, id, Asker::Step(address)),
        }
    }

    fn read_outcome(&mut self, run: &RunId, id: &str, asker: Asker) {
        let (env, run, id) = (Rc::clone(&self.env), run.clone(), id.to_owned());
        let job = async move {
            let said = outcome_in_the_log(&env, &run, &id).await;
            Finished::Outcome { asker, said }
        };
        self.jobs.push(job.boxed_local());
    }

    /// If the log could not be read, whoever asks asks once more.
    pub(super) fn outcome_read(&self, asker: Asker, said: Result<Said, LogError>) {
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                return tracing::warn!(partition = %self.partition, %error, "cannot read what came of a command");
            }
        };
        match (asker, said) {
            (Asker::Caller(to), Said::Ended(outcome)) => self.tell_caller(to, Some(outcome)),
            (Asker::Caller(to), Said::Nothing | Said::Expired(_)) => self.tell_caller(to, None),
            (Asker::Step(address), Said::Ended(outcome)) => self.answer_step(address, &outcome),
            (Asker::Step(address), Said::Nothing) => self.step_goes_on(address),
            (Asker::Step(address), Said::Expired(words)) => {
                // Whoever goes on asking would do so for ever.
                let words = format!("what came of it is not known any more: {words}");
                self.answer_step(address, &Outcome::Failed(Failure::new(Class::Permanent, words)));
            }
        }
    }

    /// A command has ended, and the log says so: everybody who waits for that is told.
    pub(super) fn command_completed(&mut self, run: &RunId, completed: &CommandCompleted) {
        self.count_completed(run, completed);
        self.cancel_pressed(run, &completed.id);
        for waiter in self.waiters.take(run, &completed.id) {
            self.tell_caller(waiter.to, Some(completed.outcome.clone()));
        }
        let Some(live) = self.runs.get(run) else { return };
        let Some(known) = live.run.folded().command(&completed.id) else { return };
        let Some(address) = known.command.reply.clone() else { return };
        self.answer_step(address, &completed.outcome);
    }

    /// A run is over. Commands that it has not completed never will be.
    pub(super) fn no_more_outcomes(&mut self, run: &RunId) {
        for waiter in self.waiters.0.remove(run).into_iter().flatten() {
            self.tell_caller(waiter.to, None);
        }
    }

    fn tell_caller(&self, to: ReplyTo, outcome: OutcomeReply) {
        self.send(Outgoing::Reply { to, bytes: encoded(&outcome) });
    }

    pub(super) fn answer_step(&self, address: StepAddress, outcome: &Outcome) {
        let reply = match outcome {
            Outcome::Done(answer) => StepReply::Done(answer.clone()),
            Outcome::Failed(failure) => StepReply::Failed(failure.clone()),
        };
        self.say_to_step(address, reply);
    }

    /// The command that a step gave is in the log and has not ended.
    pub(super) fn step_goes_on(&self, address: StepAddress) {
        self.say_to_step(address, StepReply::Heartbeat { progress: None });
    }

    pub(super) fn say_to_step(&self, address: StepAddress, reply: StepReply) {
        let to = address.run.partition(self.env.partitions);
        self.send(Outgoing::Answer { to, address, reply });
    }
}

/// Where a command stands, as far as that is in the log. A run that is parked may be ahead of it
/// for good: the log did not take its last transition.
fn standing(live: Option<&Live>, id: &str) -> Standing {
    let Some(live) = live.filter(|live| live.parked.is_none()) else { return Standing::AskTheLog };
    match live.run.folded().command(id).map(|known| &known.outcome) {
        Some(Some(outcome)) if !live.is_writing_end_of(id) => Standing::Ended(outcome.clone()),
        Some(_) => Standing::Open,
        None if live.askers.contains_key(id) => Standing::Open,
        None => Standing::AskTheLog,
    }
}

async fn outcome_in_the_log(env: &Env, run: &RunId, id: &str) -> Result<Said, LogError> {
    let found = archive::history_of(&env.ports, env.partitions, run).await?;
    if let Some(tombstone) = found.expired {
        return Ok(Said::Expired(tombstone.told()));
    }
    let outcome = found.messages.iter().rev().find_map(|message| outcome_in(message, id));
    Ok(outcome.map_or(Said::Nothing, Said::Ended))
}

/// How the command of this id ended, if this message says so.
fn outcome_in(message: &Recorded, id: &str) -> Option<Outcome> {
    let events = Transition::decode(&message.bytes).ok()?.events;
    events.into_iter().find_map(|event| match event {
        Event::CommandCompleted(completed) if completed.id == id => Some(completed.outcome),
        _ => None,
    })
}
