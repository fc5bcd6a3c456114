//! Every history in the log: is it whole, did each append stand on the one before, and does this
//! build still decide the same?

use std::collections::BTreeMap;

use stead_core::run::Run;
use stead_schemas::ids::RunId;
use stead_schemas::transition::{Transition, link};
use stead_workflows::WORKFLOWS;

use super::streams::{Kept, Streams};

/// The histories in the log, by run.
pub async fn histories(streams: &mut Streams) -> BTreeMap<RunId, Vec<Kept>> {
    let mut all: BTreeMap<RunId, Vec<Kept>> = BTreeMap::new();
    for stream in streams.logs().await {
        for message in streams.messages(&stream).await {
            let token = message.subject.rsplit('.').next().unwrap_or_default();
            // Beside the histories, the log holds who took the partition over.
            if token == "owner" {
                continue;
            }
            let run = token.parse().unwrap_or_else(|error| panic!("{}: {error}", message.subject));
            all.entry(run).or_default().push(message);
        }
    }
    all
}

/// Checks one history: no gap, no fork, the chain whole, every append with its expectation, and
/// every decision the one that this build makes.
pub fn check(run: &RunId, history: &[Kept]) -> Run {
    let definition = WORKFLOWS.iter().find(|definition| definition.kind == run.kind());
    let definition = definition.unwrap_or_else(|| panic!("{run}: no such workflow"));
    let mut replayed = Run::new(*definition, run.clone());
    let (mut last_seq, mut last_link) = (0, String::new());
    for (n, message) in (1..).zip(history) {
        let transition = Transition::decode(&message.body).unwrap_or_else(|e| panic!("{run}: {e}"));
        check_expectation(message, last_seq, &format!("{run} {n}"));
        assert_eq!((transition.n, &transition.run), (n, run), "{run} {n}: its place");
        assert_eq!(transition.prev, last_link, "{run} {n}: the chain");
        let replay = replayed.replay(&transition);
        assert!(replay.is_ok(), "{run} {n}: {}", replay.unwrap_err());
        (last_seq, last_link) = (message.seq, link(&message.body));
    }
    replayed
}

/// An append expects the last message of its history; a copy from an older epoch expects the last
/// one of the whole stream.
fn check_expectation(message: &Kept, last_of_run: u64, place: &str) {
    let (header, last) = match message.header("Nats-Expected-Last-Sequence") {
        Some(header) => (Some(header), message.seq - 1),
        None => (message.header("Nats-Expected-Last-Subject-Sequence"), last_of_run),
    };
    assert_eq!(header, Some(last.to_string().as_str()), "{place}: the expectation");
}
