//! What nobody would write: fields at every door, views of the living, and answers to every page.
//!
//! A small dose of what `ops/fuzz` does at length, beginning from what is right.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use stead_core::definition::{Admission, Definition, Living};
use stead_core::run::Run;
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{CommandAccepted, Event, StepCompleted};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::limit::Priority;
use stead_schemas::site::Site;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};
use stead_testkit::{Act, Stage, Trouble};
use stead_workflows::WORKFLOWS;

use crate::backups;
use crate::golden::histories;
use crate::kits;
use crate::pools;
use crate::survival::LIVES;
use crate::world::World;

/// Says what was tried if that ends in a panic.
struct Tried(String);

impl Drop for Tried {
    #[expect(clippy::print_stderr, reason = "a test that fails says what it tried")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("tried: {}", self.0);
        }
    }
}

fn odd() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("ä\u{0}\n../%"),
        json!("x".repeat(2_000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "": {} }),
    ]
}

/// The value with something odd in one place, whichever it is, and with one thing left out.
fn nearly(value: &Value) -> Vec<Value> {
    let mut all = odd();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let with = |other: Option<Value>| {
                    let mut fields = fields.clone();
                    fields.remove(name);
                    fields.extend(other.map(|other| (name.clone(), other)));
                    Value::Object(fields)
                };
                all.push(with(None));
                all.extend(nearly(value).into_iter().map(|other| with(Some(other))));
            }
        }
        Value::Array(items) => {
            // One item is as good as another.
            for other in items.first().map(nearly).unwrap_or_default() {
                all.push([&[other], &items[1..]].concat().into());
            }
            all.push([&items[..], &items[..]].concat().into());
        }
        _ => {}
    }
    all
}

/// Who stands at a door, and what is said of the living.
struct Door<'a> {
    workflow: &'a Definition,
    site: &'a Site,
    command: &'a EntityCommand,
}

impl Door<'_> {
    fn try_all(&self, phase: &str, view: &Value) {
        let living = Some(Living { phase, view });
        for verb in self.workflow.verbs {
            self.is_answered(verb, &self.command.fields, living);
            self.is_answered(verb, &self.command.fields, None);
            self.is_answered(verb, &Map::new(), living);
        }
        let verb = &self.command.verb;
        for fields in nearly(&Value::Object(self.command.fields.clone())) {
            let Value::Object(fields) = fields else { continue };
            self.is_answered(verb, &fields, living);
            self.is_answered(verb, &fields, None);
        }
        for view in nearly(view) {
            self.is_answered(verb, &self.command.fields, Some(Living { phase, view: &view }));
        }
    }

    /// A refusal has a code and words, and what is let in can be kept in the log.
    fn is_answered(&self, verb: &str, fields: &Map<String, Value>, living: Option<Living<'_>>) {
        let view = living.map(|living| living.view);
        let (owner, name) = (&self.command.owner, &self.command.name);
        let _tried =
            Tried(format!("{}.{verb} {} with {view:?}", self.workflow.kind, json!(fields)));
        let admission = Admission { site: self.site, owner, name, living, verb, fields };
        match (self.workflow.admit)(&admission) {
            Ok(admitted) => is_kept(Event::CommandAccepted(CommandAccepted {
                id: self.command.id.clone(),
                verb: verb.to_owned(),
                payload: admitted.payload,
                digest: String::new(),
                by: Caller::Api,
                reply: None,
                priority: Priority::Normal,
            })),
            Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.words.is_empty()),
        }
    }
}

fn is_kept(event: Event) {
    let transition = written(&EntityKey::of("probe", &kits::john(), "p").run(1), 1, vec![event]);
    let again = Transition::decode(&transition.encode());
    assert_eq!(again.expect("the log can hold it"), transition);
}

fn written(run: &RunId, n: u64, events: Vec<Event>) -> Transition {
    let (engine, prev) = (String::new(), String::new());
    Transition {
        v: VERSION,
        run: run.clone(),
        n,
        at: Timestamp::from_millis(0),
        engine,
        prev,
        events,
    }
}

