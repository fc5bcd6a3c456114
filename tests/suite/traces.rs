//! Traces from outside: the real processes send them to a collector that takes nothing which is not
//! to the letter, and are not held up where it does not answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use stead_schemas::dispatch::{Route, StepAddress};
use stead_schemas::event::{Event, Outcome, StepScheduled};
use stead_schemas::ids::RunId;
use stead_schemas::trace::{SpanId, TraceId};

use crate::metrics::{page, sum};
use crate::stage::collector::{Collector, Mood, Received};
use crate::stage::{CALL, Desk, Setting, Stage, free_addresses, until};

/// What the log keeps of a moment is no finer.
const MILLISECOND_NS: u64 = 1_000_000;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

async fn steps(john: &Desk, run: &RunId) -> Vec<StepScheduled> {
    let history = john.history(run).await.expect("a history");
    let events = history.into_iter().flat_map(|transition| transition.events);
    let steps = events.filter_map(|event| match event {
        Event::StepScheduled(step) => Some(step),
        _ => None,
    });
    steps.collect()
}

fn id_of(run: &RunId, seq: u32) -> String {
    SpanId::of_step(&StepAddress { run: run.clone(), seq }).to_string()
}

fn spans_of(collector: &Collector, run: &RunId) -> Vec<Received> {
    let trace = TraceId::of(run).to_string();
    collector.spans().into_iter().filter(|span| span.trace == trace).collect()
}

