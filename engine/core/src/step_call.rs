//! One step, from the asking to the answer.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{self, Poll};
use core::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stead_schemas::dispatch::Route;
use stead_schemas::event::Seq;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::policy::StepPolicy;
use stead_schemas::step::entity::CancelCommand;
use stead_schemas::step::{REQUEST_BYTES_MAX, Step};

use crate::context::Context;
use crate::shared::{Settled, Shape, Shared, Undo, Wanted};
use crate::size::{ASKED_BYTES_MAX, json_bytes, written_bytes};

/// The change with which a run measures what it asks for as it is written.
const ASKS_ARE_MEASURED: &str = "stead.asks-are-measured";

/// A step that is asked for when it is awaited.
///
/// How patient the run is with a worker:
///
/// ```
/// # use std::time::Duration;
/// # use stead_core::context::Context;
/// # use stead_schemas::failure::Failure;
/// # use stead_schemas::step::probe::Noop;
/// # async fn page(cx: Context) -> Result<(), Failure> {
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
/// cx.step(Noop { number: 1 })
///     .within(minutes(90)) // fails as timed out after that, whatever it waits for
///     .schedule_to_start(minutes(60)) // fails if no worker has begun with it by then
///     .start_to_close(minutes(10)) // one attempt; then another one is made
///     .heartbeat(minutes(1)) // a worker that says nothing for so long is dead
///     .attempts(20) // then the run is paused, and a person looks
///     .retry_for(minutes(45)) // the same, by time
///     .pauses(Duration::from_secs(1), minutes(1))
///     .pause_on_lasting() // a person looks at that, too
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// A child, which is a command to another entity, that ends with the operation, and one that is only
/// given:
///
/// ```
/// # use stead_core::context::Context;
/// # use stead_schemas::failure::Failure;
/// # use stead_schemas::step::home::Repair;
/// # async fn page(cx: Context) -> Result<(), Failure> {
/// cx.operation(async {
///     cx.step(Repair { owner: cx.owner() }).cancel_with_parent().await?;
///     cx.step(Repair { owner: cx.owner() }).detached().await
/// })
/// .await
/// .map(drop)
/// # }
/// ```
#[must_use = "a step is asked for when it is awaited"]
pub struct StepCall<S> {
    cx: Context,
    request: S,
    undo: Vec<Undo>,
    within: Duration,
    detached: bool,
    cancel_with_parent: bool,
    policy: StepPolicy,
}

impl<S: Step> StepCall<S> {
    pub(crate) fn new(cx: Context, request: S) -> Self {
        Self {
            cx,
            request,
            undo: Vec::new(),
            within: Duration::ZERO,
            detached: false,
            cancel_with_parent: false,
            policy: StepPolicy::default(),
        }
    }

    /// What takes this step back. It is known before the step is asked for, so that it covers
    /// the step that fails half-way or whose answer is lost, too. Said more than once, the last
    /// one is carried out first. Within an operation only ([`Context::operation`]): nobody else
    /// would carry it out, so that the step fails elsewhere and is not asked for.
    pub fn undo<U: Step>(mut self, request: U) -> Self {
        self.undo.push(undo_of(&request));
        self
    }

    /// Schedule-to-close: the time allowed for everything, waiting and all attempts together.
    /// After that the step fails as [`Class::TimedOut`].
    pub const fn within(mut self, span: Duration) -> Self {
        self.within = span;
        self
    }

    /// Schedule-to-start: the step fails if no worker has begun with it by then.
    pub fn schedule_to_start(mut self, span: Duration) -> Self {
        self.policy.schedule_to_start_ms = millis(span);
        self
    }

    /// Start-to-close: one attempt may take this long; then it is stopped and tried again.
    pub fn start_to_close(mut self, span: Duration) -> Self {
        self.policy.start_to_close_ms = millis(span);
        self
    }

    /// A worker that has said nothing for this long is taken for dead. Every worker says something
    /// every two seconds while it is at a step: a span that is not some times longer takes those
    /// for dead that are well.
    pub fn heartbeat(mut self, span: Duration) -> Self {
        self.policy.heartbeat_ms = millis(span);
        self
    }

