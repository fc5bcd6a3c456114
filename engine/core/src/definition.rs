//! What a workflow is made known by.

use alloc::boxed::Box;
use alloc::string::String;
use core::future::{Future, pending};
use core::pin::Pin;

use serde_json::{Map, Value};
use stead_schemas::failure::Failure;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;

use crate::context::Context;

/// How a run ends when it does not fail.
pub enum Ending {
    /// It is over; this came of it.
    Completed(Value),
    /// It begins anew, given this: the history before is no longer needed to go on.
    ContinueAsNew(Value),
}

/// A workflow on its way.
pub type Execution = Pin<Box<dyn Future<Output = Result<Ending, Failure>>>>;

/// What is known at the door when a command comes in.
pub struct Admission<'a> {
    /// The facts of the site.
    pub site: &'a Site,
    /// Whose entity is meant.
    pub owner: &'a Owner,
    /// The entity's name.
    pub name: &'a str,
    /// What the living run shows of itself; nothing if there is no living run.
    pub living: Option<Living<'a>>,
    /// What is asked.
    pub verb: &'a str,
    /// The command's fields, as they were sent.
    pub fields: &'a Map<String, Value>,
}

/// The living run that a command is for.
#[derive(Clone, Copy)]
pub struct Living<'a> {
    /// Its word for where it stands.
    pub phase: &'a str,
    /// What it shows of itself.
    pub view: &'a Value,
}

/// What becomes of a command that is let in.
pub struct Admitted {
    /// The order, complete: the workflow needs nothing else to carry it out.
    pub payload: Value,
    /// Whether it begins a new run.
    pub begins: bool,
    /// Whether it stops what the run is doing.
    pub interrupts: bool,
}

/// One workflow.
///
/// ```
/// use serde_json::json;
/// use stead_core::definition::{Admitted, Definition, Ending};
/// use stead_core::run::execution;
/// use stead_schemas::step::probe::Noop;
///
/// const GREETING: Definition = Definition {
///     kind: "greeting",
///     public: true,
///     verbs: &["say"],
///     signals: &[],
///     execute: |cx| {
///         execution(async move {
///             let say = cx.next_command().await;
///             let said = cx.step(Noop { number: 1 }).await;
///             cx.complete(&say, said.map(|_| json!({})));
///             Ok(Ending::Completed(json!({})))
///         })
///     },
///     admit: |_| Ok(Admitted { payload: json!({}), begins: true, interrupts: false }),
/// };
/// ```
#[derive(Clone, Copy)]
pub struct Definition {
    /// The kind of entity whose lives are runs of this workflow.
    pub kind: &'static str,
    /// Whether commands may come from outside; otherwise only other runs may give them.
    pub public: bool,
    /// The verbs it knows.
    pub verbs: &'static [&'static str],
    /// The signals it waits for; no other one is let in, nor can be waited for.
    pub signals: &'static [&'static str],
    /// Begins an execution.
    pub execute: fn(Context) -> Execution,
    /// Decides at the door, before anything is written.
    pub admit: fn(&Admission<'_>) -> Result<Admitted, Refusal>,
}

impl Definition {
    /// Stands in for a workflow that a build does not have: it lets nothing in and decides nothing.
    pub const MISSING: Self = Self {
        kind: "",
        public: false,
        verbs: &[],
        signals: &[],
        execute: |_| Box::pin(pending()),
        admit: |_| Err(Refusal::new("kind.unknown", "this build has no workflow of the kind")),
    };
}
