//! The keeper of a limit's places, whatever comes in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stead_runtime::keeper::{Key, LEASE, RENEW, RISES_AFTER, Told};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::ids::EntityKey;
use stead_schemas::limit::{Limit, PlaceAsk, PlaceWanted, Priority};
use stead_schemas::owner::Owner;
use tokio::time::Instant;

const OWNERS: [&str; 3] = ["ann", "bob", "cid"];

fn limit(at_once: Option<u32>, per_minute: Option<u32>) -> Limit {
    let steps = vec!["probe.noop".to_owned()];
    Limit { name: "noops".into(), steps, per: None, at_once, per_minute }
}

/// A keeper, and time.
struct Desk {
    key: Key,
    now: Instant,
    number: u64,
    given: Vec<StepAddress>,
}

impl Desk {
    fn new(limit: &Limit) -> Self {
        let now = Instant::now();
        Self { key: Key::new(limit, now, None), now, number: 0, given: Vec::new() }
    }

    fn ask(&mut self, owner: &str, name: &str, wants: PlaceWanted) -> Vec<Told> {
        self.number += 1;
        let owner = Owner::new(owner).expect("a name");
        let told = self.key.hear(
            self.now,
            PlaceAsk {
                limit: "noops".into(),
                key: String::new(),
                step: step(&owner, name),
                what: "probe.noop".into(),
                owner,
                name: name.into(),
                number: self.number,
                wants,
            },
        );
        self.note(&told);
        told
    }

    fn turn(&mut self, owner: &str, name: &str) -> Vec<Told> {
        self.ask(owner, name, turn(Priority::Normal, false))
    }

    fn leave(&mut self, owner: &str, name: &str) {
        self.ask(owner, name, PlaceWanted::Leave);
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        let told = self.key.give(self.now);
        self.note(&told);
    }

    fn note(&mut self, told: &[Told]) {
        let new = told.iter().filter(|told| told.line.is_none()).map(|told| told.step.clone());
        self.given.extend(new);
    }

    /// Those who have got a place since the last look, by name.
    fn given(&mut self, names: &[(&str, &str)]) {
        let given = std::mem::take(&mut self.given);
        let wanted: Vec<StepAddress> =
            names.iter().map(|(owner, name)| step(&Owner::new(*owner).unwrap(), name)).collect();
        assert_eq!(given, wanted);
    }
}

fn step(owner: &Owner, name: &str) -> StepAddress {
    StepAddress { run: EntityKey::of("probe", owner, name).run(1), seq: 1 }
}

const fn turn(priority: Priority, undo: bool) -> PlaceWanted {
    PlaceWanted::Turn { priority, undo, waited_ms: 0 }
}

#[test]
fn owners_take_turns_and_each_one_s_steps_come_in_order() {
    let mut desk = Desk::new(&limit(Some(1), None));
    for (owner, name) in [("ann", "1"), ("ann", "2"), ("ann", "3"), ("bob", "4"), ("bob", "5")] {
        desk.turn(owner, name);
        desk.pass(Duration::from_millis(1));
    }
    desk.given(&[("ann", "1")]);
    for (leaves, comes) in
        [(("ann", "1"), ("bob", "4")), (("bob", "4"), ("ann", "2")), (("ann", "2"), ("bob", "5"))]
    {
        desk.leave(leaves.0, leaves.1);
        desk.given(&[comes]);
    }
}

#[test]
fn what_somebody_said_before_it_left_gives_it_no_place_when_it_comes_afterwards() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.turn("ann", "1");
    desk.turn("bob", "2");
    desk.number = 10;
    desk.leave("ann", "1");
    desk.given(&[("ann", "1"), ("bob", "2")]);
    desk.number = 5;
    assert_eq!(desk.ask("ann", "1", PlaceWanted::Stay), [], "it was on its way for long");
    desk.number = 11;
    let told = desk.turn("ann", "1");
    assert!(told.iter().all(|told| told.line.is_some()) && told.len() == 1, "{told:?}");
    assert_eq!(desk.key.counts(), (1, 1));
}

#[test]
fn what_takes_back_goes_first_then_the_priorities_and_whoever_waits_for_long_rises() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.turn("ann", "holds");
    desk.ask("bob", "low", turn(Priority::Low, false));
    desk.ask("bob", "usual", turn(Priority::Normal, false));
    desk.ask("cid", "high", turn(Priority::High, false));
    desk.ask("ann", "undo", turn(Priority::Normal, true));
    desk.given(&[("ann", "holds")]);
    desk.leave("ann", "holds");
    desk.given(&[("ann", "undo")]);
    desk.leave("ann", "undo");
    desk.given(&[("cid", "high")]);
    desk.leave("cid", "high");
    desk.given(&[("bob", "usual")]);
    // One that is wanted little has waited as long as it takes to pass one that is wanted much.
    let waited_ms = u64::try_from(RISES_AFTER.as_millis() * 2 + 1).unwrap();
    desk.ask("ann", "high", turn(Priority::High, false));
    let patient = PlaceWanted::Turn { priority: Priority::Low, undo: false, waited_ms };
    desk.ask("cid", "patient", patient);
    desk.leave("bob", "usual");
    desk.given(&[("ann", "high")]);
    desk.leave("ann", "high");
    desk.given(&[("cid", "patient")]);
}

