//! What is done with a token at Coder and in Forgejo.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::token::{Proof, TokenPhase};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::notice::Topic;
use stead_schemas::step::coder::{CreateToken, ProveToken, RevokeToken};
use stead_schemas::step::forgejo::{DeleteSecret, Repository, RunWorkflow, SetSecret, WorkflowRun};
use stead_schemas::step::vault::PinSecrets;

use super::state::{Held, Token};
use crate::notice;

/// How long one step may take before it counts as failed: a token that waits for a person is one
/// that ends.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);
/// How long the run that proves a token may take, with the wait for a runner.
const PROOF_MAX: Duration = Duration::from_secs(60 * 60);
/// The field of a token's record that is the token.
const FIELD: &str = "token";

/// How we log in where a token is made and given.
struct Logins {
    coder: String,
    forgejo: String,
}

/// Makes the next token, gives it to the repository and proves it there. What was there before is
/// put back if any of that fails.
pub(super) async fn make_next(cx: &Context, token: &mut Token) -> Result<Held, Failure> {
    let order = token.order.clone();
    let secrets = [order.coder_secret.clone(), order.forgejo_secret.clone()].into();
    let pinned = cx.step(PinSecrets { secrets }).within(STEP_MAX).await?;
    let number = token.generation() + 1;
    let place = token.place(cx, number, pinned.of(&order.coder_secret));
    let life_seconds = token.pace.life().as_secs();
    let made = cx
        .step(CreateToken { place: place.clone(), life_seconds })
        .undo(RevokeToken { place })
        .within(STEP_MAX)
        .await?;
    let (credentials, user) = (made.credentials.clone(), order.user.clone());
    cx.step(ProveToken { credentials, user }).within(STEP_MAX).await?;
    let repository = Repository {
        login: pinned.of(&order.forgejo_secret),
        repository: order.repository.clone(),
    };
    give(cx, token, &repository, &made.credentials).await?;
    let run = cx
        .step(RunWorkflow {
            place: repository,
            workflow: order.workflow,
            branch: order.branch,
            marker: token.next_proof(cx),
        })
        .within(PROOF_MAX)
        .await?;
    token.last_proof = Some(Proof { at: cx.now(), ok: run.succeeded, url: run.url.clone() });
    match run.succeeded {
        true => Ok(Held { number, credentials: made.credentials, expires_at: made.expires_at }),
        false => Err(not_proved(&run)),
    }
}

/// What the secret was before cannot be read in Forgejo, but lies in Vault.
async fn give(
    cx: &Context,
    token: &Token,
    repository: &Repository,
    credentials: &str,
) -> Result<(), Failure> {
    let name = &token.order.secret;
    let set = |secret: &str| SetSecret {
        place: repository.clone(),
        name: name.clone(),
        secret: secret.into(),
        field: FIELD.into(),
    };
    let step = cx.step(set(credentials));
    let step = match &token.current {
        Some(before) => step.undo(set(&before.credentials)),
        None => step.undo(DeleteSecret { place: repository.clone(), name: name.clone() }),
    };
    step.within(STEP_MAX).await.map(drop)
}

fn not_proved(run: &WorkflowRun) -> Failure {
    let words = format!("the run that was to prove the token ended as {}: {}", run.status, run.url);
    Failure::new(Class::Permanent, words)
}

/// Replaces the token by the next one. One that is still kept for jobs that have begun goes first.
pub(super) async fn rotate(cx: &Context, token: &mut Token) -> Result<Value, Failure> {
    if token.previous.is_some() {
        revoke_previous(cx, token).await;
    }
    token.enter(cx, TokenPhase::Rotating);
    match cx.operation(try_next(cx, token)).await {
        Ok(next) => {
            token.take(cx, next);
            Ok(token.told())
        }
        Err(failure) => {
            token.stays(cx);
            Err(failure)
        }
    }
}

/// Says that the next one cannot be had as soon as that is known: what is put back afterwards may
/// need the very vendor that fails.
async fn try_next(cx: &Context, token: &mut Token) -> Result<Held, Failure> {
    let made = make_next(cx, token).await;
    match &made {
        Err(failure) if failure.class != Class::Cancelled => {
            token.is_at_risk(cx, failure);
            if cx.changed("notices") {
                notice::tell(cx, Topic::Token, &token.risk(cx, failure)).await;
            }
        }
        Ok(_) | Err(_) => {}
    }
    made
}

/// Revokes the token before, which nobody needs any more.
pub(super) async fn revoke_previous(cx: &Context, token: &mut Token) {
    let Some(previous) = token.previous.take() else { return };
    token.previous_until = None;
    if revoke(cx, token, &previous).await.is_err() {
        let words = "the token before was not revoked: a step was abandoned";
        cx.note("stays", words, &json!({ "number": previous.number }));
    }
}

async fn revoke(cx: &Context, token: &Token, held: &Held) -> Result<(), Failure> {
    let login = logins(cx, token).await?.coder;
    cx.take_back(RevokeToken { place: token.place(cx, held.number, login) }).await.map(drop)
}

async fn logins(cx: &Context, token: &Token) -> Result<Logins, Failure> {
    let (coder, forgejo) = (&token.order.coder_secret, &token.order.forgejo_secret);
    let secrets = [coder.clone(), forgejo.clone()].into();
    let pinned = cx.take_back(PinSecrets { secrets }).await?;
    Ok(Logins { coder: pinned.of(coder), forgejo: pinned.of(forgejo) })
}

/// Takes everything away: first what jobs are given, then what that opens.
pub(super) async fn delete(cx: &Context, token: &mut Token) -> Result<Value, Failure> {
    let before = token.phase;
    token.enter(cx, TokenPhase::Deleting);
    match take_away(cx, token).await {
        Ok(()) => {
            token.enter(cx, TokenPhase::Deleted);
            Ok(json!({ "phase": TokenPhase::Deleted }))
        }
        Err(failure) => {
            token.enter(cx, before);
            Err(failure)
        }
    }
}

async fn take_away(cx: &Context, token: &mut Token) -> Result<(), Failure> {
    let login = logins(cx, token).await?.forgejo;
    let (repository, name) = (token.order.repository.clone(), token.order.secret.clone());
    cx.take_back(DeleteSecret { place: Repository { login, repository }, name }).await?;
    if token.previous.is_some() {
        revoke_previous(cx, token).await;
    }
    match token.current.clone() {
        Some(current) => revoke(cx, token, &current).await,
        None => Ok(()),
    }
}
