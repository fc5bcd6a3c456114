//! What a schedule waits for, all at once: a command, the time of a firing, and the ends of what
//! it has asked for. The one place where it waits.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::{Future, IntoFuture, poll_fn};
use core::pin::Pin;
use core::task::{self, Poll, Waker};
use core::time::Duration;

use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::step_call::StepFuture;
use stead_schemas::command::schedule::Firing;
use stead_schemas::failure::Failure;
use stead_schemas::step::entity::CancelCommand;
use stead_schemas::step::schedule::{Give, Plan, PlanFirings};
use stead_schemas::step::{Done, Step};
use stead_schemas::time::Timestamp;

/// What has come about.
pub(super) enum News {
    /// Somebody asks for something.
    Command(Command),
    /// The alarm goes off.
    Alarm,
    /// The command of a firing has ended.
    Ended(Firing, Result<Value, Failure>),
    /// The plan is there; nothing, if it is no longer wanted.
    Planned(Option<Result<Plan, Failure>>),
    /// What was carried out has been stopped and taken back.
    Interrupted,
}

/// When to look again, and what for.
pub(super) struct Alarm {
    pub at: Timestamp,
    pub reason: String,
}

/// What is open: none of it outlives a new beginning.
#[derive(Default)]
pub(super) struct Open {
    running: Vec<Running>,
    planning: Option<Planning>,
    interrupting: Option<Interrupting>,
    wait: Option<Wait>,
}

struct Running {
    firing: Firing,
    step: StepFuture<Give>,
}

struct Planning {
    step: StepFuture<PlanFirings>,
    /// Whether something has changed meanwhile that makes the plan worthless.
    void: bool,
}

struct Interrupting {
    /// The command that is to be over.
    command: String,
    step: StepFuture<CancelCommand>,
}

/// For the next command, with an alarm or without.
struct Wait {
    has_alarm: bool,
    command: Pin<Box<dyn Future<Output = Option<Command>>>>,
}

impl Open {
    /// Whether a new beginning would forget nothing.
    pub fn is_quiet(&self) -> bool {
        let alarm = self.wait.as_ref().is_some_and(|wait| wait.has_alarm);
        self.running.is_empty() && self.planning.is_none() && self.interrupting.is_none() && !alarm
    }

    pub fn is_planning(&self) -> bool {
        self.planning.is_some()
    }

    /// The firings whose commands are being carried out.
    pub fn running(&self) -> impl Iterator<Item = &Firing> {
        self.running.iter().map(|running| &running.firing)
    }

    /// Gives the command of a firing. The engine makes its id of the run and the step's number,
    /// so that it is always the same for the same firing; the firing is told.
    pub fn give(&mut self, cx: &Context, mut firing: Firing, request: Give) -> Firing {
        let step = asked(cx, request);
        firing.command = Some(format!("{}:{}", cx.run(), step.seq()));
        self.running.push(Running { firing: firing.clone(), step });
        firing
    }

    /// Asks for a plan.
    pub fn plan(&mut self, cx: &Context, request: PlanFirings) {
        self.planning = Some(Planning { step: asked(cx, request), void: false });
    }

    /// The plan that is being made is no longer wanted.
    pub fn void_plan(&mut self) {
        if let Some(planning) = &mut self.planning {
            planning.void = true;
        }
    }

    /// Stops a command, unless it is being stopped already. Another one that was to be stopped is
    /// over by now, even if that has not been heard: it is no longer waited for.
    pub fn interrupt(&mut self, cx: &Context, request: CancelCommand) {
        let command = request.command.clone();
        if self.interrupting.as_ref().is_none_or(|before| before.command != command) {
            self.interrupting = Some(Interrupting { command, step: asked(cx, request) });
        }
    }

    /// Waits for whatever comes first.
    pub async fn news(&mut self, cx: &Context, alarm: Option<Alarm>) -> News {
        let armed = self.wait.as_ref().is_some_and(|wait| wait.has_alarm || alarm.is_none());
        if !armed {
            self.wait = Some(Wait::new(cx, alarm));
        }
        poll_fn(|task| self.poll(task)).await
    }

    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<News> {
        for at in 0..self.running.len() {
            if let Poll::Ready(result) = Pin::new(&mut self.running[at].step).poll(task) {
                return Poll::Ready(News::Ended(self.running.remove(at).firing, result));
            }
        }
        if let Some(Poll::Ready(result)) =
            self.planning.as_mut().map(|planning| Pin::new(&mut planning.step).poll(task))
        {
            let void = self.planning.take().is_some_and(|planning| planning.void);
            return Poll::Ready(News::Planned((!void).then_some(result)));
        }
        if let Some(Poll::Ready(Ok(Done {}) | Err(_))) =
            self.interrupting.as_mut().map(|under_way| Pin::new(&mut under_way.step).poll(task))
        {
            self.interrupting = None;
            return Poll::Ready(News::Interrupted);
        }
        match self.wait.as_mut().map(|wait| wait.command.as_mut().poll(task)) {
            Some(Poll::Ready(command)) => {
                self.wait = None;
                Poll::Ready(command.map_or(News::Alarm, News::Command))
            }
            _ => Poll::Pending,
        }
    }
}

impl Wait {
    fn new(cx: &Context, alarm: Option<Alarm>) -> Self {
        let (cx, has_alarm) = (cx.clone(), alarm.is_some());
        let command = Box::pin(async move {
            let Some(Alarm { at, reason }) = alarm else { return Some(cx.next_command().await) };
            let span: Duration = at.since(cx.now());
            cx.next_command_within(span, &reason).await
        });
        Self { has_alarm, command }
    }
}

/// A step that has been asked for: it has its number. Outside of an operation it cannot be over
/// before it has begun.
fn asked<S: Step>(cx: &Context, request: S) -> StepFuture<S> {
    let mut step = cx.step(request).within(Duration::ZERO).into_future();
    let polled = Pin::new(&mut step).poll(&mut task::Context::from_waker(Waker::noop()));
    debug_assert!(polled.is_pending());
    step
}
