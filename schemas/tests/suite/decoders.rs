//! Whatever can be read can be written, and reads the same; whatever cannot is refused in words.
//!
//! A small dose of what `ops/fuzz` does at length, beginning from the same seeds.

use std::fmt::Debug;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_schemas::checkup::{CheckupReply, CheckupRequest};
use stead_schemas::dispatch::{
    CommandReply, EntityCommand, ListRuns, OrderRun, OutcomeQuery, OutsideAnswer, OutsideReply,
    RehearsalReply, RunQuery, StepAddress, StepCancel, StepReply, StepRequest, TurnEpoch,
    TurnReply,
};
use stead_schemas::glance::Glance;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::limit::{LimitView, PlaceAsk, PlaceReply};
use stead_schemas::origin::Origin;
use stead_schemas::owner::{Owner, decode_token, encode_token};
use stead_schemas::public::{RunPage, RunSummary, RunView, StepProgress};
use stead_schemas::subjects;
use stead_schemas::trace::TraceParent;
use stead_schemas::transition::Transition;

/// Messages that are right, and others that are nearly so.
fn nearly(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let folder = format!("{}/../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).expect("the seeds are there").flatten();
    let seeds: Vec<_> = files.map(|file| fs::read(file.path()).expect("it is read")).collect();
    let changes = vec((any::<Index>(), any::<u8>(), 0..3u8), 0..4);
    (select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn is_stable<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&read).expect("plain data");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("it can be read"), read);
}

proptest! {
    #[test]
    fn a_transition_reads_as_it_was_written(bytes in prop_oneof![nearly("transition"), anything()]) {
        if let Ok(transition) = Transition::decode(&bytes) {
            let again = Transition::decode(&transition.encode());
            assert_eq!(again.expect("what was written can be read"), transition);
            let glance = Glance::at(&bytes).expect("what can be read can be glanced at");
            assert_eq!((glance.run, glance.n, glance.prev), (transition.run, transition.n, transition.prev));
        }
    }

    #[test]
    fn a_message_reads_as_it_was_written(bytes in prop_oneof![nearly("replies"), anything()]) {
        is_stable::<StepRequest>(&bytes);
        is_stable::<StepReply>(&bytes);
        is_stable::<StepAddress>(&bytes);
        is_stable::<StepCancel>(&bytes);
        is_stable::<OutsideAnswer>(&bytes);
        is_stable::<OutsideReply>(&bytes);
        is_stable::<OrderRun>(&bytes);
        is_stable::<RunQuery>(&bytes);
        is_stable::<EntityCommand>(&bytes);
        is_stable::<CommandReply>(&bytes);
        is_stable::<Option<RunView>>(&bytes);
        is_stable::<Vec<RunSummary>>(&bytes);
    }

    #[test]
    fn what_engines_say_among_themselves_reads_as_it_was_written(
        bytes in prop_oneof![nearly("replies"), anything()],
    ) {
        is_stable::<RunPage>(&bytes);
        is_stable::<RehearsalReply>(&bytes);
        is_stable::<OutcomeQuery>(&bytes);
        is_stable::<ListRuns>(&bytes);
        is_stable::<TurnEpoch>(&bytes);
        is_stable::<TurnReply>(&bytes);
        is_stable::<PlaceAsk>(&bytes);
        is_stable::<PlaceReply>(&bytes);
        is_stable::<Vec<LimitView>>(&bytes);
        is_stable::<CheckupRequest>(&bytes);
        is_stable::<CheckupReply>(&bytes);
        is_stable::<StepProgress>(&bytes);
        is_stable::<Origin>(&bytes);
    }

    #[test]
    fn what_a_header_says_of_a_trace_reads_as_it_was_written(
        bytes in prop_oneof![nearly("traceparent"), anything()],
    ) {
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(parent) = text.parse::<TraceParent>() {
            assert_eq!(parent.to_string().parse(), Ok(parent));
            let ids = format!("-{}-{}-", parent.trace, parent.span);
            assert_eq!(text.get(2..53), Some(&*ids));
        }
    }

    #[test]
    fn a_name_has_one_spelling(bytes in prop_oneof![nearly("subjects"), anything()]) {
        let text = String::from_utf8_lossy(&bytes);
        if let Some(plain) = decode_token(&text) {
            assert_eq!(encode_token(&plain), text);
        }
        if let Ok(owner) = Owner::from_token(&text) {
            assert_eq!(owner.token(), text);
        }
        if let Ok(run) = text.parse::<RunId>() {
            assert_eq!((run.as_str(), run.key().run(run.life())), (&*text, run.clone()));
        }
        if let Some(said) = subjects::parse_answer(&text) {
            let (address, attempt) = (&said.address, said.attempt);
            let subject = match &said.proof {
                Some(proof) => subjects::answer(Partition(0), address, attempt, proof),
                None => subjects::told(Partition(0), address, attempt),
            };
            assert_eq!(subjects::parse_answer(&subject), Some(said));
        }
        if let Some(said) = subjects::parse_command(&text) {
            assert!(text.ends_with(&format!("{}.{}.{}", said.owner, said.kind, said.verb)));
        }
    }
}
