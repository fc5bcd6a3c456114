//! How an append travels, and how its writer comes to know what has become of it.
//!
//! The port promises that no outcome stays unknown. Appends and their acknowledgements get lost
//! here, or come when their writer has ceased to wait: then it reads back whose message follows the
//! one that it expects, as the real one does, and sends the append again if none does yet.

use stead_runtime::ports::{Append, AppendError};
use tokio::sync::oneshot;

use crate::log::{EngineLog, Log, Message};
use crate::network::Parcel;
use crate::plan::Fault;
use crate::world::State;

impl EngineLog {
    pub(crate) async fn append_until_known(&self, append: &Append) -> Result<u64, AppendError> {
        loop {
            match self.send(append).await {
                Some(Ok(seq)) => return Ok(seq),
                Some(Err(AppendError::Lasting(words))) => return Err(AppendError::Lasting(words)),
                // Somebody has written meanwhile: that may have been this writer.
                Some(Err(AppendError::Conflict)) | None => {}
            }
            if let Some(outcome) = self.settle(append).await {
                return outcome;
            }
        }
    }

    /// Sends an append and waits for its acknowledgement, but not for ever.
    async fn send(&self, append: &Append) -> Option<Result<u64, AppendError>> {
        let (answer, heard) = oneshot::channel();
        let patience = {
            let mut state = self.world.lock();
            state.post_append(self.engine, append.clone(), answer);
            state.span(2_000, 15_000)
        };
        self.world.posted.notify_one();
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        tokio::select! {
            biased;
            // Where it is lost on the way nobody says so.
            Ok(result) = heard => Some(result),
            () = &mut patience => None,
        }
    }

    /// Reads back what has become of an append, however often that takes.
    async fn settle(&self, append: &Append) -> Option<Result<u64, AppendError>> {
        while self.reach("reading back").await.is_err() {}
        let mut state = self.world.lock();
        let outcome = state.log.settle(append);
        state.counts.add(match &outcome {
            Some(Ok(_)) => "appends settled as kept",
            Some(Err(_)) => "appends settled as refused",
            None => "appends sent again",
        });
        let name = state.machines[self.engine].name.clone();
        state.tell(format_args!("{name} reads back of {}: {outcome:?}", append.run));
        if let Some(Ok(seq)) = outcome
            && state.log.counts(append, seq)
        {
            state.log.acknowledge(append, seq);
        }
        outcome
    }
}

impl Log {
    /// What has become of an append whose writer knows nothing of it; nothing if no message follows
    /// the one that it expects, so that it may still come to be kept.
    fn settle(&self, append: &Append) -> Option<Result<u64, AppendError>> {
        let stream = &self.streams[usize::from(append.partition.0)];
        // An epoch is deleted only when a later one is in force.
        let Some(epoch) = stream.epochs.get(&append.epoch) else {
            return Some(Err(AppendError::Conflict));
        };
        if epoch.last.get(&append.run).copied().unwrap_or(0) < append.expected {
            return Some(Err(AppendError::Conflict));
        }
        let mut rest = epoch.messages.iter().filter_map(|message| match message {
            Message::Transition(recorded) if recorded.run == append.run => Some(recorded.seq),
            _ => None,
        });
        let seq = rest.find(|seq| *seq > append.expected)?;
        let is_ours = epoch.commits.get(&seq) == Some(&append.commit);
        Some(if is_ours { Ok(seq) } else { Err(AppendError::Conflict) })
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
        if self.strikes(Fault::LostAppend) {
            self.counts.add("lost appends");
            return;
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
        let lost = kept.is_some() && std::mem::take(&mut self.log.lose_next);
        if lost || self.strikes(Fault::LostAcknowledgement) {
            self.counts.add("lost acknowledgements");
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
