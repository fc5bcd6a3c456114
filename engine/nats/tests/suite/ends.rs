//! The ends of a bus on servers: one, or each at the next one of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Client, RequestErrorKind};
use async_trait::async_trait;
use futures_util::StreamExt;
use stead_nats::worker_link::WorkerLink;
use stead_nats::{ConnectSettings, Connection, NatsBus, NatsInboxes, connect};
use stead_runtime::conformance::{Ends, Engine, Link};
use stead_schemas::dispatch::RunQuery;
use stead_schemas::ids::Partition;
use stead_schemas::subjects;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{mpsc, oneshot};

/// The ends at the servers with these addresses.
pub struct OnServers {
    urls: Vec<String>,
    asked: AtomicUsize,
}

impl OnServers {
    /// Each that is asked for is at another one of these, in turn.
    pub fn new(urls: Vec<String>) -> Self {
        Self { urls, asked: AtomicUsize::new(0) }
    }

    fn url(&self) -> &str {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.urls[asked % self.urls.len()]
    }

    async fn connection(&self) -> Connection {
        connect(&ConnectSettings::new(self.url(), "test")).await.expect("a connection")
    }

    /// Somebody who knows nothing of Stead.
    async fn somebody(&self) -> Client {
        async_nats::connect(self.url()).await.expect("a connection")
    }
}

#[async_trait]
impl Ends for OnServers {
    async fn engine(&self) -> Engine {
        let connection = self.connection().await;
        let bus = Arc::new(NatsBus::start(&connection));
        Engine { bus, inboxes: Arc::new(NatsInboxes::new(&connection)) }
    }

    async fn worker(&self, systems: &[&str]) -> Link {
        let connection = self.connection().await;
        let (asked, replies) = WorkerLink::start(&connection, systems).await.expect("a link");
        Link { asked, replies }
    }

    async fn ask(&self, partition: Partition, query: RunQuery) -> oneshot::Receiver<Vec<u8>> {
        let client = self.somebody().await;
        let subject = subjects::partition_request(partition, "query");
        let body = serde_json::to_vec(&query).expect("JSON");
        let (reply, heard) = oneshot::channel();
        tokio::spawn(async move {
            loop {
                match client.request(subject.clone(), body.clone().into()).await {
                    Ok(message) => return reply.send(message.payload.to_vec()),
                    // This server has not heard yet who listens at another one.
                    Err(error) if error.kind() == RequestErrorKind::NoResponders => {}
                    Err(error) => panic!("{subject}: {error}"),
                }
            }
        });
        heard
    }

    async fn watch(&self, subject: &str) -> UnboundedReceiver<Vec<u8>> {
        let client = self.somebody().await;
        let mut messages = client.subscribe(subject.to_owned()).await.expect("a subscription");
        let (watcher, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // The client's connection ends with it.
            let _client = client;
            while let Some(message) = messages.next().await {
                if watcher.send(message.payload.to_vec()).is_err() {
                    return;
                }
            }
        });
        heard
    }
}