#[test]
fn a_place_that_is_not_renewed_is_given_on_and_one_that_is_at_work_is_counted() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.turn("ann", "1");
    desk.turn("bob", "2");
    desk.given(&[("ann", "1")]);
    desk.pass(LEASE - RENEW);
    desk.ask("ann", "1", PlaceWanted::Stay);
    desk.turn("bob", "2");
    desk.given(&[("ann", "1")]);
    desk.pass(LEASE - RENEW);
    desk.given(&[]);
    desk.pass(RENEW);
    desk.given(&[("bob", "2")]);
    // Whoever is at work says so, though nobody gave it a place: then nobody else gets one.
    desk.ask("cid", "3", PlaceWanted::Stay);
    desk.leave("bob", "2");
    desk.given(&[("cid", "3")]);
    desk.turn("ann", "4");
    desk.given(&[]);
}

#[test]
fn a_new_keeper_gives_nothing_before_it_has_heard_of_all() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.key = Key::new(&limit(Some(1), None), desk.now, Some(desk.now + LEASE));
    let told = desk.turn("bob", "2").remove(0);
    assert!(told.line.expect("it waits").settling);
    desk.pass(RENEW);
    desk.ask("ann", "1", PlaceWanted::Stay);
    desk.pass(LEASE - RENEW);
    desk.turn("bob", "2");
    desk.given(&[("ann", "1")]);
    desk.leave("ann", "1");
    desk.given(&[("bob", "2")]);
}

#[test]
fn a_rate_gives_a_burst_and_then_one_after_the_other() {
    let mut desk = Desk::new(&limit(None, Some(30)));
    desk.turn("ann", "1");
    desk.turn("ann", "2");
    desk.given(&[("ann", "1")]);
    desk.leave("ann", "1");
    desk.pass(Duration::from_millis(1_900));
    desk.given(&[]);
    let due = desk.key.next_change(desk.now).expect("something comes");
    desk.pass(due - desk.now);
    desk.given(&[("ann", "2")]);
    assert!(due - desk.now < Duration::from_millis(200));
}

#[test]
fn what_is_overtaken_on_its_way_changes_nothing() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.number = 10;
    desk.turn("ann", "1");
    desk.number = 4;
    desk.leave("ann", "1");
    assert_eq!(desk.key.counts(), (1, 0));
    desk.number = 20;
    desk.leave("ann", "1");
    assert_eq!(desk.key.counts(), (0, 0));
}

/// What somebody does in a world of chance.
#[derive(Default)]
struct Someone {
    holds_until: Option<Instant>,
    asked: Option<Instant>,
    waits_since: Option<Instant>,
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

#[test]
fn a_limit_that_was_changed_is_kept_from_then_on() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.turn("ann", "first");
    desk.turn("bob", "second");
    desk.given(&[("ann", "first")]);
    desk.key.keep_to(&limit(Some(2), None), desk.now);
    desk.pass(Duration::ZERO);
    desk.given(&[("bob", "second")]);
    desk.key.keep_to(&limit(Some(1), None), desk.now);
    desk.turn("cid", "third");
    desk.leave("ann", "first");
    desk.given(&[]);
    desk.leave("bob", "second");
    desk.given(&[("cid", "third")]);
}

#[test]
fn a_rate_that_is_added_or_removed_while_the_key_is_busy_is_kept_from_then_on() {
    let mut desk = Desk::new(&limit(Some(2), None));
    desk.turn("ann", "busy");
    desk.key.keep_to(&limit(Some(2), Some(30)), desk.now);
    for name in ["1", "2", "3"] {
        desk.turn("bob", name);
        desk.leave("bob", name);
    }
    desk.given(&[("ann", "busy"), ("bob", "1"), ("bob", "2")]);
    desk.turn("bob", "3");
    desk.given(&[]);
    desk.key.keep_to(&limit(Some(2), None), desk.now);
    desk.pass(Duration::ZERO);
    desk.given(&[("bob", "3")]);
}

#[test]
fn a_key_that_is_first_heard_of_long_after_its_keeper_changed_begins_with_what_has_come_since() {
    let mut desk = Desk::new(&limit(None, None));
    // One comes every two seconds, of a burst of three, of which the former keeper may have given all.
    let rate = Limit { at_once: Some(3), ..limit(None, Some(30)) };
    let first_heard = desk.now + LEASE + Duration::from_millis(2_100);
    desk.key = Key::new(&rate, first_heard, Some(desk.now + LEASE));
    desk.now = first_heard;
    for name in ["1", "2"] {
        desk.turn("ann", name);
        desk.leave("ann", name);
    }
    desk.given(&[("ann", "1")]);
}

