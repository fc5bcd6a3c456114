//! What people do by hand, to runs and to single steps: cancel, pause, retry, skip, edit, abandon,
//! signal, terminate. Whoever skips or abandons a step decides for the engine what is outside,
//! so that only the histories tell what may be there; the judge keeps account of that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stead_core::fold::Folded;
use stead_core::run::Run;
use stead_runtime::inbound::Inbound;
use stead_schemas::dispatch::{Caller, OrderRun, RunOrder};
use stead_schemas::event::{ByHand, Event, Seq, Signal, StepScheduled};
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;

use crate::clients::Clients;

/// The step that makes a thing outside, and the one that takes it away.
const MAKE: &str = "outside.make";
const UNMAKE: &str = "outside.unmake";

/// What people have decided, as the histories tell.
#[derive(Default)]
pub struct Decisions {
    /// Things that may be there or not, and whose they are: somebody has skipped the step that
    /// makes them, or abandoned the one that takes them away.
    pub either: BTreeSet<(String, String)>,
    /// The undos of each run that were abandoned.
    abandoned: BTreeMap<RunId, Vec<(String, Value)>>,
}

impl Decisions {
    /// Takes account of a transition, before the run has followed it.
    pub fn note(&mut self, run: &Run, transition: &Transition) {
        for event in &transition.events {
            let seq = match event {
                Event::StepSkipped(skipped) => skipped.seq,
                Event::UndoAbandoned(abandoned) => abandoned.seq,
                _ => continue,
            };
            let Some(open) = run.folded().steps.get(&seq) else { continue };
            let request = &open.step.request;
            if let (Some(thing), Some(marker)) =
                (request["thing"].as_str(), request["marker"].as_str())
            {
                self.either.insert((thing.to_owned(), marker.to_owned()));
            }
            if matches!(event, Event::UndoAbandoned(_)) {
                let abandoned = self.abandoned.entry(transition.run.clone()).or_default();
                abandoned.push((open.step.step.clone(), request.clone()));
            }
        }
    }

    /// Whether a run lists as left behind exactly what was abandoned in it.
    ///
    /// # Errors
    /// With the run and both lists.
    pub fn are_listed(&self, run: &RunId, folded: &Folded) -> Result<(), String> {
        let listed = folded.left.iter().filter(|left| left.why == "undo abandoned");
        let listed: Vec<_> = listed.map(|left| (left.step.clone(), left.request.clone())).collect();
        let abandoned = self.abandoned.get(run).map(Vec::as_slice).unwrap_or_default();
        match listed == abandoned {
            true => Ok(()),
            false => Err(format!("{run} lists {listed:?}, and abandoned were {abandoned:?}")),
        }
    }
}

impl Clients {
    /// Does something by hand to a run that lives, and lets go again what it holds.
    pub(crate) async fn order(&self) {
        let living: Vec<RunId> = self.living();
        if living.is_empty() {
            return;
        }
        let (run, why) = {
            let at = self.world.lock().chance.between(0, living.len() as u64 - 1);
            (living[usize::try_from(at).unwrap_or(0)].clone(), format!("why-{}", self.next()))
        };
        let what = self.world.lock().chance.between(0, 19);
        match what {
            0..=8 => self.by_hand(&run, &why, RunOrder::Cancel).await,
            9..=10 => {
                self.by_hand(&run, &why, RunOrder::Pause).await;
                self.world.pause(50, 3_000).await;
                let why = format!("why-{}", self.next());
                self.by_hand(&run, &why, RunOrder::Resume).await;
            }
            11 => self.by_hand(&run, &why, RunOrder::Retry { step: None }).await,
            12..=13 => self.signal(&run, &why).await,
            // What a house has made, and what it owes its stock, would stay for ever.
            14 if run.kind() == "probe" => {
                self.by_hand(&run, &why, RunOrder::Terminate).await;
            }
            _ => self.order_step().await,
        }
    }

