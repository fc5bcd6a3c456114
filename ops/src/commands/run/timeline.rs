//! `stead run timeline`: a waterfall for each command, with what other entities did for it and how
//! long its steps usually take.

use std::path::Path;

use serde_json::json;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::time::Timestamp;
use stead_schemas::trace::TraceId;
use stead_schemas::transition::Transition;

use crate::cli::Global;
use crate::cli::run::{Timeline as Options, Which};
use crate::commands::source::{self, Origin, Source};
use crate::exit::Ended;
use crate::output;
use crate::story::operations::{Operation, operations};
use crate::story::svg::{Drawn, picture};
use crate::story::timeline::{Below, Beneath, timeline};
use crate::story::usual::{Usual, kind};
use crate::story::{Moment, moments};

/// How many other runs are looked at for what is usual.
const OTHERS_MAX: usize = 90;

/// An operation that is drawn, and what is usual for it.
struct Shown {
    operation: Operation,
    usual: Usual,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Options) -> Result<(), Ended> {
    let source = source::open(global, &options.which.run).await?;
    draw(global, &source, options).await
}

/// Draws a run of a platform by itself.
pub async fn print(global: &Global, client: &SteadClient, which: &str) -> Result<(), Ended> {
    let source = source::of_platform(client.clone(), which).await?;
    let which = Which { run: which.to_owned() };
    draw(global, &source, &Options { which, svg: None, alone: true }).await
}

async fn draw(global: &Global, source: &Source, options: &Options) -> Result<(), Ended> {
    let history = moments(&source.history);
    let beneath = beneath(source, options.alone).await?;
    let alike = match options.alone {
        true => Vec::new(),
        false => source.alike(OTHERS_MAX).await?,
    };
    let shown: Vec<Shown> =
        operations(&history).into_iter().map(|one| shown(&history, one, &alike)).collect();
    let (now, width) = (now(source), output::width());
    if let Some(file) = &options.svg {
        write_picture(&source.run.to_string(), &shown, &beneath, now, file)?;
    }
    if global.json {
        let all = shown.iter().map(|one| as_json(&one.operation, &one.usual, &beneath));
        output::json(&all.collect::<Vec<_>>());
        return Ok(());
    }
    let drawn = shown.iter().map(|one| timeline(&one.operation, &beneath, &one.usual, now, width));
    output::line(&drawn.collect::<Vec<_>>().join("\n\n"));
    if let (false, Some(last)) = (options.alone, shown.last()) {
        output::note(&last.usual.legend());
        output::note(&format!("where runs are traced, this one is {}", TraceId::of(&source.run)));
    }
    Ok(())
}

/// What is open reaches to now; in a file it reaches to the history's end.
fn now(source: &Source) -> Timestamp {
    match source.from {
        Origin::Platform(_) => SystemClock.now(),
        Origin::Bundle(_) | Origin::File => {
            source.history.last().map_or_else(Default::default, |t| t.at)
        }
    }
}

fn shown(history: &[Moment], operation: Operation, alike: &[Vec<Transition>]) -> Shown {
    let usual = Usual::of(&kind(history, &operation), alike.iter().map(Vec::as_slice));
    Shown { operation, usual }
}

fn write_picture(
    run: &str,
    shown: &[Shown],
    beneath: &Beneath,
    now: Timestamp,
    file: &Path,
) -> Result<(), Ended> {
    // What stands beneath belongs to the steps of this run, whose numbers are used once.
    let drawn =
        shown.iter().map(|one| Drawn { operation: &one.operation, beneath, usual: &one.usual });
    let picture = picture(run, &drawn.collect::<Vec<_>>(), now);
    std::fs::write(file, picture)
        .map_err(|error| Ended::Failed(format!("cannot write {}: {error}", file.display())))?;
    output::note(&format!("the picture is {}", file.display()));
    Ok(())
}

/// What other entities carried out for steps of this run, and unless it is drawn alone what is usual
/// for it.
async fn beneath(source: &Source, alone: bool) -> Result<Beneath, Ended> {
    let mut beneath = Beneath::new();
    for other in source.related().await? {
        let history = moments(&other);
        let carried = operations(&history).into_iter().filter_map(|operation| {
            let StepAddress { run: from, seq } = operation.reply.clone()?;
            (from == source.run).then_some((seq, operation))
        });
        let carried: Vec<_> = carried.collect();
        let alike = match other.first() {
            Some(first) if !alone && !carried.is_empty() => {
                source.alike_to(&first.run, OTHERS_MAX).await?.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        beneath.extend(carried.into_iter().map(|(seq, operation)| {
            let Shown { operation, usual } = shown(&history, operation, &alike);
            (seq, Below { operation, usual })
        }));
    }
    Ok(beneath)
}

fn as_json(operation: &Operation, usual: &Usual, beneath: &Beneath) -> serde_json::Value {
    let steps = operation.steps.iter().map(|step| {
        let below = beneath.get(&step.seq);
        let below = below.map(|one| as_json(&one.operation, &one.usual, &Beneath::new()));
        let usual_ms = usual.of_step(&step.name).map(|usual| usual.as_millis());
        json!({
            "seq": step.seq, "step": step.name, "undo": step.is_undo, "attempts": step.attempts,
            "from": step.from, "until": step.until, "end": step.end.word(), "beneath": below,
            "usual_ms": usual_ms,
        })
    });
    let steps = steps.collect::<Vec<_>>();
    json!({
        "command": operation.id, "verb": operation.verb, "from": operation.from,
        "until": operation.until, "outcome": operation.outcome, "steps": steps,
        "usual_of": usual.operations,
    })
}
