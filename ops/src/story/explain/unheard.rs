//! Pushes that no webhook told of: a look at the branch, which somebody else asked for, found what
//! a webhook should have told.
//!
//! That webhooks come to this template at all is known only where one came before.

use stead_schemas::command::template::{KIND, WEBHOOK_ID};
use stead_schemas::event::{CommandAccepted, Event};
use stead_schemas::step::Step;
use stead_schemas::step::coder::versions::CreateVersion;
use stead_schemas::step::forgejo::{Head, LookUpHead};

use super::{Kind, Link, Read};
use crate::story::operations::{End, Operation};
use crate::story::words::{caller, moment};

/// The push that this operation found, if a webhook should have told of it.
pub(super) fn unheard(read: &Read, operation: &Operation) -> Option<Link> {
    let made = |one: &Operation| one.steps.iter().any(|step| step.name == CreateVersion::NAME);
    if read.run.kind() != KIND || operation.verb != "check" || !made(operation) {
        return None;
    }
    let (n, by) = asked(read, operation)?;
    let place = read.operations.iter().position(|one| one.id == operation.id)?;
    let (before, from) = read.operations.split_at(place);
    let told = before.iter().rev().find(|one| is_webhook(one))?;
    let commit = head(read, operation)?;
    // One that comes late tells of it all the same.
    if from.iter().any(|one| is_webhook(one) && head(read, one).as_deref() == Some(&commit)) {
        return None;
    }
    Some(Link {
        run: read.run.clone(),
        n,
        at: operation.from,
        step: None,
        kind: Kind::Unheard,
        words: format!(
            "no webhook told of {commit}: a look that was asked for {} found it. One told of the \
             push before, at {}",
            caller(&by.by),
            moment(told.from)
        ),
    })
}

fn is_webhook(operation: &Operation) -> bool {
    operation.id.starts_with(WEBHOOK_ID)
}

/// Where an operation was asked for, and by whom.
fn asked<'r>(read: &'r Read, operation: &Operation) -> Option<(u64, &'r CommandAccepted)> {
    read.moments.iter().find_map(|moment| match &moment.event {
        Event::CommandAccepted(command) if command.id == operation.id => Some((moment.n, command)),
        _ => None,
    })
}

/// What the branch ended with when an operation looked.
fn head(read: &Read, operation: &Operation) -> Option<String> {
    let is_look = |seq| {
        let mut steps = operation.steps.iter();
        steps.any(|step| step.seq == seq && step.name == LookUpHead::NAME && step.end == End::Done)
    };
    let answer = read.moments.iter().find_map(|moment| match &moment.event {
        Event::StepCompleted(done) if is_look(done.seq) => Some(&done.answer),
        _ => None,
    });
    let head: Head = serde_json::from_value(answer?.clone()).ok()?;
    Some(head.commit)
}
