//! What a seed decides before its world begins: how large it is, and how unkind.
//!
//! Each kind of fault is left out of half of the worlds, so that no fault hides another.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_schemas::limit::{Limit, PER_OWNER};

use crate::chance::Chance;

/// What can go wrong, each at its own occasions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message of any kind is lost.
    LostMessage,
    /// A message of any kind is late, and others overtake it.
    LateMessage,
    /// A message of any kind comes twice.
    TwinMessage,
    /// An append takes long to reach the log.
    SlowAppend,
    /// An append never reaches the log.
    LostAppend,
    /// An append is kept, and its writer hears of it much later.
    LateAcknowledgement,
    /// An append is kept or refused, and its writer never hears of it.
    LostAcknowledgement,
    /// An engine dies before its append reaches the log.
    CrashBeforeAppend,
    /// An engine dies after its append is kept, before it hears of it.
    CrashAfterAppend,
    /// The log or the leases do not answer.
    Away,
    /// The leases are slow.
    SlowLease,
    /// A worker's vendor fails in passing.
    PassingFailure,
    /// A worker's vendor acts, and its answer is lost.
    LostEffect,
    /// A worker's vendor takes seconds.
    SlowVendor,
    /// A worker's vendor does not let us in for an undo: a person has to look.
    ShutOut,
    /// An engine dies.
    Crash,
    /// An engine is frozen, and thaws.
    Freeze,
    /// An engine is asked to stop.
    Stop,
    /// Another engine comes.
    Join,
    /// A worker dies.
    WorkerCrash,
    /// All leases are forgotten: two engines may have one partition.
    ForgottenLeases,
    /// The wall clock of an engine's machine jumps.
    ClockJump,
    /// An engine's index is lost.
    LostIndex,
}

/// Every fault and how often it strikes at most: so many times in a thousand occasions.
const FAULTS: [(Fault, u64); 23] = [
    (Fault::LostMessage, 80),
    (Fault::LateMessage, 100),
    (Fault::TwinMessage, 80),
    (Fault::SlowAppend, 60),
    (Fault::LostAppend, 30),
    (Fault::LateAcknowledgement, 40),
    (Fault::LostAcknowledgement, 40),
    (Fault::CrashBeforeAppend, 15),
    (Fault::CrashAfterAppend, 15),
    (Fault::Away, 50),
    (Fault::SlowLease, 20),
    (Fault::PassingFailure, 200),
    (Fault::LostEffect, 100),
    (Fault::SlowVendor, 200),
    (Fault::ShutOut, 60),
    (Fault::Crash, 60),
    (Fault::Freeze, 100),
    (Fault::Stop, 60),
    (Fault::Join, 100),
    (Fault::WorkerCrash, 100),
    (Fault::ForgottenLeases, 60),
    (Fault::ClockJump, 60),
    (Fault::LostIndex, 30),
];

/// See the module's head.
pub struct Plan {
    /// Engines at the beginning.
    pub engines: u64,
    /// Worker processes at the beginning.
    pub workers: u64,
    /// Partitions of the log.
    pub partitions: u16,
    /// How long faults strike.
    pub unkind_ms: u64,
    /// Commands that are given meanwhile.
    pub commands: u64,
    /// With so many messages of runs that are over a partition begins a new epoch of its log.
    pub archive_after: u64,
    /// What the site limits, if it limits anything.
    pub limits: Vec<Limit>,
    /// After so long runs that wait leave their engine's memory; in half of the worlds they stay.
    pub idle_after: Duration,
    /// Whether the machines' clocks differ from the beginning.
    pub skewed: bool,
    rates: BTreeMap<Fault, u32>,
}

impl Plan {
    /// What these numbers decide.
    #[must_use]
    pub fn of(chance: &mut Chance) -> Self {
        let mut rates = BTreeMap::new();
        for (fault, most) in FAULTS {
            let rate = chance.between(1, most);
            if chance.strikes(500) {
                rates.insert(fault, u32::try_from(rate).unwrap_or(0));
            }
        }
        Self {
            engines: chance.between(1, 3),
            workers: chance.between(1, 3),
            partitions: u16::try_from(chance.between(1, 3)).unwrap_or(1),
            unkind_ms: chance.between(5_000, 25_000),
            commands: chance.between(6, 16),
            skewed: chance.strikes(500),
            archive_after: if chance.strikes(500) { chance.between(1, 40) } else { u64::MAX },
            idle_after: match chance.strikes(500) {
                true => Duration::from_millis(chance.between(0, 3_000)),
                false => Duration::MAX,
            },
            rates,
            limits: limits(chance),
        }
    }

    /// How often a fault strikes in this world.
    #[must_use]
    pub fn rate(&self, fault: Fault) -> u32 {
        self.rates.get(&fault).copied().unwrap_or(0)
    }
}

/// In half of the worlds, how much is made and taken away at once: by everybody, or for each owner.
fn limits(chance: &mut Chance) -> Vec<Limit> {
    if chance.strikes(500) {
        return Vec::new();
    }
    let per = chance.strikes(500).then(|| PER_OWNER.to_owned());
    let at_once = u32::try_from(chance.between(1, 2)).ok();
    let steps = vec!["outside.make".to_owned(), "outside.unmake".to_owned()];
    vec![Limit { name: "works".to_owned(), steps, per, at_once, per_minute: None }]
}
