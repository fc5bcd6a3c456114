//! What a workflow may ask for.
//!
//! A workflow is a plain async function over a [`Context`]. It is replayed from its history, so
//! it must decide the same again: it has no clock but [`Context::now`], no chance, no input or
//! output but steps. Everything it awaits comes from here.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::{Future, IntoFuture, poll_fn};
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{self, Poll};
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_schemas::event::{CommandCompleted, Event, Outcome, Seq};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::step::Step;
use stead_schemas::time::Timestamp;

use crate::shared::{Settled, Shared, Undo, Wanted};

/// The time a step is allowed, all attempts together, where the workflow says nothing.
pub const STEP_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A workflow's one door to the world. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    shared: Rc<RefCell<Shared>>,
}

/// A command that the workflow is to carry out.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its id.
    pub id: String,
    /// What is asked: `resize`.
    pub verb: String,
    /// The order, as it was completed when it was accepted.
    pub payload: Value,
}

impl Command {
    /// Reads the order.
    ///
    /// # Errors
    /// If the payload is not of this shape: a build that does not know what another one accepted.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.payload.clone()).map_err(|error| {
            let words =
                alloc::format!("this build cannot read the order of `{}`: {error}", self.verb);
            Failure::new(Class::Permanent, words)
        })
    }
}

impl Context {
    pub(crate) fn new(shared: Rc<RefCell<Shared>>) -> Self {
        Self { shared }
    }

    /// The run itself; also the marker on everything it makes.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.shared.borrow().run.clone()
    }

    /// Whose run this is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.shared.borrow().started.owner.clone()
    }

    /// The entity's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.borrow().started.name.clone()
    }

    /// What was carried over, if the run has begun anew.
    ///
    /// # Errors
    /// If this build cannot read it.
    pub fn carried<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let Some(carried) = self.shared.borrow().carried.clone() else { return Ok(None) };
        serde_json::from_value(carried).map(Some).map_err(|error| {
            let words = alloc::format!("this build cannot read what was carried over: {error}");
            Failure::new(Class::Permanent, words)
        })
    }

    /// When the engine took the latest fact in. The same again on replay.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.borrow().now
    }

    /// How many transitions the history has since the run last began anew.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.shared.borrow().transitions
    }

    /// Whether a command waits to be taken.
    #[must_use]
    pub fn has_command(&self) -> bool {
        !self.shared.borrow().inbox.is_empty()
    }

    /// Takes a command that waits, if one does.
    #[must_use]
    pub fn waiting_command(&self) -> Option<Command> {
        self.shared.borrow_mut().inbox.pop_front()
    }

    /// Shows where the run stands to those who ask. Written nowhere: replay shows it again.
    pub fn show(&self, phase: &str, view: &impl Serialize) {
        let view = as_json(view);
        let mut shared = self.shared.borrow_mut();
        shared.phase = phase.to_string();
        shared.view = view;
    }

    /// Asks for a step. Nothing happens until the returned call is awaited.
    #[must_use = "a step is asked for when it is awaited"]
    pub fn step<S: Step>(&self, request: S) -> StepCall<S> {
        StepCall { cx: self.clone(), request, undo: Vec::new(), within: STEP_WITHIN }
    }

    /// Takes something back, as the undo of a step does: tried until it succeeds, not stopped by
    /// a cancel.
    ///
    /// # Errors
    /// If this build cannot read the answer.
    pub async fn take_back<S: Step>(&self, request: S) -> Result<S::Answer, Failure> {
        let undo = Undo { step: S::NAME, route: request.route(), request: as_json(&request) };
        read_answer::<S>(self.carry_out(undo).await, None)
    }

    /// Waits for the next command.
    pub async fn next_command(&self) -> Command {
        poll_fn(|_| match self.shared.borrow_mut().inbox.pop_front() {
            Some(command) => Poll::Ready(command),
            None => Poll::Pending,
        })
        .await
    }

    /// Waits for the next command, but no longer than `span`; then there is none. `reason` says
    /// what the wait is for.
    pub async fn next_command_within(&self, span: Duration, reason: &str) -> Option<Command> {
        let timer = self.shared.borrow_mut().start_timer(span, reason);
        poll_fn(|_| {
            let mut shared = self.shared.borrow_mut();
            if shared.settled.remove(&timer).is_some() {
                return Poll::Ready(None);
            }
            let Some(command) = shared.inbox.pop_front() else { return Poll::Pending };
            shared.drop_timer(timer);
            Poll::Ready(Some(command))
        })
        .await
    }

    /// Says how a command ended. Whoever gave it is told once this is in the log.
    pub fn complete(&self, command: &Command, outcome: Result<Value, Failure>) {
        let outcome = match outcome {
            Ok(result) => Outcome::Done(result),
            Err(failure) => Outcome::Failed(failure),
        };
        let completed = CommandCompleted { id: command.id.clone(), outcome };
        self.shared.borrow_mut().decisions.push(Event::CommandCompleted(completed));
    }

    /// Sleeps, durably. `reason` says what for.
    pub async fn sleep(&self, span: Duration, reason: &str) {
        let timer = self.shared.borrow_mut().start_timer(span, reason);
        poll_fn(|_| match self.shared.borrow_mut().settled.remove(&timer) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        })
        .await;
    }

    /// Runs `body` as one operation: if it fails or is cancelled, every step in it that has an
    /// undo is taken back, last one first, before the failure is returned.
    ///
    /// # Errors
    /// The failure of `body`.
    pub async fn operation<T>(
        &self,
        body: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.shared.borrow_mut().scopes.push(Vec::new());
        let mut result = body.await;
        // The last step may have been done before it could be stopped: a cancel that was let in
        // takes it back all the same.
        if let Some(cancelled) = self.cancelled() {
            result = result.and_then(|_| Err(cancelled));
        }
        if result.is_err() {
            self.undo_innermost().await;
        }
        let mut shared = self.shared.borrow_mut();
        shared.scopes.pop();
        if shared.scopes.is_empty() {
            shared.cancel = None;
        }
        result
    }

    async fn undo_innermost(&self) {
        self.shared.borrow_mut().undoing = true;
        loop {
            let undo = self.shared.borrow_mut().scopes.last_mut().and_then(Vec::pop);
            let Some(undo) = undo else { break };
            self.carry_out(undo).await;
        }
        self.shared.borrow_mut().undoing = false;
    }

    async fn carry_out(&self, undo: Undo) -> Settled {
        let seq = self.shared.borrow_mut().schedule(Wanted {
            step: undo.step,
            route: undo.route,
            request: undo.request,
            within_ms: 0,
            undo: true,
        });
        poll_fn(|_| self.poll_settled(seq)).await
    }

    fn cancelled(&self) -> Option<Failure> {
        self.shared.borrow().cancel.clone()
    }

    fn poll_settled(&self, seq: Seq) -> Poll<Settled> {
        match self.shared.borrow_mut().settled.remove(&seq) {
            Some(settled) => Poll::Ready(settled),
            None => Poll::Pending,
        }
    }
}

