//! `stead run cancel`: says what will be taken back, then asks for it.
//!
//! What will be taken back is not guessed: the run is replayed here and cancelled in rehearsal,
//! each undo answered as done, and what it asked for on the way is the plan.

use serde_json::{Map, Value, json};
use stead_core::run::Run;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Caller, CommandReply};
use stead_schemas::event::{
    CancelRequested, Event, Seq, StepCancelled, StepCompleted, StepScheduled,
};
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

use super::find;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;

/// More steps than any operation has: a rehearsal that goes on beyond is given up.
const REHEARSAL_MAX: usize = 1_000;

/// What is asked.
pub struct Order<'a> {
    /// The run, as it was named.
    pub run: &'a str,
    /// Why.
    pub why: &'a str,
    /// Whether nothing is to happen.
    pub dry_run: bool,
}

/// What a cancel would do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// The steps that are stopped.
    stops: Vec<String>,
    /// The steps that take things back, in order.
    takes_back: Vec<String>,
}

/// Carries the verb out.
pub async fn carry_out(
    global: &Global,
    client: &SteadClient,
    order: &Order<'_>,
) -> Result<(), Ended> {
    let run = find::run(client, order.run).await?;
    let owner = find::view(client, &run).await?.summary.owner;
    let history = find::history(client, &run).await?;
    let plan = rehearse(&history, SystemClock.now());
    match &plan {
        Some(Ok(_)) if global.json => {}
        Some(Ok(plan)) => output::line(&told(plan)),
        Some(Err(refusal)) => return Err(Ended::Refused(refusal.clone())),
        None => output::warn("this build cannot rehearse it; what will be taken back is not known"),
    }
    if !order.dry_run {
        let fields = json!({ "run": run, "why": order.why });
        let fields = fields.as_object().cloned().unwrap_or_else(Map::new);
        match client.command(&owner, "run", "cancel", &fields).await? {
            CommandReply::Accepted(_) => {}
            CommandReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
            CommandReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
        }
        let watch = format!("`stead run watch {run}` shows how far it is");
        output::note(&format!("it is being taken back; {watch}"));
    }
    if global.json {
        let plan = plan
            .and_then(Result::ok)
            .map(|plan| json!({ "stops": plan.stops, "takes_back": plan.takes_back }));
        output::json(&json!({ "run": run, "cancelled": !order.dry_run, "plan": plan }));
    }
    Ok(())
}

fn told(plan: &Plan) -> String {
    let mut lines = Vec::new();
    if !plan.stops.is_empty() {
        lines.push(format!("stops           {}", plan.stops.join(", ")));
    }
    match plan.takes_back.split_first() {
        None => lines.push("takes back      nothing: nothing has been made yet".to_owned()),
        Some((first, more)) => {
            lines.push(format!("takes back      {first}"));
            lines.extend(more.iter().map(|step| format!("  and then      {step}")));
        }
    }
    lines.join("\n")
}

/// What a cancel would do now; nothing if this build decides otherwise than the history says.
fn rehearse(history: &[Transition], now: Timestamp) -> Option<Result<Plan, Refusal>> {
    let id = history.first()?.run.clone();
    let definition = WORKFLOWS.iter().find(|known| known.kind == id.key().kind())?;
    let mut run = Run::new(*definition, id);
    for transition in history {
        run.replay(transition).ok()?;
    }
    if !run.can_cancel() {
        return Some(Err(nothing_to_cancel(&run)));
    }
    let open: Vec<(Seq, StepScheduled)> =
        run.folded().steps.iter().map(|(seq, open)| (*seq, open.step.clone())).collect();
    let mut facts = vec![Event::CancelRequested(CancelRequested {
        by: Caller::Api,
        why: "a rehearsal".to_owned(),
        id: None,
    })];
    facts.extend(open.iter().map(|(seq, _)| Event::StepCancelled(StepCancelled { seq: *seq })));
    let stops = open.into_iter().map(|(_, step)| step.step).collect();
    Some(Ok(Plan { stops, takes_back: taken_back(&mut run, facts, now)? }))
}

/// Plays on until nothing more is asked for.
fn taken_back(run: &mut Run, mut facts: Vec<Event>, now: Timestamp) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    while !facts.is_empty() && steps.len() < REHEARSAL_MAX {
        let decided = run.decide(now, std::mem::take(&mut facts)).ok()?;
        for event in decided.events {
            match event {
                Event::StepScheduled(step) if step.undo => {
                    steps.push(step.step);
                    facts.push(Event::StepCompleted(StepCompleted {
                        seq: step.seq,
                        answer: Value::Null,
                        attempts: 1,
                    }));
                }
                // From here on it would carry out something else.
                Event::StepScheduled(_) | Event::CommandCompleted(_) => return Some(steps),
                _ => {}
            }
        }
    }
    Some(steps)
}

fn nothing_to_cancel(run: &Run) -> Refusal {
    let words = match &run.folded().ended {
        Some(_) => {
            let words = "the run is over; nothing can be done to it any more";
            return Refusal::new("run.over", words);
        }
        None if run.folded().steps.values().any(|open| open.step.undo) => {
            "it is being taken back already, or deleted, which is not stopped".to_owned()
        }
        None => format!("no operation is under way; the run is {}", run.phase()),
    };
    Refusal::new("run.nothing-to-cancel", format!("there is nothing to cancel: {words}"))
}

#[cfg(test)]
mod tests;
