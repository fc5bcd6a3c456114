//! The simulated event log. Appends travel: they take effect when they arrive, whatever has
//! become of their writer meanwhile, and the acknowledgement travels back.
//!
//! The port promises that no outcome stays unknown. What settles a lost acknowledgement (reading
//! the last message back) is a matter of time here: the truth arrives late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use stead_runtime::ports::{Append, AppendError, EventLog, LogError, Recorded};
use stead_schemas::ids::{EntityKey, Partition, RunId};
use tokio::sync::oneshot;

use crate::network::Parcel;
use crate::plan::Fault;
use crate::world::{State, World};

/// All that was kept, and what it says.
pub struct Log {
    streams: Vec<Vec<Option<Recorded>>>,
    last: BTreeMap<RunId, u64>,
    /// What each run's history says, one word for each fact that somebody may be told.
    pub said: BTreeMap<RunId, BTreeSet<String>>,
    /// How many transitions each history has.
    pub lengths: BTreeMap<RunId, u64>,
    /// Which run took which command of its entity in.
    pub accepted: BTreeMap<(EntityKey, String), RunId>,
    /// The commands that were completed.
    pub completed: BTreeSet<String>,
    /// What was acknowledged to its writer.
    acknowledged: Vec<(u64, RunId, Vec<u8>)>,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        Self {
            streams: (0..partitions).map(|_| Vec::new()).collect(),
            last: BTreeMap::new(),
            said: BTreeMap::new(),
            lengths: BTreeMap::new(),
            accepted: BTreeMap::new(),
            completed: BTreeSet::new(),
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
        if self.last.get(&append.run).copied().unwrap_or(0) != append.expected {
            return Err(AppendError::Conflict);
        }
        let stream = &mut self.streams[usize::from(append.partition.0)];
        let seq = stream.len() as u64 + 1;
        let (run, bytes) = (append.run.clone(), append.bytes.clone());
        stream.push(Some(Recorded { seq, run, bytes }));
        self.last.insert(append.run.clone(), seq);
        Ok(seq)
    }

    /// Notes that the writer knows that this was kept.
    pub fn acknowledge(&mut self, append: &Append, seq: u64) {
        self.acknowledged.push((seq, append.run.clone(), append.bytes.clone()));
    }

    /// An acknowledged transition that is no longer where it was.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        let lost = self.acknowledged.iter().find(|(seq, run, bytes)| {
            let stream = &self.streams[usize::from(run.partition(self.partitions()).0)];
            let index = usize::try_from(seq - 1).unwrap_or(usize::MAX);
            let kept = stream.get(index).and_then(Option::as_ref);
            kept.is_none_or(|kept| kept.run != *run || kept.bytes != *bytes)
        });
        lost.map(|(seq, run, _)| format!("{run} at {seq}"))
    }

    /// Whether a history says this.
    #[must_use]
    pub fn says(&self, run: &RunId, words: &str) -> bool {
        self.said.get(run).is_some_and(|said| said.contains(words))
    }

    /// A partition's transitions, oldest first.
    #[must_use]
    pub fn stream(&self, partition: Partition) -> Vec<Recorded> {
        self.streams[usize::from(partition.0)].iter().flatten().cloned().collect()
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
    async fn reach(&self, what: &str) -> Result<(), LogError> {
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
        let (answer, heard) = oneshot::channel();
        self.world.lock().post_append(self.engine, append, answer);
        self.world.posted.notify_one();
        match heard.await {
            Ok(result) => result,
            // The engine is dead and does not know yet.
            Err(_) => std::future::pending().await,
        }
    }

    async fn claim(&self, partition: Partition, _: &str) -> Result<u64, LogError> {
        self.reach("claim").await?;
        let mut state = self.world.lock();
        let stream = &mut state.log.streams[usize::from(partition.0)];
        stream.push(None);
        let epoch = stream.len() as u64;
        state.counts.add("owner changes");
        let name = state.machines[self.engine].name.clone();
        state.tell(format_args!("{name} claims partition {partition}, epoch {epoch}"));
        Ok(epoch)
    }

    async fn read_partition(
        &self,
        partition: Partition,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        self.reach("reading").await?;
        let all = self.world.lock().log.stream(partition);
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

    async fn last(&self, partition: Partition) -> Result<u64, LogError> {
        self.reach("reading").await?;
        Ok(self.world.lock().log.streams[usize::from(partition.0)].len() as u64)
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        self.reach("reading").await?;
        let state = self.world.lock();
        let mut all = state.log.stream(run.partition(state.log.partitions()));
        all.retain(|message| message.run == *run);
        Ok(all)
    }
}

impl State {
    /// Sends an append on its way to the log, or lets the engine die first.
    fn post_append(
        &mut self,
        engine: usize,
        append: Append,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    ) {
        if self.strikes(Fault::CrashBeforeAppend) {
            self.counts.add("crashes before an append");
            return self.crash(engine);
        }
        let slow = self.strikes(Fault::SlowAppend);
        let span = if slow { self.span(50, 6_000) } else { self.span(1, 4) };
        self.network.post(Some(engine), span, Parcel::Append { engine, append, answer });
    }

    /// An append that has arrived: kept or refused. Returns its sequence if it was kept.
    pub fn append_arrives(
        &mut self,
        engine: usize,
        append: Append,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    ) -> Option<u64> {
        let result = self.log.keep(&append);
        let kept = result.clone().ok();
        self.counts.add(if kept.is_some() { "appends" } else { "refused appends" });
        if kept.is_some() && self.strikes(Fault::CrashAfterAppend) {
            self.counts.add("crashes after an append");
            self.crash(engine);
            return kept;
        }
        let late = self.strikes(Fault::LateAcknowledgement);
        if late {
            self.counts.add("late acknowledgements");
        }
        let span = if late { self.span(50, 15_000) } else { self.span(1, 4) };
        let parcel = Parcel::Acknowledgement { engine, append, answer, result };
        self.network.post(None, span, parcel);
        kept
    }
}
