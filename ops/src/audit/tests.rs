//! What is read off histories, and what altered ones are told by.

use serde_json::json;
use stead_nats::Behind::{self, InStream, OnSubject};
use stead_schemas::dispatch::{Caller, StepAddress};
use stead_schemas::event::{
    ByHand, CommandAccepted, CommandCompleted, Event, Outcome, RunPaused, RunStarted,
};
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::limit::Priority;
use stead_schemas::origin::Origin;
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};

use super::{Chains, Entry, Filter, Places, Reader, Stored, Told};
use crate::cli::audit::Log;

fn john() -> Owner {
    Owner::new("john").expect("a name")
}

fn run() -> RunId {
    EntityKey::of("workspace", &john(), "dev").run(1)
}

fn user(key: &str) -> Caller {
    let (user, host) = (Some(key.to_owned()), Some("10.0.0.7".to_owned()));
    Caller::User(Origin { user, host, client: None })
}

fn given(id: &str, verb: &str, by: Caller) -> Event {
    let (id, verb, digest) = (id.to_owned(), verb.to_owned(), "d".to_owned());
    Event::CommandAccepted(CommandAccepted {
        id,
        verb,
        payload: json!({}),
        digest,
        by,
        reply: None,
        priority: Priority::default(),
    })
}

fn ended(id: &str) -> Event {
    let (id, outcome) = (id.to_owned(), Outcome::Done(json!({})));
    Event::CommandCompleted(CommandCompleted { id, outcome })
}

fn began() -> Event {
    Event::RunStarted(RunStarted {
        workflow: "workspace".to_owned(),
        owner: john(),
        name: "dev".to_owned(),
        build: "test".to_owned(),
    })
}

/// A whole history of these transitions.
fn history(transitions: Vec<Vec<Event>>) -> Vec<Stored> {
    let mut prev = String::new();
    let mut all = Vec::new();
    for (events, n) in transitions.into_iter().zip(1_u64..) {
        let at = Timestamp::from_millis(i64::try_from(n).expect("small") * 1_000);
        let engine = "e".to_owned();
        let transition = Transition { v: VERSION, run: run(), n, at, engine, prev, events };
        let bytes = transition.encode();
        prev = link(&bytes);
        all.push(Stored { partition: Partition(3), epoch: 0, seq: n + 10, run: run(), bytes });
    }
    all
}

fn a_life() -> Vec<Stored> {
    let paused = ByHand { by: user("UALICE"), why: "to look".to_owned(), id: None };
    history(vec![
        vec![began(), given("a", "create", user("UJOHN"))],
        vec![ended("a"), given("b", "stop", Caller::Inbox { message: 7, client: None })],
        vec![Event::RunPaused(RunPaused { seq: None, order: paused })],
        vec![ended("b"), given("c", "start", Caller::Run(StepAddress { run: run(), seq: 4 }))],
    ])
}

#[test]
fn every_command_is_listed_with_who_gave_it_and_how_it_ended() {
    let mut reader = Reader::default();
    let entries: Vec<_> = a_life().iter().flat_map(|stored| reader.read(stored)).collect();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| {
            let state = if entry.outcome.is_some() { "ended" } else { "given" };
            let owner = entry.owner.as_ref().map_or("?", Owner::as_str);
            format!("{state} {} of {owner}'s {} {}", entry.verb, entry.kind, entry.name)
        })
        .collect();
    let dev = "of john's workspace dev";
    let lines =
        ["given create", "ended create", "given stop", "given pause", "ended stop", "given start"];
    assert_eq!(told, lines.map(|line| format!("{line} {dev}")));
    assert_eq!(entries[3].why.as_deref(), Some("to look"));
    assert!(!entries[5].is_from_outside(), "a run gave it");
}

fn chosen(change: impl FnOnce(&mut Log)) -> Vec<String> {
    let mut options = Log {
        owner: None,
        by: None,
        entity: None,
        verb: None,
        since: None,
        until: None,
        limit: 9,
        all: false,
    };
    change(&mut options);
    let filter = Filter::of(&options).expect("options");
    let mut reader = Reader::default();
    let entries = a_life().iter().flat_map(|stored| reader.read(stored)).collect::<Vec<_>>();
    let chosen = entries.iter().filter(|entry| entry.outcome.is_none() && filter.wants(entry));
    chosen.map(|entry| entry.verb.clone()).collect()
}

#[test]
fn a_filter_leaves_out_what_is_not_asked_for() {
    assert_eq!(chosen(|_| {}), ["create", "stop", "pause"]);
    assert_eq!(chosen(|log| log.all = true), ["create", "stop", "pause", "start"]);
    assert_eq!(chosen(|log| log.by = Some("UALICE".into())), ["pause"]);
    assert_eq!(chosen(|log| log.by = Some("10.0.0.7".into())), ["create", "pause"]);
    assert_eq!(chosen(|log| log.by = Some("ualice".into())), ["pause"]);
    assert_eq!(chosen(|log| log.by = Some("inbox".into())), ["stop"]);
    assert_eq!(chosen(|log| log.by = Some("Inbox".into())), ["stop"]);
    assert_eq!(chosen(|log| log.verb = Some("stop".into())), ["stop"]);
    assert_eq!(chosen(|log| log.owner = Some("jane".into())), [""; 0]);
    assert_eq!(chosen(|log| log.entity = Some("workspace/dev".into())).len(), 3);
    assert_eq!(chosen(|log| log.entity = Some("john/dev".into())).len(), 3);
    assert_eq!(chosen(|log| log.entity = Some("jane/dev".into())), [""; 0]);
    assert_eq!(chosen(|log| log.entity = Some("home/dev".into())), [""; 0]);
    assert_eq!(chosen(|log| log.since = Some("1970-01-01T00:00:02Z".into())), ["stop", "pause"]);
    assert_eq!(chosen(|log| log.until = Some("1970-01-01T00:00:02Z".into())), ["create"]);
    assert_eq!(chosen(|log| log.until = Some("1970-01-01".into())), [""; 0]);
}

