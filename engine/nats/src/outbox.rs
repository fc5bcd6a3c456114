//! Messages on their way out: handed over without waiting, published in order by one task.

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use stead_runtime::{metric, vital};
use stead_schemas::subjects;
use tokio::sync::mpsc;

/// Messages that may wait while the server is away. Beyond that they are dropped, as everything
/// that goes out here is sent again by whoever needs it answered.
const WAITING_MAX: usize = 256 * 1024;
/// Messages taken off the queue at once.
const AT_ONCE: usize = 256;

/// One message.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

/// The queue of outgoing messages of one connection. The task ends with its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Letter>,
}

impl Outbox {
    /// Starts the task that publishes.
    pub(crate) fn start(client: Client) -> Self {
        let (queue, letters) = mpsc::channel(WAITING_MAX);
        vital::begin("the outbox", publish_all(client, letters));
        Self { queue }
    }

    /// Hands a message over.
    pub(crate) fn send(&self, letter: Letter) {
        if let Err(error) = self.queue.try_send(letter) {
            metric::BUS_DROPPED.count([]);
            tracing::debug!(%error, "dropped a message that has nowhere to go");
        }
    }
}

async fn publish_all(client: Client, mut letters: mpsc::Receiver<Letter>) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while letters.recv_many(&mut batch, AT_ONCE).await > 0 {
        for letter in batch.drain(..) {
            publish(&client, letter).await;
        }
    }
}

async fn publish(client: &Client, letter: Letter) {
    let subject = letter.subject.clone();
    let Letter { subject: to, reply, headers, payload } = letter;
    let sent = match (reply, headers) {
        (Some(reply), Some(headers)) => {
            client.publish_with_reply_and_headers(to, reply, headers, payload).await
        }
        (Some(reply), None) => client.publish_with_reply(to, reply, payload).await,
        (None, Some(headers)) => client.publish_with_headers(to, headers, payload).await,
        (None, None) => client.publish(to, payload).await,
    };
    if let Err(error) = sent {
        metric::BUS_DROPPED.count([]);
        let subject = subjects::without_proof(&subject);
        tracing::warn!(subject, %error, "a message cannot be sent");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stead_runtime::metric::kept::Kept;
    use tokio::sync::mpsc;

    use super::{Letter, Outbox};

    #[test]
    fn a_message_that_has_no_room_is_counted_as_dropped() {
        let kept = Kept::default();
        let (queue, _letters) = mpsc::channel(1);
        let (outbox, subject) = (Outbox { queue }, "stead.evt".to_owned());
        let letter = || {
            let (subject, payload) = (subject.clone(), Bytes::new());
            Letter { subject, reply: None, headers: None, payload }
        };
        kept.during(|| outbox.send(letter()));
        assert_eq!(kept.counts("stead_bus_dropped_total"), [0; 0]);
        kept.during(|| outbox.send(letter()));
        assert_eq!(kept.counts("stead_bus_dropped_total"), [1]);
    }
}
