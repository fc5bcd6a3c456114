//! A template of Coder's that is made of a folder of a repository.
//!
//! A version is made, imported by Coder and looked at, before workspaces are made of it; if any of
//! that fails, the active version is the one that it was. What was tried last is remembered: a
//! commit that was rejected, or that somebody went back from, is not pushed again because a webhook
//! comes once more or somebody looks at the branch. Only a newer one is, or a `push` by hand. One of
//! which nobody has said anything, as Coder was away or no provisioner took it, was not tried.
//!
//! `state.rs` is what it knows, `operations.rs` what is done with it, `poll.rs` when the branch is looked
//! at by itself, `admit.rs` the door.

use serde_json::json;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::template::{KIND, TemplateOrder, TemplatePhase};
use stead_schemas::failure::{Class, Failure};

use crate::as_value;
use state::Template;

mod admit;
mod judge;
mod operations;
mod poll;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["check", "forget", "keep", "promote", "push", "rollback"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut template: Template = cx.carried()?.unwrap_or_default();
    loop {
        template.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&template)));
        }
        let Some(command) = next(&cx, &template).await else {
            poll::go_on(&cx, &mut template).await;
            continue;
        };
        carry_out(&cx, &mut template, &command).await;
        if template.phase == TemplatePhase::Forgotten {
            answer_late(&cx);
            return Ok(Ending::Completed(json!({ "phase": TemplatePhase::Forgotten })));
        }
    }
}

/// The next command; nothing once it is time to look at the branch.
async fn next(cx: &Context, template: &Template) -> Option<Command> {
    match template.polls.next() {
        Some((at, reason)) => cx.next_command_within(at.since(cx.now()), reason).await,
        None => Some(cx.next_command().await),
    }
}

async fn carry_out(cx: &Context, template: &mut Template, command: &Command) {
    if command.verb == "keep" {
        let kept = command.read().map(|order: Option<TemplateOrder>| {
            template.polls.follow(order.as_ref(), cx.now());
            json!({})
        });
        return cx.complete(command, kept);
    }
    let (verb, order) = (command.verb.as_str(), command.read::<TemplateOrder>());
    if let ("check" | "push", Ok(order)) = (verb, &order) {
        template.polls.follow(Some(order), cx.now());
    }
    let outcome = match (verb, order) {
        (_, Err(failure)) => Err(failure),
        ("push", Ok(order)) => operations::push(cx, template, &order).await,
        ("check", Ok(order)) => operations::check(cx, template, &order).await,
        ("promote", Ok(order)) => operations::promote(cx, template, &order).await,
        ("rollback", Ok(order)) => operations::rollback(cx, template, &order).await,
        (_, Ok(_)) => {
            template.enter(cx, TemplatePhase::Forgotten);
            Ok(json!({ "phase": TemplatePhase::Forgotten }))
        }
    };
    cx.complete(command, outcome);
}

/// Whoever asked for it while it was being forgotten must ask anew.
fn answer_late(cx: &Context) {
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "forget" => Ok(json!({ "phase": TemplatePhase::Forgotten })),
            _ => Err(Failure::new(Class::Refused, "the deployment has just been ended")),
        };
        cx.complete(&command, outcome);
    }
}
