//! Notices: tells people what they want to know of, each way that the site has for it. What comes
//! together goes in one message; of the same thing nobody is told again before its time; what
//! cannot be sent is kept, and sent again under the same id.
//!
//! `state.rs` is what it knows, `message.rs` what a message says, `admit.rs` the door.

use alloc::string::String;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::combine::all;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::notice::{KIND, TellOrder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::notice::{By, Topic};
use stead_schemas::step::Done;
use stead_schemas::step::notify::{PostWebhook, SendMail, Tell};

use crate::as_value;
use state::{Bundle, Notices};

mod admit;
mod message;
mod state;

/// How long one message is tried before others have their turn.
const SEND_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long it may take to have a notice taken in.
const TELL_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How many ways are used at once.
const AT_ONCE: usize = 8;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["tell"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

/// Has something told. Whoever asks does not wait until it is, and goes on if it cannot be had.
pub(crate) async fn tell(cx: &Context, topic: Topic, words: &str) {
    tell_about(cx, topic, alloc::format!("{}/{}", cx.owner(), cx.name()), words).await;
}

/// The same, about something else than the run's own entity.
pub(crate) async fn tell_about(cx: &Context, topic: Topic, about: String, words: &str) {
    let ask = Tell { topic, about, words: words.into() };
    if let Err(failure) = cx.step(ask).detached().within(TELL_WITHIN).await {
        cx.note("not-told", alloc::format!("nobody is told of it: {failure}"), &failure);
    }
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut notices: Notices = cx.carried()?.unwrap_or_default();
    loop {
        notices.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&notices)));
        }
        let Some((at, reason)) = notices.next(&cx) else {
            let command = cx.next_command().await;
            if let Some(result) = take(&cx, &mut notices, &command).await {
                return Ok(Ending::Completed(result));
            }
            continue;
        };
        match cx.next_command_within(at.since(cx.now()), reason).await {
            Some(command) => {
                take(&cx, &mut notices, &command).await;
            }
            None => send_due(&cx, &mut notices).await,
        }
    }
}

/// Takes a notice in. Where nobody is to be told of anything there is nothing to live for.
async fn take(cx: &Context, notices: &mut Notices, command: &Command) -> Option<Value> {
    let order: TellOrder = match command.read() {
        Ok(order) => order,
        Err(failure) => {
            cx.complete(command, Err(failure));
            return None;
        }
    };
    let is_test = order.topic == Topic::Test;
    let told = json!({ "routes": notices.take(cx, order) });
    if is_test {
        let outcome = send_test(cx, notices).await;
        cx.complete(command, outcome.map(|()| told.clone()));
    } else {
        cx.complete(command, Ok(told.clone()));
    }
    (notices.is_empty() && !cx.has_command()).then_some(told)
}

/// Everything at once, and whoever wants to see whether he is reached is told what came of it.
async fn send_test(cx: &Context, notices: &mut Notices) -> Result<(), Failure> {
    send_due(cx, notices).await;
    match notices.troubles() {
        words if words.is_empty() => Ok(()),
        words => Err(Failure::new(Class::VendorDown, words)),
    }
}

/// Sends what is due, each way by itself: one that is dead keeps the others for ten minutes at
/// most.
async fn send_due(cx: &Context, notices: &mut Notices) {
    // What waits is seen while it is tried, however long that takes.
    notices.show(cx);
    let due = notices.take_due(cx);
    let sends = due.iter().map(|(_, by, bundle)| send(cx, by, bundle));
    let sent = all(AT_ONCE, sends).await;
    for ((name, ..), sent) in due.iter().zip(sent) {
        notices.sent(cx, name, sent);
    }
}

async fn send(cx: &Context, by: &By, bundle: &Bundle) -> Result<Done, Failure> {
    let id = bundle.id.clone();
    match by.clone() {
        By::Mail { to, from, login } => {
            let (subject, text) = (message::subject(bundle), message::text(bundle));
            let mail = SendMail { login, from, to, id, subject, text };
            cx.step(mail).within(SEND_WITHIN).await
        }
        By::Webhook { url, secret } => {
            let body = message::body(bundle);
            cx.step(PostWebhook { url, secret, id, body }).within(SEND_WITHIN).await
        }
    }
}
