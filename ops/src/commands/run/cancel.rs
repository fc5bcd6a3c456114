//! `stead run cancel`: says what will be finished, taken back and kept, then asks for it.
//!
//! None of it is guessed: the run is replayed here and cancelled in rehearsal, each undo answered as
//! done. What it asked for on the way is taken back, and what the ledger has of it then is kept.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use stead_core::definition::Definition;
use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Caller, CommandReply, Route};
use stead_schemas::event::{
    CancelRequested, Event, Seq, StepCancelled, StepCompleted, StepScheduled,
};
use stead_schemas::ids::RunId;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::entity::CancelCommand;
use stead_schemas::step::{Step, home, volume};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

use super::find;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::again;
use crate::story::words::{counted, span};

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
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Plan {
    /// The steps that are stopped.
    stops: Vec<String>,
    /// The steps that other entities carry to their end all the same.
    finishes: Vec<String>,
    /// The steps that take things back, in order.
    takes_back: Vec<String>,
    /// What stays as it is.
    keeps: Vec<String>,
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
        let plan = plan.and_then(Result::ok);
        output::json(&json!({ "run": run, "cancelled": !order.dry_run, "plan": plan }));
    }
    Ok(())
}

fn told(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let mut say = |head: &str, next: &str, what: &[String]| {
        for (place, what) in what.iter().enumerate() {
            let head = if place == 0 { head } else { next };
            lines.push(format!("{head:<16}{what}"));
        }
    };
    let (none, nothing) = (plan.takes_back.is_empty(), plan.keeps.is_empty());
    say("stops", "", &plan.stops);
    say("finishes", "", &plan.finishes);
    say("takes back", "  and then", &plan.takes_back);
    say("takes back", "", &Vec::from_iter(none.then(|| NOTHING_MADE.to_owned())));
    say("keeps", "", &plan.keeps);
    say("keeps", "", &Vec::from_iter(nothing.then(|| "nothing".to_owned())));
    lines.join("\n")
}

/// There is nothing to take back.
const NOTHING_MADE: &str = "nothing: nothing has been made yet";

/// What a cancel would do now; nothing if this build decides otherwise than the history says, or
/// panics.
fn rehearse(history: &[Transition], now: Timestamp) -> Option<Result<Plan, Refusal>> {
    let id = history.first()?.run.clone();
    let definition = WORKFLOWS.iter().find(|known| known.kind == id.kind())?;
    again::caught(|| rehearse_by(*definition, id, history, now)).ok().flatten()
}

fn rehearse_by(
    definition: Definition,
    id: RunId,
    history: &[Transition],
    now: Timestamp,
) -> Option<Result<Plan, Refusal>> {
    let mut run = Run::new(definition, id);
    again::replay(&mut run, history).ok()?;
    if !run.can_cancel() {
        return Some(Err(nothing_to_cancel(&run)));
    }
    let open: Vec<(Seq, StepScheduled)> =
        run.folded().steps.iter().map(|(seq, open)| (*seq, open.step.clone())).collect();
    let mut facts = vec![Event::CancelRequested(CancelRequested {
        by: Caller::Api,
        why: "a rehearsal".to_owned(),
        command: run.command_under_way().map(str::to_owned),
        id: None,
    })];
    facts.extend(open.iter().map(|(seq, _)| Event::StepCancelled(StepCancelled { seq: *seq })));
    let decided = played_on(&mut run, facts, now)?;
    let takes_back: Vec<String> = undos(&decided).map(|step| step.step.clone()).collect();
    let is_cancelled = takes_back.iter().any(|step| step == CancelCommand::NAME);
    let (finishes, stops): (Vec<_>, Vec<_>) =
        open.iter().partition(|(_, step)| !is_cancelled && finished(step).is_some());
    let finishes = finishes.into_iter().filter_map(|(_, step)| finished(step)).collect();
    let stops = stops.into_iter().map(|(_, step)| step.step.clone()).collect();
    let mut ledger = Ledger::of(run.id(), history);
    decided.iter().for_each(|event| ledger.apply(event, now));
    let mut keeps: Vec<String> = ledger.held().iter().map(|held| held.resource.path()).collect();
    keeps
        .extend([home::KIND, volume::KIND].iter().filter_map(|kind| kept(kind, history, &decided)));
    Some(Ok(Plan { stops, finishes, takes_back, keeps }))
}

/// Plays on until nothing more is asked for, and returns all that is decided meanwhile.
fn played_on(run: &mut Run, mut facts: Vec<Event>, now: Timestamp) -> Option<Vec<Event>> {
    let mut all = Vec::new();
    while !facts.is_empty() && all.len() < REHEARSAL_MAX {
        for event in run.decide(now, std::mem::take(&mut facts)).ok()?.events {
            match &event {
                Event::StepScheduled(step) if step.undo => {
                    facts.push(Event::StepCompleted(StepCompleted {
                        seq: step.seq,
                        answer: Value::Null,
                        attempts: 1,
                        met: None,
                    }));
                }
                // From here on it would carry out something else.
                Event::StepScheduled(_) | Event::CommandCompleted(_) => return Some(all),
                _ => {}
            }
            all.push(event);
        }
    }
    Some(all)
}

fn undos(events: &[Event]) -> impl DoubleEndedIterator<Item = &StepScheduled> {
    scheduled(events).filter(|step| step.undo)
}

fn scheduled(events: &[Event]) -> impl DoubleEndedIterator<Item = &StepScheduled> {
    events.iter().filter_map(|event| match event {
        Event::StepScheduled(step) => Some(step),
        _ => None,
    })
}

/// What was asked of another entity, which knows nothing of the cancel.
fn finished(step: &StepScheduled) -> Option<String> {
    let Route::Entity { kind, owner, name } = &step.route else { return None };
    Some(format!("{}: the {kind} {owner}/{name} carries it to its end", step.step))
}

/// What becomes of the home or the volume that the run uses, if it uses one.
fn kept(kind: &str, history: &[Transition], decided: &[Event]) -> Option<String> {
    let is_of = |step: &StepScheduled, verb: &str| step.step == format!("{kind}.{verb}");
    let steps = history.iter().rev().flat_map(|transition| scheduled(&transition.events).rev());
    let mut steps = steps.take_while(|step| !is_of(step, "detach"));
    let attach = steps.find(|step| is_of(step, "attach"))?;
    if !undos(decided).any(|step| is_of(step, "detach")) {
        let mut events = history.iter().flat_map(|transition| &transition.events);
        let is_done =
            |event: &Event| matches!(event, Event::StepCompleted(done) if done.seq == attach.seq);
        return events.any(is_done).then(|| format!("the {kind}, as it is"));
    }
    Some(match attach.request["site"]["grace_seconds"].as_u64() {
        Some(0) => {
            format!("the {kind} only while another workspace uses it: the site grants no grace")
        }
        Some(grace) => {
            format!("the {kind} for {}, and while another workspace uses it", days(grace))
        }
        None => format!("the {kind} for the site's time of grace"),
    })
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

fn days(seconds: u64) -> String {
    match seconds / (24 * 60 * 60) {
        0 => span(Duration::from_secs(seconds)),
        days => counted(days, "day"),
    }
}

#[cfg(test)]
mod tests;