fn workflow(kind: &str) -> &'static Definition {
    WORKFLOWS.iter().find(|known| known.kind == kind).expect("the workflow is there")
}

/// Gives a command, and lets as much time pass as it takes.
fn carry_out(stage: &mut Stage<World>, command: &EntityCommand) {
    if stage.give(command).is_err() {
        return;
    }
    stage.work();
    while stage.outcome(&command.key(), &command.id).is_none() {
        assert!(stage.fire_next(Timestamp::from_millis(i64::MAX)), "{} goes on", command.verb);
        stage.work();
    }
}

#[test]
fn every_door_answers_what_is_strange_in_words() {
    let mut kinds = BTreeSet::new();
    let lives = LIVES.iter().map(|(_, life)| life());
    for kit in lives.chain([backups::hourly(), pools::taken()]) {
        let mut stage = kit.stage(&Trouble::default());
        for moment in kit.moments() {
            let Act::Command(command) = &moment.act else { continue };
            kinds.insert(command.kind.clone());
            let run = stage.latest(&command.key());
            let (phase, view) =
                run.map(|run| (stage.phase(&run), stage.view(&run))).unwrap_or_default();
            let door = Door { workflow: workflow(&command.kind), site: &stage.site, command };
            door.try_all(&phase, &view);
            carry_out(&mut stage, command);
        }
    }
    let public = WORKFLOWS.iter().filter(|workflow| workflow.public);
    let left_out: Vec<_> = public.filter(|known| !kinds.contains(known.kind)).collect();
    assert!(left_out.is_empty(), "{:?}", left_out.iter().map(|one| one.kind).collect::<Vec<_>>());
}

#[test]
fn the_site_that_doors_are_fuzzed_with_is_one() {
    let site: Site = serde_json::from_str(include_str!("../../../tests/fuzz/site.json"))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(site.s3.is_some() && !site.pools.is_empty());
}

fn replayed(history: &[Transition]) -> Run {
    let run = history[0].run.clone();
    let mut replayed = Run::new(*workflow(run.kind()), run);
    for transition in history {
        let step = replayed.replay(transition);
        assert!(step.is_ok(), "{}", step.unwrap_err());
    }
    replayed
}

/// The page decides what is legal, and the same once more.
fn is_taken(before: &[Transition], done: StepCompleted) {
    let _tried = Tried(format!("{} is answered {done:?}", before[0].run));
    let mut run = replayed(before);
    let at = before[before.len() - 1].at;
    let decided = run.decide(at, vec![Event::StepCompleted(done)]);
    let events = decided.unwrap_or_else(|illegal| panic!("it decides: {illegal}")).events;
    assert!(!events.is_empty(), "the answer is legal");
    let transition = Transition { at, ..written(run.id(), run.transitions(), events) };
    let again = Transition::decode(&transition.encode()).expect("the log can hold it");
    replayed(&[before, &[again]].concat());
}

#[test]
fn every_page_takes_strange_answers_and_takes_them_the_same_again() {
    let (mut seen, mut taken) = (BTreeSet::new(), 0);
    for (_, history) in histories() {
        for (place, transition) in history.iter().enumerate() {
            let Some(Event::StepCompleted(done)) = transition.events.first() else { continue };
            let before = &history[..place];
            let run = replayed(before);
            let step = run.folded().steps[&done.seq].step.step.clone();
            if !seen.insert((run.id().kind().to_owned(), step)) {
                continue;
            }
            let answers = nearly(&done.answer);
            let (read, not): (Vec<Value>, Vec<Value>) =
                answers.into_iter().partition(|answer| run.check_answer(done.seq, answer).is_ok());
            // What cannot be read at all is one thing, whatever it is.
            for answer in read.into_iter().chain(not.into_iter().take(1)) {
                taken += 1;
                is_taken(before, StepCompleted { seq: done.seq, answer, attempts: 1, met: None });
            }
        }
    }
    assert!(seen.len() > 60 && taken > 300, "{} steps, {taken} answers", seen.len());
}
