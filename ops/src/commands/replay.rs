//! `stead replay`: a stored history, decided again by this build, told as a story.

use serde_json::json;
use stead_core::definition::Definition;
use stead_core::divergence::Divergence;
use stead_core::run::Run;
use stead_nats::SteadClient;
use stead_schemas::ids::RunId;
use stead_schemas::transition::{Transition, link};
use stead_workflows::WORKFLOWS;

use super::run::client;
use super::source::{self, Origin, Source};
use crate::assemble::BUILD;
use crate::cli::Global;
use crate::cli::run::Replay;
use crate::exit::Ended;
use crate::output;
use crate::story::again::{self, Otherwise};
use crate::story::words::counted;
use crate::story::{moments, story};

mod against;
mod at;
mod differ;
mod kept;
mod rehearse;
mod steps;

/// What a replay showed.
pub struct Verdict {
    /// Where the history was altered, if it was.
    pub chain: Result<(), String>,
    /// Where this build decides otherwise, or panics, if it does.
    pub decisions: Result<(), Otherwise>,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Replay) -> Result<(), Ended> {
    if options.all {
        return rehearse::carry_out(global, options.golden.as_deref()).await;
    }
    let source = match (&options.file, &options.run) {
        (Some(file), _) => source::open_file(file)?,
        (None, Some(run)) => source::open(global, run).await?,
        (None, None) => return Err(Ended::Usage("which run? Name one, or a --file".to_owned())),
    };
    if let Some(to) = &options.to {
        return at::carry_out(global, &source, to).await;
    }
    if let Some(build) = &options.against {
        return against::carry_out(global, &source, build).await;
    }
    if options.step_through {
        return steps::carry_out(&source).await;
    }
    let Source { run, history, .. } = &source;
    let verdict = verdict(&source)?;
    if global.json {
        output::json(&as_json(run, history.len(), &verdict));
    } else {
        output::line(&story(&moments(history), output::width_or(usize::MAX)));
    }
    conclude(global, history.len(), &verdict)
}

/// Replays a run and says in a line what that proved.
pub async fn prove(client: &SteadClient, which: &str) -> Result<String, Ended> {
    let source = source::of_platform(client.clone(), which).await?;
    let (history, verdict) = (&source.history, verdict(&source)?);
    wrong(&verdict)?;
    Ok(proven(history.len()))
}

/// What this build makes of a history.
pub fn verdict(source: &Source) -> Result<Verdict, Ended> {
    let verdict = judge(&source.run, &source.lines, &source.history)?;
    Ok(Verdict { chain: chain(source), ..verdict })
}

/// Where a history was altered, if it was; what was packed was looked at then, too, since under other
/// names each transition has a new digest.
pub fn chain(source: &Source) -> Result<(), String> {
    check_chain(&source.run, &source.lines, &source.history)?;
    let Origin::Bundle(bundle) = &source.from else { return Ok(()) };
    let listed = bundle.manifest.runs.iter().find(|listed| listed.run == source.run);
    match listed.and_then(|listed| listed.broken.as_ref()) {
        Some(words) => Err(format!("{words} (so it was when the bundle was made)")),
        None => Ok(()),
    }
}

/// What this build makes of these transitions of a run.
pub fn judge(run: &RunId, lines: &[Vec<u8>], history: &[Transition]) -> Result<Verdict, Ended> {
    let kind = run.kind();
    let Some(definition) = WORKFLOWS.iter().find(|known| known.kind == kind) else {
        let words = format!("{BUILD} has no workflow `{kind}`, so it cannot replay {run}");
        return Err(Ended::Failed(words));
    };
    Ok(judge_by(*definition, run, lines, history))
}

/// What a workflow makes of these transitions of a run.
fn judge_by(
    definition: Definition,
    run: &RunId,
    lines: &[Vec<u8>],
    history: &[Transition],
) -> Verdict {
    let decisions = again::replay(&mut Run::new(definition, run.clone()), history);
    Verdict { chain: check_chain(run, lines, history), decisions }
}

/// Each transition holds the digest of the one before it.
fn check_chain(run: &RunId, lines: &[Vec<u8>], history: &[Transition]) -> Result<(), String> {
    let mut before = String::new();
    for (line, transition) in lines.iter().zip(history) {
        let n = transition.n;
        if transition.run != *run {
            return Err(format!("transition {n} belongs to {}, not to {run}", transition.run));
        }
        if transition.prev != before {
            return Err(format!(
                "transition {n} does not follow from the one before it: that one was altered, or \
                 one between them is missing"
            ));
        }
        before = link(line);
    }
    Ok(())
}

fn conclude(global: &Global, transitions: usize, verdict: &Verdict) -> Result<(), Ended> {
    wrong(verdict)?;
    if !global.json {
        output::line(&format!("\n{}", proven(transitions)));
    }
    Ok(())
}

fn wrong(verdict: &Verdict) -> Result<(), Ended> {
    let mut wrong = Vec::new();
    if let Err(words) = &verdict.chain {
        wrong.push(format!("the history is not whole: {words}"));
    }
    if let Err(otherwise) = &verdict.decisions {
        wrong.push(differ::told(otherwise));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Ended::Failed(wrong.join("\n"))) }
}

fn proven(transitions: usize) -> String {
    let transitions = counted(u64::try_from(transitions).unwrap_or(u64::MAX), "transition");
    format!("the chain of {transitions} is whole, and {BUILD} decides the same at each of them")
}

fn as_json(run: &RunId, transitions: usize, verdict: &Verdict) -> serde_json::Value {
    let otherwise = verdict.decisions.as_ref().err();
    let (recorded, decided) = match otherwise {
        Some(Otherwise::Decides {
            divergence: Divergence::Other { recorded, decided, .. },
            ..
        }) => (Some(recorded), Some(decided)),
        _ => (None, None),
    };
    json!({
        "run": run, "build": BUILD, "transitions": transitions,
        "chain_is_whole": verdict.chain.is_ok(), "chain": verdict.chain.as_ref().err(),
        "decides_the_same": otherwise.is_none(), "divergence": otherwise.map(ToString::to_string),
        "recorded": recorded, "decided": decided,
    })
}

#[cfg(test)]
mod tests;
