//! What people do to a run by hand. Every order is an event with its reason, and one that makes
//! no sense where the run stands is refused in words.

use serde_json::{Map, Value};
use stead_core::fold::OpenStep;
use stead_core::size::{SIGNALS_BYTES_MAX, SIGNALS_MAX, has_room};
use stead_schemas::dispatch::{OrderRun, Route, RunOrder};
use stead_schemas::event::{
    ByHand, CancelRequested, Event, RunPaused, RunResumed, Seq, Signal, SignalReceived, StepEdited,
    StepRetried, StepSkipped, TerminateRequested, UndoAbandoned,
};
use stead_schemas::refusal::Refusal;

use super::Owner;
use super::attempts::Phase;
use super::live::{Live, Tell};
use super::parked::refused;
use crate::inbound::{OrderReply, encoded};
use crate::ports::{Outgoing, ReplyTo};

/// The order does not fit any more.
pub(super) const LATE: &str = "run.order-late";

impl Owner {
    /// Takes an order in, or refuses it; in either case says so, but an acceptance only once it is
    /// in the log.
    pub(super) fn order(&mut self, order: OrderRun, to: ReplyTo) {
        let known = |live: &Live| {
            let id = order.by.id.as_deref();
            id.is_some_and(|id| live.run.folded().knows_order(id))
        };
        let live = self.runs.get_mut(&order.run);
        if let Some(live) = live.filter(|live| live.parked.is_none() && known(live)) {
            // In memory a run may be ahead of the log.
            if let Some(writing) = &mut live.writing {
                return writing.tell.push(Tell::Order(to));
            }
            return self.reply_to_order(to, &Ok(()));
        }
        let is_parked = self.runs.get(&order.run).is_some_and(|live| live.parked.is_some());
        if is_parked && order.order == RunOrder::Terminate {
            return self.terminate_parked(order, to);
        }
        let events = match self.events_of(&order) {
            Ok(events) => events,
            Err(refusal) => return self.reply_to_order(to, &Err(refusal)),
        };
        let Some(live) = self.runs.get_mut(&order.run) else { return };
        live.queue_together(events, Some(Tell::Order(to)));
        self.advance(&order.run);
    }

    fn events_of(&self, order: &OrderRun) -> Result<Vec<Event>, Refusal> {
        let live = self.runs.get(&order.run).ok_or_else(|| {
            Refusal::new("run.over", "the run is over; nothing can be done to it any more")
        })?;
        if let Some(parked) = &live.parked {
            return Err(refused(parked));
        }
        let by = order.by.clone();
        match &order.order {
            RunOrder::Cancel => cancel(live, by),
            RunOrder::Pause => pause(live, by),
            RunOrder::Resume => resume(live, by),
            RunOrder::Retry { step } => retry(live, *step, &by),
            RunOrder::Skip { step, answer } => skip(live, *step, answer, by),
            RunOrder::Edit { step, fields } => edit(live, *step, fields, by),
            RunOrder::Abandon { step } => abandon(live, *step, by),
            RunOrder::Terminate => {
                Ok(vec![Event::TerminateRequested(TerminateRequested { order: by })])
            }
            RunOrder::Signal(sent) => signal(live, sent, by),
        }
    }

    /// The run has changed while the order was on its way into the history.
    pub(super) fn order_came_late(&self, to: ReplyTo) {
        let words = "the run went on in the same moment, and the order no longer fits; look again";
        self.reply_to_order(to, &Err(Refusal::new(LATE, words)));
    }

    pub(super) fn reply_to_order(&self, to: ReplyTo, reply: &OrderReply) {
        self.send(Outgoing::Reply { to, bytes: encoded(reply) });
    }
}

fn cancel(live: &Live, by: ByHand) -> Result<Vec<Event>, Refusal> {
    if !live.run.can_cancel() {
        let words = "there is nothing to cancel: the run is not in the middle of an operation, or \
                     it is being taken back already";
        return Err(Refusal::new("run.nothing-to-cancel", words));
    }
    let order = ByHand { id: None, ..by.clone() };
    let ByHand { by, why, id } = by;
    let mut events = vec![Event::CancelRequested(CancelRequested { by, why, id })];
    // What is to be taken back must not wait for somebody to resume it.
    if live.is_paused() {
        events.push(Event::RunResumed(RunResumed { order }));
    }
    Ok(events)
}

fn pause(live: &Live, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if live.is_paused() {
        return Err(Refusal::new("run.paused-already", "the run is paused already"));
    }
    Ok(vec![Event::RunPaused(RunPaused { seq: None, order })])
}

fn resume(live: &Live, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if !live.is_paused() {
        return Err(Refusal::new("run.not-paused", "the run is not paused"));
    }
    Ok(vec![Event::RunResumed(RunResumed { order })])
}

