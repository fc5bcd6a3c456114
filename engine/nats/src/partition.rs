//! What reaches the owner of a partition: everything on `stead.part.<partition>.…`.

use async_nats::{Message, StatusCode};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::ReplyTo;
use stead_schemas::ids::Partition;
use stead_schemas::subjects;

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
enum Unreadable {
    #[error("its subject says not what it is")]
    Subject,
    #[error("nobody waits for a reply")]
    NoReply,
    #[error("{0}")]
    Body(String),
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
    match read(&message) {
        Ok(inbound) => Some(inbound),
        Err(error) => {
            metrics::counter!("stead_inbound_unreadable_total").increment(1);
            tracing::warn!(subject = %message.subject, %error, "dropped an unreadable message");
            None
        }
    }
}

fn read(message: &Message) -> Result<Inbound, Unreadable> {
    let what = message.subject.split('.').nth(3).unwrap_or_default();
    match what {
        "answer" => read_answer(message),
        "command" => Ok(Inbound::Command(body(message)?, reply_to(message)?)),
        "query" => Ok(Inbound::Query(body(message)?, reply_to(message)?)),
        "list" => Ok(Inbound::List(reply_to(message)?)),
        "order" => Ok(Inbound::Order(body(message)?, reply_to(message)?)),
        "outside" => Ok(Inbound::Outside(body(message)?, reply_to(message)?)),
        _ => Err(Unreadable::Subject),
    }
}

fn read_answer(message: &Message) -> Result<Inbound, Unreadable> {
    let (address, attempt) = subjects::parse_answer(&message.subject).ok_or(Unreadable::Subject)?;
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Ok(Inbound::NoListener { address, attempt });
    }
    Ok(Inbound::Answer { address, attempt, reply: body(message)? })
}

fn body<T: DeserializeOwned>(message: &Message) -> Result<T, Unreadable> {
    serde_json::from_slice(&message.payload).map_err(|error| Unreadable::Body(error.to_string()))
}

fn reply_to(message: &Message) -> Result<ReplyTo, Unreadable> {
    message.reply.as_ref().map(|reply| ReplyTo(reply.to_string())).ok_or(Unreadable::NoReply)
}
