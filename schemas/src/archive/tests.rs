//! Segments are read as they were written, and whatever is altered in them is named.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{
    Blob, Burial, Digests, History, Kept, Segment, Tombstone, VERSION, check_follows,
    check_segment, check_whole, histories, lines, pack_histories, pack_lines, parts,
};
use crate::event::{CommandAccepted, Event, RunCompleted, RunStarted};
use crate::glance::Glance;
use crate::ids::{EntityKey, Partition, RunId};
use crate::owner::Owner;
use crate::public::{RunState, RunSummary};
use crate::time::Timestamp;
use crate::transition::{self, Transition, link};

struct Written {
    record: Segment,
    digests: Vec<u8>,
    lines: Vec<u8>,
    histories: Vec<u8>,
}

fn run(number: usize) -> RunId {
    let owner = Owner::new("john").expect("a name");
    EntityKey::of("probe", &owner, &format!("w{number}")).run(1)
}

fn history(run: &RunId, length: u64) -> History {
    let mut prev = String::new();
    let messages = (1..=length).map(|n| {
        let mut events = Vec::new();
        if n == 1 {
            events.push(started());
            events.push(accepted());
        }
        if n == length {
            let result = serde_json::Value::from("done");
            events.push(Event::RunCompleted(RunCompleted { result }));
        }
        let at = Timestamp::from_millis(1_000);
        let (run, engine) = (run.clone(), "e".to_string());
        let transition =
            Transition { v: transition::VERSION, run, n, at, engine, prev: prev.clone(), events };
        let bytes = transition.encode();
        prev = link(&bytes);
        Kept { seq: n * 10, bytes }
    });
    History { run: run.clone(), messages: messages.collect() }
}

fn started() -> Event {
    let owner = Owner::new("john").expect("a name");
    let (workflow, name, build) = ("probe".to_string(), "w".to_string(), "b".to_string());
    Event::RunStarted(RunStarted { workflow, owner, name, build })
}

fn accepted() -> Event {
    Event::CommandAccepted(CommandAccepted {
        id: "c".into(),
        verb: "start".into(),
        payload: serde_json::Value::Null,
        digest: "d".into(),
        by: crate::dispatch::Caller::Api,
        reply: None,
        priority: crate::limit::Priority::Normal,
    })
}

fn line(run: &RunId) -> RunSummary {
    RunSummary {
        run: run.clone(),
        kind: "probe".into(),
        owner: Owner::new("john").expect("a name"),
        name: "w".into(),
        state: RunState::Completed,
        phase: String::new(),
        waiting: String::new(),
        started: Timestamp::from_millis(1),
        updated: Timestamp::from_millis(2),
        transitions: 3,
    }
}

fn written(all: &[History]) -> Written {
    let mut digests = Digests::default();
    for history in all {
        for message in &history.messages {
            digests.add(&history.run, &Glance::at(&message.bytes).expect("a transition"));
        }
    }
    let digests = digests.encode();
    let lines = pack_lines(&all.iter().map(|history| line(&history.run)).collect::<Vec<_>>());
    let histories = pack_histories(all);
    let record = Segment {
        v: VERSION,
        partition: Partition(3),
        n: 1,
        at: Timestamp::from_millis(5),
        engine: "e".into(),
        epoch: 0,
        after: 0,
        to: 100,
        runs: all.len() as u64,
        messages: all.iter().map(|history| history.messages.len() as u64).sum(),
        digests: Blob::of(&digests, vec![1]),
        lines: Blob::of(&lines, vec![2]),
        histories: Blob::of(&histories, vec![3]),
        prev: String::new(),
    };
    Written { record, digests, lines, histories }
}

fn altered(written: &Written) -> Vec<String> {
    let Written { record, digests, lines, histories } = written;
    let found = check_segment(record, digests, lines, histories);
    found.iter().map(ToString::to_string).collect()
}

fn three() -> [History; 3] {
    [history(&run(1), 3), history(&run(2), 1), history(&run(3), 40)]
}

#[test]
fn what_was_written_is_read_to_the_byte() {
    let all = three();
    let segment = written(&all);
    assert_eq!(altered(&segment), Vec::<String>::new());
    assert_eq!(histories(&segment.histories), (all.to_vec(), None));
    assert_eq!(Segment::decode(&segment.record.encode()).as_ref(), Ok(&segment.record));
    let digests = Digests::decode(&segment.digests).expect("they were just written");
    assert_eq!((digests.lives.len(), digests.commands.len(), digests.asked.len()), (3, 3, 0));
    assert_eq!(lines(&segment.lines).expect("they were just written").len(), 3);
}

#[test]
fn no_byte_can_be_altered_unnoticed() {
    let good = written(&three());
    let blobs: [fn(&mut Written) -> &mut Vec<u8>; 3] = [
        |written| &mut written.digests,
        |written| &mut written.lines,
        |written| &mut written.histories,
    ];
    for blob in blobs {
        for place in 0..blob(&mut written(&three())).len() {
            let mut bad = written(&three());
            blob(&mut bad)[place] ^= 1;
            assert!(!altered(&bad).is_empty(), "byte {place}");
        }
        let mut bad = written(&three());
        blob(&mut bad).pop();
        assert!(!altered(&bad).is_empty());
    }
    assert_eq!(altered(&good), Vec::<String>::new());
}

#[test]
fn an_altered_transition_is_named() {
    let mut all = three();
    let bytes = &mut all[2].messages[6].bytes;
    let engine = bytes.windows(12).position(|some| some == b"\"engine\":\"e\"");
    bytes[engine.expect("an engine wrote it") + 10] = b'f';
    let run = run(3);
    let (_, found) = super::check_histories(&written(&three()).record, &pack_histories(&all));
    let words = format!("transition 8 of {run} (sequence 80) does not follow");
    assert!(found.iter().any(|altered| altered.0.starts_with(&words)), "{found:?}");
}