fn retry(live: &Live, step: Option<Seq>, by: &ByHand) -> Result<Vec<Event>, Refusal> {
    if let Some(step) = step {
        open(live, step)?;
    }
    if live.is_paused() {
        return Ok(vec![Event::RunResumed(RunResumed { order: by.clone() })]);
    }
    let waiting = live
        .attempts
        .iter()
        .filter(|(seq, attempt)| attempt.phase.is_idle() && step.is_none_or(|step| step == **seq));
    // The id is remembered with the first event; the others would be taken for a repetition.
    let id = |place| by.id.clone().filter(|_| place == 0);
    let events: Vec<Event> = waiting
        .enumerate()
        .map(|(place, (seq, _))| {
            let order = ByHand { id: id(place), ..by.clone() };
            Event::StepRetried(StepRetried { seq: *seq, order })
        })
        .collect();
    if events.is_empty() {
        let words = match live.attempts.is_empty() {
            true => "no step is open",
            false => {
                "no step waits for its next attempt: what is open is being carried out, or waits \
                 for somebody else"
            }
        };
        return Err(Refusal::new("run.nothing-to-retry", words));
    }
    Ok(events)
}

fn skip(live: &Live, seq: Seq, answer: &Value, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if open(live, seq)?.step.undo {
        let words = "an undo has no answer to be given by hand; `run.abandon` gives it up";
        return Err(Refusal::new("step.is-undo", words).field("step"));
    }
    live.run.check_answer(seq, answer).map_err(|error| {
        let words = format!("the workflow could not read this as the step's answer: {error}");
        Refusal::new("step.answer-invalid", words).field("answer")
    })?;
    Ok(vec![Event::StepSkipped(StepSkipped { seq, answer: answer.clone(), order })])
}

fn edit(
    live: &Live,
    seq: Seq,
    fields: &Map<String, Value>,
    order: ByHand,
) -> Result<Vec<Event>, Refusal> {
    let open = open(live, seq)?;
    let at_work = live.attempts.get(&seq).is_some_and(|attempt| !attempt.phase.is_idle());
    if at_work || open.step.route == Route::Outside {
        let words = "the step is being carried out as it was asked; pause the run, and edit the \
                     step when its attempt has ended";
        return Err(Refusal::new("step.under-way", words).field("step"));
    }
    let mut request = open.step.request.clone();
    let Some(asked) = request.as_object_mut() else {
        return Err(Refusal::new("step.not-editable", "the step asks for nothing").field("step"));
    };
    if let Some(stranger) = fields.keys().find(|field| !asked.contains_key(*field)) {
        let known: Vec<&str> = asked.keys().map(String::as_str).collect();
        let words = format!("the step is asked no `{stranger}`, only {}", known.join(", "));
        return Err(Refusal::new("step.field-unknown", words).field("fields"));
    }
    asked.extend(fields.clone());
    live.run.check_request(seq, &request).map_err(|error| {
        let words = format!("the worker could not read this request: {error}");
        Refusal::new("step.request-invalid", words).field("fields")
    })?;
    Ok(vec![Event::StepEdited(StepEdited { seq, request, order })])
}

fn abandon(live: &Live, seq: Seq, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if !open(live, seq)?.step.undo {
        let words = "only an undo can be abandoned; `run.cancel` takes the operation back";
        return Err(Refusal::new("step.no-undo", words).field("step"));
    }
    Ok(vec![Event::UndoAbandoned(UndoAbandoned { seq, order })])
}

fn signal(live: &Live, signal: &Signal, order: ByHand) -> Result<Vec<Event>, Refusal> {
    let known = live.run.signals();
    if !known.contains(&signal.name.as_str()) {
        let words = match known.is_empty() {
            true => "this workflow waits for no signals".to_owned(),
            false => format!("this workflow's signals are {}", known.join(", ")),
        };
        return Err(Refusal::new("run.signal-unknown", words).field("signal"));
    }
    let queued = live.queue.iter().filter_map(|fact| match &fact.event {
        Event::SignalReceived(received) => Some(&received.signal),
        _ => None,
    });
    let untaken = live.run.untaken_signals();
    if !has_room(signal, untaken.iter().flat_map(|signals| signals.iter()).chain(queued)) {
        let words = format!(
            "too many signals wait that the run has not taken: there is room for {SIGNALS_MAX} of \
             them, of {SIGNALS_BYTES_MAX} bytes together"
        );
        return Err(Refusal::new("run.signals-full", words).field("signal"));
    }
    Ok(vec![Event::SignalReceived(SignalReceived { signal: signal.clone(), order })])
}

fn open(live: &Live, seq: Seq) -> Result<&OpenStep, Refusal> {
    let steps = &live.run.folded().steps;
    steps.get(&seq).ok_or_else(|| {
        let open: Vec<String> =
            steps.values().map(|open| format!("{} {}", open.step.seq, open.step.step)).collect();
        let words = match open.is_empty() {
            true => format!("no step is open in this run, so none with the number {seq}"),
            false => format!("no step {seq} is open; open are {}", open.join(", ")),
        };
        Refusal::new("step.not-open", words).field("step")
    })
}

impl Phase {
    /// Whether nobody is at work on the step just now.
    const fn is_idle(self) -> bool {
        match self {
            Self::Pausing | Self::NoListener | Self::Limit | Self::Stuck | Self::Held => true,
            Self::Sent { .. } | Self::Queued { .. } | Self::Outside | Self::Over => false,
        }
    }
}
