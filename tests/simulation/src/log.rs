//! The simulated event log. Appends travel: they take effect when they arrive, whatever has
//! become of their writer meanwhile, and the acknowledgement travels back.
//!
//! A partition's log has epochs, as the real one has: the one that is closed goes on taking
//! whatever fits, and nobody reads that any more.
//!
//! The port promises that no outcome stays unknown. Appends and their acknowledgements get lost
//! here, or come after their writer has ceased to wait: then it reads back whose message follows the
//! one that it expected, as the real one does (`appending.rs`), and sends the append again if none
//! does yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::Value;
use stead_runtime::ports::{
    Append, AppendError, Claim, Closing, Epochs, EventLog, LogError, Recorded,
};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::step::Step;
use stead_schemas::step::entity::CancelCommand;

use crate::archive::Shelves;
use crate::plan::Fault;
use crate::world::World;

/// All that was kept, and what it says.
pub struct Log {
    pub(crate) streams: Vec<Epochal>,
    /// What each run's history says, one word for each fact that somebody may be told.
    pub said: BTreeMap<RunId, BTreeSet<String>>,
    /// How many transitions each history has.
    pub lengths: BTreeMap<RunId, u64>,
    /// Which run took which command of its entity in.
    pub accepted: BTreeMap<(EntityKey, String), RunId>,
    /// What each step is asked for, as it was edited last.
    requests: BTreeMap<StepAddress, (String, Value)>,
    /// The commands that were completed.
    pub completed: BTreeSet<String>,
    /// What has left the log.
    pub archive: Shelves,
    /// The next append that is kept is acknowledged to nobody.
    pub lose_next: bool,
    /// What was acknowledged to its writer.
    acknowledged: Vec<(u64, RunId, Vec<u8>)>,
}

/// The largest message, as a server's default has it.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// A new epoch's sequences begin so far behind those of the one before.
const ROOM: u64 = 100_000;

/// The log of one partition.
#[derive(Default)]
pub(crate) struct Epochal {
    in_force: u32,
    pub(crate) epochs: BTreeMap<u32, Epoch>,
}

/// One epoch of it.
#[derive(Default)]
pub(crate) struct Epoch {
    /// The sequence before the first message.
    before: u64,
    pub(crate) messages: Vec<Message>,
    /// Where it was closed.
    closed: Option<u64>,
    pub(crate) last: BTreeMap<RunId, u64>,
    /// By which append each message came.
    pub(crate) commits: BTreeMap<u64, String>,
}

pub(crate) enum Message {
    Owners,
    Transition(Recorded),
}

impl Epoch {
    fn last(&self) -> u64 {
        self.before + self.messages.len() as u64
    }

    fn push(&mut self, make: impl FnOnce(u64) -> Message) -> u64 {
        let seq = self.last() + 1;
        self.messages.push(make(seq));
        seq
    }

    fn keep(&mut self, run: &RunId, bytes: &[u8]) -> u64 {
        let (run, bytes) = (run.clone(), bytes.to_vec());
        let of = run.clone();
        let seq = self.push(|seq| Message::Transition(Recorded { seq, run, bytes }));
        self.last.insert(of, seq);
        seq
    }

    /// What counts.
    fn recorded(&self) -> impl Iterator<Item = &Recorded> {
        let counts = |seq| self.closed.is_none_or(|closed| seq < closed);
        self.messages.iter().filter_map(move |message| match message {
            Message::Owners => None,
            Message::Transition(recorded) => counts(recorded.seq).then_some(recorded),
        })
    }
}

impl Epochal {
    /// An epoch; one that was deleted is empty, and nobody reads what comes into it.
    fn epoch(&mut self, number: u32) -> &mut Epoch {
        self.epochs.entry(number).or_default()
    }

