//! What can be done to a run by hand: `stead run pause`, `skip`, `terminate` and so on. The
//! engine decides whether it makes sense; here it is only said.

use serde_json::{Map, Value, json};
use stead_core::definition::Definition;
use stead_core::fold::Folded;
use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Caller, CommandReply};
use stead_schemas::event::{ByHand, Event, LeftBehind, Seq, TerminateRequested, UndoAbandoned};
use stead_schemas::ids::RunId;
use stead_schemas::ledger::Standing;
use stead_schemas::refusal::Refusal;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

use super::find;
use crate::cli::Global;
use crate::cli::run::{Edited, Order, Signal, Skipped, Stepped, Terminated};
use crate::exit::Ended;
use crate::output;
use crate::story::again;

/// Carries an order out.
pub async fn carry_out(
    global: &Global,
    client: &SteadClient,
    which: &str,
    order: &Order<'_>,
) -> Result<(), Ended> {
    let run = find::run(client, which).await?;
    let fields = order.fields()?;
    give(global, client, &run, order.verb(), order.why(), fields).await
}

/// Says what a run would leave behind, then ends it.
pub async fn terminate(
    global: &Global,
    client: &SteadClient,
    terminated: &Terminated,
) -> Result<(), Ended> {
    let run = find::run(client, &terminated.which.run).await?;
    let left = left_behind(&find::history(client, &run).await?);
    match &left {
        Some(left) if !global.json => output::line(&told(left)),
        Some(_) => {}
        None => output::warn("this build cannot rehearse it; what will stay is not known"),
    }
    if terminated.dry_run {
        if global.json {
            output::json(&json!({ "run": run, "terminated": false, "left": left }));
        }
        return Ok(());
    }
    give(global, client, &run, "terminate", &terminated.why, Map::new()).await
}

/// Says what would stay behind if an undo were given up; all that wait, if none is named.
pub async fn rehearse_abandon(
    global: &Global,
    client: &SteadClient,
    asked: &Stepped,
) -> Result<(), Ended> {
    let run = find::run(client, &asked.which.run).await?;
    let left = given_up(&find::history(client, &run).await?, asked.step);
    if left.is_empty() {
        let words = "no undo is open that could be given up; `stead run why` says what is";
        return Err(Ended::Refused(Refusal::new("run.nothing-to-abandon", words)));
    }
    match global.json {
        true => output::json(&json!({ "run": run, "abandoned": false, "left": left })),
        false => output::line(&format!("leaves behind   {}", left.join("\n                "))),
    }
    Ok(())
}

/// What nobody would take back any more: the undo as it was asked for, and what the ledger has of it.
fn given_up(history: &[Transition], step: Option<Seq>) -> Vec<String> {
    let Some(first) = history.first() else { return Vec::new() };
    let (mut folded, mut ledger) = (Folded::default(), Ledger::new(first.run.clone()));
    for transition in history {
        ledger.take(transition);
        for event in &transition.events {
            folded.apply(event, transition.at).ok();
        }
    }
    let mut left = Vec::new();
    let undos = folded.steps.iter().filter(|(_, open)| open.step.undo);
    for (seq, open) in undos.filter(|(seq, _)| step.is_none_or(|step| step == **seq)) {
        let (name, request) = (&open.step.step, &open.step.request);
        left.push(format!("{name} ({seq}) {request}"));
        let order = ByHand { by: Caller::Api, why: "a rehearsal".to_owned(), id: None };
        let event = Event::UndoAbandoned(UndoAbandoned { seq: *seq, order });
        ledger.apply(&event, folded.started_at);
        let held = ledger.held().iter().filter(|held| held.standing == Standing::Left);
        left.extend(
            held.filter(|held| held.step == *name)
                .map(|held| format!("{}, which nobody will take away", held.resource.path())),
        );
    }
    left
}