    /// The run is paused after so many failed attempts. They are counted by the engine that makes
    /// them: one that takes over begins anew. What bounds them all is [`Self::retry_for`].
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.policy.attempts = attempts;
        self
    }

    /// The run is paused when the step has been tried in vain for this long; an hour if nothing
    /// is said. Waiting for a worker or for its turn is no such time. An engine that takes over
    /// counts the time before as tried, up to half of this.
    pub fn retry_for(mut self, span: Duration) -> Self {
        self.policy.retry_for_ms = millis(span);
        self
    }

    /// The pauses between attempts: doubled from the first one up to the longest.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.policy.first_pause_ms = millis(first);
        self.policy.pause_max_ms = millis(longest);
        self
    }

    /// Trouble that lasts pauses the run for a person to mend, instead of failing the step.
    pub const fn pause_on_lasting(mut self) -> Self {
        self.policy.pause_on_lasting = true;
        self
    }

    /// For a command to another entity: done as soon as it is accepted. What becomes of it is
    /// no longer this run's business. Any other step fails and is not asked for.
    pub const fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    /// For a command to another entity: if this operation fails, is cancelled or dropped, the
    /// command is cancelled as well, and what it did is taken back first. Otherwise the other
    /// entity goes on with it. Within an operation only, as [`Self::undo`]; elsewhere, and for any
    /// other step, the step fails and is not asked for.
    pub const fn cancel_with_parent(mut self) -> Self {
        self.cancel_with_parent = true;
        self
    }
}

impl<S: Step> IntoFuture for StepCall<S> {
    type Output = Result<S::Answer, Failure>;
    type IntoFuture = StepFuture<S>;

    fn into_future(self) -> StepFuture<S> {
        StepFuture { cx: self.cx.clone(), call: Some(self), open: None, answer: PhantomData }
    }
}

/// A step on its way. Dropped before it is settled, the step is no longer waited for.
pub struct StepFuture<S> {
    cx: Context,
    call: Option<StepCall<S>>,
    open: Option<Open>,
    answer: PhantomData<fn() -> S>,
}

/// A step that is asked for and not settled.
struct Open {
    seq: Seq,
    /// What cancels the command, where it ends with its parent.
    cancel: Option<Undo>,
}

impl<S> StepFuture<S> {
    /// The step's number in its run, while it is asked for and not settled; 0 otherwise.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.open.as_ref().map_or(0, |open| open.seq)
    }
}

// Nothing in it is pinned: the call is moved out on the first poll.
impl<S> Unpin for StepFuture<S> {}

