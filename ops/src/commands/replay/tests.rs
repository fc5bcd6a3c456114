//! A probe's history, as an engine writes it: whole, altered, and of another build.

use std::path::Path;

use serde_json::json;
use stead_core::definition::Definition;
use stead_core::run::{Run, execution};
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{CommandAccepted, Event, RunStarted, StepCompleted};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::step::probe::Noop;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};
use stead_workflows::WORKFLOWS;

use super::against::compared;
use super::{as_json, differ, judge, judge_by, verdict};
use crate::commands::incident::explained;
use crate::commands::source::{self, Source, decoded};
use crate::story::standing::shown_by;

fn id() -> RunId {
    EntityKey::of("probe", &Owner::new("john").expect("a plain name"), "p").run(1)
}

fn facts() -> Vec<Vec<Event>> {
    let owner = Owner::new("john").expect("a plain name");
    let begun = RunStarted { workflow: "probe".into(), owner, name: "p".into(), build: "b".into() };
    let asked = CommandAccepted {
        id: "c".into(),
        verb: "start".into(),
        payload: json!({}),
        digest: String::new(),
        by: Caller::Api,
        reply: None,
        priority: stead_schemas::limit::Priority::Normal,
    };
    let mut all = vec![vec![Event::RunStarted(begun), Event::CommandAccepted(asked)]];
    let done = |seq| {
        Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts: 1, met: None })
    };
    all.extend((1..=6).map(|seq| vec![done(seq)]));
    all
}

/// What an engine of this build writes.
fn recorded() -> Vec<Vec<u8>> {
    recorded_with(&[])
}

/// The same, with other ends of some steps; nothing follows the first of them.
pub fn recorded_with(others: &[(u32, Event)]) -> Vec<Vec<u8>> {
    let mut facts = facts();
    for (seq, other) in others {
        let place = usize::try_from(*seq).expect("a place");
        facts[place] = vec![other.clone()];
        facts.truncate(place + 1);
    }
    let definition = WORKFLOWS.iter().find(|known| known.kind == "probe").expect("the probe");
    let mut run = Run::new(*definition, id());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for (facts, n) in facts.into_iter().zip(1..) {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let decided = run.decide(at, facts).expect("legal facts");
        let prev = lines.last().map_or(String::new(), |line| link(line));
        let engine = "engine-1".to_owned();
        let transition =
            Transition { v: VERSION, run: id(), n, at, engine, prev, events: decided.events };
        lines.push(transition.encode());
    }
    lines
}

fn check(lines: &[Vec<u8>], chain: &str, decisions: &str) {
    let history = decoded(lines).expect("transitions");
    let verdict = judge(&id(), lines, &history).expect("a known workflow");
    assert_eq!(verdict.chain.err().unwrap_or_default(), chain);
    assert_eq!(
        verdict.decisions.map_err(|d| differ::told(&d)).err().unwrap_or_default(),
        decisions
    );
}

fn altered(n: usize, from: &str, to: &str) -> Vec<Vec<u8>> {
    let mut lines = recorded();
    let text = String::from_utf8(lines[n - 1].clone()).expect("JSON");
    assert!(text.contains(from), "{text}");
    lines[n - 1] = text.replace(from, to).into_bytes();
    lines
}

/// A history in a file of its own.
fn in_file(lines: &[Vec<u8>]) -> Source {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.join(&b'\n')).expect("it is written");
    source::file(file.path(), None).expect("a history")
}

#[test]
fn what_this_build_wrote_it_decides_again() {
    check(&recorded(), "", "");
}

#[test]
fn an_altered_fact_breaks_the_chain() {
    let chain = "transition 4 does not follow from the one before it: that one was altered, or one \
                 between them is missing";
    check(&altered(3, "\"attempts\":1", "\"attempts\":2"), chain, "");
}

