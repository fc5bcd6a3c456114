//! Keeps the places of the limits whose keys are this partition's. All of it is in memory: an owner
//! that takes over hears from those who have places before it gives any.

use std::collections::BTreeMap;

use stead_schemas::limit::{LimitView, PlaceAsk, PlaceReply};
use tokio::time::Instant;

use super::Owner;
use crate::inbound::encoded;
use crate::keeper::{Key, LEASE, Told};
use crate::ports::{Outgoing, ReplyTo};

/// The keys, by limit and key.
#[derive(Default)]
pub(super) struct Keeping {
    keys: BTreeMap<(String, String), Key>,
    /// When all that has a place has been heard of, if this is not the first keeper.
    settled_at: Option<Instant>,
    /// When something may be given without anybody asking.
    due: Option<Instant>,
}

impl Keeping {
    /// From now on it hears what it is told. Where nobody has ever owned the partition, nobody has
    /// a place.
    pub fn begin(&mut self, epoch: u64) {
        self.settled_at = (epoch > 1).then(|| Instant::now() + LEASE);
    }

    /// When something may be given without anybody asking.
    pub const fn next(&self) -> Option<Instant> {
        self.due
    }

    fn look_again(&mut self, when: Option<Instant>) {
        self.due = [self.due, when].into_iter().flatten().min();
    }
}

impl Owner {
    /// A step's owner says what it wants of a limit.
    pub(super) fn place_asked(&mut self, ask: PlaceAsk) {
        let now = Instant::now();
        let (limit, key) = (ask.limit.clone(), ask.key.clone());
        let site = self.env.site.now();
        let Some(known) = site.limits.iter().find(|known| known.name == limit) else {
            // What this engine is not configured to limit it does not hold up.
            let told = Told { step: ask.step, number: ask.number, line: None };
            return self.tell_placed(&limit, &key, told);
        };
        let settled_at = self.keeping.settled_at;
        let place = (limit, key);
        let line = self.keeping.keys.entry(place.clone());
        let line = line.or_insert_with(|| Key::new(known, now, settled_at));
        line.keep_to(known, now);
        let told = line.hear(now, ask);
        let next = line.next_change(now);
        self.keeping.look_again(next);
        for told in told {
            self.tell_placed(&place.0, &place.1, told);
        }
    }

    /// Gives what has become free by time alone.
    pub(super) fn give_places(&mut self, now: Instant) {
        if self.keeping.due.is_none_or(|due| due > now) {
            return;
        }
        self.keeping.due = None;
        let (mut given, mut next) = (Vec::new(), None);
        for (place, key) in &mut self.keeping.keys {
            given.extend(key.give(now).into_iter().map(|told| (place.clone(), told)));
            next = [next, key.next_change(now)].into_iter().flatten().min();
        }
        self.keeping.look_again(next);
        for ((limit, key), told) in given {
            self.tell_placed(&limit, &key, told);
        }
    }

    fn tell_placed(&self, limit: &str, key: &str, told: Told) {
        let Told { step, number, line } = told;
        let to = step.run.partition(self.env.partitions);
        let (limit, key) = (limit.to_owned(), key.to_owned());
        self.send(Outgoing::Placed { to, reply: PlaceReply { limit, key, step, number, line } });
    }

    /// Shows the limits, with the keys that are kept here.
    pub(super) fn limits(&self, to: ReplyTo) {
        let now = Instant::now();
        let site = self.env.site.now();
        let views = site.limits.iter().map(|limit| {
            let keys = self.keeping.keys.iter().filter(|((name, _), _)| *name == limit.name);
            let shown = keys.map(|((_, key), line)| line.shown(now, key));
            let keys = shown.filter(|key| !key.at_work.is_empty() || !key.waiting.is_empty());
            LimitView { limit: limit.clone(), keys: keys.collect() }
        });
        let views: Vec<LimitView> = views.collect();
        self.send(Outgoing::Reply { to, bytes: encoded(&views) });
    }

    /// Forgets keys that nobody has or wants, and counts the places by limit and state.
    pub(super) fn count_places(&mut self) -> BTreeMap<(String, &'static str), u32> {
        let now = Instant::now();
        self.keeping.keys.retain(|_, key| !key.is_idle(now));
        let site = self.env.site.now();
        let names = site.limits.iter().map(|limit| &limit.name);
        let mut places: BTreeMap<(String, &'static str), u32> = names
            .flat_map(|name| [((name.clone(), "held"), 0), ((name.clone(), "waiting"), 0)])
            .collect();
        for ((name, _), key) in &self.keeping.keys {
            let (held, waiting) = key.counts();
            for (state, count) in [("held", held), ("waiting", waiting)] {
                *places.entry((name.clone(), state)).or_default() +=
                    u32::try_from(count).unwrap_or(u32::MAX);
            }
        }
        places
    }
}