    async fn signal(&self, run: &RunId, why: &str) {
        let name = if run.kind() == "probe" { "finish" } else { "paint" };
        let signal = Signal { name: name.into(), payload: json!(self.next()) };
        self.by_hand(run, why, RunOrder::Signal(signal)).await;
    }

    /// Does something to a step that is open.
    async fn order_step(&self) {
        let open = self.open_steps();
        if open.is_empty() {
            return;
        }
        let (at, what) = {
            let mut state = self.world.lock();
            let at = state.chance.between(0, open.len() as u64 - 1);
            (usize::try_from(at).unwrap_or(0), state.chance.between(0, 3))
        };
        let (run, step) = &open[at];
        let (why, seq) = (format!("why-{}", self.next()), step.seq);
        match what {
            0 => self.by_hand(run, &why, RunOrder::Retry { step: Some(seq) }).await,
            1 => self.edit(run, step).await,
            _ if step.step == UNMAKE => {
                self.by_hand(run, &why, RunOrder::Abandon { step: seq }).await;
            }
            // The stock keeps account of the houses itself, and a crew would dig on.
            _ if step.undo || step.step.starts_with("stock.") || step.step == "crew.dig" => {}
            _ => {
                let answer = json!({ "by": "hand" });
                self.by_hand(run, &why, RunOrder::Skip { step: seq, answer }).await;
            }
        }
    }

    /// Asks a step for a thing of another colour, or for the same again. A step is edited while it
    /// rests.
    async fn edit(&self, run: &RunId, step: &StepScheduled) {
        let (field, value) = match step.step.as_str() {
            MAKE => ("colour", json!(self.next())),
            UNMAKE => ("marker", step.request["marker"].clone()),
            _ => return,
        };
        let fields = Map::from_iter([(field.to_owned(), value)]);
        let why = |clients: &Self| format!("why-{}", clients.next());
        self.by_hand(run, &why(self), RunOrder::Pause).await;
        self.world.pause(50, 3_000).await;
        let edit = RunOrder::Edit { step: step.seq, fields };
        self.by_hand(run, &why(self), edit).await;
        self.by_hand(run, &why(self), RunOrder::Resume).await;
    }

    fn open_steps(&self) -> Vec<(RunId, StepScheduled)> {
        let judge = self.judge.borrow();
        let open = judge.histories.iter().flat_map(|(run, history)| {
            let steps: Vec<(Seq, _)> = history.run.folded().steps.clone().into_iter().collect();
            steps.into_iter().map(|(_, open)| (run.clone(), open.step))
        });
        open.collect()
    }

    pub(crate) async fn by_hand(&self, run: &RunId, why: &str, order: RunOrder) {
        let by = ByHand { by: Caller::Api, why: why.to_owned(), id: None };
        let word = match order {
            RunOrder::Cancel => "cancel",
            // It may be an event for each step, or a resumption.
            RunOrder::Retry { .. } => "retry",
            RunOrder::Pause
            | RunOrder::Resume
            | RunOrder::Skip { .. }
            | RunOrder::Edit { .. }
            | RunOrder::Abandon { .. }
            | RunOrder::Signal(_)
            | RunOrder::Terminate => "order",
        };
        let order = OrderRun { run: run.clone(), by, order };
        let to = format!("{word} {run} {why} {}", self.next());
        self.ask(self.partition(run), to, |to| Inbound::Order(order.clone(), to)).await;
    }
}

/// The reason of an order that is an event by itself.
#[must_use]
pub fn why_of(event: &Event) -> Option<&str> {
    let order = match event {
        Event::StepSkipped(event) => &event.order,
        Event::StepEdited(event) => &event.order,
        Event::UndoAbandoned(event) => &event.order,
        Event::RunPaused(event) => &event.order,
        Event::RunResumed(event) => &event.order,
        Event::SignalReceived(event) => &event.order,
        Event::TerminateRequested(event) => &event.order,
        _ => return None,
    };
    Some(&order.why)
}
