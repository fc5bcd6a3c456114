//! `stead run timeline`: a waterfall for each command, with what other entities did for it.

use std::collections::BTreeSet;

use serde_json::json;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Route, StepAddress};
use stead_schemas::event::{Event, StepScheduled};
use stead_schemas::ids::{EntityKey, RunId};

use super::find;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::operations::{Operation, operations};
use crate::story::timeline::{Beneath, timeline};
use crate::story::{Moment, moments};

/// Draws it.
pub async fn print(global: &Global, client: &SteadClient, text: &str) -> Result<(), Ended> {
    let run = find::run(client, text).await?;
    let history = moments(&find::history(client, &run).await?);
    let beneath = beneath(client, &run, &history).await?;
    let (now, width) = (SystemClock.now(), output::width());
    if global.json {
        let all: Vec<_> = operations(&history).iter().map(|one| as_json(one, &beneath)).collect();
        output::json(&all);
        return Ok(());
    }
    let drawn = operations(&history);
    let drawn = drawn.iter().map(|operation| timeline(operation, &beneath, now, width));
    output::line(&drawn.collect::<Vec<_>>().join("\n\n"));
    Ok(())
}

/// What other entities carried out for steps of this run.
async fn beneath(client: &SteadClient, run: &RunId, history: &[Moment]) -> Result<Beneath, Ended> {
    let mut beneath = Beneath::new();
    let entities: BTreeSet<EntityKey> = history.iter().filter_map(asked_entity).collect();
    for entity in entities {
        for life in find::lives(client, &entity).await? {
            let its_own = operations(&moments(&find::history(client, &life).await?));
            beneath.extend(its_own.into_iter().filter_map(|operation| {
                let StepAddress { run: from, seq } = operation.reply.clone()?;
                (from == *run).then_some((seq, operation))
            }));
        }
    }
    Ok(beneath)
}

fn asked_entity(moment: &Moment) -> Option<EntityKey> {
    let Event::StepScheduled(StepScheduled { route, .. }) = &moment.event else { return None };
    match route {
        Route::Entity { kind, owner, name } => Some(EntityKey::of(kind, owner, name)),
        Route::Worker | Route::Outside => None,
    }
}

fn as_json(operation: &Operation, beneath: &Beneath) -> serde_json::Value {
    let steps = operation.steps.iter().map(|step| {
        let below = beneath.get(&step.seq).map(|below| as_json(below, &Beneath::new()));
        json!({
            "seq": step.seq, "step": step.name, "undo": step.is_undo, "attempts": step.attempts,
            "from": step.from, "until": step.until, "end": step.end.word(), "beneath": below,
        })
    });
    let steps = steps.collect::<Vec<_>>();
    json!({
        "command": operation.id, "verb": operation.verb, "from": operation.from,
        "until": operation.until, "outcome": operation.outcome, "steps": steps,
    })
}
