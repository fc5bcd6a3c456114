//! The promises of the inboxes: what the owner of a partition hears.

use std::collections::BTreeSet;

use serde_json::json;
use stead_schemas::dispatch::{Caller, EntityCommand, StepAddress, StepReply};
use stead_schemas::ids::Partition;
use stead_schemas::owner::Owner;

use super::ends::{Ear, Ends, Engine, address, until_heard};
use super::log::fresh_run_in;
use crate::inbound::Inbound;
use crate::ports::Outgoing;

/// How many messages are sent where one might be lost or come twice.
const MANY: u32 = 200;
const ONE: Partition = Partition(0);
const OTHER: Partition = Partition(1);

/// Checks every promise of the inboxes of a platform that has `partitions` partitions, at least
/// two.
pub async fn check_inboxes(ends: &dyn Ends, partitions: u16) {
    what_an_engine_says_is_heard_in_an_inbox_that_it_has_opened(ends, partitions).await;
    each_who_listens_hears_everything_once(ends, partitions).await;
    of_other_partitions_nothing_is_heard(ends, partitions).await;
    an_inbox_that_was_dropped_is_closed(ends, partitions).await;
}

fn say(engine: &Engine, to: Partition, address: &StepAddress) {
    let reply = StepReply::Done(json!(address.seq));
    engine.bus.send(Outgoing::Answer { to, address: address.clone(), reply });
}

/// Of which step an owner is told.
fn told(inbound: &Inbound) -> StepAddress {
    let Inbound::Answer { address, attempt: 0, proof: None, reply } = inbound else {
        panic!("{inbound:?}")
    };
    assert_eq!(*reply, StepReply::Done(json!(address.seq)));
    address.clone()
}

/// From its first word on: a step that comes back at once is not missed.
pub async fn what_an_engine_says_is_heard_in_an_inbox_that_it_has_opened(
    ends: &dyn Ends,
    partitions: u16,
) {
    let engine = ends.engine().await;
    let run = fresh_run_in(ONE, partitions);
    for seq in 1..=20 {
        let mut owner = Ear::open(&engine, ONE, &[]).await;
        say(&engine, ONE, &address(&run, seq));
        assert_eq!(told(&owner.next("the first word").await), address(&run, seq));
    }
}

/// An owner that was followed by another, and does not know yet, takes nothing from it.
pub async fn each_who_listens_hears_everything_once(ends: &dyn Ends, partitions: u16) {
    let (former, owner, third) = (ends.engine().await, ends.engine().await, ends.engine().await);
    let sayers = [&former, &owner, &third];
    let mut ears = [Ear::open(&former, ONE, &sayers).await, Ear::open(&owner, ONE, &sayers).await];
    let run = fresh_run_in(ONE, partitions);
    let all: BTreeSet<StepAddress> = (1..=MANY).map(|seq| address(&run, seq)).collect();
    for (address, sayer) in all.iter().zip(sayers.iter().cycle()) {
        say(sayer, ONE, address);
    }
    for ear in &mut ears {
        let mut heard = BTreeSet::new();
        while heard.len() < all.len() {
            let address = told(&ear.next("an answer").await);
            assert!(heard.insert(address.clone()), "{address:?} came twice");
        }
        assert_eq!(heard, all);
        for sayer in sayers {
            assert_eq!(ear.rest(sayer).await, []);
        }
    }
}

/// Also where one engine owns both.
pub async fn of_other_partitions_nothing_is_heard(ends: &dyn Ends, partitions: u16) {
    let engine = ends.engine().await;
    let mut one = Ear::open(&engine, ONE, &[&engine]).await;
    let mut other = Ear::open(&engine, OTHER, &[&engine]).await;
    let ours = address(&fresh_run_in(ONE, partitions), 1);
    let theirs = address(&fresh_run_in(OTHER, partitions), 2);
    say(&engine, ONE, &ours);
    say(&engine, OTHER, &theirs);
    assert_eq!(told(&one.next("an answer").await), ours);
    assert_eq!(told(&other.next("an answer").await), theirs);
    assert_eq!(one.rest(&engine).await, []);
    assert_eq!(other.rest(&engine).await, []);
}

/// Whoever gives a command to the partition then learns that nobody owns it.
pub async fn an_inbox_that_was_dropped_is_closed(ends: &dyn Ends, partitions: u16) {
    let (ours, theirs) = (ends.engine().await, ends.engine().await);
    let mut inbox = ours.inboxes.open(ONE).await.expect("an inbox");
    let from = address(&fresh_run_in(ONE, partitions), 4);
    let command = EntityCommand {
        kind: "probe".into(),
        owner: Owner::new("john.doe").expect("a good owner"),
        name: "dev".into(),
        verb: "start".into(),
        fields: serde_json::Map::new(),
        id: "a".into(),
        by: Caller::Run(from.clone()),
    };
    let given = Outgoing::Command { to: OTHER, command, from: from.clone(), home: ONE, attempt: 9 };
    let mut owner = Ear::open(&theirs, OTHER, &[&ours]).await;
    ours.bus.send(given.clone());
    let heard = owner.next("a command").await;
    assert!(matches!(heard, Inbound::Command(..)), "{heard:?}");
    drop(owner);
    let comes_back = Inbound::NoListener { address: from, attempt: 9, proof: None };
    let say = || ours.bus.send(given.clone());
    until_heard("a partition without owner", &mut inbox, say, |heard| *heard == comes_back).await;
}
