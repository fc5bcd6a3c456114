//! Reads a partition's log beside the engine's thread, which goes on renewing its leases.
//!
//! Runs that are over are only glanced at: they leave a line in the index and the digests of
//! their commands. The histories of those that live are decoded here and replayed by the owner.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use stead_core::definition::Definition;
use stead_schemas::event::RunStarted;
use stead_schemas::glance::Glance;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, link};
use tokio::sync::mpsc;

use super::entities::Entities;
use super::parked::taken_in;
use super::publish::{Recent, Untold};
use super::queries;
use crate::archive::{self, Graveyard};
use crate::env::Env;
use crate::ports::{Index, LogError, Ports, Recorded};

/// How many lines go into the index at once.
const LINES_AT_ONCE: usize = 1_000;
/// How many histories may wait to be replayed.
const HISTORIES_AHEAD: usize = 256;

/// What was found, in this order: the past, the histories of what lives, the end.
pub(super) enum Found {
    Past(Box<Past>),
    Living { run: RunId, history: Vec<Message> },
    End(Result<(), LogError>),
}

/// What is known of the runs that are over, and where the log ends.
pub(super) struct Past {
    pub entities: Entities,
    pub untold: Vec<Untold>,
    pub last: u64,
    /// How many messages of the log belong to runs that are over.
    pub over: u64,
    /// Whether there are runs in the archive.
    pub has_archive: bool,
}

/// A message of the log, decoded.
pub(super) struct Message {
    pub seq: u64,
    pub link: String,
    pub transition: Result<Transition, String>,
}

impl Message {
    pub fn read(recorded: &Recorded) -> Self {
        let transition = Transition::decode(&recorded.bytes).map_err(|error| error.to_string());
        Self { seq: recorded.seq, link: link(&recorded.bytes), transition }
    }
}

/// A history of which the end has not been read.
#[derive(Default)]
struct History {
    started: Option<(Arc<RunStarted>, Timestamp)>,
    messages: Vec<Recorded>,
}

struct Reader {
    partition: Partition,
    definitions: &'static [Definition],
    now: Timestamp,
    histories: HashMap<RunId, History>,
    entities: Entities,
    recent: Recent,
    lines: Vec<RunSummary>,
    /// The last message that was read.
    last: u64,
    /// How many messages belong to runs that are over.
    over: u64,
    has_archive: bool,
    /// Where the lines go.
    index: Arc<dyn Index>,
}

/// Starts reading everything that is in the log now.
pub(super) async fn start(
    env: &Env,
    partition: Partition,
    epoch: u32,
) -> Result<mpsc::Receiver<Found>, LogError> {
    let messages = env.ports.log.read_partition(partition, epoch, 0).await?;
    let mut reader = Reader::new(env, partition);
    reader.remember(&env.ports).await?;
    let (tell, found) = mpsc::channel(HISTORIES_AHEAD);
    env.ports.aside.spawn(async move {
        reader.index.clear(partition);
        // Nobody hears only when the owner has stopped.
        reader.tell_all(messages, &tell).await.ok();
    });
    Ok(found)
}

/// Fills the lost index with the line of every run as the log has it. The owner puts those of
/// the runs in its memory on top.
pub(super) async fn refill(env: &Env, partition: Partition, epoch: u32) -> Result<(), LogError> {
    let messages = env.ports.log.read_partition(partition, epoch, 0).await?;
    let (archive, index) = (env.ports.archive.clone(), env.ports.index.clone());
    let mut reader = Reader::new(env, partition);
    let read = env.ports.aside.spawn(async move {
        index.clear(partition);
        let mut gone = Graveyard::default();
        for segment in archive::segments(&*archive, partition).await? {
            reader.lines.extend(archive::lines(&*archive, &segment, &mut gone).await?);
            reader.put_lines();
        }
        reader.read(messages, || false).await?;
        reader.lines_of_living();
        reader.put_lines();
        Ok(())
    });
    read.await.unwrap_or_else(|error| Err(LogError(error.to_string())))
}