    fn current(&self) -> Option<&Epoch> {
        self.epochs.get(&self.in_force)
    }
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        Self {
            streams: (0..partitions).map(|_| Epochal::default()).collect(),
            said: BTreeMap::new(),
            lengths: BTreeMap::new(),
            accepted: BTreeMap::new(),
            requests: BTreeMap::new(),
            completed: BTreeSet::new(),
            archive: Shelves::default(),
            lose_next: false,
            acknowledged: Vec::new(),
        }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.streams.len()).unwrap_or(u16::MAX)
    }

    /// Keeps an append if it is the next one of its history.
    ///
    /// # Errors
    /// If somebody else wrote first.
    pub fn keep(&mut self, append: &Append) -> Result<u64, AppendError> {
        let epoch = self.streams[usize::from(append.partition.0)].epoch(append.epoch);
        if epoch.last.get(&append.run).copied().unwrap_or(0) != append.expected {
            return Err(AppendError::Conflict);
        }
        let seq = epoch.keep(&append.run, &append.bytes);
        epoch.commits.insert(seq, append.commit.clone());
        Ok(seq)
    }

    /// Whether what is kept in this epoch counts: it is in force, or was when this was kept.
    #[must_use]
    pub fn counts(&self, append: &Append, seq: u64) -> bool {
        let stream = &self.streams[usize::from(append.partition.0)];
        let epoch = stream.epochs.get(&append.epoch);
        append.epoch >= stream.in_force
            || epoch.is_some_and(|epoch| epoch.closed.is_some_and(|closed| seq < closed))
    }

    /// Notes that the writer knows that this was kept.
    pub fn acknowledge(&mut self, append: &Append, seq: u64) {
        self.acknowledged.push((seq, append.run.clone(), append.bytes.clone()));
    }

    /// An acknowledged transition that is no longer where it was.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        let mut kept = BTreeSet::new();
        for partition in 0..self.partitions() {
            let all = self.whole(Partition(partition));
            kept.extend(all.into_iter().map(|message| (message.run, message.bytes)));
        }
        let lost = self.acknowledged.iter().find(|(_, run, bytes)| {
            let this = (run.clone(), bytes.clone());
            !kept.contains(&this)
        });
        lost.map(|(seq, run, _)| format!("{run} at {seq}"))
    }

    /// Keeps what a step is asked for.
    pub fn note_request(&mut self, run: &RunId, event: &Event) {
        let address = |seq| StepAddress { run: run.clone(), seq };
        match event {
            Event::StepScheduled(step) => {
                let asked = (step.step.clone(), step.request.clone());
                self.requests.insert(address(step.seq), asked);
            }
            Event::StepEdited(edited) => {
                let asked = self.requests.entry(address(edited.seq)).or_default();
                asked.1 = edited.request.clone();
            }
            _ => {}
        }
    }

    /// Whether a history asks this of a step, and nothing else meanwhile.
    #[must_use]
    pub fn asks(&self, address: &StepAddress, request: &Value) -> bool {
        self.requests.get(address).is_some_and(|(_, asked)| asked == request)
    }

    /// Whether what a step asks of another entity is carried out: its command is completed; or, where
    /// it calls a command back, that one is, or was never taken in.
    #[must_use]
    pub fn is_carried_out(&self, address: &StepAddress) -> bool {
        let own = format!("{}:{}", address.run, address.seq);
        let asked = self.requests.get(address);
        let Some((_, request)) = asked.filter(|(step, _)| step == CancelCommand::NAME) else {
            return self.completed.contains(&own);
        };
        let Ok(cancel) = serde_json::from_value::<CancelCommand>(request.clone()) else {
            return false;
        };
        let key = EntityKey::of(&cancel.kind, &cancel.owner, &cancel.name);
        let is_open = self.accepted.contains_key(&(key, cancel.command.clone()));
        !is_open || self.completed.contains(&cancel.command)
    }

    /// Whether a history says this.
    #[must_use]
    pub fn says(&self, run: &RunId, words: &str) -> bool {
        self.said.get(run).is_some_and(|said| said.contains(words))
    }

    /// The transitions in the epoch of a partition that is in force, oldest first.
    #[must_use]
    pub fn stream(&self, partition: Partition) -> Vec<Recorded> {
        let current = self.streams[usize::from(partition.0)].current();
        current.into_iter().flat_map(Epoch::recorded).cloned().collect()
    }

    /// Every transition of a partition, those in the archive included, each history in order.
    #[must_use]
    pub fn whole(&self, partition: Partition) -> Vec<Recorded> {
        let mut all = self.archive.histories(partition);
        let here: BTreeSet<_> = all.iter().map(|message| message.run.clone()).collect();
        let hot = self.stream(partition).into_iter();
        all.extend(hot.filter(|message| !here.contains(&message.run)));
        all
    }
}

/// The log as one engine reaches it.
pub struct EngineLog {
    /// The world.
    pub world: Arc<World>,
    /// The engine's number.
    pub engine: usize,
}

impl EngineLog {
    pub(crate) async fn reach(&self, what: &str) -> Result<(), LogError> {
        let (span, away) = {
            let mut state = self.world.lock();
            let away = state.strikes(Fault::Away);
            (state.span(1, if away { 2_000 } else { 8 }), away)
        };
        tokio::time::sleep(span).await;
        if !away {
            return Ok(());
        }
        let mut state = self.world.lock();
        state.counts.add("refusals of the log");
        Err(LogError(format!("no {what} now")))
    }
}

