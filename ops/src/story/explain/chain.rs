//! What came of a cause: what was taken back, how it ended, what is left.

use stead_schemas::event::{Event, Outcome};

use super::{Kind, Link, Read};
use crate::story::operations::{End, Operation};
use crate::story::words::{counted, span};

/// What followed in the run itself.
pub(super) fn after(read: &Read, operation: &Operation, cause: &Link) -> Vec<Link> {
    let link = |n: u64, at, kind: Kind, words: String| Link {
        run: read.run.clone(),
        n,
        at,
        step: None,
        kind,
        words,
    };
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        let moment = read.moments.iter().find(|moment| wanted(&moment.event));
        moment.map(|moment| (moment.n, moment.at))
    };
    let mut links = Vec::new();
    let undos: Vec<_> = operation.steps.iter().filter(|step| step.is_undo).collect();
    if let Some(first) = undos.first() {
        let begun = |event: &Event| matches!(event, Event::StepScheduled(s) if s.seq == first.seq);
        if let Some((n, at)) = place(&begun) {
            let steps = counted(undos.len() as u64, "step");
            let is_open = undos.iter().any(|undo| undo.end == End::Open);
            let verb = if is_open { "is being" } else { "was" };
            let words = format!("what had been done {verb} taken back, by {steps}");
            links.push(link(n, at, Kind::TakenBack, words));
        }
    }
    let is_ours =
        |event: &Event| matches!(event, Event::CommandCompleted(c) if c.id == operation.id);
    if let (Some(outcome), Some((n, at))) = (&operation.outcome, place(&is_ours)) {
        let end = match outcome {
            Outcome::Done(_) => "was done all the same",
            Outcome::Failed(_) => "failed by that",
        };
        links.push(link(n, at, Kind::Ended, format!("{} {end}", operation.verb)));
    }
    if let Some((n, at)) = place(&|event| event.is_last()).filter(|(_, at)| *at >= cause.at) {
        links.push(link(n, at, Kind::Ended, "the run was over".to_owned()));
    }
    links
}

/// What was taken back, or is being.
pub(super) fn undone(operation: &Operation) -> Vec<String> {
    let undos = operation.steps.iter().filter(|step| step.is_undo);
    let told = undos.map(|step| match (&step.end, step.until) {
        (End::Done, Some(until)) => {
            format!("{} {} in {}", step.seq, step.name, span(until.since(step.from)))
        }
        (End::Failed(failure), _) => format!("{} {} failed: {failure}", step.seq, step.name),
        (end, _) => format!("{} {}: {}", step.seq, step.name, end.word()),
    });
    told.collect()
}

/// What was given up, or is still to be taken back.
pub(super) fn left(read: &Read, operation: Option<&Operation>) -> Vec<String> {
    let mut left = Vec::new();
    for moment in &read.moments {
        match &moment.event {
            Event::RunTerminated(run) => left.extend(
                run.left
                    .iter()
                    .map(|left| format!("{} ({}) {}", left.step, left.why, left.request)),
            ),
            Event::UndoAbandoned(undo) => {
                left.push(format!("step {} was given up: {}", undo.seq, undo.order.why));
            }
            _ => {}
        }
    }
    let undos = operation.into_iter().flat_map(|operation| &operation.steps);
    let open = undos.filter(|step| step.is_undo && step.end == End::Open);
    left.extend(open.map(|step| format!("{} {} is still to be done", step.seq, step.name)));
    left
}