#[test]
fn an_altered_byte_is_found_where_it_is() {
    let packed = pack_histories(&three());
    let mut text = super::pack::unpack(&packed).bytes;
    let seventh = text.windows(6).position(|some| some == b"\"n\":7,").expect("it has forty");
    text[seventh + 4] = b'9';
    let (read, found) = histories(&super::pack::pack(&text));
    let run = run(3);
    let words = format!("transition 7 of {run} (sequence 70) is altered: its digest differs");
    assert_eq!(found.map(|altered| altered.0), Some(words));
    assert_eq!(read.len(), 2);
}

#[test]
fn a_history_that_is_not_whole_is_named() {
    fn check(change: impl FnOnce(&mut Vec<Kept>), words: &str) {
        let mut bad = history(&run(1), 4);
        change(&mut bad.messages);
        let found = check_whole(&bad).expect_err("it is not whole").0;
        assert!(found.ends_with(words), "{found}");
    }
    assert_eq!(check_whole(&history(&run(1), 4)), Ok(()));
    let missing = "that one was altered, or one between them is missing";
    check(|messages| drop(messages.remove(0)), missing);
    check(|messages| drop(messages.remove(1)), missing);
    check(|messages| drop(messages.pop()), "is not the end");
    check(|messages| messages.clear(), "is empty");
    check(|messages| messages[2].bytes.clear(), "(sequence 30) cannot be read");
    check(|messages| messages.extend(history(&run(1), 1).messages), "ends the run too early");
    check(
        |messages| messages[3] = history(&run(2), 4).messages.remove(3),
        "belongs to another run",
    );
}

#[test]
fn segments_follow_each_other() {
    let first = written(&three()).record;
    let bytes = first.encode();
    let next = Segment { n: 2, prev: link(&bytes), after: 100, to: 120, ..first.clone() };
    assert_eq!(check_follows(None, &first), Ok(()));
    assert_eq!(check_follows(Some((&first, &bytes)), &next), Ok(()));
    let later = Segment { epoch: 1, after: 0, ..next.clone() };
    assert_eq!(check_follows(Some((&first, &bytes)), &later), Ok(()));
    for wrong in [
        Segment { n: 3, ..next.clone() },
        Segment { prev: link(b""), ..next.clone() },
        Segment { after: 99, ..next.clone() },
    ] {
        assert!(check_follows(Some((&first, &bytes)), &wrong).is_err());
    }
    assert!(check_follows(None, &next).is_err());
}

#[test]
fn a_newer_record_is_refused_in_words() {
    let newer = Segment { v: 2, ..written(&three()).record };
    let words = Segment::decode(&newer.encode()).expect_err("it is newer").0;
    assert_eq!(
        words,
        "the record is written in shape 2, this build reads up to 1; use a newer Stead"
    );
}

#[test]
fn parts_are_the_whole() {
    let bytes: Vec<u8> = (0..super::PART_BYTES_MAX * 2 + 7).map(|n| n as u8).collect();
    assert_eq!(parts(&bytes).count(), 3);
    assert_eq!(parts(&bytes).flatten().copied().collect::<Vec<u8>>(), bytes);
}

#[test]
fn a_segment_ever_written_can_be_read() {
    let written = Written {
        record: Segment::decode(include_bytes!("../../tests/archive/record.json")).expect("it is"),
        digests: include_bytes!("../../tests/archive/digests").to_vec(),
        lines: include_bytes!("../../tests/archive/lines").to_vec(),
        histories: include_bytes!("../../tests/archive/histories").to_vec(),
    };
    assert_eq!(altered(&written), Vec::<String>::new());
    let (histories, _) = histories(&written.histories);
    assert_eq!(histories, three());
}

proptest! {
    #[test]
    fn strange_bytes_are_no_digests_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _digests = Digests::decode(&bytes);
        let _histories = histories(&bytes);
        let _histories = histories(&super::pack::pack(&bytes));
        let _lines = lines(&bytes);
    }
}

#[test]
fn a_tombstone_is_of_one_segment_and_follows_the_one_before() {
    let segment = written(&three()).record;
    let at = Timestamp::from_millis(9_000);
    let burial = Burial { at, who: "jane", why: "three years are over", key: "U" };
    let first = Tombstone::of(&segment, None, burial);
    let second = Segment { n: 2, ..segment.clone() };
    let next = Tombstone::of(&second, Some(&first), burial);
    assert_eq!(Tombstone::decode(&next.encode()).as_ref(), Ok(&next));
    assert_eq!(first.check_follows(None), Ok(()));
    assert_eq!(next.check_follows(Some(&first)), Ok(()));
    assert!(next.check_follows(None).is_err() && first.check_follows(Some(&next)).is_err());
    let forged = Tombstone { why: "no reason".into(), ..first.clone() };
    assert!(next.check_follows(Some(&forged)).is_err(), "the one before was altered");
    assert_eq!((first.check_of(&segment), next.check_of(&second)), (Ok(()), Ok(())));
    let other = first.check_of(&second).expect_err("it is another segment's").0;
    assert!(other.contains("for something else"), "{other}");
    let altered = Segment { messages: 7, ..segment };
    assert!(first.check_of(&altered).is_err(), "the segment was altered since");
    let signed = Tombstone { signature: "s".into(), ..first.clone() };
    assert_eq!(signed.signed(), first.signed(), "a signature does not sign itself");
}