#[async_trait]
impl EventLog for EngineLog {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        if append.bytes.len() > MESSAGE_BYTES_MAX {
            return Err(AppendError::Lasting("it is too large".into()));
        }
        self.append_until_known(&append).await
    }

    async fn claim(&self, partition: Partition, _: &str) -> Result<Claim, LogError> {
        self.reach("claim").await?;
        let mut state = self.world.lock();
        let stream = &mut state.log.streams[usize::from(partition.0)];
        let epoch = stream.in_force;
        let seq = stream.epoch(epoch).push(|_| Message::Owners);
        state.counts.add("owner changes");
        let name = state.machines[self.engine].name.clone();
        state.tell(format_args!("{name} claims partition {partition} at {seq}, epoch {epoch}"));
        Ok(Claim { epoch, seq })
    }

    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        self.reach("reading").await?;
        let all: Vec<Recorded> = {
            let mut state = self.world.lock();
            let epoch = state.log.streams[usize::from(partition.0)].epoch(epoch);
            if epoch.closed.is_some() {
                return Err(LogError("the epoch is closed".into()));
            }
            epoch.recorded().filter(|message| message.seq > after).cloned().collect()
        };
        let world = Arc::clone(&self.world);
        let slow = stream::iter(all).then(move |message| {
            let world = Arc::clone(&world);
            async move {
                let slow = world.lock().strikes(Fault::SlowAppend);
                if slow {
                    world.pause(1, 1_500).await;
                }
                Ok(message)
            }
        });
        Ok(slow.boxed())
    }

    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError> {
        self.reach("reading").await?;
        Ok(self.world.lock().log.streams[usize::from(partition.0)].epoch(epoch).last())
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        self.reach("reading").await?;
        let state = self.world.lock();
        let mut all = state.log.stream(run.partition(state.log.partitions()));
        all.retain(|message| message.run == *run);
        Ok(all)
    }
}

#[async_trait]
impl Epochs for EngineLog {
    async fn open(&self, partition: Partition, from: u32, _: &str) -> Result<Claim, LogError> {
        self.reach("epoch").await?;
        let mut state = self.world.lock();
        let stream = &mut state.log.streams[usize::from(partition.0)];
        let number = stream.epochs.keys().max().map_or(1, |last| last + 1);
        let before = stream.epoch(from).last() + ROOM;
        let mut epoch = Epoch { before, ..Epoch::default() };
        let seq = epoch.push(|_| Message::Owners);
        stream.epochs.insert(number, epoch);
        Ok(Claim { epoch: number, seq })
    }

    async fn copy(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        self.reach("copying").await?;
        let mut state = self.world.lock();
        let epoch = state.log.streams[usize::from(partition.0)].epoch(epoch);
        if epoch.last() != after {
            return Err(LogError("somebody else writes to the epoch".into()));
        }
        for message in messages {
            epoch.keep(&message.run, &message.bytes);
        }
        Ok(())
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        // It travels as appends do: it takes effect though its writer may be dead by then.
        self.world.pause(1, 4).await;
        let (result, late) = {
            let mut state = self.world.lock();
            let result = state.log.close(&closing);
            state.counts.add(if result.is_ok() { "epochs closed" } else { "refused closes" });
            let name = state.machines[self.engine].name.clone();
            state.tell(format_args!("{name} closes {closing:?}: {result:?}"));
            if state.strikes(Fault::CrashAfterAppend) {
                state.counts.add("crashes after a close");
                state.crash(self.engine);
            }
            (result, state.strikes(Fault::LateAcknowledgement))
        };
        self.world.pause(1, if late { 15_000 } else { 4 }).await;
        result
    }

    async fn retire(&self, partition: Partition) -> Result<(), LogError> {
        self.reach("deleting").await?;
        let mut state = self.world.lock();
        let stream = &mut state.log.streams[usize::from(partition.0)];
        let in_force = stream.in_force;
        stream.epochs.retain(|number, _| *number >= in_force);
        Ok(())
    }
}

impl Log {
    fn close(&mut self, closing: &Closing) -> Result<(), AppendError> {
        let stream = &mut self.streams[usize::from(closing.partition.0)];
        let epoch = stream.epoch(closing.epoch);
        if epoch.last() != closing.last {
            return Err(AppendError::Conflict);
        }
        epoch.closed = Some(epoch.push(|_| Message::Owners));
        stream.in_force = closing.to;
        Ok(())
    }
}
