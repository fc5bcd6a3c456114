//! The replay of one long history: within this process, and as a whole `stead replay`.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use stead_core::run::Run;
use stead_schemas::command::probe::KIND;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{CommandAccepted, Event, RunStarted, StepCompleted};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};
use stead_workflows::probe::DEFINITION;
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::time::Instant;

use super::load::{id, owner};
use super::report::{Spread, percentile};
use crate::assemble::BUILD;
use crate::cli::Global;
use crate::cli::demo::LongHistory;
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::story::table::sheet;

/// How often each is measured.
const TIMES: usize = 15;
/// Events beyond two for each step: a start, a command, its end and the run's.
const EVENTS_AROUND: u32 = 4;

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    what: &'static str,
    /// How many events the history has.
    pub events: usize,
    transitions: usize,
    bytes: usize,
    /// Decoding and replaying, within this process.
    pub replay_ms: f64,
    /// The same, each time.
    pub replay: Spread,
    /// The whole of `stead replay --file --json`.
    pub verb_ms: f64,
    build: &'static str,
}

/// Carries the measurement out.
pub async fn carry_out(global: &Global, history: &LongHistory) -> Result<(), Ended> {
    let report = measured(history).await?;
    show(global, &report);
    Ok(())
}

/// Measures; no server is needed.
pub async fn measured(history: &LongHistory) -> Result<Report, Ended> {
    let steps = history.events.saturating_sub(EVENTS_AROUND) / 2;
    let run = id(&owner()?, "long");
    let lines = written(&run, steps)?;
    let mut events = 0;
    let mut within = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        events = replayed(&run, &lines)?;
        within.push(began.elapsed());
    }
    let each: Vec<f64> = within.iter().map(|span| span.as_secs_f64() * 1_000.0).collect();
    Ok(Report {
        what: "the replay of one history",
        events,
        transitions: lines.len(),
        bytes: lines.iter().map(Vec::len).sum(),
        replay_ms: median(within),
        replay: Spread::of(&each, 1),
        verb_ms: median(verb(&lines).await?),
        build: BUILD,
    })
}

fn median(mut spans: Vec<Duration>) -> f64 {
    spans.sort_unstable();
    percentile(&spans, 50)
}

/// Lets a probe of so many steps decide, and keeps what an engine would write.
fn written(run: &RunId, steps: u32) -> Result<Vec<Vec<u8>>, Ended> {
    let mut probe = Run::new(DEFINITION, run.clone());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let answers = (1..=steps).map(|seq| {
        vec![Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts: 1, met: None })]
    });
    for (facts, n) in std::iter::once(beginning(steps)?).chain(answers).zip(1_u32..) {
        let at = Timestamp::from_millis(1_700_000_000_000 + i64::from(n));
        let decided = probe.decide(at, facts);
        let decided = decided.map_err(|illegal| Ended::Failed(with_causes(&illegal)))?;
        let transition = Transition {
            v: VERSION,
            run: run.clone(),
            n: n.into(),
            at,
            engine: "engine-bench".to_owned(),
            prev: lines.last().map(|line| link(line)).unwrap_or_default(),
            events: decided.events,
        };
        lines.push(transition.encode());
    }
    Ok(lines)
}

fn beginning(steps: u32) -> Result<Vec<Event>, Ended> {
    Ok(vec![
        Event::RunStarted(RunStarted {
            workflow: KIND.to_owned(),
            owner: owner()?,
            name: "long".to_owned(),
            build: BUILD.to_owned(),
        }),
        Event::CommandAccepted(CommandAccepted {
            id: "bench".to_owned(),
            verb: "start".to_owned(),
            payload: json!({ "steps": steps }),
            digest: String::new(),
            by: Caller::Api,
            reply: None,
            priority: stead_schemas::limit::Priority::Normal,
        }),
    ])
}

fn replayed(run: &RunId, lines: &[Vec<u8>]) -> Result<usize, Ended> {
    let mut probe = Run::new(DEFINITION, run.clone());
    let mut events = 0;
    for line in lines {
        let transition = Transition::decode(line);
        let transition = transition.map_err(|error| Ended::Failed(with_causes(&error)))?;
        let same = probe.replay(&transition);
        same.map_err(|divergence| Ended::Failed(with_causes(&divergence)))?;
        events += transition.events.len();
    }
    Ok(events)
}

async fn verb(lines: &[Vec<u8>]) -> Result<Vec<Duration>, Ended> {
    let failed = |error: std::io::Error| Ended::Failed(format!("cannot replay a file: {error}"));
    let mut file = NamedTempFile::new().map_err(failed)?;
    file.write_all(&lines.join(&b'\n')).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut spans = Vec::new();
    for _ in 0..TIMES {
        let mut verb = Command::new(&program);
        let verb = verb.arg("replay").arg("--json").arg("--file").arg(file.path());
        let began = Instant::now();
        let ended = verb.output().await.map_err(failed)?;
        spans.push(began.elapsed());
        if !ended.status.success() {
            let words = String::from_utf8_lossy(&ended.stderr).into_owned();
            return Err(Ended::Failed(format!("`stead replay` failed: {words}")));
        }
    }
    Ok(spans)
}

fn show(global: &Global, report: &Report) {
    if global.json {
        return output::json(report);
    }
    let Report { events, transitions, bytes, .. } = report;
    output::line(&format!(
        "a history of {events} events in {transitions} transitions, {bytes} bytes; medians of {TIMES}"
    ));
    output::line(&sheet(&[
        ("  replay", format!("{} ms, decoding included", report.replay_ms)),
        ("  stead replay", format!("{} ms as a process, from a file", report.verb_ms)),
    ]));
}
