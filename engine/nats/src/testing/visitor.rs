//! A client that tries what it may not do, and hears what the server says to that.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Request, Subscriber};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::access::{inbox_prefix, public_key};
use crate::connect::until_heard;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// A user of a server that knows users by keys, with a client that knows nothing of Stead.
pub struct Visitor {
    client: Client,
    complaints: watch::Receiver<Vec<String>>,
    asked: AtomicU32,
}

impl Visitor {
    /// Connects as whoever has this seed.
    pub async fn connect(url: &str, seed: &str) -> Self {
        let (heard, complaints) = watch::channel(Vec::new());
        let prefix = inbox_prefix(&public_key(seed).expect("a seed"));
        let options = ConnectOptions::new()
            .nkey(seed.to_owned())
            .custom_inbox_prefix(prefix)
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    heard.send_modify(|all| all.push(error.to_string()));
                }
                std::future::ready(())
            });
        let client = options.connect(url).await.expect("a connection");
        Self { client, complaints, asked: AtomicU32::new(0) }
    }

    /// Whether the server lets it publish there; if so, that has been done.
    pub async fn may_publish(&self, subject: &str) -> bool {
        self.publish(subject, "", "{}").await;
        self.is_content().await
    }

    /// Whether the server lets it listen there, in a queue group if there are two words.
    pub async fn may_listen(&self, subject: &str) -> bool {
        drop(self.listen(subject).await);
        self.is_content().await
    }

    /// Publishes, and has the server answer somewhere.
    pub async fn publish(&self, subject: &str, reply: &str, body: &'static str) {
        let (subject, body) = (subject.to_owned(), body.into());
        let sent = match reply {
            "" => self.client.publish(subject, body).await,
            reply => self.client.publish_with_reply(subject, reply.to_owned(), body).await,
        };
        sent.expect("it is sent");
        until_heard(&self.client).await;
    }

    /// Listens, once the server knows.
    pub async fn listen(&self, subject: &str) -> Subscriber {
        let subscribed = match subject.split_once(' ') {
            Some((subject, group)) => {
                self.client.queue_subscribe(subject.to_owned(), group.to_owned()).await
            }
            None => self.client.subscribe(subject.to_owned()).await,
        };
        until_heard(&self.client).await;
        subscribed.expect("it is asked for")
    }

    /// Asks and is answered.
    pub async fn ask(&self, subject: &str, headers: &[(&str, &str)], body: String) -> Vec<u8> {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let request = Request::new().headers(map).payload(body.into()).timeout(Some(ANSWER_WITHIN));
        let answer = self.client.send_request(subject.to_owned(), request).await;
        answer.unwrap_or_else(|error| panic!("{subject}: {error}")).payload.to_vec()
    }

    /// Whether the server has complained of nothing since this was asked last. What nobody may do
    /// is done at the end: once the server complains of that, it has complained of all before.
    async fn is_content(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let subject = format!("stead.nobody.{asked}");
        self.client.publish(subject.clone(), "".into()).await.expect("it is sent");
        let mut complaints = self.complaints.clone();
        let last = |all: &Vec<String>| all.last().is_some_and(|last| last.contains(&subject));
        let told = tokio::time::timeout(ANSWER_WITHIN, complaints.wait_for(last)).await;
        let all = told.expect("in time").expect("a connection").clone();
        all.iter().rev().nth(1).is_none_or(|before| before.contains("stead.nobody."))
    }
}

/// The subject and the body of the next message.
///
/// # Panics
/// If there is none in time.
pub async fn next(messages: &mut Subscriber) -> (String, Vec<u8>) {
    let next = tokio::time::timeout(ANSWER_WITHIN, messages.next()).await;
    let message = next.expect("in time").expect("a message");
    (message.subject.to_string(), message.payload.to_vec())
}
