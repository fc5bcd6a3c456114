//! Traces every attempt of the tests, and checks that each vendor was told beneath which span it worked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use serde_json::Value;
use stead_lab::Lab;
use stead_runtime::trace::{self, Collector};
use stead_runtime::worker::StepResult;
use stead_schemas::dispatch::{StepAddress, StepRequest};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::trace::{About, Span, SpanId, TraceParent};

/// What was told of attempts that are not over: their calls, by the attempt.
static TOLD: Mutex<BTreeMap<SpanId, Vec<Span>>> = Mutex::new(BTreeMap::new());

/// TrueNAS is asked over one WebSocket, where a call has no headers; notices go to no vendor.
const WITHOUT: [&str; 2] = ["notify", "truenas"];
/// Outcomes of calls that were surely answered.
const ANSWERED: [&str; 3] = ["done", "missing", "already"];

struct Told;

impl Collector for Told {
    fn take(&self, span: Span) {
        let Some(parent) = span.parent else { return };
        told().entry(parent).or_default().push(span);
    }
}

fn told() -> MutexGuard<'static, BTreeMap<SpanId, Vec<Span>>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to collect spans; once for all tests.
pub(super) fn collect() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| trace::collect(Box::new(Told)));
}

/// Carries out an attempt that is traced, and checks that each vendor which answered was told.
pub(super) async fn attempt(
    lab: &Lab,
    step: &str,
    work: impl Future<Output = StepResult>,
) -> StepResult {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let address = StepAddress { run: super::run(), seq: ASKED.fetch_add(1, Ordering::Relaxed) };
    let request = StepRequest {
        trace: Some(TraceParent::of_step(&address)),
        address,
        attempt: 1,
        partition: Partition(0),
        epoch: 1,
        step: step.to_owned(),
        request: Value::Null,
        proof: Proof::default(),
        tell_start: false,
    };
    let result = trace::attempt(&request, work).await;
    let of_this = SpanId::of_attempt(&request.address, request.attempt);
    let calls = told().remove(&of_this).unwrap_or_default();
    told().remove(&SpanId::of_step(&request.address));
    for (vendor, header) in calls.iter().filter_map(answered) {
        assert!(lab.was_told(&vendor, &header), "{vendor} was not told {header}");
    }
    result
}

/// What the header of a call must have been, if it was surely answered and has headers.
fn answered(call: &Span) -> Option<(String, String)> {
    let (vendor, outcome) = (about(call, "peer.service"), about(call, "stead.outcome"));
    let is_one = ANSWERED.contains(&outcome) && !WITHOUT.contains(&vendor);
    let header = TraceParent { trace: call.trace, span: call.id }.to_string();
    is_one.then(|| (vendor.to_owned(), header))
}

fn about<'a>(call: &'a Span, what: &str) -> &'a str {
    match call.about.iter().find(|(name, _)| *name == what) {
        Some((_, About::Text(text))) => text,
        _ => panic!("{call:?} has no {what}"),
    }
}
