//! What is known of a partition's entities beside the runs that live: how many lives each has
//! had, and which commands it has ever taken in.
//!
//! This is the one thing in an owner's memory that grows with the log, so it is kept as digests,
//! some 50 bytes for each run and command, and the archive holds those of the runs in it. What
//! came of a command is read from the log or the archive again.

use std::collections::{HashMap, HashSet, VecDeque};

use stead_schemas::archive::{CommandDigest, Digests, asked_tag, command_tag, life_tag};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::Seq;
use stead_schemas::ids::{EntityKey, RunId, Tag};

/// See the module's head.
#[derive(Default)]
pub(super) struct Entities {
    lives: HashMap<Tag, u32>,
    commands: HashMap<Tag, Known>,
    /// The latest step of each run that gave an entity a command.
    asked: HashMap<Tag, Seq>,
    /// Commands that were cancelled before they came, the last ones, and in which order. It is lost with
    /// the owner: one that comes later than that, from a sender that was frozen, is taken in.
    given_up: HashSet<Tag>,
    given_up_last: VecDeque<Tag>,
}

/// How many of the commands that were cancelled before they came are remembered. Each takes some 50
/// bytes, and is on its way for seconds.
const GIVEN_UP_KEPT: usize = 65_536;

/// A command that was accepted.
#[derive(Clone, Copy)]
pub(super) struct Known {
    digest: Tag,
    /// Which life took it in.
    pub life: u32,
}

impl Known {
    /// Whether it said this.
    pub fn is(&self, digest: &str) -> bool {
        self.digest == Tag::of(&[digest])
    }
}

impl Entities {
    /// Takes in what is known of runs in the archive.
    pub fn remember(&mut self, digests: &Digests) {
        for (tag, life) in &digests.lives {
            let latest = self.lives.entry(*tag).or_default();
            *latest = (*life).max(*latest);
        }
        for CommandDigest { tag, said, life } in &digests.commands {
            self.commands.insert(*tag, Known { digest: *said, life: *life });
        }
        for (tag, seq) in &digests.asked {
            let latest = self.asked.entry(*tag).or_default();
            *latest = (*seq).max(*latest);
        }
    }

    /// The latest life of an entity; 0 if it never lived.
    pub fn latest(&self, key: &EntityKey) -> u32 {
        self.lives.get(&life_tag(key)).copied().unwrap_or_default()
    }

    /// A life has begun.
    pub fn begun(&mut self, run: &RunId) {
        let latest = self.lives.entry(life_tag(&run.key())).or_default();
        *latest = run.life().max(*latest);
    }

    /// A life that nothing is in the log of is none.
    pub fn unborn(&mut self, run: &RunId) {
        let (tag, before) = (life_tag(&run.key()), run.life().saturating_sub(1));
        match before {
            0 => self.lives.remove(&tag),
            before => self.lives.insert(tag, before),
        };
    }

    /// A run takes a command in.
    pub fn accepted(&mut self, run: &RunId, id: &str, digest: &str) {
        let known = Known { digest: Tag::of(&[digest]), life: run.life() };
        self.commands.insert(command_tag(&run.key(), id), known);
    }

    /// A command was taken in and then did not come into the log.
    pub fn missed(&mut self, run: &RunId, id: &str) {
        self.commands.remove(&command_tag(&run.key(), id));
    }

    /// The command of this id, if the entity ever took it in.
    pub fn command(&self, key: &EntityKey, id: &str) -> Option<Known> {
        self.commands.get(&command_tag(key, id)).copied()
    }

    /// A run cancels a command that has not come.
    pub fn give_up(&mut self, key: &EntityKey, id: &str) {
        let tag = command_tag(key, id);
        if !self.given_up.insert(tag) {
            return;
        }
        self.given_up_last.push_back(tag);
        if self.given_up_last.len() > GIVEN_UP_KEPT
            && let Some(oldest) = self.given_up_last.pop_front()
        {
            self.given_up.remove(&oldest);
        }
    }

    /// Whether the command was cancelled before it came.
    pub fn is_given_up(&self, key: &EntityKey, id: &str) -> bool {
        self.given_up.contains(&command_tag(key, id))
    }

    /// A run's step has given an entity a command.
    pub fn asked_by(&mut self, key: &EntityKey, step: &StepAddress) {
        let latest = self.asked.entry(asked_tag(key, &step.run)).or_default();
        *latest = step.seq.max(*latest);
    }

    /// The latest step of a run that gave an entity a command; 0 if none did. A run asks an
    /// entity one thing after the other, so that whatever comes later and is older was given up
    /// long ago.
    pub fn latest_asked(&self, key: &EntityKey, run: &RunId) -> Seq {
        self.asked.get(&asked_tag(key, run)).copied().unwrap_or_default()
    }
}