/// A step that is asked for when it is awaited.
#[must_use = "a step is asked for when it is awaited"]
pub struct StepCall<S> {
    cx: Context,
    request: S,
    undo: Vec<Undo>,
    within: Duration,
}

impl<S: Step> StepCall<S> {
    /// What takes this step back. It is known before the step is asked for, so that it covers
    /// the step that fails half-way or whose answer is lost, too. Said more than once, the last
    /// one is carried out first.
    pub fn undo<U: Step>(mut self, request: U) -> Self {
        let undo = Undo { step: U::NAME, route: request.route(), request: as_json(&request) };
        self.undo.push(undo);
        self
    }

    /// The time allowed for all attempts together.
    pub const fn within(mut self, span: Duration) -> Self {
        self.within = span;
        self
    }
}

impl<S: Step> IntoFuture for StepCall<S> {
    type Output = Result<S::Answer, Failure>;
    type IntoFuture = StepFuture<S>;

    fn into_future(self) -> StepFuture<S> {
        StepFuture { cx: self.cx.clone(), call: Some(self), seq: 0, answer: PhantomData }
    }
}

/// A step on its way.
pub struct StepFuture<S> {
    cx: Context,
    call: Option<StepCall<S>>,
    seq: Seq,
    answer: PhantomData<fn() -> S>,
}

// Nothing in it is pinned: the call is moved out on the first poll.
impl<S> Unpin for StepFuture<S> {}

impl<S: Step> Future for StepFuture<S> {
    type Output = Result<S::Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Self::Output> {
        if let Some(call) = self.call.take() {
            match schedule(call) {
                Ok(seq) => self.seq = seq,
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
        let settled = self.cx.poll_settled(self.seq);
        settled.map(|settled| read_answer::<S>(settled, self.cx.cancelled()))
    }
}

/// Puts the step on the list of decisions, unless the operation has been cancelled.
fn schedule<S: Step>(call: StepCall<S>) -> Result<Seq, Failure> {
    let mut shared = call.cx.shared.borrow_mut();
    if let Some(cancelled) = &shared.cancel {
        return Err(cancelled.clone());
    }
    if let Some(scope) = shared.scopes.last_mut() {
        scope.extend(call.undo);
    }
    Ok(shared.schedule(Wanted {
        step: S::NAME,
        route: call.request.route(),
        request: as_json(&call.request),
        within_ms: u64::try_from(call.within.as_millis()).unwrap_or(u64::MAX),
        undo: false,
    }))
}

fn read_answer<S: Step>(
    settled: Settled,
    cancelled: Option<Failure>,
) -> Result<S::Answer, Failure> {
    match settled {
        Settled::Done(answer) => serde_json::from_value(answer).map_err(|error| {
            let words = alloc::format!("this build cannot read the answer: {error}");
            Failure::new(Class::Permanent, words).at(S::NAME)
        }),
        Settled::Failed(failure) => Err(failure.at(S::NAME)),
        Settled::Cancelled | Settled::Fired => Err(cancelled
            .unwrap_or_else(|| Failure::new(Class::Cancelled, "it was cancelled"))
            .at(S::NAME)),
    }
}

/// Requests and views are plain data; what JSON cannot hold shows as null and is caught by tests.
fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
