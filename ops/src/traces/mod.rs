//! Sends spans to a collector, as OTLP over HTTP. They wait in a queue that is bounded; nothing waits
//! for them, and what finds no room is dropped and counted.
//!
//! `otlp.rs` writes them.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;
use stead_runtime::metric;
use stead_runtime::trace::{self, Collector};
use stead_schemas::trace::Span;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::exit::{Ended, with_causes};

mod otlp;

/// Spans that may wait for the collector: some megabytes.
const WAITING_MAX: usize = 8 * 1024;
/// Spans in one request.
const AT_ONCE: usize = 512;
/// How long spans are gathered for a request.
const GATHER: Duration = Duration::from_millis(500);
/// How long the collector may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The pauses between tries; after the last one what was tried is dropped.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1_500), Duration::from_secs(4)];
/// How long a process that ends tries to be rid of what it still has.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The traces of this process.
pub struct Traces(Option<Running>);

struct Running {
    stop: oneshot::Sender<()>,
    sending: JoinHandle<()>,
}

struct Queue(mpsc::Sender<Span>);

impl Collector for Queue {
    fn take(&self, span: Span) {
        if self.0.try_send(span).is_err() {
            metric::SPANS.count(["dropped"]);
        }
    }
}

impl Traces {
    /// Begins to send them to this collector; to nobody, and then there are none, where there is
    /// none.
    pub fn begin(endpoint: Option<Url>) -> Result<Self, Ended> {
        let Some(endpoint) = endpoint else { return Ok(Self(None)) };
        let (queue, spans) = mpsc::channel(WAITING_MAX);
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter::new(&endpoint)?;
        trace::collect(Box::new(Queue(queue)));
        Ok(Self(Some(Running { stop, sending: tokio::spawn(exporter.run(spans, stopped)) })))
    }

    /// Waits for the process to end, and then for the last spans, a little.
    pub async fn until<T>(self, ended: impl Future<Output = T>) -> T {
        let ended = ended.await;
        if let Some(Running { stop, sending }) = self.0 {
            // Whoever is not there to hear it has ended already.
            stop.send(()).ok();
            if timeout(END_WITHIN, sending).await.is_err() {
                tracing::warn!("the collector of traces did not take the last spans in time");
            }
        }
        ended
    }
}

struct Exporter {
    http: Client,
    url: Url,
    process: String,
    /// Whether the collector took what it was sent last: its trouble is told once.
    is_well: bool,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The collector has them, but for so many that it does not want.
    Taken { refused: u64 },
    /// It does not want any of them, in these words.
    Refused(String),
    /// It may want them later.
    Later(String),
}

impl Exporter {
    fn new(endpoint: &Url) -> Result<Self, Ended> {
        let mut builder =
            Client::builder().timeout(ANSWER_WITHIN).redirect(redirect::Policy::none());
        if endpoint.scheme() == "http" {
            // Without TLS the machine's root certificates need not be there.
            builder = builder.tls_certs_only([]);
        }
        let cannot = |error| Ended::Failed(format!("cannot send traces: {}", with_causes(&error)));
        let mut url = endpoint.clone();
        url.set_path(&format!("{}/v1/traces", endpoint.path().trim_end_matches('/')));
        let process = Uuid::new_v4().to_string();
        Ok(Self { http: builder.build().map_err(cannot)?, url, process, is_well: true })
    }

    async fn run(mut self, mut spans: mpsc::Receiver<Span>, stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        tokio::select! {
            () = self.export(&mut spans, &mut batch) => {}
            _ = stopped => {}
        }
        // What is left is tried once; a request that was under way may come twice, with the same ids.
        spans.close();
        while !batch.is_empty() || spans.recv_many(&mut batch, AT_ONCE).await > 0 {
            self.send(&batch, &[]).await;
            batch.clear();
        }
    }

    async fn export(&mut self, spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
        while spans.recv_many(batch, AT_ONCE).await > 0 {
            // It is over when the time is.
            timeout(GATHER, fill(spans, batch)).await.ok();
            self.send(batch, &PAUSES).await;
            batch.clear();
        }
    }

    /// Sends them until the collector has said what it wants of them, or the tries are used up.
    async fn send(&mut self, batch: &[Span], pauses: &[Duration]) {
        let body = otlp::body(batch, &self.process);
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let mut pauses = pauses.iter();
        loop {
            match self.post(body.clone()).await {
                Answer::Taken { refused } => {
                    self.is_well = true;
                    metric::SPANS.add(count.saturating_sub(refused), ["exported"]);
                    return metric::SPANS.add(refused.min(count), ["refused"]);
                }
                Answer::Refused(words) => {
                    self.complain(&words);
                    return metric::SPANS.add(count, ["refused"]);
                }
                Answer::Later(words) => {
                    self.complain(&words);
                    let Some(pause) = pauses.next() else {
                        return metric::SPANS.add(count, ["dropped"]);
                    };
                    sleep(*pause).await;
                }
            }
        }
    }

    fn complain(&mut self, words: &str) {
        if std::mem::replace(&mut self.is_well, false) {
            tracing::warn!(words, "the collector does not take our traces");
        }
    }

    async fn post(&self, body: Vec<u8>) -> Answer {
        let request =
            self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        match request.send().await {
            Ok(answer) => {
                let status = answer.status();
                // What is not read to its end says nothing of spans that were not wanted.
                meant(status, &answer.bytes().await.unwrap_or_default())
            }
            Err(error) => Answer::Later(with_causes(&error.without_url())),
        }
    }
}

/// Waits until there is a whole batch.
async fn fill(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    while batch.len() < AT_ONCE {
        let room = AT_ONCE - batch.len();
        if spans.recv_many(batch, room).await == 0 {
            return;
        }
    }
}

/// What an answer means: OTLP names the statuses after which one may try again.
fn meant(status: StatusCode, body: &[u8]) -> Answer {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Told {
        partial_success: Partial,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Partial {
        rejected_spans: Count,
    }
    /// In JSON of protobuf, a number or its text.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    impl Default for Count {
        fn default() -> Self {
            Self::Number(0)
        }
    }
    match status.as_u16() {
        200..=299 => {
            let told: Told = serde_json::from_slice(body).unwrap_or_default();
            let refused = match told.partial_success.rejected_spans {
                Count::Number(number) => number,
                Count::Text(text) => text.parse().unwrap_or(0),
            };
            Answer::Taken { refused }
        }
        429 | 502..=504 => Answer::Later(status.to_string()),
        _ => Answer::Refused(status.to_string()),
    }
}

#[cfg(test)]
mod tests;
