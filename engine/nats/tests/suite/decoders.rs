//! What comes in is read or refused in words, and what is let in can be kept in the log.
//!
//! What is kept for others reads as it was written, and nothing opens that was not sealed.
//!
//! A small dose of what `ops/fuzz` does at length, beginning from the same seeds.

use std::fmt::Debug;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_nats::Keys;
use stead_nats::door::api::asked;
use stead_nats::door::origin::who;
use stead_nats::door::read::{Catalogue, Order, PublicVerb, read_command};
use stead_nats::leases::Holder;
use stead_nats::log::{OwnerNote, Pointer, whose};
use stead_nats::partition::{Heard, read_inbound};
use stead_nats::platform::SettingsRecord;
use stead_nats::worker_link;
use stead_runtime::inbound::{
    Inbound, LimitsReply, ListReply, OrderReply, OutcomeReply, QueryReply,
};
use stead_schemas::command::wait::{WAIT_SECONDS_MAX, read_wait};
use stead_schemas::dispatch::{Caller, StepReply};
use stead_schemas::event::{Event, StepCompleted};
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::origin::claim;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

const RUN: &str = "workspace-k3j5x7q2m4n6p8r9-1";
/// Where the seed belongs that is sealed.
const SEALED: &str = "stead.log.0.0.workspace-k3j5x7q2m4n6p8r9-1";

fn sealed() -> &'static [u8] {
    &include_bytes!("../../../../tests/fuzz/seeds/sealed/small")["k1\n".len()..]
}

/// Messages that are right, and others that are nearly so.
fn nearly(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let folder = format!("{}/../../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
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

/// A line with the subject, and then the body.
fn message(bytes: &[u8]) -> (String, &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let subject = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    (subject, lines.next().unwrap_or_default())
}

fn catalogue() -> Catalogue {
    let (kind, verb) = ("workspace".into(), "create".into());
    Catalogue { verbs: vec![PublicVerb { kind, verb, about: String::new(), schema: "{}".into() }] }
}

/// Whether the log can hold this answer.
fn is_kept(answer: Value) {
    let transition = Transition {
        v: VERSION,
        run: RUN.parse::<RunId>().expect("a run's id"),
        n: 1,
        at: Timestamp::from_millis(0),
        engine: String::new(),
        prev: String::new(),
        events: vec![Event::StepCompleted(StepCompleted {
            seq: 1,
            answer,
            attempts: 1,
            met: None,
        })],
    };
    let again = Transition::decode(&transition.encode());
    assert_eq!(again.expect("the log can hold it"), transition);
}

fn is_stable<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&read).expect("plain data");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("it can be read"), read);
}

proptest! {
    #[test]
    fn what_is_kept_and_answered_reads_as_it_was_written(
        bytes in prop_oneof![nearly("replies"), anything()],
    ) {
        is_stable::<SettingsRecord>(&bytes);
        is_stable::<OwnerNote>(&bytes);
        is_stable::<Pointer>(&bytes);
        is_stable::<Holder>(&bytes);
        is_stable::<OrderReply>(&bytes);
        is_stable::<QueryReply>(&bytes);
        is_stable::<OutcomeReply>(&bytes);
        is_stable::<ListReply>(&bytes);
        is_stable::<LimitsReply>(&bytes);
    }

    #[test]
    fn what_the_service_is_asked_is_read_or_refused_in_words(
        bytes in prop_oneof![nearly("request"), anything()],
    ) {
        let lines: Vec<_> = bytes.splitn(5, |byte| *byte == b'\n').collect();
        let text = |line: usize| String::from_utf8_lossy(lines.get(line).unwrap_or(&&b""[..]));
        let body = lines.get(4).copied().unwrap_or_default();
        if let Err(refusal) = asked::read(&catalogue(), &text(0), body) {
            assert!(!refusal.code.is_empty() && !refusal.words.is_empty());
        }
        if let Ok(Some(wait)) = read_wait([&*text(1)]) {
            assert!((1..=u64::from(WAIT_SECONDS_MAX)).contains(&wait.as_secs()));
        }
        let by = who(Some(&text(3)), claim(&text(2)));
        let told = serde_json::to_vec(&by).expect("plain data");
        assert_eq!(serde_json::from_slice::<Caller>(&told).expect("it can be read"), by);
    }

    #[test]
    fn what_was_not_sealed_so_does_not_open(bytes in prop_oneof![nearly("sealed"), anything()]) {
        let keys = Keys::read("k1 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").expect("a key");
        let (id, body) = message(&bytes);
        let opened = keys.open_sealed(SEALED, &id, body.to_vec());
        assert!(opened.is_err() || (&*id, body) == ("k1", sealed()), "{opened:?}");
    }

    #[test]
    fn what_a_message_of_the_log_says_alone_is_true(
        bytes in prop_oneof![nearly("log"), nearly("transition"), anything()],
    ) {
        let said = whose(&bytes);
        if let (Some(said), Ok(transition)) = (said, Transition::decode(&bytes)) {
            assert_eq!(said, transition.run.as_str());
            let again = transition.encode();
            assert_eq!(whose(&again), Some(transition.run.as_str()));
        }
    }

    #[test]
    fn a_command_is_read_or_refused_in_words(bytes in prop_oneof![nearly("command"), anything()]) {
        let (subject, body) = message(&bytes);
        match read_command(&catalogue(), &subject, body) {
            Ok(Order::Entity(order) | Order::Rehearsal(order)) => is_kept(Value::Object(order.fields)),
            Ok(Order::Run(_, order)) => assert!(!order.why.is_empty()),
            Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.words.is_empty()),
        }
    }

    #[test]
    fn what_an_owner_is_told_can_be_kept(bytes in prop_oneof![nearly("inbound"), anything()]) {
        let (subject, body) = message(&bytes);
        let heard = Heard { subject: &subject, reply: Some("_INBOX.a"), body, status: None };
        if let Ok(Inbound::Answer { reply: StepReply::Done(answer), .. }) = read_inbound(&heard) {
            is_kept(answer);
        }
    }

    #[test]
    fn what_a_worker_is_told_never_breaks_it(bytes in prop_oneof![nearly("worker"), anything()]) {
        let (subject, body) = message(&bytes);
        if let Err(error) = worker_link::read_inbound(&subject, body) {
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn an_answer_that_the_log_could_not_give_back_is_a_failure() {
    let subject = format!("stead.part.3.answer.{RUN}.4.1");
    let body = format!("{{\"done\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let heard = Heard { subject: &subject, reply: None, body: body.as_bytes(), status: None };
    let Ok(Inbound::Answer { reply: StepReply::Failed(failure), .. }) = read_inbound(&heard) else {
        panic!("it was taken");
    };
    assert_eq!(failure.class, Class::Permanent);
    assert_eq!(failure.words, "the answer has more than 64 levels of lists and objects");
}
