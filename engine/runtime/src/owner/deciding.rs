//! From the facts that wait for a run to its next transition: as many of them as one message of the
//! log has room for, with what follows from them.

use std::collections::VecDeque;
use std::io;

use stead_core::run::Decided;
use stead_schemas::event::Event;
use stead_schemas::time::Timestamp;

use super::bugs::caught;
use super::live::{Fact, Live, Tell};
use super::parked::park;

/// Behind so many bytes no further fact is taken in: they and what follows from one more have to fit
/// into one message, of which a server takes a megabyte by default.
const ENOUGH_BYTES: usize = 64 * 1024;

/// What a run makes of the facts that wait for it, or of the first of them.
#[derive(Default)]
pub(super) struct Turn {
    /// The events of the next transition; none if no fact was legal.
    pub events: Vec<Event>,
    /// Who is told once they are in the log.
    pub tell: Vec<Tell>,
    /// Which facts will never be there.
    pub missed: Missed,
}

/// Facts that will never be in the log.
#[derive(Default)]
pub(super) struct Missed {
    /// The commands among them.
    pub commands: Vec<String>,
    /// Who waits for others.
    pub tells: Vec<Tell>,
}

/// Who waits for a fact: a command's callers by its id, everybody else by himself.
type Waiting = (Option<String>, Option<Tell>);

impl Missed {
    /// All that waits.
    pub fn all(queue: VecDeque<Fact>) -> Self {
        waiting_in(queue).collect()
    }
}

impl FromIterator<Waiting> for Missed {
    fn from_iter<T: IntoIterator<Item = Waiting>>(missed: T) -> Self {
        let (commands, tells): (Vec<_>, Vec<_>) = missed.into_iter().unzip();
        let commands = commands.into_iter().flatten().collect();
        Self { commands, tells: tells.into_iter().flatten().collect() }
    }
}

impl Live {
    /// Lets the run decide on what waits for it. A bug in that parks the run: all that waits is
    /// missed then, and nothing is written.
    pub fn decide(&mut self, at: Timestamp) -> Turn {
        let (mut decided, mut waiting, mut bytes) = (Decided::default(), Vec::new(), 0);
        let mut late = Vec::new();
        while bytes < ENOUGH_BYTES && self.parked.is_none() && !self.queue.is_empty() {
            let (mut facts, known) = (next_facts(&mut self.queue), decided.events.len());
            self.leave_out_late(&mut facts, &mut late);
            let (who, events): (Vec<Waiting>, Vec<Event>) = facts.into_iter().map(split).unzip();
            waiting.extend(who);
            self.decide_on(at, events, &mut decided);
            // Most facts come alone: nobody has to measure them.
            if !self.queue.is_empty() {
                bytes += decided.events[known..].iter().map(written_bytes).sum::<usize>();
            }
        }
        if self.parked.is_some() {
            let queued = waiting_in(std::mem::take(&mut self.queue));
            let missed = waiting.into_iter().chain(late).chain(queued).collect();
            return Turn { missed, ..Turn::default() };
        }
        let (taken, missed): (Vec<_>, Vec<_>) =
            waiting.into_iter().zip(decided.taken).partition(|(_, taken)| *taken);
        Turn {
            events: decided.events,
            tell: taken.into_iter().filter_map(|((_, tell), _)| tell).collect(),
            missed: missed.into_iter().map(|(waiting, _)| waiting).chain(late).collect(),
        }
    }

    /// Leaves out of facts that go together a cancel that comes too late, and what goes with it: a
    /// run that is not cancelled is not resumed for that. A command among them is taken in all the
    /// same.
    fn leave_out_late(&self, facts: &mut Vec<Fact>, late: &mut Vec<Waiting>) {
        if facts.iter().all(|fact| self.run.is_in_time(&fact.event)) {
            return;
        }
        let goes = |fact: &mut Fact| {
            matches!(fact.event, Event::CancelRequested(_) | Event::RunResumed(_))
        };
        late.extend(facts.extract_if(.., goes).map(|fact| split(fact).0));
    }

    fn decide_on(&mut self, at: Timestamp, facts: Vec<Event>, decided: &mut Decided) {
        let run = &mut self.run;
        match caught(|| run.decide_more(at, facts, decided)) {
            Ok(Ok(())) => {}
            // A bug of ours: the turn is lost, the log is not.
            Ok(Err(illegal)) => {
                park(self, "illegal", format!("this build decided something illegal: {illegal}"));
            }
            Err(panicked) => park(self, "panicked", panicked),
        }
    }
}

/// The first fact that waits, and those that go into the history with it.
fn next_facts(facts: &mut VecDeque<Fact>) -> Vec<Fact> {
    let together = facts.iter().take_while(|fact| fact.with_next).count() + 1;
    facts.drain(..together.min(facts.len())).collect()
}

fn waiting_in(queue: VecDeque<Fact>) -> impl Iterator<Item = Waiting> {
    queue.into_iter().map(|fact| split(fact).0)
}

fn split(fact: Fact) -> (Waiting, Event) {
    ((command_id(&fact.event), fact.tell), fact.event)
}

/// The command that a fact is the acceptance of.
pub(super) fn command_id(event: &Event) -> Option<String> {
    match event {
        Event::CommandAccepted(accepted) => Some(accepted.id.clone()),
        _ => None,
    }
}

/// How many bytes an event has in the log.
fn written_bytes(event: &Event) -> usize {
    let mut counted = Counted(0);
    // Nothing fails that is only counted.
    serde_json::to_writer(&mut counted, event).map_or(0, |()| counted.0)
}

/// Counts what is written, and keeps none of it.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
