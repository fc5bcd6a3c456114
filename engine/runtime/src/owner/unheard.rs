//! Steps that nobody hears: no worker listens for them, or no engine owns the partition they are
//! for.
//!
//! Each is offered once and says so. Then one of them, the scout, is offered again and again in
//! the name of all that wait for the same; once it is heard, all go on. So any number of open
//! steps costs a few messages each second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stead_core::fold::OpenStep;
use stead_schemas::dispatch::{Route, StepAddress};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, Partition};
use stead_schemas::proof::Proof;
use stead_schemas::step::system;
use tokio::time::Instant;

use super::Owner;
use super::attempts::Phase;
use super::proofs::ticket;

/// How often a scout is sent. The broker says at once where nobody listens: a scout of which
/// nothing was said for so long has been heard.
const SCOUT_PAUSE: Duration = Duration::from_millis(250);

/// How many steps go on at once when the silence is over, and how long until the next ones do:
/// 100,000 of them within a second.
const AT_ONCE: usize = 1_000;
const NEXT_PAUSE: Duration = Duration::from_millis(10);

/// Whom a step is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Addressee {
    Workers(String),
    Owner(Partition),
}

/// The steps that nobody hears, by whom they are for.
#[derive(Default)]
pub(super) struct Unheard(BTreeMap<Addressee, Silence>);

/// The steps for one addressee that does not listen.
struct Silence {
    /// Oldest first, but for those that were scouts.
    waiting: VecDeque<StepAddress>,
    scout: Option<StepAddress>,
    /// Whether a scout was heard, and all go on.
    is_over: bool,
    /// When to send the next scout, to take the last one for heard, or to let more go on.
    next: Instant,
}

impl Unheard {
    /// When something is to be done.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|silence| silence.next).min()
    }

    fn due(&self, now: Instant) -> Vec<Addressee> {
        let due = self.0.iter().filter(|(_, silence)| silence.next <= now);
        due.map(|(addressee, _)| addressee.clone()).collect()
    }

    /// For whom this step is a scout.
    fn scouted_by(&self, address: &StepAddress) -> Option<Addressee> {
        let mut all = self.0.iter();
        let found = all.find(|(_, silence)| silence.scout.as_ref() == Some(address));
        found.map(|(addressee, _)| addressee.clone())
    }
}

impl Owner {
    /// Nobody listens where the attempt was sent.
    pub(super) fn unheard(&mut self, address: &StepAddress, asked: u32, proof: Option<&Proof>) {
        let (run, seq, epoch) = (&address.run, address.seq, self.epoch);
        let partitions = self.env.partitions;
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        // Said twice, it is still one attempt that was none.
        let waits = matches!(attempt.phase, Phase::Sent { .. });
        if !waits || asked != ticket(epoch, attempt.sendings) || !attempt.is_shown_by(proof) {
            return;
        }
        let addressee = addressee(open, partitions);
        let words = match &addressee {
            Addressee::Workers(system) => format!("no worker listens for {system} steps"),
            Addressee::Owner(_) => "no engine owns the partition it is for".to_owned(),
        };
        // It was not an attempt: nobody has seen it.
        attempt.number -= 1;
        attempt.tried -= 1;
        attempt.sent = None;
        attempt.phase = Phase::NoListener;
        attempt.place.iter_mut().for_each(|place| place.is_at_work = false);
        attempt.last = Some(Failure::new(Class::VendorDown, words));
        let is_listed = std::mem::replace(&mut attempt.is_unheard, true);
        self.dirty.insert(run.clone());
        self.rest(run, seq);
        let next = Instant::now() + SCOUT_PAUSE;
        let silence = self.unheard.0.entry(addressee).or_insert_with(|| Silence {
            waiting: VecDeque::new(),
            scout: None,
            is_over: false,
            next,
        });
        silence.scout.take_if(|scout| scout == address);
        if std::mem::take(&mut silence.is_over) {
            silence.next = next;
        }
        if !is_listed {
            silence.waiting.push_back(address.clone());
        }
    }

    /// Sends the scouts whose time has come, and lets those go on whose scout was heard.
    pub(super) fn scout(&mut self, now: Instant) {
        for addressee in self.unheard.due(now) {
            let Some(silence) = self.unheard.0.get(&addressee) else { continue };
            let (is_over, scout) = (silence.is_over, silence.scout.clone());
            let is_heard = scout.is_some_and(|scout| self.is_sent(&scout));
            match is_over || is_heard {
                true => self.go_on_together(&addressee, now),
                false => self.send_scout(&addressee, now),
            }
        }
    }

    /// Somebody has answered this step.
    pub(super) fn heard(&mut self, address: &StepAddress) {
        if let Some(addressee) = self.unheard.scouted_by(address) {
            self.go_on_together(&addressee, Instant::now());
        }
    }

    fn send_scout(&mut self, addressee: &Addressee, now: Instant) {
        while let Some(silence) = self.unheard.0.get_mut(addressee) {
            let Some(address) = silence.waiting.pop_front() else { break };
            silence.scout = Some(address.clone());
            silence.next = now + SCOUT_PAUSE;
            if self.take_unheard(&address) {
                return self.attempt(&address.run, address.seq);
            }
        }
        self.unheard.0.remove(addressee);
    }

    /// The silence is over. Others on this thread get their turn in between.
    fn go_on_together(&mut self, addressee: &Addressee, now: Instant) {
        let Some(silence) = self.unheard.0.get_mut(addressee) else { return };
        (silence.is_over, silence.scout, silence.next) = (true, None, now + NEXT_PAUSE);
        let some = silence.waiting.len().min(AT_ONCE);
        let some: Vec<StepAddress> = silence.waiting.drain(..some).collect();
        if silence.waiting.is_empty() {
            self.unheard.0.remove(addressee);
        }
        for address in some {
            if self.take_unheard(&address) {
                self.attempt(&address.run, address.seq);
            }
        }
    }

    /// Takes a step off the list; false if it no longer waits there.
    fn take_unheard(&mut self, address: &StepAddress) -> bool {
        let Some((attempt, _)) = self.open_step(&address.run, address.seq) else { return false };
        attempt.is_unheard = false;
        attempt.phase == Phase::NoListener
    }

    fn is_sent(&mut self, address: &StepAddress) -> bool {
        let open = self.open_step(&address.run, address.seq);
        open.is_some_and(|(attempt, _)| matches!(attempt.phase, Phase::Sent { .. }))
    }
}

fn addressee(open: &OpenStep, partitions: u16) -> Addressee {
    match &open.step.route {
        Route::Entity { kind, owner, name } => {
            Addressee::Owner(EntityKey::of(kind, owner, name).partition(partitions))
        }
        Route::Worker | Route::Outside => Addressee::Workers(system(&open.step.step).to_owned()),
    }
}
