//! An event log in memory that behaves as a JetStream log does, lost acknowledgements included.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use stead_schemas::ids::{Partition, RunId};
use tokio::sync::watch;

use super::epochs::{Message, PartitionLog};
use crate::conformance::LosesAcknowledgements;
use crate::ports::{Append, AppendError, Claim, EventLog, LogError, Recorded};

/// The largest message, as a server's default has it.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// An event log in memory.
pub struct MemoryLog {
    partitions: u16,
    streams: Mutex<Streams>,
    away: watch::Sender<bool>,
}

#[derive(Default)]
pub(super) struct Streams {
    logs: Vec<PartitionLog>,
    faults: Faults,
}

/// What goes wrong next.
#[derive(Default)]
struct Faults {
    /// So many messages are kept and acknowledged to nobody.
    lost_acknowledgements: u32,
    /// So many messages are lost before they are kept.
    lost_requests: u32,
    /// The runs whose histories cannot be read.
    unreadable: BTreeSet<RunId>,
}

/// What the writer of a message hears.
enum Heard {
    Kept(u64),
    WrongLast,
    Nothing,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let logs = (0..partitions).map(|_| PartitionLog::default()).collect();
        let streams = Mutex::new(Streams { logs, faults: Faults::default() });
        Self { partitions, streams, away: watch::channel(false).0 }
    }

    /// The next `count` messages are kept, and their writers do not hear of it.
    pub fn lose_acknowledgements(&self, count: u32) {
        self.lock().faults.lost_acknowledgements += count;
    }

    /// The next `count` messages are lost on their way.
    pub fn lose_requests(&self, count: u32) {
        self.lock().faults.lost_requests += count;
    }

    /// From now on the histories of these runs cannot be read, one by one, and those of others can.
    pub fn set_unreadable(&self, runs: impl IntoIterator<Item = RunId>) {
        self.lock().faults.unreadable = runs.into_iter().collect();
    }

    /// While it is away, appends wait and everything else fails.
    pub fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    /// How many messages the epoch in force of a partition holds, claims included.
    #[must_use]
    pub fn len(&self, partition: Partition) -> usize {
        self.lock().log(partition).in_force().messages.len()
    }

    /// Whether a partition holds nothing.
    #[must_use]
    pub fn is_empty(&self, partition: Partition) -> bool {
        self.len(partition) == 0
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_there(&self) -> Result<(), LogError> {
        if *self.away.borrow() {
            return Err(LogError("it is away".into()));
        }
        Ok(())
    }

    async fn until_there(&self) {
        // The sender is ours, so it cannot be gone.
        let mut away = self.away.subscribe();
        let _there = away.wait_for(|away| !away).await;
    }
}

impl Streams {
    pub(super) fn log(&mut self, partition: Partition) -> &mut PartitionLog {
        &mut self.logs[usize::from(partition.0)]
    }

    fn publish(&mut self, append: &Append) -> Heard {
        if take_one(&mut self.faults.lost_requests) {
            return Heard::Nothing;
        }
        let log = self.log(append.partition).epoch(append.epoch);
        if log.last_of(&append.run) != append.expected {
            return Heard::WrongLast;
        }
        let (run, commit, bytes) =
            (append.run.clone(), append.commit.clone(), append.bytes.clone());
        let seq = log.push(Message::Transition { run, commit, bytes });
        if take_one(&mut self.faults.lost_acknowledgements) {
            return Heard::Nothing;
        }
        Heard::Kept(seq)
    }

    /// Whose message follows the expected one; nothing if there is none yet.
    fn settle(&mut self, append: &Append) -> Option<Result<u64, AppendError>> {
        let log = self.log(append.partition).epoch(append.epoch);
        let last = log.last_of(&append.run);
        if last == append.expected {
            return None;
        }
        let next =
            log.transitions().find(|(seq, run, _)| *seq > append.expected && *run == &append.run);
        match next {
            Some((seq, _, commit)) if commit == append.commit => Some(Ok(seq)),
            _ => Some(Err(AppendError::Conflict)),
        }
    }
}

fn take_one(count: &mut u32) -> bool {
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        if append.bytes.len() > MESSAGE_BYTES_MAX {
            let words = format!("a message has at most {MESSAGE_BYTES_MAX} bytes");
            return Err(AppendError::Lasting(words));
        }
        loop {
            self.until_there().await;
            let heard = self.lock().publish(&append);
            match heard {
                Heard::Kept(seq) => return Ok(seq),
                Heard::WrongLast | Heard::Nothing => {
                    let settled = self.lock().settle(&append);
                    if let Some(outcome) = settled {
                        return outcome;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn claim(&self, partition: Partition, _engine: &str) -> Result<Claim, LogError> {
        self.check_there()?;
        let mut streams = self.lock();
        let log = streams.log(partition);
        let seq = log.in_force().push(Message::Claim);
        Ok(Claim { epoch: log.number, seq })
    }

    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        self.check_there()?;
        let mut all = self.lock().log(partition).epoch(epoch).recorded()?;
        all.retain(|message| message.seq > after);
        Ok(stream::iter(all.into_iter().map(Ok)).boxed())
    }

    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError> {
        self.check_there()?;
        Ok(self.lock().log(partition).epoch(epoch).last())
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        self.check_there()?;
        let mut streams = self.lock();
        if streams.faults.unreadable.contains(run) {
            return Err(LogError("it cannot be read".into()));
        }
        let mut all = streams.log(run.partition(self.partitions)).in_force().recorded()?;
        all.retain(|message| message.run == *run);
        Ok(all)
    }
}

#[async_trait]
impl LosesAcknowledgements for MemoryLog {
    async fn lose_next(&self) {
        self.lose_acknowledgements(1);
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryLog;
    use crate::conformance::log::{append_of, fresh_run, texts};
    use crate::conformance::{check_epochs, check_log};
    use crate::ports::EventLog;

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_promises_of_an_event_log() {
        let log = MemoryLog::new(4);
        check_log(&log, 4, &log).await;
        check_epochs(&log, &log, 4).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_request_is_sent_again() {
        let log = MemoryLog::new(4);
        let run = fresh_run();
        log.lose_requests(3);
        let seq = log.append(append_of(&run, 4, 0, "a")).await;
        assert_eq!(seq, Ok(1));
        assert_eq!(texts(&log, &run).await, ["a"]);
    }
}
