//! What a workflow may ask for.
//!
//! A workflow is a plain async function over a [`Context`]. It is replayed from its history, so
//! it must decide the same again: it has no clock but [`Context::now`], no chance, no input or
//! output but steps. Everything it awaits comes from here.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{self, Poll};
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_schemas::event::{CommandCompleted, Event, Noted, Outcome, Seq};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::step::Step;
use stead_schemas::time::Timestamp;

use crate::shared::{Shared, Wait};
use crate::size::{VIEW_BYTES_MAX, json_bytes};
use crate::step_call::{StepCall, as_json};

/// How many transitions a history has when its run should begin anew at the next quiet point.
const ANEW_AFTER: u64 = 200;

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

    pub(crate) fn shared(&self) -> &RefCell<Shared> {
        &self.shared
    }

    pub(crate) fn cancelled(&self) -> Option<Failure> {
        self.shared.borrow().cancel.clone()
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

    /// Whether a workflow that has nothing open should end with [`Ending::ContinueAsNew`]: its
    /// history has become long, and no command waits. Whoever lives long asks this before it
    /// waits for the next command, so that its history stays short.
    ///
    /// [`Ending::ContinueAsNew`]: crate::definition::Ending::ContinueAsNew
    #[must_use]
    pub fn should_begin_anew(&self) -> bool {
        self.transitions() > ANEW_AFTER && !self.has_command()
    }

    /// Whether a command waits to be taken.
    #[must_use]
    pub fn has_command(&self) -> bool {
        !self.shared.borrow().inbox.is_empty()
    }

    /// Takes a command that waits, if one does.
    #[must_use]
    pub fn waiting_command(&self) -> Option<Command> {
        self.shared.borrow_mut().next_command()
    }

    /// Shows where the run stands to those who ask. Written nowhere: replay shows it again. A view
    /// of more than [`VIEW_BYTES_MAX`] would reach nobody: that it is too large is shown instead.
    pub fn show(&self, phase: &str, view: &impl Serialize) {
        let view = as_json(view);
        let mut shared = self.shared.borrow_mut();
        shared.phase = phase.to_string();
        let bytes = json_bytes(&view);
        shared.view = match bytes > VIEW_BYTES_MAX && shared.changed("stead.views-are-measured") {
            true => {
                let words =
                    alloc::format!("the view has {bytes} bytes, the limit is {VIEW_BYTES_MAX}");
                words.into()
            }
            false => view,
        };
    }

    /// Asks for a step. Nothing happens until the returned call is awaited.
    #[must_use = "a step is asked for when it is awaited"]
    pub fn step<S: Step>(&self, request: S) -> StepCall<S> {
        StepCall::new(self.clone(), request)
    }

    /// Whether this run decides as builds with the change `name` do. A run that came past this
    /// point with an older build goes on without the change until it begins anew; every other
    /// one has it. Ask before each thing that is decided otherwise, and keep both ways for as
    /// long as such runs live. Names that begin with `stead.` are the engine's own.
    ///
    /// ```
    /// # use stead_core::context::Context;
    /// # use stead_schemas::failure::Failure;
    /// # use stead_schemas::step::probe::Noop;
    /// # async fn page(cx: Context) -> Result<(), Failure> {
    /// if cx.changed("looks-first") {
    ///     cx.step(Noop { number: 1 }).await?;
    /// }
    /// cx.step(Noop { number: 2 }).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn changed(&self, name: &str) -> bool {
        self.shared.borrow_mut().changed(name)
    }

    /// Waits for the next signal of this name and reads what it says. Signals of other names
    /// stay where they are. The name must be among the definition's
    /// [`signals`](crate::definition::Definition::signals): no other one is let in, so that waiting
    /// for it fails at once.
    ///
    /// ```
    /// # use stead_core::context::Context;
    /// # use stead_schemas::failure::{Class, Failure};
    /// # async fn page(cx: Context) -> Result<(), Failure> {
    /// if !cx.signal::<bool>("approve").await? {
    ///     return Err(Failure::new(Class::Refused, "somebody did not approve"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the signal is not of this shape, if the definition does not name it, or if the operation
    /// that waits for it is cancelled.
    pub async fn signal<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let payload = Heard { cx: self.clone(), name, waits: None }.await?;
        serde_json::from_value(payload).map_err(|error| {
            let words = alloc::format!("the signal `{name}` cannot be read: {error}");
            Failure::new(Class::Permanent, words)
        })
    }

    /// Waits for the next command.
    pub async fn next_command(&self) -> Command {
        poll_fn(|_| match self.shared.borrow_mut().next_command() {
            Some(command) => Poll::Ready(command),
            None => Poll::Pending,
        })
        .await
    }

    /// Waits for the next command, but no longer than `span`; then there is none. `reason` says
    /// what the wait is for.
    pub async fn next_command_within(&self, span: Duration, reason: &str) -> Option<Command> {
        self.next_command_before(self.timer(span, Wait { reason, for_person: false })).await
    }

    /// The same where nothing goes on until somebody gives one: the run is shown as one that waits
    /// for a person. `reason` says what he is to do.
    pub async fn next_command_of_person(&self, span: Duration, reason: &str) -> Option<Command> {
        self.next_command_before(self.timer(span, Wait { reason, for_person: true })).await
    }

    async fn next_command_before(&self, mut timer: Timer<'_>) -> Option<Command> {
        poll_fn(|waker| {
            if Pin::new(&mut timer).poll(waker).is_ready() {
                return Poll::Ready(None);
            }
            let command = self.shared.borrow_mut().next_command();
            command.map_or(Poll::Pending, |command| Poll::Ready(Some(command)))
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

    /// Says something for whoever reads the history. `what` is for machines, `words` for people.
    pub fn note(&self, what: &str, words: impl Into<String>, about: &impl Serialize) {
        let noted = Noted { what: what.to_string(), words: words.into(), about: as_json(about) };
        self.shared.borrow_mut().decisions.push(Event::Noted(noted));
    }

    /// Sleeps, durably. `reason` says what for. Inside an operation that is cancelled it ends at
    /// once, and the next step says why.
    pub async fn sleep(&self, span: Duration, reason: &str) {
        self.timer(span, Wait { reason, for_person: false }).await;
    }

    /// Sleeps, durably, until then; not at all if that has passed. `reason` says what for.
    pub async fn sleep_until(&self, then: Timestamp, reason: &str) {
        let span = then.since(self.now());
        if !span.is_zero() {
            self.sleep(span, reason).await;
        }
    }

    fn timer<'a>(&self, span: Duration, wait: Wait<'a>) -> Timer<'a> {
        Timer { cx: self.clone(), span, wait, seq: None }
    }
}

