//! What a page is answered: a line with the name of a step, which some golden history asks for, and
//! then what a worker says of it. The page decides what is legal, and the same once more.

use std::path::Path;
use std::sync::LazyLock;

use stead_core::run::Run;
use stead_nats::partition::{Heard, read_inbound};
use stead_runtime::inbound::Inbound;
use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::event::{Event, Seq, StepCompleted, StepFailed};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::subjects;
use stead_schemas::transition::{Transition, VERSION};
use stead_workflows::WORKFLOWS;

/// A history up to where a step is answered.
struct Place {
    step: String,
    before: Vec<Transition>,
    seq: Seq,
}

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("it is there").flatten().collect();
    files.sort_by_key(|file| file.path());
    let mut places = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("it can be read");
        let read = |line: &str| Transition::decode(line.as_bytes()).expect("an old shape decodes");
        let history: Vec<Transition> = text.lines().map(read).collect();
        for (at, transition) in history.iter().enumerate() {
            let Some(Event::StepCompleted(done)) = transition.events.first() else { continue };
            let before = history[..at].to_vec();
            let step = replayed(&before).folded().steps[&done.seq].step.step.clone();
            places.push(Place { step, before, seq: done.seq });
        }
    }
    places
});

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (step, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for place in PLACES.iter().filter(|place| place.step.as_bytes() == step).take(2) {
        is_answered(place, body);
    }
}

fn is_answered(Place { before, seq, .. }: &Place, body: &[u8]) {
    let address = StepAddress { run: before[0].run.clone(), seq: *seq };
    let subject = subjects::answer(Partition(0), &address, 1, &Proof::new("a".to_owned()));
    let heard = Heard { subject: &subject, reply: None, body, status: None };
    let Ok(Inbound::Answer { reply, .. }) = read_inbound(&heard) else { return };
    let (seq, attempts) = (*seq, 1);
    match reply {
        StepReply::Done(answer) => {
            is_taken(
                before,
                Event::StepCompleted(StepCompleted { seq, answer, attempts, met: None }),
            );
        }
        StepReply::Failed(failure) => {
            is_taken(before, Event::StepFailed(StepFailed { seq, failure, attempts }));
        }
        _ => {}
    }
}

fn is_taken(before: &[Transition], event: Event) {
    let mut run = replayed(before);
    let at = before[before.len() - 1].at;
    let events = match run.decide(at, vec![event]) {
        Ok(decided) => decided.events,
        Err(illegal) => panic!("it decides: {illegal}"),
    };
    assert!(!events.is_empty(), "the answer is legal");
    let (v, run, n) = (VERSION, run.id().clone(), run.transitions());
    let (engine, prev) = (String::new(), String::new());
    let transition = Transition { v, run, n, at, engine, prev, events };
    let again = Transition::decode(&transition.encode()).expect("the log can hold it");
    assert_eq!(again, transition);
    replayed(&[before, &[again]].concat());
}

fn replayed(history: &[Transition]) -> Run {
    let run = history[0].run.clone();
    let workflow = WORKFLOWS.iter().find(|known| known.kind == run.kind());
    let mut replayed = Run::new(*workflow.expect("the workflow is there"), run);
    for transition in history {
        if let Err(divergence) = replayed.replay(transition) {
            panic!("{divergence}");
        }
    }
    replayed
}
