//! The door: what becomes of a command for an entity of this partition.

use serde_json::Value;
use stead_core::definition::{Admission, Admitted, Definition, Living};
use stead_core::run::Run;
use stead_schemas::command::fields::{PRIORITY, read_priority};
use stead_schemas::dispatch::{
    Accepted, Caller, CommandReply, EntityCommand, Rehearsal, RehearsalReply, StepAddress,
    StepReply,
};
use stead_schemas::event::{
    ByHand, CancelRequested, CommandAccepted, Event, RunResumed, RunStarted,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::limit::Priority;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::entity::{CancelCommand, LookUpRun, LookedUp};
use stead_schemas::transition::command_digest;

use super::Owner;
use super::bugs::caught;
use super::live::Asker;
use super::parked::unknown_kind;
use crate::inbound::encoded;
use crate::ports::{Outgoing, ReplyTo};

/// The run that a command is for is not continued by this build.
pub(super) const PARKED: &str = "run.parked";
/// A workflow panicked over the command.
pub(super) const BUG: &str = "command.bug";
/// The log would not have what the command's run began with.
pub(super) const NOT_KEPT: &str = "command.not-kept";

impl Owner {
    /// Takes a command in, or refuses it; in either case says so, but an acceptance only once it
    /// is in the log.
    pub(super) fn command(&mut self, mut command: EntityCommand, to: ReplyTo) {
        let priority = read_priority(&command.fields);
        command.fields.remove(PRIORITY);
        let asker = match &command.by {
            Caller::Run(address) => Asker::Step(address.clone()),
            Caller::Inbox { .. }
            | Caller::Api
            | Caller::User(_)
            | Caller::Command { .. }
            | Caller::Engine => Asker::Caller(to),
        };
        if let (CancelCommand::VERB, Asker::Step(address)) = (&*command.verb, &asker) {
            return self.cancel_command(&command, address.clone());
        }
        let digest = command_digest(&command.verb, &command.fields);
        if self.is_repeated(&command, &digest) {
            return self.repeat(&command, &digest, asker);
        }
        if self.is_ending(&command) {
            return self.ask_again(asker);
        }
        if let (LookUpRun::VERB, Asker::Step(address)) = (&*command.verb, &asker) {
            return self.look_up_run(&command, address.clone());
        }
        if self.is_late(&command) {
            let words = "the run that asks has given a later command meanwhile";
            return self.refuse(&command, asker, Refusal::new("command.late", words));
        }
        let Some(definition) = self.env.definition(&command.kind) else {
            return self.leave_to_another_build(&command.kind, asker);
        };
        match priority.and_then(|priority| Ok((self.admit(definition, &command)?, priority))) {
            Err(refusal) => self.refuse(&command, asker, refusal),
            Ok(admitted) => self.accept(command, digest, admitted, asker),
        }
    }

    /// Says which run of the entity lives.
    fn look_up_run(&self, command: &EntityCommand, asker: StepAddress) {
        let living = self.living(&command.key()).map(|live| live.run.id().clone());
        let looked = serde_json::to_value(LookedUp { living }).unwrap_or_default();
        self.say_to_step(asker, StepReply::Done(looked));
    }

    /// Whether the run that asks has cancelled this command, or has given a later one to this
    /// entity. Then nobody waits for this one any more, and what takes it back may have been
    /// carried out already.
    fn is_late(&self, command: &EntityCommand) -> bool {
        let Caller::Run(address) = &command.by else { return false };
        let key = command.key();
        address.seq < self.entities.latest_asked(&key, &address.run)
            || self.entities.is_given_up(&key, &command.id)
    }

    /// Whether the entity's run has decided to end and only the log does not know yet.
    fn is_ending(&self, command: &EntityCommand) -> bool {
        let living = self.living(&command.key());
        living.is_some_and(|live| live.parked.is_none() && live.run.folded().ended.is_some())
    }

    /// The command came in the moment in which the run ended, and is for the next life; or in which it was
    /// parked, and is refused from then on.
    fn ask_again(&self, asker: Asker) {
        let words = "the run has just ended, or cannot go on; ask again";
        self.not_now(asker, Failure::new(Class::Retry, words));
    }

    /// This build knows nothing of the kind, but whoever let the command through does: it waits for an
    /// owner that does, too.
    fn leave_to_another_build(&self, kind: &str, asker: Asker) {
        self.not_now(asker, Failure::new(Class::Wait, unknown_kind(kind)));
    }

    /// The command is neither taken in nor refused.
    fn not_now(&self, asker: Asker, failure: Failure) {
        match asker {
            Asker::Caller(to) => {
                let bytes = encoded(&CommandReply::Unavailable { words: failure.words });
                self.send(Outgoing::Reply { to, bytes });
            }
            Asker::Step(address) => self.say_to_step(address, StepReply::Failed(failure)),
        }
    }

    /// A command was queued, and then the run ended before its turn came.
    pub(super) fn missed_command(&mut self, run: &RunId, id: &str) {
        self.entities.missed(run, id);
        let askers = self.runs.get_mut(run).map(|live| live.take_askers(id));
        for asker in askers.into_iter().flatten() {
            self.ask_again(asker);
        }
    }

    /// The first turn of a run was lost, and nothing of it is in the log. There is no such run: its
    /// name is free, and whoever asked for it is told.
    pub(super) fn forget_unborn(
        &mut self,
        run: &RunId,
        commands: &[String],
        code: &'static str,
        words: &str,
    ) {
        tracing::error!(%run, words, "the run never began");
        for id in commands {
            self.entities.missed(run, id);
            let askers = self.runs.get_mut(run).map(|live| live.take_askers(id));
            for asker in askers.into_iter().flatten() {
                match asker {
                    Asker::Caller(to) => {
                        let reply = CommandReply::Refused(Refusal::new(code, words));
                        self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
                    }
                    // Another build may begin it; that is waited for.
                    Asker::Step(address) => {
                        let failure = Failure::new(Class::Wait, words);
                        self.say_to_step(address, StepReply::Failed(failure));
                    }
                }
            }
        }
        self.entities.unborn(run);
        self.no_more_outcomes(run);
        self.runs.remove(run);
        self.dirty.remove(run);
    }

    fn is_repeated(&self, command: &EntityCommand, digest: &str) -> bool {
        let known = self.entities.command(&command.key(), &command.id);
        // Another run's step may change its request only together with its number.
        known.is_some_and(|known| known.is(digest) || !is_step(&command.by))
    }

    /// The same id was seen before: say the same again, or that the id was used for something
    /// else.
    fn repeat(&mut self, command: &EntityCommand, digest: &str, asker: Asker) {
        let key = command.key();
        let Some(known) = self.entities.command(&key, &command.id) else { return };
        if !known.is(digest) {
            let words = format!("the id `{}` was used for another command", command.id);
            let refusal = Refusal::new("command.id-reused", words).field("id");
            return self.refuse(command, asker, refusal);
        }
        let run = key.run(known.life);
        let waiting = self.runs.get_mut(&run).and_then(|live| live.askers.get_mut(&command.id));
        if let Some(askers) = waiting {
            askers.push(asker);
            return;
        }
        match asker {
            Asker::Step(address) => self.answer_again(&run, &command.id, address),
            asker @ Asker::Caller(_) => self.tell_asker(asker, &run, &command.id, true),
        }
    }

    /// Says what would become of a command. Nothing is written, nothing is changed.
    pub(super) fn rehearse(&self, command: &mut EntityCommand, to: ReplyTo) {
        command.fields.remove(PRIORITY);
        let living = self.living(&command.key()).map(|live| live.run.id().clone());
        let Some(definition) = self.env.definition(&command.kind) else {
            let reply = RehearsalReply::Unavailable { words: unknown_kind(&command.kind) };
            return self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
        };
        let reply = match self.admit(definition, command) {
            Err(refusal) => RehearsalReply::Refused(refusal),
            Ok(admitted) if living.is_none() && !admitted.begins => {
                RehearsalReply::Refused(nobody(command))
            }
            Ok(admitted) => RehearsalReply::Rehearsed(Rehearsal {
                run: living,
                interrupts: admitted.interrupts,
                plan: plan_of(&admitted.payload),
                order: admitted.payload,
            }),
        };
        self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
    }

    fn admit(&self, definition: &Definition, command: &EntityCommand) -> Result<Admitted, Refusal> {
        if !definition.public && !is_step(&command.by) {
            let words = format!("a `{}` takes commands from workflows only", command.kind);
            return Err(Refusal::new("kind.unknown", words));
        }
        let living = self.living(&command.key());
        if let Some(parked) = living.and_then(|live| live.parked.as_ref()) {
            return Err(Refusal::new(PARKED, format!("the run is parked: {}", parked.words)));
        }
        let phase = living.map(|live| live.run.phase());
        let view = living.and_then(|live| live.run.view());
        let living = match (&phase, &view) {
            (Some(phase), Some(view)) => Some(Living { phase, view }),
            _ => None,
        };
        let site = self.env.site.now();
        let admission = Admission {
            site: &site,
            owner: &command.owner,
            name: &command.name,
            living,
            verb: &command.verb,
            fields: &command.fields,
        };
        caught(|| (definition.admit)(&admission))
            .unwrap_or_else(|panicked| Err(Refusal::new(BUG, panicked)))
    }

    fn accept(
        &mut self,
        command: EntityCommand,
        digest: String,
        (admitted, priority): (Admitted, Priority),
        asker: Asker,
    ) {
        let key = command.key();
        let living = self.living(&key).map(|live| live.run.id().clone());
        let run = match &living {
            Some(run) => run.clone(),
            None if admitted.begins => key.run(self.entities.latest(&key) + 1),
            None => {
                let refusal = nobody(&command);
                return self.refuse(&command, asker, refusal);
            }
        };
        self.entities.accepted(&run, &command.id, &digest);
        if let Caller::Run(address) = &command.by {
            self.entities.asked_by(&key, address);
        }
        let facts = self.facts_of(&command, digest, (&admitted, priority), living.as_ref());
        if living.is_none() {
            self.begin(&run);
        }
        let Some(live) = self.runs.get_mut(&run) else { return };
        live.askers.entry(command.id).or_default().push(asker);
        live.queue_together(facts, None);
        self.advance(&run);
    }

    fn facts_of(
        &self,
        command: &EntityCommand,
        digest: String,
        (admitted, priority): (&Admitted, Priority),
        living: Option<&RunId>,
    ) -> Vec<Event> {
        let mut facts = Vec::new();
        if living.is_none() {
            facts.push(Event::RunStarted(RunStarted {
                workflow: command.kind.clone(),
                owner: command.owner.clone(),
                name: command.name.clone(),
                build: self.env.build.clone(),
            }));
        }
        let run = living.and_then(|run| self.runs.get(run)).map(|live| &live.run);
        if let Some(run) = run.filter(|run| admitted.interrupts && run.can_cancel()) {
            let under_way = run.command_under_way().map(str::to_owned);
            let by = Caller::Command { id: command.id.clone() };
            let why = format!("`{}` was asked for", command.verb);
            let order = ByHand { by: by.clone(), why: why.clone(), id: None };
            let cancel = CancelRequested { by, why, command: under_way, id: None };
            facts.push(Event::CancelRequested(cancel));
            // What the engine paused goes on to be taken back; what a person paused waits for him.
            if is_paused_by_engine(run) {
                facts.push(Event::RunResumed(RunResumed { order }));
            }
        }
        let reply = match &command.by {
            Caller::Run(address) => Some(address.clone()),
            Caller::Inbox { .. }
            | Caller::Api
            | Caller::User(_)
            | Caller::Command { .. }
            | Caller::Engine => None,
        };
        facts.push(Event::CommandAccepted(CommandAccepted {
            id: command.id.clone(),
            verb: command.verb.clone(),
            payload: admitted.payload.clone(),
            digest,
            by: command.by.clone(),
            reply,
            priority,
        }));
        facts
    }

    /// Tells everyone who asked for a command that it is in the log.
    pub(super) fn tell_accepted(&mut self, run: &RunId, id: &str) {
        let askers = self.runs.get_mut(run).map(|live| live.take_askers(id));
        for asker in askers.into_iter().flatten() {
            self.tell_asker(asker, run, id, false);
        }
    }

    fn tell_asker(&self, asker: Asker, run: &RunId, command: &str, repeated: bool) {
        match asker {
            Asker::Caller(to) => {
                let accepted = Accepted::new(run.clone(), command.to_owned(), repeated);
                let bytes = encoded(&CommandReply::Accepted(accepted));
                self.send(Outgoing::Reply { to, bytes });
            }
            Asker::Step(address) => self.step_goes_on(address),
        }
    }

    fn refuse(&self, command: &EntityCommand, asker: Asker, refusal: Refusal) {
        self.count_refused(&command.kind, &command.verb);
        match asker {
            Asker::Caller(to) => {
                let bytes = encoded(&CommandReply::Refused(refusal));
                self.send(Outgoing::Reply { to, bytes });
            }
            Asker::Step(address) => {
                let words =
                    format!("`{}.{}` was refused: {}", command.kind, command.verb, refusal.words);
                // Another build goes on with a parked run; that is waited for.
                let is_parked = refusal.code == PARKED;
                let class = if is_parked { Class::Wait } else { Class::Refused };
                self.say_to_step(address, StepReply::Failed(Failure::new(class, words)));
            }
        }
    }
}

fn nobody(command: &EntityCommand) -> Refusal {
    let words = format!("there is no {} `{}`", command.kind, command.name);
    Refusal::new(&format!("{}.unknown", command.kind), words).field("name")
}

fn is_paused_by_engine(run: &Run) -> bool {
    run.folded().paused.as_ref().is_some_and(|paused| paused.order.by == Caller::Engine)
}

/// What an order says that it will do, if it does.
fn plan_of(order: &Value) -> Vec<String> {
    let lines = order["plan"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

const fn is_step(by: &Caller) -> bool {
    matches!(by, Caller::Run(_))
}