/// The next signal of a name. Whoever asks what the run waits for is told of it until it comes, or
/// its future is dropped.
struct Heard<'a> {
    cx: Context,
    name: &'a str,
    /// While it waits.
    waits: Option<u64>,
}

impl Future for Heard<'_> {
    type Output = Result<Value, Failure>;

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Self::Output> {
        let cx = self.cx.clone();
        let mut shared = cx.shared.borrow_mut();
        let name = self.name;
        let place = shared.signals.iter().position(|signal| signal.name == name);
        let heard = match place.and_then(|place| shared.signals.remove(place)) {
            Some(signal) => Ok(signal.payload),
            None => match unheard(&mut shared, name, self.waits.is_some()) {
                Some(failure) => Err(failure),
                None => {
                    self.waits.get_or_insert_with(|| shared.await_signal(name));
                    return Poll::Pending;
                }
            },
        };
        if let Some(waits) = self.waits.take() {
            shared.awaited.remove(&waits);
        }
        Poll::Ready(heard)
    }
}

/// Why a signal that has not come is not waited for, or not any longer.
fn unheard(shared: &mut Shared, name: &str, waits: bool) -> Option<Failure> {
    let is_listed = waits || shared.listed.contains(&name);
    if !is_listed && shared.changed("stead.signals-are-listed") {
        let words = alloc::format!(
            "it waits for the signal `{name}`, which its definition does not name: nobody could \
             send it"
        );
        return Some(Failure::new(Class::Permanent, words));
    }
    if shared.is_cancelled_here() && shared.changed("stead.cancels-end-waits") {
        return shared.cancel.clone();
    }
    None
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        let Some(waits) = self.waits else { return };
        if let Ok(mut shared) = self.cx.shared.try_borrow_mut() {
            shared.awaited.remove(&waits);
        }
    }
}

/// A timer, started when it is first polled and dropped with its future.
struct Timer<'a> {
    cx: Context,
    span: Duration,
    wait: Wait<'a>,
    /// While it runs.
    seq: Option<Seq>,
}

impl Future for Timer<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<()> {
        let cx = self.cx.clone();
        let mut shared = cx.shared.borrow_mut();
        let (span, wait) = (self.span, self.wait);
        let seq = *self.seq.get_or_insert_with(|| shared.start_timer(span, wait));
        if shared.take_settled(seq).is_some() {
            self.seq = None;
            return Poll::Ready(());
        }
        if shared.is_cancelled_here() {
            self.seq = None;
            shared.drop_timer(seq);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let Some(seq) = self.seq else { return };
        let Ok(mut shared) = self.cx.shared.try_borrow_mut() else { return };
        // It may have fired in the same moment, with nobody looking any more.
        if !shared.over && shared.take_settled(seq).is_none() {
            shared.drop_timer(seq);
        }
    }
}
