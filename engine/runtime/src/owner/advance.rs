//! From facts to an append: the run decides, one message is written, and nothing is acted on
//! before it is acknowledged.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use stead_schemas::dispatch::OutsideReply;
use stead_schemas::event::Event;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::transition::{Transition, VERSION, link};
use uuid::Uuid;

use super::commands::{BUG, NOT_KEPT};
use super::deciding::{Missed, Turn, command_id};
use super::live::{Fact, Live, Tell, Writing};
use super::parked::{Parked, park, refused};
use super::{Finished, Owner, Stopped};
use crate::inbound::{OrderReply, encoded};
use crate::metric;
use crate::ports::{Append, AppendError, Outgoing};
use crate::trace;

/// Clocks of machines that differ by so much are somebody's mistake.
const CLOCK_BEHIND: Duration = Duration::from_secs(60);

impl Owner {
    /// Queues a fact and lets the run go on if nothing is being written.
    pub(super) fn take(&mut self, run: &RunId, fact: impl Into<Fact>) {
        if let Some(live) = self.runs.get_mut(run) {
            live.queue.push_back(fact.into());
            self.advance(run);
        }
    }

    /// Lets a run decide on everything that waits for it, and appends what came of it.
    pub(super) fn advance(&mut self, id: &RunId) {
        let now = self.env.ports.clock.now();
        let Some(live) = self.runs.get_mut(id) else { return };
        if live.writing.is_some() || live.queue.is_empty() || live.parked.is_some() {
            return;
        }
        if self.turning.holds_back() {
            return;
        }
        let at = now.max(live.updated);
        if at.since(now) >= CLOCK_BEHIND {
            tracing::warn!(run = %id, ahead = ?at.since(now), "a history is ahead of this machine's clock, and so are its timers");
        }
        let Turn { events, tell, missed } = live.decide(at);
        let parked = live.parked.clone();
        let unborn = parked.clone().filter(|_| live.last_seq == 0);
        if parked.is_some() {
            self.dirty.insert(id.clone());
        }
        if !events.is_empty() {
            let transition = Transition {
                v: VERSION,
                run: id.clone(),
                n: live.run.transitions(),
                at,
                engine: self.env.engine.clone(),
                prev: live.prev.clone(),
                events,
            };
            let append = write(live, transition, tell, (self.partition, self.log_epoch));
            let (log, run) = (Rc::clone(&self.env), id.clone());
            let job = async move {
                let result = log.ports.log.append(append).await;
                Finished::Append { run, result }
            };
            self.tail.begins();
            self.jobs.push(job.boxed_local());
        }
        match unborn {
            Some(why) => self.forget_unborn(id, &missed.commands, BUG, &why.words),
            None => missed.commands.iter().for_each(|command| self.missed_command(id, command)),
        }
        missed.tells.into_iter().for_each(|tell| self.tell_missed(tell, parked.as_ref()));
    }

    /// The run is over: what waits comes too late.
    pub(super) fn miss_what_waits(&mut self, run: &RunId) {
        let Some(live) = self.runs.get_mut(run) else { return };
        let missed = Missed::all(std::mem::take(&mut live.queue));
        missed.commands.iter().for_each(|command| self.missed_command(run, command));
        missed.tells.into_iter().for_each(|tell| self.tell_missed(tell, None));
    }

    /// The append is in the log: what it said may be acted on now.
    pub(super) fn appended(&mut self, run: &RunId, seq: u64) {
        if let Some(transition) = self.acknowledge(run, seq) {
            self.act(&transition);
        }
        self.advance(run);
    }

    /// Notes an acknowledged append and tells those who waited for it.
    pub(super) fn acknowledge(&mut self, run: &RunId, seq: u64) -> Option<Transition> {
        let live = self.runs.get_mut(run)?;
        let writing = live.writing.take()?;
        live.last_seq = seq;
        live.prev = writing.link;
        live.updated = writing.transition.at;
        live.note_begun(&writing.transition);
        live.forget_strays_of_the_past();
        live.spans(&writing.transition).into_iter().for_each(trace::tell);
        self.dirty.insert(run.clone());
        for tell in writing.tell {
            self.tell(tell);
        }
        for event in &writing.transition.events {
            if let Event::CommandAccepted(accepted) = event {
                tracing::info!(%run, verb = accepted.verb, "a command is accepted");
                metric::COMMANDS.count([run.kind(), &accepted.verb, "accepted"]);
                self.tell_accepted(run, &accepted.id);
            }
        }
        Some(writing.transition)
    }

    pub(super) fn not_appended(&mut self, run: &RunId, error: &AppendError) {
        tracing::warn!(%run, %error, partition = %self.partition, "an append was refused");
        metric::APPEND_REFUSED.count([]);
        match error {
            AppendError::Conflict => self.stopped = Some(Stopped::Fenced),
            AppendError::Lasting(words) => self.park_unwritten(run, words),
        }
    }

    /// The log will not have what was decided: whoever waits for it is told, as it will not be.
    fn park_unwritten(&mut self, run: &RunId, words: &str) {
        let words = format!("the log refused its next transition: {words}");
        let Some(live) = self.runs.get_mut(run) else { return };
        let (writing, is_unborn) = (live.writing.take(), live.last_seq == 0);
        park(live, "log", words.clone());
        let (parked, queue) = (live.parked.clone(), std::mem::take(&mut live.queue));
        self.dirty.insert(run.clone());
        let Some(Writing { transition, tell, .. }) = writing else { return };
        let missed = Missed::all(queue);
        let written = transition.events.iter().filter_map(command_id);
        let commands: Vec<String> = written.chain(missed.commands).collect();
        if is_unborn {
            self.forget_unborn(run, &commands, NOT_KEPT, &words);
        } else {
            commands.iter().for_each(|command| self.missed_command(run, command));
        }
        let tells = tell.into_iter().chain(missed.tells);
        tells.for_each(|tell| self.tell_missed(tell, parked.as_ref()));
    }

    fn tell(&self, tell: Tell) {
        let (to, bytes) = match tell {
            Tell::Order(to) => (to, encoded(&OrderReply::Ok(()))),
            Tell::Outside(to) => (to, encoded(&OutsideReply::Accepted)),
        };
        self.send(Outgoing::Reply { to, bytes });
    }

    fn tell_missed(&self, tell: Tell, parked: Option<&Parked>) {
        match (tell, parked) {
            (Tell::Order(to), None) => self.order_came_late(to),
            (Tell::Order(to), Some(parked)) => self.reply_to_order(to, &Err(refused(parked))),
            (Tell::Outside(to), _) => {
                self.send(Outgoing::Reply { to, bytes: encoded(&OutsideReply::NotWaiting) });
            }
        }
    }
}

fn write(
    live: &mut Live,
    transition: Transition,
    tell: Vec<Tell>,
    (partition, epoch): (Partition, u32),
) -> Append {
    let bytes = transition.encode();
    let append = Append {
        partition,
        epoch,
        run: transition.run.clone(),
        expected: live.last_seq,
        commit: Uuid::now_v7().simple().to_string(),
        bytes,
    };
    live.writing = Some(Writing { link: link(&append.bytes), transition, tell, untaken: false });
    append
}
