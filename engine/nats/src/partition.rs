//! What reaches the owner of a partition: everything on `stead.part.<partition>.…`.

use async_nats::{Message, StatusCode};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use stead_runtime::inbound::Inbound;
use stead_runtime::metric;
use stead_runtime::ports::ReplyTo;
use stead_schemas::depth::{DEPTH_MAX, is_too_deep};
use stead_schemas::dispatch::{OutsideAnswer, StepReply};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::Partition;
use stead_schemas::subjects::{self, AnswerSubject};

use crate::connect::{Connection, until_heard};

/// A subscription could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen to `{subject}`: {words}")]
pub struct SubscribeError {
    /// Where we wanted to listen.
    pub subject: String,
    /// Why not.
    pub words: String,
}

/// Why a message was dropped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It came on a subject that we do not know.
    #[error("its subject says not what it is")]
    Subject,
    /// It asks and waits for no answer.
    #[error("nobody waits for a reply")]
    NoReply,
    /// Its bytes are not what its subject says.
    #[error("{0}")]
    Body(String),
}

/// A message as it came, as far as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Where.
    pub subject: &'a str,
    /// Who waits for an answer.
    pub reply: Option<&'a str>,
    /// What it says.
    pub body: &'a [u8],
    /// What the server says in the place of a body, where it does.
    pub status: Option<u16>,
}

/// Listens to everything addressed to the owner of `partition`. When this returns, the server
/// knows that we listen. Messages that cannot be read are counted and dropped.
///
/// # Errors
/// If the connection is closed.
pub async fn subscribe_partition(
    connection: &Connection,
    partition: Partition,
) -> Result<impl Stream<Item = Inbound> + Send + Unpin + 'static, SubscribeError> {
    let subject = subjects::partition_inbox(partition);
    let messages = connection
        .bus
        .subscribe(subject.clone())
        .await
        .map_err(|error| SubscribeError { subject, words: error.to_string() })?;
    until_heard(&connection.bus).await;
    Ok(messages.filter_map(|message| std::future::ready(readable(message))))
}

fn readable(message: Message) -> Option<Inbound> {
    let heard = Heard {
        subject: &message.subject,
        reply: message.reply.as_deref(),
        body: &message.payload,
        status: message.status.map(|status| status.as_u16()),
    };
    match read_inbound(&heard) {
        Ok(inbound) => Some(inbound),
        Err(error) => {
            metric::UNREADABLE.count([]);
            let subject = subjects::without_proof(&message.subject);
            tracing::warn!(subject, %error, "dropped an unreadable message");
            None
        }
    }
}

/// Reads what the owner of a partition is told. Pure.
///
/// # Errors
/// If it cannot be read; then it is dropped, and whoever sent it sends it again or gives up.
pub fn read_inbound(heard: &Heard<'_>) -> Result<Inbound, Unreadable> {
    let what = heard.subject.split('.').nth(3).unwrap_or_default();
    match what {
        "answer" | "told" => read_answer(heard),
        "command" => Ok(Inbound::Command(body(heard)?, reply_to(heard)?)),
        "rehearse" => Ok(Inbound::Rehearse(body(heard)?, reply_to(heard)?)),
        "query" => Ok(Inbound::Query(body(heard)?, reply_to(heard)?)),
        "outcome" => Ok(Inbound::Outcome(body(heard)?, reply_to(heard)?)),
        "list" => Ok(Inbound::List(body(heard)?, reply_to(heard)?)),
        "order" => Ok(Inbound::Order(body(heard)?, reply_to(heard)?)),
        "place" => Ok(Inbound::Place(body(heard)?)),
        "placed" => Ok(Inbound::Placed(body(heard)?)),
        "limits" => Ok(Inbound::Limits(reply_to(heard)?)),
        "turn" => Ok(Inbound::Turn(body(heard)?, reply_to(heard)?)),
        "outside" => read_outside(heard),
        _ => Err(Unreadable::Subject),
    }
}

fn read_answer(heard: &Heard<'_>) -> Result<Inbound, Unreadable> {
    let said = subjects::parse_answer(heard.subject).ok_or(Unreadable::Subject)?;
    let AnswerSubject { address, attempt, proof } = said;
    if heard.status == Some(StatusCode::NO_RESPONDERS.as_u16()) {
        return Ok(Inbound::NoListener { address, attempt, proof });
    }
    Ok(Inbound::Answer { address, attempt, proof, reply: fit_for_the_log(body(heard)?) })
}

fn read_outside(heard: &Heard<'_>) -> Result<Inbound, Unreadable> {
    let mut answer: OutsideAnswer = body(heard)?;
    answer.reply = fit_for_the_log(answer.reply);
    Ok(Inbound::Outside(answer, reply_to(heard)?))
}

/// An answer that could be read now and never again would make the whole history unreadable.
fn fit_for_the_log(reply: StepReply) -> StepReply {
    match reply {
        StepReply::Done(answer) if is_too_deep(&answer) => {
            let words = format!("the answer has more than {DEPTH_MAX} levels of lists and objects");
            StepReply::Failed(Failure::new(Class::Permanent, words))
        }
        reply => reply,
    }
}

fn body<T: DeserializeOwned>(heard: &Heard<'_>) -> Result<T, Unreadable> {
    serde_json::from_slice(heard.body).map_err(|error| Unreadable::Body(error.to_string()))
}

/// Whether a subject is one where somebody listens for answers, and not one of ours or the
/// server's.
pub(crate) fn may_be_answered(reply: &str) -> bool {
    !reply.starts_with("stead.") && !reply.starts_with('$')
}

fn reply_to(heard: &Heard<'_>) -> Result<ReplyTo, Unreadable> {
    let reply = heard.reply.ok_or(Unreadable::NoReply)?;
    // An engine answers with its own rights: it must not be made to write where the asker may not.
    // What one engine asks of another for a step is answered to that step.
    let is_told = subjects::parse_answer(reply).is_some_and(|told| told.proof.is_none());
    match may_be_answered(reply) || is_told {
        true => Ok(ReplyTo(reply.to_string())),
        false => Err(Unreadable::NoReply),
    }
}
