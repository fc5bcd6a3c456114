//! The port by which an owner hears what is addressed to its partition.

use futures_util::StreamExt;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{InboxError, Inboxes};
use stead_schemas::ids::Partition;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::connect::Connection;
use crate::partition::subscribe_partition;

/// Listens on the bus.
pub struct NatsInboxes {
    connection: Connection,
    /// Where each inbox is forwarded from, so that an engine's own thread only hears.
    aside: Handle,
}

impl NatsInboxes {
    /// Over this connection. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self { connection: connection.clone(), aside: Handle::current() }
    }
}

#[async_trait::async_trait]
impl Inboxes for NatsInboxes {
    async fn open(
        &self,
        partition: Partition,
    ) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError> {
        let messages = subscribe_partition(&self.connection, partition).await;
        let mut messages = messages.map_err(|error| InboxError(error.to_string()))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        self.aside.spawn(async move {
            loop {
                tokio::select! {
                    message = messages.next() => {
                        let Some(message) = message else { break };
                        if sender.send(message).is_err() {
                            break;
                        }
                    }
                    () = sender.closed() => break,
                }
            }
        });
        Ok(receiver)
    }
}