async fn give(
    global: &Global,
    client: &SteadClient,
    run: &RunId,
    verb: &str,
    why: &str,
    mut fields: Map<String, Value>,
) -> Result<(), Ended> {
    let owner = find::view(client, run).await?.summary.owner;
    fields.insert("run".to_owned(), json!(run));
    fields.insert("why".to_owned(), json!(why));
    match client.command(&owner, "run", verb, &fields).await? {
        CommandReply::Accepted(accepted) if global.json => output::json(&accepted),
        CommandReply::Accepted(_) => {
            output::line(&format!("{run}: {verb} is in its history"));
            output::note(&format!("`stead run why {run}` says what it waits for now"));
        }
        CommandReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
    }
    Ok(())
}

/// What the run would leave behind if it were ended now; nothing if this build decides otherwise
/// than its history says, or panics.
fn left_behind(history: &[Transition]) -> Option<Vec<LeftBehind>> {
    let id = history.first()?.run.clone();
    let definition = WORKFLOWS.iter().find(|known| known.kind == id.kind())?;
    again::caught(|| left_by(*definition, id, history)).ok().flatten()
}

fn left_by(definition: Definition, id: RunId, history: &[Transition]) -> Option<Vec<LeftBehind>> {
    let mut run = Run::new(definition, id);
    again::replay(&mut run, history).ok()?;
    let order = ByHand { by: Caller::Api, why: "a rehearsal".to_owned(), id: None };
    let request = Event::TerminateRequested(TerminateRequested { order });
    let decided = run.decide(SystemClock.now(), vec![request]).ok()?;
    decided.events.into_iter().find_map(|event| match event {
        Event::RunTerminated(terminated) => Some(terminated.left),
        _ => None,
    })
}

fn told(left: &[LeftBehind]) -> String {
    if left.is_empty() {
        return "leaves behind   what the run has made, which `stead ledger` lists: nobody looks \
                after it any more; no operation is open that would take something back"
            .to_owned();
    }
    let lines = left.iter().map(|left| format!("{} ({}) {}", left.step, left.why, left.request));
    format!("leaves behind   {}", lines.collect::<Vec<_>>().join("\n                "))
}

impl Order<'_> {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Retry(_) => "retry",
            Self::Abandon(_) => "abandon",
            Self::Skip(_) => "skip",
            Self::Edit(_) => "edit",
            Self::Signal(_) => "signal",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Pause(why) | Self::Resume(why) => why,
            Self::Retry(Stepped { why, .. }) | Self::Abandon(Stepped { why, .. }) => why,
            Self::Skip(Skipped { why, .. }) => why,
            Self::Edit(Edited { why, .. }) => why,
            Self::Signal(Signal { why, .. }) => why,
        }
    }

    fn fields(&self) -> Result<Map<String, Value>, Ended> {
        let fields = match self {
            Self::Pause(_) | Self::Resume(_) => json!({}),
            Self::Retry(Stepped { step, .. }) | Self::Abandon(Stepped { step, .. }) => {
                json!({ "step": step })
            }
            Self::Skip(Skipped { step, answer, .. }) => {
                json!({ "step": step, "answer": read_json("--answer", answer)? })
            }
            Self::Edit(Edited { step, set, .. }) => {
                json!({ "step": step, "fields": read_fields(set)? })
            }
            Self::Signal(Signal { signal, payload, .. }) => {
                json!({ "signal": signal, "payload": read_json("--payload", payload)? })
            }
        };
        Ok(fields.as_object().cloned().unwrap_or_default())
    }
}

fn read_json(option: &str, text: &str) -> Result<Value, Ended> {
    serde_json::from_str(text)
        .map_err(|error| Ended::Usage(format!("{option} wants JSON, such as '{{}}': {error}")))
}

/// `cores=4` sets a number, `node=pve2` a text.
fn read_fields(set: &[String]) -> Result<Map<String, Value>, Ended> {
    set.iter()
        .map(|pair| {
            let (field, text) = pair
                .split_once('=')
                .ok_or_else(|| Ended::Usage(format!("--set wants FIELD=VALUE, not `{pair}`")))?;
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            Ok((field.to_owned(), value))
        })
        .collect()
}
