//! Appends that go together: where many wait for one stream, an atomic batch carries them, and the
//! server syncs them to the disk as one.
//!
//! A batch on a single server costs some milliseconds whatever its size, an append alone a fraction
//! of one. So appends go alone until so many wait that a batch is sooner through. A batch is all or
//! nothing, and all that it can say is that everything in it was kept: whatever else becomes of it,
//! each of its appends goes alone afterwards. That is safe, for an append that may have been kept
//! already is found by its commit id, as one whose acknowledgement was lost.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use stead_runtime::{metric, vital};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Prepared;
use crate::connect::{ANSWER_WITHIN, Connection};
use crate::jetstream::NotAcked;
use crate::platform::PARTITIONS_MAX;

/// Appends to one stream that are under way alone before others wait.
const ALONE_MAX: usize = 64;
/// With fewer than these a batch is slower than one append after the other.
const TOGETHER_MIN: usize = 96;
/// Messages of one batch; the server takes a thousand.
const TOGETHER_MAX: usize = 500;
/// Bytes of one batch's payloads, which the client holds in memory until they are sent.
const TOGETHER_BYTES_MAX: usize = 4 << 20;

/// With so many lanes the empty ones are dropped before another is opened: streams come and go.
const LANES_MAX: usize = 2 * PARTITIONS_MAX as usize;

/// Who waits for which stream.
pub(super) struct Together {
    connection: Connection,
    /// Where batches are carried.
    aside: Handle,
    lanes: Mutex<HashMap<String, Lane>>,
}

/// The appends to one stream.
#[derive(Default)]
struct Lane {
    /// How many are under way alone.
    alone: usize,
    /// Those that wait, the first first.
    waiting: VecDeque<Waiting>,
    /// Whether a batch is under way; there is one at a time, and nobody else sets out meanwhile.
    batch: bool,
    /// Whether the stream takes no batches: it was made before they were allowed.
    takes_none: bool,
}

struct Waiting {
    append: Arc<Prepared>,
    answer: oneshot::Sender<Turn>,
}

/// What an append is told when it is its turn.
pub(super) enum Turn {
    /// A batch has carried it; this is its sequence.
    Kept(u64),
    /// It goes alone, and gives its place back by dropping it.
    Alone(Place),
}

/// A place among those that go alone.
pub(super) struct Place {
    together: Arc<Together>,
    append: Arc<Prepared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.together.change(&self.append.once.stream, |lane| lane.alone -= 1);
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.alone == 0 && self.waiting.is_empty() && !self.batch
    }

    fn enter(&mut self, append: &Arc<Prepared>) -> oneshot::Receiver<Turn> {
        let (answer, turn) = oneshot::channel();
        self.waiting.push_back(Waiting { append: append.clone(), answer });
        turn
    }

    /// Those that set out now, together or each alone.
    fn next(&mut self) -> Vec<Waiting> {
        if self.batch {
            return Vec::new();
        }
        self.batch = !self.takes_none && self.waiting.len() >= TOGETHER_MIN;
        if self.batch {
            let mut bytes = 0;
            let fit = self.waiting.iter().take(TOGETHER_MAX).take_while(|waiting| {
                bytes += waiting.append.payload.len();
                bytes <= TOGETHER_BYTES_MAX
            });
            // The log takes no message that would not fit.
            let fit = fit.count().max(1);
            return self.waiting.drain(..fit).collect();
        }
        let free = if self.takes_none { usize::MAX } else { ALONE_MAX.saturating_sub(self.alone) };
        let set_out = self.waiting.len().min(free);
        self.alone += set_out;
        self.waiting.drain(..set_out).collect()
    }
}

impl Together {
    pub(super) fn new(connection: &Connection) -> Self {
        let (connection, aside) = (connection.clone(), Handle::current());
        Self { connection, aside, lanes: Mutex::default() }
    }

