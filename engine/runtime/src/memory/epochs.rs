//! The epochs of a log in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stead_schemas::ids::{Partition, RunId};

use super::MemoryLog;
use crate::ports::{AppendError, Claim, Closing, Epochs, LogError, Recorded};

/// A new epoch's sequences begin with the next multiple but one of this.
const ROOM: u64 = 1_000;

/// One partition's log.
#[derive(Default)]
pub(super) struct PartitionLog {
    /// The epoch in force.
    pub number: u32,
    epochs: BTreeMap<u32, Epoch>,
}

/// One epoch of it.
#[derive(Default)]
pub(super) struct Epoch {
    /// The sequence before its first message.
    before: u64,
    pub messages: Vec<Message>,
}

/// A message of the log.
#[derive(Clone)]
pub(super) enum Message {
    Claim,
    Closed,
    Transition { run: RunId, commit: String, bytes: Vec<u8> },
}

impl PartitionLog {
    pub fn in_force(&mut self) -> &mut Epoch {
        self.epochs.entry(self.number).or_default()
    }

    /// An epoch; one that is not there any more is empty, and nobody reads what comes into it.
    pub fn epoch(&mut self, number: u32) -> &mut Epoch {
        self.epochs.entry(number).or_default()
    }
}

impl Epoch {
    /// The sequence of its last message; 0 if there is none.
    pub fn last(&self) -> u64 {
        if self.messages.is_empty() { 0 } else { self.before + self.messages.len() as u64 }
    }

    pub fn push(&mut self, message: Message) -> u64 {
        self.messages.push(message);
        self.last()
    }

    pub fn transitions(&self) -> impl DoubleEndedIterator<Item = (u64, &RunId, &str)> {
        self.messages.iter().enumerate().filter_map(|(index, message)| match message {
            Message::Claim | Message::Closed => None,
            Message::Transition { run, commit, .. } => {
                Some((self.before + index as u64 + 1, run, commit.as_str()))
            }
        })
    }

    pub fn last_of(&self, run: &RunId) -> u64 {
        self.transitions().rev().find(|(_, of, _)| *of == run).map_or(0, |(seq, ..)| seq)
    }

    pub fn recorded(&self) -> Result<Vec<Recorded>, LogError> {
        let numbered = self.messages.iter().zip(self.before + 1..);
        let mut recorded = Vec::new();
        for (message, seq) in numbered {
            match message {
                Message::Claim => {}
                Message::Closed => return Err(LogError("this epoch is closed".into())),
                Message::Transition { run, bytes, .. } => {
                    recorded.push(Recorded { seq, run: run.clone(), bytes: bytes.clone() });
                }
            }
        }
        Ok(recorded)
    }
}

#[async_trait]
impl Epochs for MemoryLog {
    async fn open(&self, partition: Partition, from: u32, _: &str) -> Result<Claim, LogError> {
        self.check_there()?;
        let mut streams = self.lock();
        let log = streams.log(partition);
        let number = log.epochs.keys().max().map_or(1, |last| last + 1);
        let before = (log.epoch(from).last() / ROOM + 2) * ROOM;
        let mut epoch = Epoch { before, messages: Vec::new() };
        let seq = epoch.push(Message::Claim);
        log.epochs.insert(number, epoch);
        Ok(Claim { epoch: number, seq })
    }

    async fn copy(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        self.check_there()?;
        let mut streams = self.lock();
        let epoch = streams.log(partition).epoch(epoch);
        if epoch.last() != after {
            return Err(LogError(format!("the epoch ends at {}, not at {after}", epoch.last())));
        }
        for Recorded { run, bytes, .. } in messages {
            let (run, commit, bytes) = (run.clone(), String::new(), bytes.clone());
            epoch.push(Message::Transition { run, commit, bytes });
        }
        Ok(())
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        let mut streams = self.lock();
        let log = streams.log(closing.partition);
        let epoch = log.epoch(closing.epoch);
        if epoch.last() != closing.last {
            return Err(AppendError::Conflict);
        }
        epoch.push(Message::Closed);
        log.number = closing.to;
        Ok(())
    }

    async fn retire(&self, partition: Partition) -> Result<(), LogError> {
        self.check_there()?;
        let mut streams = self.lock();
        let log = streams.log(partition);
        let in_force = log.number;
        log.epochs.retain(|number, _| *number >= in_force);
        Ok(())
    }
}
