//! A token that CI works with: made anew before it ends, for as long as anybody wants it.
//!
//! Forgejo never shows a secret that it was given. So the next token is given to the repository and
//! proved there by a run, and only then is it the one that is used; the one before lives on for
//! those jobs that began with it. If anything fails, what was there is put back, and it is tried
//! again long before that ends.
//!
//! `state.rs` is what it knows, `operations.rs` what is done with it, `admit.rs` the door.

use serde_json::json;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::token::{KIND, TokenPhase};
use stead_schemas::failure::{Class, Failure};

use crate::as_value;
use state::{Next, Token};

mod admit;
mod operations;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["create", "rotate", "configure", "delete"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut token = match cx.carried()? {
        Some(token) => token,
        None => create(&cx).await?,
    };
    loop {
        token.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&token)));
        }
        match token.next(&cx).await {
            Next::Command(command) => carry_out(&cx, &mut token, &command).await,
            Next::Revoke => operations::revoke_previous(&cx, &mut token).await,
            // What becomes of it, it says itself.
            Next::Rotate => drop(operations::rotate(&cx, &mut token).await),
        }
        if token.phase == TokenPhase::Deleted {
            answer_late(&cx);
            return Ok(Ending::Completed(json!({ "phase": TokenPhase::Deleted })));
        }
    }
}

async fn carry_out(cx: &Context, token: &mut Token, command: &Command) {
    let outcome = match command.verb.as_str() {
        "rotate" => operations::rotate(cx, token).await,
        "configure" => token.configure(cx, command),
        _ => operations::delete(cx, token).await,
    };
    cx.complete(command, outcome);
}

/// Carries out the command that a token begins with.
async fn create(cx: &Context) -> Result<Token, Failure> {
    let command = cx.next_command().await;
    let mut token = Token::new(command.read()?);
    token.show(cx);
    match cx.operation(operations::make_next(cx, &mut token)).await {
        Ok(next) => {
            token.take(cx, next);
            token.show(cx);
            cx.complete(&command, Ok(token.told()));
            Ok(token)
        }
        Err(failure) => {
            token.enter(cx, TokenPhase::Failed);
            cx.complete(&command, Err(failure.clone()));
            answer_late(cx);
            Err(failure)
        }
    }
}

/// Whoever asked for a delete while the token was going away has what he wanted.
fn answer_late(cx: &Context) {
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "delete" => Ok(json!({ "phase": TokenPhase::Deleted })),
            _ => Err(Failure::new(Class::Refused, "the token is gone")),
        };
        cx.complete(&command, outcome);
    }
}