    /// Waits until the append has been kept together with others, or may go alone.
    pub(super) async fn turn(self: &Arc<Self>, append: &Arc<Prepared>) -> Turn {
        let turn = self.change(&append.once.stream, |lane| lane.enter(append));
        match turn.await {
            Ok(turn) => turn,
            // A runtime that shuts down drops batches that are under way.
            Err(_) => {
                self.change(&append.once.stream, |lane| lane.alone += 1);
                Turn::Alone(self.place(append))
            }
        }
    }

    fn place(self: &Arc<Self>, append: &Arc<Prepared>) -> Place {
        Place { together: self.clone(), append: append.clone() }
    }

    /// Changes a lane, and lets those set out that may now.
    fn change<T>(self: &Arc<Self>, stream: &str, change: impl FnOnce(&mut Lane) -> T) -> T {
        let (changed, next, batch) = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            if lanes.len() >= LANES_MAX && !lanes.contains_key(stream) {
                lanes.retain(|_, lane| !lane.is_empty());
            }
            let lane = match lanes.get_mut(stream) {
                Some(lane) => lane,
                None => lanes.entry(stream.to_string()).or_default(),
            };
            let changed = change(lane);
            let next = lane.next();
            (changed, next, lane.batch)
        };
        // Outside of the lock: a place whose append is gone comes back at once.
        match batch {
            true if !next.is_empty() => {
                let carried = self.clone().carry(stream.to_string(), next);
                vital::begin_on(&self.aside, "a batch of appends", carried);
            }
            _ => next.into_iter().for_each(|waiting| self.let_go(waiting)),
        }
        changed
    }

    fn let_go(self: &Arc<Self>, waiting: Waiting) {
        let place = self.place(&waiting.append);
        // Whoever is not there any more gives its place back by that.
        let _gone = waiting.answer.send(Turn::Alone(place));
    }

    /// Carries a batch to its end.
    async fn carry(self: Arc<Self>, stream: String, mut batch: Vec<Waiting>) {
        batch.retain(|waiting| !waiting.answer.is_closed());
        let kept = self.send(&batch).await;
        if let Err(refused) = &kept {
            tracing::debug!(stream, appends = batch.len(), %refused, "each goes alone now");
        }
        let (alone, takes_none) = match kept {
            Ok(last) => {
                metric::APPENDS_TOGETHER.add(batch.len() as u64, []);
                let first = last + 1 - batch.len() as u64;
                for (seq, waiting) in (first..).zip(batch) {
                    let _gone = waiting.answer.send(Turn::Kept(seq));
                }
                (Vec::new(), false)
            }
            Err(refused) => (batch, matches!(refused, NotAcked::NoBatches)),
        };
        self.change(&stream, |lane| {
            lane.batch = false;
            lane.alone += alone.len();
            lane.takes_none |= takes_none;
        });
        alone.into_iter().for_each(|waiting| self.let_go(waiting));
    }

    /// Sends all messages, and returns the sequence of the last: nothing is kept before that one.
    async fn send(&self, batch: &[Waiting]) -> Result<u64, NotAcked> {
        let id = Uuid::now_v7().simple().to_string();
        let Some((last, before)) = batch.split_last() else { return Ok(0) };
        let sent = async {
            for (n, waiting) in (1_u64..).zip(before) {
                let append = &waiting.append;
                let headers = in_batch(append, &id, n);
                let (subject, payload) = (append.once.subject.clone(), append.payload.clone());
                let sent = self.connection.log.publish_with_headers(subject, headers, payload);
                sent.await.map_err(|error| NotAcked::Unknown(error.to_string()))?;
            }
            Ok(())
        };
        // While the server is away the client's queue can be full.
        let sent = tokio::time::timeout(ANSWER_WITHIN, sent).await;
        sent.map_err(|_| NotAcked::Unknown("the batch could not be sent in time".into()))??;
        let mut headers = in_batch(&last.append, &id, batch.len() as u64);
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        super::publish(&self.connection, &last.append, headers).await
    }
}

fn in_batch(append: &Prepared, id: &str, n: u64) -> async_nats::HeaderMap {
    let mut headers = append.headers.clone();
    headers.insert(NATS_BATCH_ID, id);
    headers.insert(NATS_BATCH_SEQUENCE, n.to_string());
    headers
}
