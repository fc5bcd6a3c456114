//! What people do to a run by hand: the facts that an order is taken in as, or why it makes no sense
//! where the run stands.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Map, Value};
use stead_schemas::dispatch::{Route, RunOrder};
use stead_schemas::event::{
    ByHand, CancelRequested, Event, RunPaused, RunResumed, Seq, Signal, SignalReceived, StepEdited,
    StepRetried, StepSkipped, TerminateRequested, UndoAbandoned,
};
use stead_schemas::refusal::Refusal;

use crate::fold::OpenStep;
use crate::run::Run;
use crate::size::{SIGNALS_BYTES_MAX, SIGNALS_MAX, has_room};

/// What an order stands beside, for whoever carries the run out to say.
pub struct Beside<'a> {
    /// What is being done about an open step just now: whether that waits, so that nobody is at work
    /// on the step; nothing if nothing is done about it.
    pub waits: &'a dyn Fn(Seq) -> Option<bool>,
    /// The signals that are on their way into the history.
    pub queued: &'a [&'a Signal],
}

impl Run {
    /// The facts that an order is taken in as, for [`Run::decide`].
    ///
    /// # Errors
    /// In words, if it makes no sense where the run stands.
    pub fn order(
        &self,
        order: &RunOrder,
        by: ByHand,
        beside: &Beside<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        match order {
            RunOrder::Cancel => cancel(self, by),
            RunOrder::Pause => pause(self, by),
            RunOrder::Resume => resume(self, by),
            RunOrder::Retry { step } => retry(self, *step, &by, beside),
            RunOrder::Skip { step, answer } => skip(self, *step, answer, by),
            RunOrder::Edit { step, fields } => edit(self, (*step, fields), by, beside),
            RunOrder::Abandon { step } => abandon(self, *step, by),
            RunOrder::Terminate => {
                Ok(vec![Event::TerminateRequested(TerminateRequested { order: by })])
            }
            RunOrder::Signal(sent) => signal(self, sent, by, beside),
        }
    }
}

fn cancel(run: &Run, by: ByHand) -> Result<Vec<Event>, Refusal> {
    if !run.can_cancel() {
        let words = "there is nothing to cancel: the run is not in the middle of an operation, or \
                     it is being taken back already";
        return Err(Refusal::new("run.nothing-to-cancel", words));
    }
    let order = ByHand { id: None, ..by.clone() };
    let ByHand { by, why, id } = by;
    let command = run.command_under_way().map(ToString::to_string);
    let mut events = vec![Event::CancelRequested(CancelRequested { by, why, command, id })];
    // What is to be taken back must not wait for somebody to resume it.
    if is_paused(run) {
        events.push(Event::RunResumed(RunResumed { order }));
    }
    Ok(events)
}

fn pause(run: &Run, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if is_paused(run) {
        return Err(Refusal::new("run.paused-already", "the run is paused already"));
    }
    Ok(vec![Event::RunPaused(RunPaused { seq: None, order })])
}

fn resume(run: &Run, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if !is_paused(run) {
        return Err(Refusal::new("run.not-paused", "the run is not paused"));
    }
    Ok(vec![Event::RunResumed(RunResumed { order })])
}

fn retry(
    run: &Run,
    step: Option<Seq>,
    by: &ByHand,
    beside: &Beside<'_>,
) -> Result<Vec<Event>, Refusal> {
    if let Some(step) = step {
        open(run, step)?;
    }
    if is_paused(run) {
        return Ok(vec![Event::RunResumed(RunResumed { order: by.clone() })]);
    }
    let steps = || run.folded().steps.keys().copied();
    let waiting = steps()
        .filter(|seq| (beside.waits)(*seq) == Some(true) && step.is_none_or(|step| step == *seq));
    // The id is remembered with the first event; the others would be taken for a repetition.
    let id = |place| by.id.clone().filter(|_| place == 0);
    let events: Vec<Event> = waiting
        .enumerate()
        .map(|(place, seq)| {
            let order = ByHand { id: id(place), ..by.clone() };
            Event::StepRetried(StepRetried { seq, order })
        })
        .collect();
    if events.is_empty() {
        let words = match steps().any(|seq| (beside.waits)(seq).is_some()) {
            false => "no step is open",
            true => {
                "no step waits for its next attempt: what is open is being carried out, or waits \
                 for somebody else"
            }
        };
        return Err(Refusal::new("run.nothing-to-retry", words));
    }
    Ok(events)
}

fn skip(run: &Run, seq: Seq, answer: &Value, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if open(run, seq)?.step.undo {
        let words = "an undo has no answer to be given by hand; `run.abandon` gives it up";
        return Err(Refusal::new("step.is-undo", words).field("step"));
    }
    run.check_answer(seq, answer).map_err(|error| {
        let words = format!("the workflow could not read this as the step's answer: {error}");
        Refusal::new("step.answer-invalid", words).field("answer")
    })?;
    Ok(vec![Event::StepSkipped(StepSkipped { seq, answer: answer.clone(), order })])
}

fn edit(
    run: &Run,
    (seq, fields): (Seq, &Map<String, Value>),
    order: ByHand,
    beside: &Beside<'_>,
) -> Result<Vec<Event>, Refusal> {
    let open = open(run, seq)?;
    if (beside.waits)(seq) == Some(false) || open.step.route == Route::Outside {
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
    run.check_request(seq, &request).map_err(|error| {
        let words = format!("the worker could not read this request: {error}");
        Refusal::new("step.request-invalid", words).field("fields")
    })?;
    Ok(vec![Event::StepEdited(StepEdited { seq, request, order })])
}

fn abandon(run: &Run, seq: Seq, order: ByHand) -> Result<Vec<Event>, Refusal> {
    if !open(run, seq)?.step.undo {
        let words = "only an undo can be abandoned; `run.cancel` takes the operation back";
        return Err(Refusal::new("step.no-undo", words).field("step"));
    }
    Ok(vec![Event::UndoAbandoned(UndoAbandoned { seq, order })])
}

fn signal(
    run: &Run,
    signal: &Signal,
    order: ByHand,
    beside: &Beside<'_>,
) -> Result<Vec<Event>, Refusal> {
    let known = run.signals();
    if !known.contains(&signal.name.as_str()) {
        let words = match known.is_empty() {
            true => "this workflow waits for no signals".to_string(),
            false => format!("this workflow's signals are {}", known.join(", ")),
        };
        return Err(Refusal::new("run.signal-unknown", words).field("signal"));
    }
    let untaken = run.untaken_signals();
    let untaken = untaken.iter().flat_map(|signals| signals.iter());
    if !has_room(signal, untaken.chain(beside.queued.iter().copied())) {
        let words = format!(
            "too many signals wait that the run has not taken: there is room for {SIGNALS_MAX} of \
             them, of {SIGNALS_BYTES_MAX} bytes together"
        );
        return Err(Refusal::new("run.signals-full", words).field("signal"));
    }
    Ok(vec![Event::SignalReceived(SignalReceived { signal: signal.clone(), order })])
}

fn is_paused(run: &Run) -> bool {
    run.folded().paused.is_some()
}

fn open(run: &Run, seq: Seq) -> Result<&OpenStep, Refusal> {
    let steps = &run.folded().steps;
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