/// Whoever's parent is known lies within it.
fn check_order(spans: &[Received]) {
    let by_id: BTreeMap<&str, &Received> =
        spans.iter().map(|span| (span.id.as_str(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "no span is told twice");
    for span in spans {
        let Some(parent) = span.parent.as_ref().and_then(|id| by_id.get(id.as_str())) else {
            continue;
        };
        let begins = span.begun_ns + MILLISECOND_NS >= parent.begun_ns;
        let ends = span.ended_ns <= parent.ended_ns + MILLISECOND_NS;
        assert!(begins && ends, "{span:#?} is not within {parent:#?}");
    }
}

fn check_secrets(stage: &Stage, spans: &[Received]) {
    let told = format!("{spans:?}");
    for secret in stage.lab.secrets() {
        assert!(!told.contains(&secret), "a secret is in a span");
    }
}

fn children<'a>(spans: &'a [Received], id: &str, service: &str) -> Vec<&'a Received> {
    let beneath = spans.iter().filter(|span| span.parent.as_deref() == Some(id));
    beneath.filter(|span| span.service == service).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_is_one_trace_with_each_step_its_workers_and_their_calls() {
    let collector = Collector::start(Mood::Well).await;
    let traces = Some(collector.address);
    let stage = Stage::with(Setting { traces, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({})).await;
    let steps = steps(&john, &created.run).await;
    let by_workers: Vec<&StepScheduled> =
        steps.iter().filter(|step| step.route.is_worker()).collect();
    let all = until("every step and every worker has told its span", || async {
        let spans = spans_of(&collector, &created.run);
        let is_there = |id: &str| spans.iter().any(|span| span.id == id);
        let steps = steps.iter().all(|step| is_there(&id_of(&created.run, step.seq)));
        let workers = by_workers.iter().all(|step| {
            !children(&spans, &id_of(&created.run, step.seq), "stead-worker").is_empty()
        });
        let command = SpanId::of_command(&created.run, &created.command).to_string();
        (steps && workers && is_there(&command)).then_some(spans)
    });
    let spans = all.await;
    check_order(&spans);
    check_secrets(&stage, &spans);
    let command = spans.iter().find(|span| span.name == "workspace.create").expect("a command");
    assert_eq!(command.parent, Some(SpanId::of_run(&created.run).to_string()));
    assert_eq!((command.service.as_str(), command.kind), ("stead-engine", SERVER));
    for step in &steps {
        let id = id_of(&created.run, step.seq);
        let span = spans.iter().find(|span| span.id == id).expect("a span");
        assert_eq!((&span.name, span.parent.as_ref()), (&step.step, Some(&command.id)));
        assert_eq!((span.service.as_str(), span.kind), ("stead-engine", CLIENT), "{span:#?}");
        assert_eq!(span.about["stead.run"], created.run.as_str());
    }
    for step in by_workers {
        let at_work = children(&spans, &id_of(&created.run, step.seq), "stead-worker");
        assert!(at_work.iter().all(|span| span.name == step.step && span.kind == SERVER));
        let calls = at_work.iter().flat_map(|span| children(&spans, &span.id, "stead-worker"));
        let calls: Vec<&Received> = calls.collect();
        assert!(calls.iter().all(|call| call.kind == CLIENT), "{calls:#?}");
        let asks = ["coder.", "proxmox.", "truenas."].iter().any(|of| step.step.starts_with(of));
        assert!(!asks || !calls.is_empty(), "{} asked nobody", step.step);
    }
    check_other_runs(&stage, &collector, &created.run, &steps).await;
    stage.finish().await;
}

/// Every call that reached Proxmox is in some trace and named its span there, and the home knows which
/// step asked for it.
async fn check_other_runs(
    stage: &Stage,
    collector: &Collector,
    run: &RunId,
    steps: &[StepScheduled],
) {
    let calls = stage.lab.requests().into_iter().filter(|call| call.vendor == "proxmox");
    let named: BTreeSet<String> = calls.map(|call| call.trace.expect("a span is named")).collect();
    until("every call to Proxmox is told, as it was named there", || async {
        let spans = collector.spans();
        let told =
            spans.iter().filter(|span| span.about.get("peer.service") == Some(&"proxmox".into()));
        let told: BTreeSet<String> =
            told.map(|span| format!("00-{}-{}-01", span.trace, span.id)).collect();
        (told == named).then_some(())
    })
    .await;
    let attach = steps
        .iter()
        .find(|step| matches!(step.route, Route::Entity { ref kind, .. } if kind == "home"));
    let attach = id_of(run, attach.expect("a home is asked").seq);
    let link = (TraceId::of(run).to_string(), attach);
    until("the home's command names who asked", || async {
        let spans = collector.spans();
        spans
            .iter()
            .any(|span| span.name == "home.attach" && span.links.contains(&link))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_cancelled_is_a_whole_tree_that_ends_with_an_error() {
    let collector = Collector::start(Mood::Well).await;
    let traces = Some(collector.address);
    let stage = Stage::with(Setting { traces, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    stage.slow_down(CALL);
    let from = stage.events.count();
    let accepted = john.order("create", json!({})).await;
    let clones = |seen: &crate::stage::Seen| seen.scheduled() == Some("proxmox.clone-vm");
    stage.events.first("the machine is cloned", from, clones).await;
    let cancel = json!({ "run": accepted.run, "why": "the wrong size" });
    john.ask("run", "cancel", cancel).await.expect("a cancel is let in");
    assert!(matches!(john.outcome(&accepted).await, Outcome::Failed(_)));
    stage.lab.mend();
    let root = SpanId::of_run(&accepted.run).to_string();
    let whole = until("the run's own span is there", || async {
        let spans = spans_of(&collector, &accepted.run);
        let is_over = spans.iter().any(|span| span.id == root);
        is_over.then_some(spans)
    });
    let spans = whole.await;
    check_order(&spans);
    check_secrets(&stage, &spans);
    for span in spans.iter().filter(|span| span.id != root) {
        let parent = span.parent.as_ref().expect("a parent");
        assert!(spans.iter().any(|other| other.id == *parent), "{span:#?} hangs in the air");
    }
    let run = spans.iter().find(|span| span.id == root).expect("the run");
    assert_eq!((run.parent.as_ref(), run.name.as_str()), (None, "workspace"));
    assert_eq!(run.about["error.type"], "cancelled");
    let words = run.error.as_deref().expect("an error");
    assert!(words.contains("the wrong size"), "{words}");
    for step in steps(&john, &accepted.run).await {
        let id = id_of(&accepted.run, step.seq);
        let span = spans.iter().find(|span| span.id == id).expect("a span");
        assert_eq!(span.about.contains_key("stead.undo"), step.undo, "{span:#?}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_for_a_collector_and_what_it_does_not_take_is_counted() {
    let collector = Collector::start(Mood::Silent).await;
    let (addresses, traces) = (free_addresses(), Some(collector.address));
    let setting = Setting { metrics: Some(addresses), traces, ..Setting::default() };
    let stage = Stage::with(setting).await;
    let john = stage.desk("john").await;
    let probe = john.ask("probe", "start", json!({ "name": "p" })).await.expect("it is let in");
    assert!(matches!(john.outcome(&probe).await, Outcome::Done(_)));
    until("it is asked, and does not answer", || async { (collector.asked() > 0).then_some(()) })
        .await;
    john.carry_out("create", json!({})).await;
    collector.is(Mood::Away);
    let [engine, _, worker] = addresses;
    for address in [engine, worker] {
        until("spans are dropped, and counted", || async {
            let (_, text) = page(address, "/metrics").await?;
            let dropped = sum(&text, "stead_spans_total", &[("outcome", "dropped")]);
            (dropped > 0.0).then_some(())
        })
        .await;
    }
    john.carry_out("stop", json!({})).await;
    collector.is(Mood::Well);
    until("spans are taken again", || async { (!collector.spans().is_empty()).then_some(()) })
        .await;
    stage.finish().await;
}
