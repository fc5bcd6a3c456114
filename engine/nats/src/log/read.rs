//! Bulk reading: pages of the log by batched direct gets.
//!
//! No consumer is made, so none can leak. A follower may answer and may be behind; therefore the
//! leader says first how far to read, and a page that ends early is asked for again. Nothing is
//! ever deleted from a log, so that a missing sequence is a damaged log and not a detail.
//!
//! A whole partition is read without headers, which cost server and client more than the message
//! itself (`bare.rs`). Where a page cannot be understood that way, it is asked for with them.

mod bare;

pub use bare::whose;

use std::future::ready;
use std::mem;
use std::time::Duration;

use async_nats::header::{
    NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_LAST_SEQUENCE,
    NATS_SEQUENCE, NATS_SUBJECT,
};
use async_nats::jetstream::context::Context;
use async_nats::{Client, HeaderMap, HeaderName, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use stead_runtime::ports::{LogError, Recorded};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::subjects;
use tokio::time::{Instant, timeout_at};

use crate::connect::ANSWER_WITHIN;
use crate::jetstream;
use crate::pause::Pause;
use crate::platform::Platform;
use crate::seal::Keys;

/// Messages in one page.
const PAGE_MESSAGES: usize = 1000;
/// Bytes in one page; a page holds at least one message.
const PAGE_BYTES: usize = 4 << 20;
/// How long to wait for followers to catch up and servers to come back.
const PATIENCE: Duration = Duration::from_secs(15);
/// The status of a page's last message.
const END_OF_PAGE: u16 = 204;

#[derive(Serialize)]
struct PageRequest<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: usize,
    max_bytes: usize,
    #[serde(skip_serializing_if = "is_false")]
    no_hdr: bool,
}

/// A reader of one stream, from one sequence to another.
struct Pages {
    client: Client,
    js_prefix: String,
    stream: String,
    filter: String,
    next: u64,
    until: u64,
    /// Whether every message of the stream is wanted.
    gapless: bool,
    /// Whether to do without headers where that is possible.
    bare: bool,
    /// Whether what comes next could not be understood without headers.
    strange: bool,
}

/// One message as it lies in the stream.
struct Stored {
    seq: u64,
    subject: String,
    headers: Option<HeaderMap>,
    /// As it lies there, sealed or plain.
    body: Bytes,
}

/// A message of the log, and behind what it was written.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its sequence.
    pub seq: u64,
    /// Where it lies.
    pub subject: String,
    /// Behind what the server took it; nothing if it does not say.
    pub behind: Option<Behind>,
    /// Whose history it belongs to, and what it says; nothing if it is none of a run's.
    pub transition: Option<(RunId, Vec<u8>)>,
}

/// The sequence that a writer named, without which the server would not have taken a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The message before it on its subject; 0 if it was the first.
    OnSubject(u64),
    /// The message before it in the stream.
    InStream(u64),
}

/// Everything in an epoch of a partition behind `after`, up to now.
pub(super) async fn partition(
    platform: &Platform,
    partition: Partition,
    epoch: u32,
    after: u64,
) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
    // A sealed message says in a header by which key. What is read back or caught up with is compared
    // with its subject; only the many that an owner takes up are read without it.
    let bare = after == 0 && platform.connection.keys.is_empty();
    let messages = stored(platform, partition, epoch, after, bare).await?;
    let keys = platform.connection.keys.clone();
    let messages = messages.try_filter_map(move |stored| ready(in_open_epoch(stored, &keys)));
    Ok(messages.boxed())
}

/// All messages of an epoch of a partition, those of owners among them.
pub(super) async fn places(
    platform: &Platform,
    partition: Partition,
    epoch: u32,
) -> Result<BoxStream<'static, Result<Placed, LogError>>, LogError> {
    let messages = stored(platform, partition, epoch, 0, false).await?;
    let keys = platform.connection.keys.clone();
    let messages = messages.and_then(move |stored| {
        let (seq, subject, behind) = (stored.seq, stored.subject.clone(), stored.behind());
        let transition = in_open_epoch(stored, &keys);
        let transition = transition.map(|found| found.map(|found| (found.run, found.bytes)));
        ready(transition.map(|transition| Placed { seq, subject, behind, transition }))
    });
    Ok(messages.boxed())
}