impl Reader {
    fn new(env: &Env, partition: Partition) -> Self {
        Self {
            partition,
            definitions: env.definitions,
            now: env.ports.clock.now(),
            histories: HashMap::new(),
            entities: Entities::default(),
            recent: Recent::default(),
            lines: Vec::new(),
            last: 0,
            over: 0,
            has_archive: false,
            index: env.ports.index.clone(),
        }
    }

    /// Takes in what the archive says of runs that are over.
    async fn remember(&mut self, ports: &Ports) -> Result<(), LogError> {
        for segment in archive::segments(&*ports.archive, self.partition).await? {
            let digests = archive::digests(&*ports.archive, &segment).await?;
            self.entities.remember(&digests);
            self.has_archive = true;
        }
        Ok(())
    }

    async fn tell_all(
        mut self,
        messages: BoxStream<'static, Result<Recorded, LogError>>,
        tell: &mpsc::Sender<Found>,
    ) -> Result<(), mpsc::error::SendError<Found>> {
        if let Err(error) = self.read(messages, || tell.is_closed()).await {
            return tell.send(Found::End(Err(error))).await;
        }
        self.put_lines();
        let untold = self.recent.last_of_each();
        let (entities, last) = (self.entities, self.last);
        let past = Past { entities, untold, last, over: self.over, has_archive: self.has_archive };
        tell.send(Found::Past(Box::new(past))).await?;
        // The same order for the same log.
        let mut living: Vec<_> = self.histories.into_iter().collect();
        living.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (run, history) in living {
            let history = history.messages.iter().map(Message::read).collect();
            tell.send(Found::Living { run, history }).await?;
        }
        tell.send(Found::End(Ok(()))).await
    }

    async fn read(
        &mut self,
        mut messages: BoxStream<'static, Result<Recorded, LogError>>,
        in_vain: impl Fn() -> bool,
    ) -> Result<(), LogError> {
        while let Some(message) = messages.next().await {
            self.take(message?);
            if in_vain() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Recorded) {
        self.last = message.seq;
        let run = &message.run;
        if !self.histories.contains_key(run) {
            self.entities.begun(run);
            self.histories.insert(run.clone(), History::default());
        }
        let Some(history) = self.histories.get_mut(run) else { return };
        if let Some(glance) = Glance::at(&message.bytes) {
            if let Some(started) = &glance.started {
                history.started = Some((Arc::new(started.clone()), glance.at));
            }
            for command in &glance.accepted {
                self.entities.accepted(run, &command.id, &command.digest);
                if let Some(step) = &command.reply {
                    self.entities.asked_by(&run.key(), step);
                }
            }
            if let Some((started, began)) = &history.started {
                self.recent.push(started, glance.at, &message);
                if let Some(state) = glance.ended {
                    let line = RunSummary::of_ended(started, *began, state, &glance);
                    return self.ended(run, line);
                }
            }
        }
        history.messages.push(message);
    }

    fn ended(&mut self, run: &RunId, line: RunSummary) {
        self.histories.remove(run);
        self.over += line.transitions;
        self.lines.push(line);
        if self.lines.len() >= LINES_AT_ONCE {
            self.put_lines();
        }
    }

    /// Runs that wait for long are not in their owner's memory, and must be listed.
    fn lines_of_living(&mut self) {
        for (run, history) in std::mem::take(&mut self.histories) {
            let key = run.key();
            let definition = self.definitions.iter().find(|known| known.kind == key.kind());
            let history = history.messages.iter().map(Message::read).collect();
            let live = taken_in(definition, &run, history, self.now);
            self.lines.push(queries::line(&live));
            if self.lines.len() >= LINES_AT_ONCE {
                self.put_lines();
            }
        }
    }

    fn put_lines(&mut self) {
        self.index.put(self.partition, std::mem::take(&mut self.lines));
    }
}