/// These messages, where a new epoch of the log has them.
fn copied(stored: &[Stored]) -> Vec<Stored> {
    let places = (1_000_001..).zip(stored);
    places.map(|(seq, stored)| Stored { epoch: 1, seq, ..stored.clone() }).collect()
}

/// What is told of these messages by an export after `known`, and where the next one goes on.
fn export(stored: &[Stored], known: &Told) -> (Vec<u64>, Told) {
    let (mut reader, mut told) = (Reader::default(), Told::default());
    let entries: Vec<Entry> = stored.iter().flat_map(|stored| reader.read(stored)).collect();
    entries.iter().for_each(|entry| told.note(entry));
    let last = stored.last().expect("a message");
    let new = entries.iter().filter(|entry| !known.has(entry)).map(|entry| entry.n);
    (new.collect(), told.up_to(last.epoch, last.seq))
}

#[test]
fn what_was_copied_into_a_new_epoch_is_not_exported_again() {
    let life = a_life();
    let (new, told) = export(&life[..2], &Told::default());
    assert_eq!(new, [1, 2, 2]);
    assert_eq!(export(&life[..2], &told).0, [0; 0]);
    // Between two exports the epoch was left, and something was commanded before and after that.
    let (new, next) = export(&copied(&life), &told);
    assert_eq!(new, [3, 4, 4]);
    assert_eq!(export(&copied(&life), &next).0, [0; 0]);
    // What has gone into the archive keeps its place in the epoch that it was in.
    assert_eq!(export(&life, &next).0, [0; 0]);
    let place: Told = serde_json::from_str(r#"{"epoch":0,"seq":12}"#).expect("without runs");
    assert_eq!(export(&life, &place).0, [3, 4, 4]);
}

fn faults(stored: &[Stored]) -> Vec<String> {
    let mut chains = Chains::default();
    stored.iter().filter_map(|stored| chains.follow(stored)).collect()
}

#[test]
fn a_whole_history_has_no_fault() {
    assert_eq!(faults(&a_life()), [""; 0]);
}

#[test]
fn an_altered_a_missing_and_a_moved_transition_are_named_with_their_place() {
    let mut altered = a_life();
    let text = String::from_utf8(altered[1].bytes.clone()).expect("JSON").replace("stop", "halt");
    altered[1].bytes = text.into_bytes();
    let place = "partition 3, epoch 0, sequence";
    let found = format!(
        "{place} 13: transition 3 of {} does not follow from transition 2, which was altered",
        run()
    );
    assert_eq!(faults(&altered), [found]);

    let mut missing = a_life();
    missing.remove(1);
    let found = format!("{place} 13: transition 3 of {} is where 2 should be", run());
    assert_eq!(faults(&missing), [found]);

    let mut moved = a_life();
    moved.swap(1, 2);
    assert!(faults(&moved)[0].contains("transition 3"), "{:?}", faults(&moved));

    let mut garbled = a_life();
    garbled[3].bytes = b"{}".to_vec();
    assert!(faults(&garbled)[0].contains("cannot be read"), "{:?}", faults(&garbled));

    let mut strange = a_life();
    strange[0].run = EntityKey::of("workspace", &john(), "other").run(1);
    assert!(faults(&strange)[0].contains("lies in the history of"), "{:?}", faults(&strange));
}

/// What is wrong with these messages: their subjects, and behind what they were written.
fn displaced(messages: &[(&str, Option<Behind>)]) -> Option<String> {
    let mut places = Places::default();
    for (seq, (subject, behind)) in (1..).zip(messages) {
        places.follow(subject, seq, *behind);
    }
    places.fault()
}

#[test]
fn a_log_without_one_of_its_histories_is_found_out_by_the_others() {
    let first = Some(OnSubject(0));
    let log = [
        ("owner", first),
        ("a", first),
        ("b", first),
        ("b", Some(OnSubject(3))),
        ("a", Some(OnSubject(2))),
        ("a", Some(OnSubject(5))),
        ("owner", Some(InStream(6))),
    ];
    assert_eq!(displaced(&log), None);
    let without: Vec<_> = log.into_iter().filter(|(subject, _)| *subject != "b").collect();
    let words = "sequence 4: it was written behind 5, and lies behind 3: something is gone, or was \
                 put in (and 1 more behind it)";
    assert_eq!(displaced(&without).as_deref(), Some(words));
    let anew: Vec<_> = without.iter().map(|(subject, _)| (*subject, None)).collect();
    let told = displaced(&anew).expect("a fault");
    assert!(told.starts_with("sequence 1: it does not say") && told.contains("4 more"), "{told}");
}