async fn stored(
    platform: &Platform,
    partition: Partition,
    epoch: u32,
    after: u64,
    bare: bool,
) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
    let stream = subjects::log_stream(epoch, partition);
    let (first, last) = bounds(&platform.connection.js, &stream).await?;
    let pages = Pages {
        client: platform.connection.api.clone(),
        js_prefix: platform.connection.js_prefix.clone(),
        filter: subjects::log_stream_subjects(epoch, partition),
        stream,
        next: first.max(after + 1),
        until: last,
        gapless: true,
        bare,
        strange: false,
    };
    let pages = stream::try_unfold(pages, |mut pages| async move {
        let page = pages.read().await?;
        Ok::<_, LogError>((!page.is_empty()).then_some((page, pages)))
    });
    Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
}

/// Everything of one run up to now.
pub(super) async fn run(
    platform: &Platform,
    run: &RunId,
    epoch: u32,
) -> Result<Vec<Recorded>, LogError> {
    let partition = run.partition(platform.partitions);
    let stream = subjects::log_stream(epoch, partition);
    let filter = subjects::log(epoch, partition, run);
    let history = stored_on(platform, &stream, filter).await?;
    let keys = &platform.connection.keys;
    history.into_iter().filter_map(|stored| recorded(stored, keys).transpose()).collect()
}

/// The sequence and the body of each message on one subject, up to now.
pub(crate) async fn whole_subject(
    platform: &Platform,
    stream: &str,
    subject: String,
) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
    let stored = stored_on(platform, stream, subject).await?;
    let keys = &platform.connection.keys;
    stored.into_iter().map(|stored| Ok((stored.seq, stored.open(keys)?))).collect()
}