impl<S: Step> Future for StepFuture<S> {
    type Output = Result<S::Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Self::Output> {
        if let Some(call) = self.call.take() {
            match schedule(call) {
                Ok(open) => self.open = Some(open),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
        let Some(open) = &self.open else { return Poll::Pending };
        let settled = self.cx.shared().borrow_mut().take_settled(open.seq);
        let Some(settled) = settled else { return Poll::Pending };
        self.open = None;
        Poll::Ready(read_answer::<S>(settled, self.cx.cancelled()))
    }
}

impl<S> Drop for StepFuture<S> {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        let cx = self.cx.clone();
        let Ok(mut shared) = self.cx.shared().try_borrow_mut() else { return };
        if shared.over {
            return;
        }
        // It may have been settled in the same moment, with nobody looking any more.
        if shared.take_settled(open.seq).is_none() {
            shared.drop_step(open.seq);
        }
        if let Some(cancel) = open.cancel {
            shared.aside.push(Box::pin(async move {
                cx.undo_apart(cancel).await;
            }));
        }
    }
}

impl Context {
    /// Takes something back, as the undo of a step does: tried until it succeeds, not stopped by
    /// a cancel.
    ///
    /// # Errors
    /// If this build cannot read the answer, somebody gave the undo up by hand, or the request is
    /// too large to travel.
    pub async fn take_back<S: Step>(&self, request: S) -> Result<S::Answer, Failure> {
        let undo = undo_of(&request);
        if let Some(words) = too_large_undo(&mut self.shared().borrow_mut(), &undo) {
            return Err(Failure::new(Class::Permanent, words).at(S::NAME));
        }
        let settled = self.undo_apart(undo).await;
        read_answer::<S>(settled.unwrap_or(Settled::Cancelled), None)
    }
}

impl Undo {
    /// The step that it is.
    pub(crate) fn wanted(self) -> Wanted {
        Wanted {
            step: self.step,
            route: self.route,
            request: self.request,
            request_bytes: self.request_bytes,
            within_ms: 0,
            undo: true,
            detached: false,
            policy: StepPolicy::default(),
            shape: Shape { request: any_value, answer: any_value },
        }
    }
}

/// Puts the step on the list of decisions, unless the operation has been cancelled or the
/// request is too large to travel.
fn schedule<S: Step>(call: StepCall<S>) -> Result<Open, Failure> {
    let mut shared = call.cx.shared().borrow_mut();
    if let Some(cancelled) = &shared.cancel {
        return Err(cancelled.clone());
    }
    let wanted = wanted(&call);
    if let Some(words) = too_large(&mut shared, &wanted, &call.undo) {
        return Err(Failure::new(Class::Permanent, words).at(S::NAME));
    }
    let is_covered = shared.current.is_some_and(|scope| shared.scopes.contains_key(&scope));
    if let Some(words) = misplaced(&call, &wanted.route, is_covered) {
        return Err(Failure::new(Class::Permanent, words).at(S::NAME));
    }
    let command = format!("{}:{}", shared.run, shared.next_seq);
    let cancel = call.cancel_with_parent.then(|| cancel_of(&wanted.route, command)).flatten();
    if let Some(scope) = shared.current.and_then(|scope| shared.scopes.get_mut(&scope)) {
        scope.undos.extend(call.undo);
        scope.undos.extend(cancel.clone());
    }
    Ok(Open { seq: shared.schedule(wanted), cancel })
}

fn wanted<S: Step>(call: &StepCall<S>) -> Wanted {
    let request = as_json(&call.request);
    Wanted {
        step: call.request.name(),
        route: call.request.route(),
        request_bytes: written_bytes(&request),
        request,
        within_ms: millis(call.within),
        undo: false,
        detached: call.detached,
        policy: call.policy,
        shape: Shape { request: check::<S>, answer: check::<S::Answer> },
    }
}

/// What is too large of a step: by itself, with what else is asked for at once, or to be taken back.
fn too_large(shared: &mut Shared, wanted: &Wanted, undos: &[Undo]) -> Option<String> {
    if is_request_too_large(shared, wanted) {
        let size = wanted.request_bytes;
        return Some(format!(
            "the request has {size} bytes, the limit for a step is {REQUEST_BYTES_MAX}; pass what is \
             large by reference"
        ));
    }
    let asked = shared.asked.since_fact + wanted.bytes();
    if asked > ASKED_BYTES_MAX && shared.changed(ASKS_ARE_MEASURED) {
        return Some(format!(
            "what is asked for at once would have {asked} bytes with this step, the limit is \
             {ASKED_BYTES_MAX}; ask for less at a time"
        ));
    }
    undos.iter().find_map(|undo| too_large_undo(shared, undo))
}

/// A build before [`ASKS_ARE_MEASURED`] took escaped characters for one byte each.
fn is_request_too_large(shared: &mut Shared, wanted: &Wanted) -> bool {
    wanted.request_bytes > REQUEST_BYTES_MAX
        && (json_bytes(&wanted.request) > REQUEST_BYTES_MAX || shared.changed(ASKS_ARE_MEASURED))
}

/// An undo is asked for when nothing can be decided any more, so that it is measured before.
fn too_large_undo(shared: &mut Shared, undo: &Undo) -> Option<String> {
    let size = undo.request_bytes;
    (size > REQUEST_BYTES_MAX && shared.changed("stead.undos-are-measured")).then(|| {
        format!(
            "the request of the undo `{}` has {size} bytes, the limit is {REQUEST_BYTES_MAX}; pass \
             what is large by reference",
            undo.step
        )
    })
}

/// What was said of a step and would come to nothing where it was said.
const fn misplaced<S>(call: &StepCall<S>, route: &Route, is_covered: bool) -> Option<&'static str> {
    let is_command = matches!(route, Route::Entity { .. });
    if call.detached && !is_command {
        return Some("only a command to another entity is detached: a worker's step has an answer");
    }
    if call.cancel_with_parent && !is_command {
        return Some("only a command to another entity is cancelled with its parent");
    }
    if call.cancel_with_parent && !is_covered {
        return Some(
            "it is to be cancelled with its parent, but is asked for outside of an operation, and \
             never would be",
        );
    }
    if !is_covered && !call.undo.is_empty() {
        return Some(
            "what takes it back is said outside of an operation, and would never be carried out",
        );
    }
    None
}

fn cancel_of(route: &Route, command: String) -> Option<Undo> {
    let Route::Entity { kind, owner, name } = route.clone() else { return None };
    Some(undo_of(&CancelCommand { kind, owner, name, command }))
}

fn undo_of<U: Step>(request: &U) -> Undo {
    let (step, route, request) = (request.name(), request.route(), as_json(request));
    Undo { step, route, request_bytes: written_bytes(&request), request }
}

fn read_answer<S: Step>(
    settled: Settled,
    cancelled: Option<Failure>,
) -> Result<S::Answer, Failure> {
    match settled {
        Settled::Done(answer) => serde_json::from_value(answer).map_err(|error| {
            let words = format!("this build cannot read the answer: {error}");
            Failure::new(Class::Permanent, words).at(S::NAME)
        }),
        Settled::Failed(failure) => Err(failure.at(S::NAME)),
        Settled::Cancelled | Settled::Fired => Err(cancelled
            .unwrap_or_else(|| Failure::new(Class::Cancelled, "it was cancelled"))
            .at(S::NAME)),
    }
}

fn check<T: serde::de::DeserializeOwned>(value: &Value) -> Result<(), String> {
    serde_json::from_value::<T>(value.clone()).map(|_| ()).map_err(|error| error.to_string())
}

fn any_value(_: &Value) -> Result<(), String> {
    Ok(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Requests and views are plain data; what JSON cannot hold shows as null and is caught by tests.
pub(crate) fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
