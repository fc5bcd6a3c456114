//! The few JetStream requests that the ports are made of, and what their failures mean.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageBuilder, RawMessageErrorKind};
use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;

use crate::connect::ANSWER_WITHIN;

/// Somebody wrote to the subject before us.
const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The same on a replicated stream, where the other write is still on its way.
const WRONG_LAST_SEQUENCE_IN_FLIGHT: u64 = 10164;

/// The stream takes no batches.
const NO_BATCHES: u64 = 10174;

/// Why a message was not acknowledged.
#[derive(Debug)]
pub(crate) enum NotAcked {
    /// It may have been written or not.
    Unknown(String),
    /// The subject's last message is not the expected one.
    WrongLast,
    /// No stream listens, or JetStream is away; nothing was written.
    NoStream,
    /// The stream takes no batches; nothing was written.
    NoBatches,
    /// It was not written and never will be.
    Lasting(String),
    /// It was not written now.
    Passing(String),
}

impl std::fmt::Display for NotAcked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(words) | Self::Lasting(words) | Self::Passing(words) => {
                out.write_str(words)
            }
            Self::WrongLast => out.write_str("somebody else has written"),
            Self::NoBatches => out.write_str("the stream takes no batches"),
            Self::NoStream => out.write_str("no stream takes it, or JetStream is away"),
        }
    }
}

#[derive(Deserialize)]
struct Ack {
    seq: Option<u64>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Publishes one message and waits until the stream has kept it. Returns its sequence.
pub(crate) async fn publish(
    client: &Client,
    subject: &str,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<u64, NotAcked> {
    let request = Request::new().headers(headers).payload(payload).timeout(Some(ANSWER_WITHIN));
    // While the server is away the client's queue can be full, and waiting for a place in it is
    // not covered by the request's own time limit.
    let limit = ANSWER_WITHIN + Duration::from_secs(1);
    let sending = client.send_request(subject.to_string(), request);
    match tokio::time::timeout(limit, sending).await {
        Err(_) => Err(NotAcked::Unknown("no acknowledgement in time".into())),
        Ok(Err(error)) => Err(unsent(&error)),
        Ok(Ok(reply)) => read_ack(&reply.payload),
    }
}

fn unsent(error: &async_nats::RequestError) -> NotAcked {
    match error.kind() {
        RequestErrorKind::NoResponders => NotAcked::NoStream,
        RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
            NotAcked::Lasting(error.to_string())
        }
        RequestErrorKind::TimedOut => NotAcked::Unknown("no acknowledgement in time".into()),
        RequestErrorKind::Other => NotAcked::Unknown(error.to_string()),
    }
}

fn read_ack(payload: &[u8]) -> Result<u64, NotAcked> {
    let ack: Ack = serde_json::from_slice(payload)
        .map_err(|error| NotAcked::Unknown(format!("unreadable acknowledgement: {error}")))?;
    match (ack.error, ack.seq) {
        (None, Some(seq)) => Ok(seq),
        (None, None) => Err(NotAcked::Unknown("an acknowledgement without a sequence".into())),
        (Some(error), _) => Err(refused(error)),
    }
}

fn refused(error: ApiError) -> NotAcked {
    let words = format!("{} ({})", error.description, error.err_code);
    match error.err_code {
        WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_IN_FLIGHT => NotAcked::WrongLast,
        NO_BATCHES => NotAcked::NoBatches,
        // Too many requests, no leader, disk full, shutting down: all of it may pass.
        _ if error.code >= 429 => NotAcked::Passing(words),
        _ => NotAcked::Lasting(words),
    }
}

/// Why a message cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// The stream is not there.
    #[error("there is no stream `{0}`")]
    NoStream(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The last message of a subject, as the stream's leader knows it. Direct gets are faster, but a
/// follower may answer them with yesterday's news.
pub(crate) async fn last_message(
    js: &Context,
    stream: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, Unread> {
    read(js, stream, |get| get.last_by_subject(subject)).await
}

/// The first message of a subject whose sequence is `seq` or more, as the leader knows it.
pub(crate) async fn next_message(
    js: &Context,
    stream: &str,
    seq: u64,
    subject: &str,
) -> Result<Option<StreamMessage>, Unread> {
    read(js, stream, |get| get.sequence(seq).next_by_subject(subject)).await
}

/// The message of this sequence, as the leader knows it.
pub(crate) async fn message_at(
    js: &Context,
    stream: &str,
    seq: u64,
) -> Result<Option<StreamMessage>, Unread> {
    read(js, stream, |get| get.sequence(seq)).await
}

async fn read(
    js: &Context,
    stream: &str,
    which: impl FnOnce(RawMessageBuilder) -> RawMessageBuilder,
) -> Result<Option<StreamMessage>, Unread> {
    let handle =
        js.get_stream_no_info(stream).await.map_err(|error| Unread::Other(error.to_string()))?;
    let error = match which(handle.raw_message_builder()).send().await {
        Ok(message) => return Ok(Some(message)),
        Err(error) => error,
    };
    match error.kind() {
        RawMessageErrorKind::NoMessageFound => Ok(None),
        RawMessageErrorKind::JetStream(cause)
            if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            Err(Unread::NoStream(stream.to_string()))
        }
        RawMessageErrorKind::InvalidSubject
        | RawMessageErrorKind::JetStream(_)
        | RawMessageErrorKind::Other => Err(Unread::Other(error.to_string())),
    }
}