#[test]
fn a_former_owner_who_leaves_is_not_answered() {
    let mut desk = Desk::new(&limit(Some(1), None));
    desk.turn("ann", "holds");
    desk.turn("bob", "waits");
    let owner = Owner::new("bob").unwrap();
    let leaves = PlaceAsk {
        limit: "clones".to_owned(),
        key: String::new(),
        step: step(&owner, "waits"),
        what: "proxmox.clone-vm".to_owned(),
        owner,
        name: "waits".to_owned(),
        number: 0,
        wants: PlaceWanted::Leave,
    };
    assert_eq!(desk.key.hear(desk.now, leaves), [], "an answer would make it say it again");
    assert_eq!(desk.key.counts(), (1, 1), "it leaves nothing that it does not have");
}

/// So many who come, work and go, one of whose messages in six is lost.
fn crowd(seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let at_once = 1 + u32::try_from(chance.below(3)).unwrap();
    let rate = (chance.below(2) == 0).then_some(120);
    let mut desk = Desk::new(&limit(Some(at_once), rate));
    let mut all: BTreeMap<(usize, u64), Someone> = BTreeMap::new();
    for _ in 0..10_000 {
        desk.now += Duration::from_millis(50);
        let told = desk.key.give(desk.now);
        hear(&mut chance, &mut all, &told, desk.now);
        let who = (usize::try_from(chance.below(3)).unwrap(), chance.below(4));
        if chance.below(6) == 0 {
            all.entry(who).or_default();
        }
        for who in all.keys().copied().collect::<Vec<_>>() {
            go_on(&mut desk, &mut chance, &mut all, who);
        }
        let held = all.values().filter(|one| one.holds_until.is_some()).count();
        assert!(held <= at_once as usize, "seed {seed}: {held} at work");
        let longest = all.values().filter_map(|one| one.waits_since).min();
        let longest = longest.map(|since| desk.now - since).unwrap_or_default();
        // Whoever is low rises twice, and then everybody has a turn, with messages that are lost.
        assert!(longest < RISES_AFTER * 5, "seed {seed}: {longest:?}");
    }
}

fn go_on(
    desk: &mut Desk,
    chance: &mut Chance,
    all: &mut BTreeMap<(usize, u64), Someone>,
    who: (usize, u64),
) {
    let now = desk.now;
    let Some(one) = all.get_mut(&who) else { return };
    let (owner, name) = (OWNERS[who.0], who.1.to_string());
    if one.asked.is_some_and(|asked| now - asked < RENEW)
        && one.holds_until.is_none_or(|end| end > now)
    {
        return;
    }
    let wants = match one.holds_until {
        Some(end) if end <= now => PlaceWanted::Leave,
        Some(_) => PlaceWanted::Stay,
        None => turn(Priority::ALL[usize::try_from(who.1 % 3).unwrap()], false),
    };
    (one.asked, one.waits_since) = (Some(now), one.waits_since.or(Some(now)));
    if wants == PlaceWanted::Leave {
        all.remove(&who);
    }
    // Renewals are often enough that not all are lost; a place is never left unsaid here.
    if chance.below(6) == 0 && wants != PlaceWanted::Stay && wants != PlaceWanted::Leave {
        return;
    }
    let told = desk.ask(owner, &name, wants);
    desk.given.clear();
    hear(chance, all, &told, now);
}

fn hear(
    chance: &mut Chance,
    all: &mut BTreeMap<(usize, u64), Someone>,
    told: &[Told],
    now: Instant,
) {
    for told in told.iter().filter(|told| told.line.is_none()) {
        let is_lost = chance.below(6) == 0;
        let work = Duration::from_millis(200 + chance.below(4_000));
        for (who, one) in all.iter_mut() {
            let owner = Owner::new(OWNERS[who.0]).unwrap();
            let is_meant = told.step == step(&owner, &who.1.to_string());
            let is_young = one.asked.is_some_and(|asked| now - asked < LEASE - RENEW);
            if is_meant && !is_lost && is_young && one.holds_until.is_none() {
                (one.holds_until, one.waits_since) = (Some(now + work), None);
            }
        }
    }
}

#[test]
fn never_more_than_the_limit_and_nobody_waits_for_ever() {
    (1..=20).for_each(crowd);
}

#[test]
fn the_order_that_is_shown_is_the_order_that_comes() {
    for seed in 1..=40_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut desk = Desk::new(&limit(Some(1), None));
        desk.turn("ann", "holds");
        for number in 0..20 {
            let owner = OWNERS[usize::try_from(chance.below(3)).unwrap()];
            let priority = Priority::ALL[usize::try_from(chance.below(3)).unwrap()];
            desk.ask(owner, &number.to_string(), turn(priority, chance.below(5) == 0));
            desk.now += Duration::from_millis(1);
        }
        let shown = desk.key.shown(desk.now, "").waiting;
        assert_eq!(shown.iter().map(|one| &one.step).collect::<BTreeSet<_>>().len(), 20);
        desk.given.clear();
        let mut held = ("ann".to_owned(), "holds".to_owned());
        for next in shown {
            desk.leave(&held.0, &held.1);
            assert_eq!(std::mem::take(&mut desk.given), [next.step], "seed {seed}");
            held = (next.owner.to_string(), next.name);
        }
    }
}
