//! How a kit is played: one moment after the other, with the trouble that was chosen.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use stead_schemas::dispatch::{EntityCommand, RunOrder};
use stead_schemas::event::{Outcome, Signal};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;

use crate::kit::{Act, Ended, Kit, Moment, Played};
use crate::stage::Stage;
use crate::trouble::Trouble;
use crate::world::World;

/// See the module's head.
pub(crate) struct Player<'a, W> {
    pub stage: Stage<W>,
    trouble: &'a Trouble,
    /// In how many moments the run that was spoken to last could have been cancelled.
    pub cancels: usize,
    /// That run.
    run: Option<RunId>,
    /// Whether it was cancelled in this moment.
    is_cancelled: bool,
    waiting: Option<Waiting>,
}

/// A command that does not go on before a signal comes.
struct Waiting {
    command: EntityCommand,
    /// What there was before it was given.
    before: BTreeSet<String>,
}

/// Plays the kit.
pub(crate) fn play<'a, W: World>(
    kit: &Kit<W>,
    trouble: &'a Trouble,
) -> (Player<'a, W>, Vec<Played>) {
    let mut player = Player {
        stage: kit.stage(trouble),
        trouble,
        cancels: 0,
        run: None,
        is_cancelled: false,
        waiting: None,
    };
    let moments = kit.moments();
    let played = (0..moments.len()).map(|at| player.play(&moments[at], &moments[at + 1..]));
    let played = played.collect();
    player.stage.everything_replays();
    (player, played)
}

impl<W: World> Player<'_, W> {
    fn play(&mut self, moment: &Moment, rest: &[Moment]) -> Played {
        let before = self.stage.world.things();
        // Time passes for a command only where nobody says what it waits for.
        let until_next = rest.iter().take_while(|next| !matches!(next.act, Act::Command(_)));
        let is_signalled =
            until_next.map(|next| &next.act).any(|act| matches!(act, Act::Signal(..)));
        self.is_cancelled = false;
        let (what, ended) = match &moment.act {
            Act::Pass(span) => (format!("{span:?} pass"), self.pass(*span)),
            Act::Command(command) => {
                let ended = self.command(command, is_signalled);
                (format!("{}.{}", command.kind, command.verb), ended)
            }
            Act::Signal(key, signal) => {
                let ended = self.signal(key, signal, is_signalled);
                (format!("the signal {}", signal.name), ended)
            }
        };
        let before = self.before(moment, &ended, before);
        Played { what, ended, before, after: self.stage.world.things() }
    }

    /// What there was before whatever has now ended; what waits goes on waiting.
    fn before(
        &mut self,
        moment: &Moment,
        ended: &Ended,
        before: BTreeSet<String>,
    ) -> BTreeSet<String> {
        if let (Act::Command(command), Ended::Waits) = (&moment.act, ended) {
            self.waiting = Some(Waiting { command: command.clone(), before: before.clone() });
        }
        let is_over = matches!(ended, Ended::Command(_));
        match self.waiting.take_if(|_| is_over) {
            Some(waiting) => waiting.before,
            None => before,
        }
    }

    fn command(&mut self, command: &EntityCommand, is_signalled: bool) -> Ended {
        match self.stage.give(command) {
            Ok(run) => {
                self.run = Some(run);
                self.carry_out(command, is_signalled)
            }
            Err(refusal) => Ended::Refused(refusal),
        }
    }

    /// Carries out everything that follows from a command; time passes only as long as the command
    /// itself waits for it.
    fn carry_out(&mut self, command: &EntityCommand, is_signalled: bool) -> Ended {
        loop {
            self.work();
            if let Some(outcome) = self.outcome(command) {
                return Ended::Command(outcome);
            }
            if is_signalled && self.stage.awaits_signal() {
                return Ended::Waits;
            }
            let fired = self.stage.fire_next(Timestamp::from_millis(i64::MAX));
            let (kind, verb, trouble) = (&command.kind, &command.verb, self.trouble);
            let phase = self.run.as_ref().map(|run| self.stage.phase(run)).unwrap_or_default();
            assert!(fired, "{trouble}: {kind}.{verb} is never completed; the run is `{phase}`");
        }
    }

    fn signal(&mut self, key: &EntityKey, signal: &Signal, is_signalled: bool) -> Ended {
        let Some(run) = self.stage.latest(key) else {
            return Ended::Refused(Refusal::new("run.unknown", "nobody has been there"));
        };
        if let Err(refusal) = self.stage.order(&run, &RunOrder::Signal(signal.clone()), "a play") {
            return Ended::Refused(refusal);
        }
        self.run = Some(run);
        match self.waiting.as_ref().map(|waiting| waiting.command.clone()) {
            Some(command) => self.carry_out(&command, is_signalled),
            None => {
                self.work();
                self.passed()
            }
        }
    }

    fn pass(&mut self, span: Duration) -> Ended {
        let then = self.stage.now().after(span);
        self.work();
        while self.stage.fire_next(then) {
            self.work();
        }
        self.stage.wait_until(then);
        let waiting = self.waiting.as_ref().map(|waiting| waiting.command.clone());
        let outcome = waiting.and_then(|command| self.outcome(&command));
        outcome.map_or_else(|| self.passed(), Ended::Command)
    }

    const fn passed(&self) -> Ended {
        if self.is_cancelled { Ended::Interrupted } else { Ended::Passed }
    }

    fn outcome(&self, command: &EntityCommand) -> Option<Outcome> {
        self.stage.outcome(&command.key(), &command.id)
    }

    /// Carries out all open steps. Before each of them, and where there is none left, the run may be
    /// cancelled.
    fn work(&mut self) {
        loop {
            self.cancel_if_due();
            if !self.stage.one_step() {
                return;
            }
        }
    }

    fn cancel_if_due(&mut self) {
        let Some(run) = self.run.clone().filter(|run| self.stage.can_cancel(run)) else { return };
        if self.trouble.cancel_after == Some(self.cancels) {
            self.is_cancelled = self.stage.cancel(&run, "nobody wants it any more");
        }
        self.cancels += 1;
    }
}
