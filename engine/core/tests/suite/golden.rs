//! Histories in which every kind of event stands decode and replay for ever.
//!
//! The page here and the files in `tests/golden` are never changed. What no workflow of the house
//! does is kept here alone: a step that loses a race, a signal. `STEAD_UPDATE=1` writes a file that
//! is not there yet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use stead_core::combine::{Either, all, race};
use stead_core::context::Context;
use stead_core::definition::{Definition, Ending};
use stead_core::run::{Run, execution};
use stead_schemas::event::{
    Event, RunPaused, RunResumed, Seq, Signal, SignalReceived, StepCancelled, StepEdited,
    StepRetried, StepSkipped, TerminateRequested, UndoAbandoned,
};
use stead_schemas::failure::Failure;
use stead_schemas::step::Done;
use stead_schemas::step::probe::Noop;
use stead_schemas::transition::{Transition, link};

use crate::accepted;
use crate::desk::{Desk, by_hand, definition};
use crate::legality::every_kind;

const KEPT: Definition = definition(|cx| execution(kept(cx)));

/// Two commands, between which it begins anew.
async fn kept(cx: Context) -> Result<Ending, Failure> {
    let round: u32 = cx.carried()?.unwrap_or_default();
    cx.show("at work", &json!({ "round": round }));
    let command = cx.next_command().await;
    let outcome = cx.operation(work(&cx)).await;
    cx.complete(&command, outcome.clone().map(|()| json!(round)));
    outcome?;
    match round {
        0 => Ok(Ending::ContinueAsNew(json!(1))),
        _ => Ok(Ending::Completed(json!(round))),
    }
}

async fn work(cx: &Context) -> Result<(), Failure> {
    if cx.changed("notes") {
        cx.note("began", "it began", &Value::Null);
    }
    asked(cx, 1).await?;
    match race(cx.signal::<u32>("go"), asked(cx, 2)).await {
        Either::First(said) => cx.note("told", "somebody said it", &said?),
        Either::Second(done) => drop(done?),
    }
    cx.within(Duration::from_secs(60), "not for ever", asked(cx, 3)).await.transpose()?;
    let many = [4, 5, 6].map(|number| asked(cx, number));
    all(2, many).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

/// A step that can be taken back.
async fn asked(cx: &Context, number: u32) -> Result<Done, Failure> {
    cx.step(Noop { number }).undo(Noop { number: number + 10 }).await
}

fn signal(name: &str) -> Event {
    let signal = Signal { name: name.into(), payload: json!(7) };
    Event::SignalReceived(SignalReceived { signal, order: by_hand("it is time") })
}

/// The first round loses a race to a signal and a step to a deadline, the second one does not.
fn rounds(desk: &mut Desk) {
    desk.done(1);
    taken(desk, [signal("stop"), signal("go")]);
    desk.fired(4);
    done(desk, [6, 5, 7]);
    taken(desk, [accepted(2)]);
    done(desk, [8, 9, 10, 12, 13, 14]);
}

fn cancelled(desk: &mut Desk) {
    desk.done(1);
    desk.cancel();
    taken(desk, [Event::StepCancelled(StepCancelled { seq: 2 })]);
    done(desk, [3, 4]);
}

fn terminated(desk: &mut Desk) {
    desk.done(1);
    taken(desk, [Event::TerminateRequested(TerminateRequested { order: by_hand("enough") })]);
}

fn by_hands(desk: &mut Desk) {
    let order = || by_hand("the number was wrong");
    let pause = |seq: Option<Seq>| Event::RunPaused(RunPaused { seq, order: order() });
    let resume = || Event::RunResumed(RunResumed { order: order() });
    taken(desk, [pause(None), resume()]);
    let request = json!({ "number": 9 });
    taken(
        desk,
        [
            Event::StepEdited(StepEdited { seq: 1, request, order: order() }),
            Event::StepRetried(StepRetried { seq: 1, order: order() }),
            Event::StepSkipped(StepSkipped { seq: 1, answer: json!({}), order: order() }),
            pause(Some(2)),
            resume(),
        ],
    );
    desk.failed(2);
    taken(desk, [Event::UndoAbandoned(UndoAbandoned { seq: 3, order: order() })]);
    done(desk, [4]);
}

fn taken<const N: usize>(desk: &mut Desk, facts: [Event; N]) {
    for fact in facts {
        assert_ne!(desk.fact(fact), "not legal");
    }
}

fn done<const N: usize>(desk: &mut Desk, steps: [Seq; N]) {
    for seq in steps {
        assert_ne!(desk.done(seq), "not legal");
    }
}

type Play = fn(&mut Desk);

/// What happens in each of the files.
const PLAYS: [(&str, Play); 4] = [
    ("by-hand", by_hands),
    ("cancelled", cancelled),
    ("rounds", rounds),
    ("terminated", terminated),
];

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The history as it would be written today.
fn played(play: fn(&mut Desk)) -> String {
    let (mut desk, _) = Desk::start(|cx| execution(kept(cx)));
    taken(&mut desk, [accepted(1)]);
    play(&mut desk);
    assert!(desk.run.folded().ended.is_some(), "it comes to its end: {:#?}", desk.history.last());
    let mut prev = String::new();
    let lines = desk.history.into_iter().map(|transition| {
        let bytes = Transition { prev: std::mem::take(&mut prev), ..transition }.encode();
        prev = link(&bytes);
        String::from_utf8(bytes).expect("JSON is text") + "\n"
    });
    lines.collect()
}

/// Reads a file back, byte for byte. The kinds of events in it.
fn read(file: &Path) -> (Vec<Transition>, BTreeSet<String>) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let (mut history, mut kinds, mut prev) = (Vec::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        let transition = Transition::decode(line.as_bytes()).expect("an old shape decodes");
        let again = String::from_utf8(transition.encode()).expect("JSON is text");
        assert_eq!(again, line, "{} is written otherwise now", file.display());
        assert_eq!(transition.prev, prev, "{}: the chain is broken", file.display());
        prev = link(line.as_bytes());
        kinds.extend(transition.events.iter().map(|event| event.name().to_owned()));
        history.push(transition);
    }
    (history, kinds)
}

#[test]
fn recorded_histories_of_this_page_replay() {
    for (name, play) in PLAYS {
        let file = folder("tests/golden").join(name).with_extension("jsonl");
        if !file.exists() && std::env::var_os("STEAD_UPDATE").is_some() {
            fs::write(&file, played(play)).expect("the file is ours");
        }
        let (history, _) = read(&file);
        let mut run = Run::new(KEPT, history[0].run.clone());
        for transition in &history {
            let replayed = run.replay(transition);
            assert!(replayed.is_ok(), "{name}: {}", replayed.unwrap_err());
        }
        assert!(run.folded().ended.is_some(), "{name} is whole");
    }
}

#[test]
fn every_kind_of_event_stands_in_a_recorded_history() {
    let mut kinds = BTreeSet::new();
    for folder in [folder("tests/golden"), folder("../../schemas/tests/golden")] {
        for file in fs::read_dir(folder).expect("the folder is there").flatten() {
            kinds.extend(read(&file.path()).1);
        }
    }
    let missing: Vec<String> =
        every_kind().into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "in no recorded history: {missing:?}");
}