async fn stored_on(
    platform: &Platform,
    stream: &str,
    filter: String,
) -> Result<Vec<Stored>, LogError> {
    let last = jetstream::last_message(&platform.connection.js, stream, &filter)
        .await
        .map_err(|error| LogError(error.to_string()))?;
    let Some(last) = last else { return Ok(Vec::new()) };
    let (client, stream) = (platform.connection.api.clone(), stream.to_owned());
    let (until, js_prefix) = (last.sequence, platform.connection.js_prefix.clone());
    let mut pages = Pages {
        client,
        js_prefix,
        stream,
        filter,
        next: 1,
        until,
        gapless: false,
        bare: false,
        strange: false,
    };
    let mut all = Vec::new();
    loop {
        let page = pages.read().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The sequences of the first and the last message.
pub(crate) async fn bounds(js: &Context, stream: &str) -> Result<(u64, u64), LogError> {
    let handle =
        js.get_stream_no_info(stream).await.map_err(|error| LogError(error.to_string()))?;
    let info = handle.get_info().await.map_err(|error| LogError(error.to_string()))?;
    Ok((info.state.first_sequence.max(1), info.state.last_sequence))
}

/// The same as [`recorded`], unless this message closes the epoch: what comes behind it is void,
/// and whoever reads on would not know what is in force.
fn in_open_epoch(stored: Stored, keys: &Keys) -> Result<Option<Recorded>, LogError> {
    if stored.subject.rsplit('.').next() != Some(super::OWNER) {
        return recorded(stored, keys);
    }
    let at = stored.seq;
    match super::epochs::closes(&stored.body) {
        Ok(false) => recorded(stored, keys),
        Ok(true) => {
            let words = format!("this epoch is closed at {at}; another one is in force");
            Err(LogError(words))
        }
        Err(error) => {
            let words = format!("this build cannot read what owners wrote at {at}: {error}");
            Err(LogError(words))
        }
    }
}

/// The message as part of a history; nothing if it is not one of a run's.
fn recorded(stored: Stored, keys: &Keys) -> Result<Option<Recorded>, LogError> {
    let token = stored.subject.rsplit('.').next().unwrap_or_default();
    match token.parse() {
        Ok(run) => Ok(Some(Recorded { seq: stored.seq, run, bytes: stored.open(keys)? })),
        Err(_) if token == super::OWNER => Ok(None),
        Err(error) => {
            tracing::warn!(subject = stored.subject, %error, "a stranger's message is in the log");
            Ok(None)
        }
    }
}

impl Stored {
    fn behind(&self) -> Option<Behind> {
        let headers = self.headers.as_ref()?;
        let named = |name| headers.get(name)?.as_str().parse().ok();
        let on_subject = named(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE).map(Behind::OnSubject);
        on_subject.or_else(|| named(NATS_EXPECTED_LAST_SEQUENCE).map(Behind::InStream))
    }

    fn open(self, keys: &Keys) -> Result<Vec<u8>, LogError> {
        let opened = keys.open(&self.subject, self.headers.as_ref(), self.body);
        let opened = opened.map(Vec::from);
        opened.map_err(|error| LogError(format!("`{}` at {}: {error}", self.subject, self.seq)))
    }
}

impl Pages {
    /// The next page; empty at the end.
    async fn read(&mut self) -> Result<Vec<Stored>, LogError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Pause::new();
        while self.next <= self.until {
            let page = match self.page().await {
                Ok(page) => page,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => {
                    tracing::debug!(stream = self.stream, %error, "asking for a page again");
                    Vec::new()
                }
            };
            if let Some(last) = page.last() {
                self.next = last.seq + 1;
                return Ok(page);
            }
            if Instant::now() >= deadline {
                let words = format!("`{}` ends before {}", self.stream, self.until);
                return Err(LogError(words));
            }
            pause.wait().await;
        }
        Ok(Vec::new())
    }

    async fn page(&mut self) -> Result<Vec<Stored>, LogError> {
        if self.bare
            && !mem::take(&mut self.strange)
            && let Some(page) = self.bare_page().await?
        {
            return Ok(page);
        }
        let mut answers = self.ask(false).await?;
        self.collect(&mut answers).await
    }

    async fn ask(&self, no_hdr: bool) -> Result<Subscriber, LogError> {
        let inbox = self.client.new_inbox();
        let answers = self.client.subscribe(inbox.clone()).await.map_err(in_words)?;
        let request = PageRequest {
            seq: self.next,
            next_by_subj: &self.filter,
            batch: PAGE_MESSAGES,
            max_bytes: PAGE_BYTES,
            no_hdr,
        };
        let body = serde_json::to_vec(&request).map_err(in_words)?;
        let subject = format!("{}.DIRECT.GET.{}", self.js_prefix, self.stream);
        self.client.publish_with_reply(subject, inbox, body.into()).await.map_err(in_words)?;
        Ok(answers)
    }

    async fn collect(&self, answers: &mut Subscriber) -> Result<Vec<Stored>, LogError> {
        let mut page: Vec<Stored> = Vec::new();
        loop {
            let deadline = Instant::now() + ANSWER_WITHIN;
            let message = match timeout_at(deadline, answers.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => return Err(LogError("the connection is closed".into())),
                // What has come is good; the rest is asked for again.
                Err(_) if !page.is_empty() => return Ok(page),
                Err(_) => return Err(LogError("no answer in time".into())),
            };
            match message.status.map(|status| status.as_u16()) {
                None | Some(200) => {}
                Some(END_OF_PAGE) => return Ok(page),
                Some(status) if status == StatusCode::NOT_FOUND.as_u16() => return Ok(page),
                Some(status) => return Err(LogError(refusal(status, &message))),
            }
            let (stored, after) = read_stored(message)?;
            if stored.seq > self.until {
                return Ok(page);
            }
            // When the connection breaks, a part of the page is lost and the rest may still
            // come. What is missing is asked for again.
            if after != page.last().map_or(0, |last| last.seq) {
                return Ok(page);
            }
            let wanted = page.last().map_or(self.next, |last| last.seq + 1);
            if self.gapless && stored.seq != wanted {
                let (stream, found) = (&self.stream, stored.seq);
                return Err(LogError(format!("`{stream}` has {found} where {wanted} should be")));
            }
            page.push(stored);
        }
    }
}

fn is_false(it: &bool) -> bool {
    !it
}

fn in_words(error: impl std::fmt::Display) -> LogError {
    LogError(error.to_string())
}

fn refusal(status: u16, message: &Message) -> String {
    let words = message.description.as_deref().unwrap_or("no words");
    format!("the server refuses to read: {status} {words}")
}

/// The server's own value comes last; a writer may have sent one of the same name.
fn header(message: &Message, name: HeaderName) -> Option<&str> {
    let headers = message.headers.as_ref()?;
    headers.get_last(name).map(|value| value.as_str())
}

fn number(message: &Message, name: HeaderName) -> Option<u64> {
    header(message, name)?.parse().ok()
}

/// The message, and the one before it in the same page, as the server sent it; 0 for the first.
fn read_stored(message: Message) -> Result<(Stored, u64), LogError> {
    let (seq, after) = (number(&message, NATS_SEQUENCE), number(&message, NATS_LAST_SEQUENCE));
    match (seq, after, header(&message, NATS_SUBJECT)) {
        (Some(seq), Some(after), Some(subject)) => {
            let subject = subject.to_owned();
            let (headers, body) = (message.headers, message.payload);
            Ok((Stored { seq, subject, headers, body }, after))
        }
        _ => Err(LogError("the server's answer names no message".into())),
    }
}
