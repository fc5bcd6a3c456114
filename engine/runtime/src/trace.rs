//! Traces: where spans go, and beneath which span one is at work.
//!
//! Nothing here knows who collects them. Without a collector none is made, and asking whether there is
//! one is all that it costs. `stead-core` finds an engine's spans in the history; here are a worker's:
//! each attempt that it carries out, and each call to a vendor that it makes for that.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use stead_schemas::dispatch::StepRequest;
use stead_schemas::trace::{Part, Role, Span, SpanId, TraceParent};

use crate::worker::StepResult;

/// Whoever collects spans.
pub trait Collector: Send + Sync {
    /// Takes a span, without waiting.
    fn take(&self, span: Span);
}

static COLLECTOR: OnceLock<Box<dyn Collector>> = OnceLock::new();

tokio::task_local! {
    static AT_WORK: AtWork;
    static CALLING: TraceParent;
}

/// The attempt that this piece of work belongs to.
struct AtWork {
    beneath: TraceParent,
    calls: AtomicU32,
}

/// From now on every span of this process goes there; the first one who says so is listened to.
pub fn collect(collector: Box<dyn Collector>) {
    if COLLECTOR.set(collector).is_err() {
        tracing::warn!("spans are collected already");
    }
}

/// Whether anybody collects spans.
#[must_use]
pub fn is_on() -> bool {
    COLLECTOR.get().is_some()
}

/// Hands a span to whoever collects them.
pub fn tell(span: Span) {
    if let Some(collector) = COLLECTOR.get() {
        collector.take(span);
    }
}

/// Carries out an attempt, in a span of its own if whoever asked for it is traced.
pub async fn attempt(request: &StepRequest, work: impl Future<Output = StepResult>) -> StepResult {
    let Some(parent) = request.trace.filter(|_| is_on()) else { return work.await };
    let id = SpanId::of_attempt(&request.address, request.attempt);
    let beneath = TraceParent { trace: parent.trace, span: id };
    let (at, begun_ns) = (AtWork { beneath, calls: AtomicU32::new(0) }, now_ns());
    let result = AT_WORK.scope(at, work).await;
    let failure = result.as_ref().err();
    let mut about = vec![
        ("stead.run", request.address.run.as_str().into()),
        ("stead.step", request.address.seq.into()),
    ];
    about.extend(failure.map(|failure| ("error.type", failure.class.word().into())));
    tell(Span {
        trace: parent.trace,
        id,
        parent: Some(parent.span),
        asked_by: None,
        by: Part::Worker,
        role: Role::Server,
        name: request.step.clone(),
        begun_ns,
        ended_ns: now_ns().max(begun_ns),
        about,
        error: failure.map(ToString::to_string),
    });
    result
}

/// A call to a vendor, from now on; nothing where nobody traces what it is made for.
#[must_use]
pub fn call(system: &'static str, operation: &'static str) -> Option<CallSpan> {
    if !is_on() {
        return None;
    }
    let made = AT_WORK.try_with(|at| {
        let n = at.calls.fetch_add(1, Ordering::Relaxed);
        CallSpan { beneath: at.beneath, n, system, operation, begun_ns: now_ns() }
    });
    made.ok()
}

/// See [`call`].
#[derive(Debug)]
pub struct CallSpan {
    beneath: TraceParent,
    n: u32,
    system: &'static str,
    operation: &'static str,
    begun_ns: u64,
}

/// The call to a vendor that is being made: what the vendor does for it is beneath it. Nothing where
/// nobody traces what it is made for.
#[must_use]
pub fn calling() -> Option<TraceParent> {
    CALLING.try_with(|call| *call).ok()
}

impl CallSpan {
    /// Makes the call; [`calling`] names this span meanwhile.
    pub async fn making<T>(&self, call: impl Future<Output = T>) -> T {
        CALLING.scope(TraceParent { span: self.id(), ..self.beneath }, call).await
    }

    fn id(&self) -> SpanId {
        self.beneath.span.of_call(self.n)
    }

    /// The call is over; `outcome` is the word for what its answer meant.
    pub fn ends(self, outcome: &'static str, is_error: bool) {
        let mut about =
            vec![("peer.service", self.system.into()), ("stead.outcome", outcome.into())];
        about.extend(is_error.then(|| ("error.type", outcome.into())));
        tell(Span {
            trace: self.beneath.trace,
            id: self.id(),
            parent: Some(self.beneath.span),
            asked_by: None,
            by: Part::Worker,
            role: Role::Client,
            name: format!("{} {}", self.system, self.operation),
            begun_ns: self.begun_ns,
            ended_ns: now_ns().max(self.begun_ns),
            about,
            error: is_error.then(|| outcome.to_owned()),
        });
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use stead_schemas::dispatch::{StepAddress, StepRequest};
    use stead_schemas::failure::{Class, Failure};
    use stead_schemas::ids::Partition;
    use stead_schemas::proof::Proof;
    use stead_schemas::trace::{Span, TraceParent};

    use super::{Collector, attempt, call, calling, collect};

    static TOLD: Mutex<Vec<Span>> = Mutex::new(Vec::new());

    struct Told;

    impl Collector for Told {
        fn take(&self, span: Span) {
            TOLD.lock().unwrap().push(span);
        }
    }

    fn request(trace: Option<TraceParent>) -> StepRequest {
        let run = "workspace-27ytv97dprxd6njw-1".parse().unwrap();
        StepRequest {
            address: StepAddress { run, seq: 3 },
            attempt: 1,
            partition: Partition(0),
            epoch: 1,
            step: "proxmox.clone-vm".into(),
            request: json!({}),
            proof: Proof::default(),
            tell_start: false,
            trace,
        }
    }

    async fn work() -> Result<serde_json::Value, Failure> {
        for (outcome, is_error) in [("missing", false), ("vendor-down", true)] {
            assert_eq!(calling(), None);
            if let Some(span) = call("proxmox", "look") {
                let told = span.making(async { calling() }).await;
                assert_eq!(
                    told.map(|told| (told.trace, told.span)),
                    Some((span.beneath.trace, span.id()))
                );
                span.ends(outcome, is_error);
            }
        }
        Err(Failure::new(Class::VendorDown, "nobody answers"))
    }

    #[tokio::test]
    async fn an_attempt_is_told_with_its_calls_where_whoever_asks_traces_and_nowhere_else() {
        let traced = request(Some(TraceParent::of_step(&request(None).address)));
        attempt(&traced, work()).await.unwrap_err();
        assert!(TOLD.lock().unwrap().is_empty(), "nobody collects");
        collect(Box::new(Told));
        attempt(&request(None), work()).await.unwrap_err();
        work().await.unwrap_err();
        assert!(TOLD.lock().unwrap().is_empty(), "nobody traces what is asked for");
        attempt(&traced, work()).await.unwrap_err();
        let told = TOLD.lock().unwrap();
        let [first, second, whole] = &told[..] else { panic!("{told:?}") };
        assert_eq!(
            (whole.parent, &*whole.name),
            (traced.trace.map(|p| p.span), "proxmox.clone-vm")
        );
        assert_eq!(whole.error.as_deref(), Some("nobody answers"));
        assert_eq!((first.parent, second.parent), (Some(whole.id), Some(whole.id)));
        assert_ne!(first.id, second.id);
        assert_eq!((first.error.as_deref(), second.error.as_deref()), (None, Some("vendor-down")));
    }
}