#[test]
fn another_decision_is_shown_beside_ours() {
    let lines = altered(7, "\"steps\":6", "\"steps\":7");
    let history = decoded(&lines).expect("transitions");
    let verdict = judge(&id(), &lines, &history).expect("a known workflow");
    let told = verdict.decisions.map_err(|d| differ::told(&d)).expect_err("a divergence");
    assert!(told.contains("decides otherwise at transition 7"), "{told}");
    assert!(told.contains("  the history has   {"), "{told}");
    assert!(told.contains("  this build wants  {"), "{told}");
    assert!(told.contains("differs at"), "{told}");
    assert!(told.contains(".steps: 7, now 6"), "{told}");
}

#[test]
fn a_missing_transition_is_named() {
    let mut lines = recorded();
    lines.remove(2);
    let history = decoded(&lines).expect("transitions");
    let verdict = judge(&id(), &lines, &history).expect("a known workflow");
    assert!(verdict.chain.is_err());
    assert!(verdict.decisions.is_err());
}

/// The probe, with a bug: it panics as soon as it has its first answer.
fn with_a_bug() -> Definition {
    Definition {
        execute: |cx| {
            execution(async move {
                cx.next_command().await;
                let done = cx.step(Noop { number: 1 }).await;
                panic!("it had {}", done.is_ok());
            })
        },
        ..*WORKFLOWS.iter().find(|known| known.kind == "probe").expect("the probe")
    }
}

#[test]
fn a_workflow_that_panics_is_told_of_and_ends_nothing_else() {
    let lines = recorded();
    let history = decoded(&lines).expect("transitions");
    let verdict = judge_by(with_a_bug(), &id(), &lines, &history);
    assert_eq!(verdict.chain, Ok(()));
    let otherwise = verdict.decisions.expect_err("it panics");
    let said = "transition 2: the workflow has a bug, and panicked: it had true";
    assert_eq!(otherwise.to_string(), said);
    assert!(differ::told(&otherwise).ends_with(said), "{}", differ::told(&otherwise));
    let (phase, _, unknown) = shown_by(with_a_bug(), &history);
    assert_eq!(unknown, Some(format!("this build cannot replay it: {said}")), "{phase}");
    let (_, _, before) = shown_by(with_a_bug(), &history[..1]);
    assert_eq!(before, None, "before that it is known");
}

#[test]
fn another_build_is_believed_only_where_the_chain_is_whole() {
    let check = |lines: &[Vec<u8>], are_good: usize, wrong: &[&str]| {
        let source = in_file(lines);
        let ours = verdict(&source).expect("a known workflow");
        let theirs = as_json(&source.run, lines.len(), &ours);
        let compared = compared(lines.len(), &ours, &theirs, Path::new("/other"));
        assert_eq!(compared.good.len(), are_good, "{:?}", compared.good);
        assert_eq!(compared.wrong.len(), wrong.len(), "{:?}", compared.wrong);
        for (told, words) in compared.wrong.iter().zip(wrong) {
            assert!(told.contains(words), "{told}");
        }
    };
    check(&recorded(), 2, &[]);
    // Both decide the same in what was altered, and neither may vouch for it.
    let broken = altered(3, "\"attempts\":1", "\"attempts\":2");
    check(
        &broken,
        1,
        &["this build: the history is not whole", "/other: the history is not whole"],
    );
    let otherwise = altered(7, "\"steps\":6", "\"steps\":7");
    check(&otherwise, 0, &["this build: ", "/other, decides otherwise at transition 7"]);
}

#[tokio::test]
async fn an_explanation_of_what_was_altered_says_so() {
    let well = explained(&in_file(&recorded()), 0).await.expect("it is explained");
    assert_eq!(well.broken, None);
    let broken = in_file(&altered(3, "\"attempts\":1", "\"attempts\":2"));
    let told = explained(&broken, 0).await.expect("it is explained").told(100);
    assert!(told.contains("not whole    transition 4 does not follow"), "{told}");
}
