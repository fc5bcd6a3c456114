//! Proves that a workflow survives: a failure at every step, a crash at every transition, every
//! step answered twice, every undo carried out twice, a cancel between any two steps. Afterwards
//! the world must be as it was before the command, or as a command that was carried out leaves it.
//!
//! Whoever writes a workflow writes down two things: the [`World`] that its steps change, and a
//! [`Kit`], which is the workflow and the commands that it is given. Then one line proves it, and
//! another one tells what happens as a story:
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use serde::{Deserialize, Serialize};
//! use serde_json::{Value, json};
//! use stead_core::context::Context;
//! use stead_core::definition::{Admission, Admitted, Definition, Ending};
//! use stead_core::run::execution;
//! use stead_schemas::failure::Failure;
//! use stead_schemas::refusal::Refusal;
//! use stead_schemas::step::{Done, Step};
//! use stead_testkit::{Asked, Kit, Trouble, World, answer};
//!
//! // Two steps that workers carry out.
//! #[derive(Serialize, Deserialize)]
//! struct PrintBadge { guest: String }
//! impl Step for PrintBadge {
//!     const NAME: &'static str = "gate.print-badge";
//!     type Answer = Done;
//! }
//! #[derive(Serialize, Deserialize)]
//! struct ShredBadge { guest: String }
//! impl Step for ShredBadge {
//!     const NAME: &'static str = "gate.shred-badge";
//!     type Answer = Done;
//! }
//!
//! // A workflow: a badge for a day.
//! const VISIT: Definition = Definition {
//!     kind: "visit",
//!     public: true,
//!     verbs: &["arrive"],
//!     signals: &[],
//!     execute: |cx| execution(visit(cx)),
//!     admit,
//! };
//! fn admit(_: &Admission<'_>) -> Result<Admitted, Refusal> {
//!     Ok(Admitted { payload: Value::Null, begins: true, interrupts: false })
//! }
//! async fn visit(cx: Context) -> Result<Ending, Failure> {
//!     let arrive = cx.next_command().await;
//!     let guest = cx.name();
//!     let badge = cx.operation(async {
//!         let undo = ShredBadge { guest: guest.clone() };
//!         cx.step(PrintBadge { guest: guest.clone() }).undo(undo).await
//!     });
//!     let badge = badge.await.map(|_| Value::Null);
//!     cx.complete(&arrive, badge.clone());
//!     badge?;
//!     cx.sleep(core::time::Duration::from_secs(8 * 60 * 60), "the end of the day").await;
//!     cx.take_back(ShredBadge { guest }).await?;
//!     Ok(Ending::Completed(Value::Null))
//! }
//!
//! // The world that the steps change.
//! #[derive(Default)]
//! struct Gate { badges: BTreeSet<String> }
//! impl World for Gate {
//!     fn carry_out(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
//!         match asked.step {
//!             PrintBadge::NAME => self.badges.insert(asked.read::<PrintBadge>().guest),
//!             ShredBadge::NAME => self.badges.remove(&asked.read::<ShredBadge>().guest),
//!             unknown => panic!("the gate does not know the step {unknown}"),
//!         };
//!         answer::<PrintBadge>(Done {})
//!     }
//!     fn things(&self) -> BTreeSet<String> {
//!         self.badges.clone()
//!     }
//! }
//!
//! let day = core::time::Duration::from_secs(9 * 60 * 60);
//! let kit = Kit::<Gate>::of(&[VISIT])
//!     .entity("visit", "john", "ada")
//!     .command("arrive", json!({}))
//!     .leaves(["ada"])
//!     .passes(day)
//!     .leaves([]);
//!
//! stead_testkit::survives(&kit);
//! stead_testkit::tells(&kit, "
//!     command  visit.arrive
//!     step     gate.print-badge  done
//!     done     visit.arrive
//!     timer    the end of the day
//!     undo     gate.shred-badge  done
//!     over     completed
//! ");
//! stead_testkit::tells_of(&kit, &Trouble::failing("gate.print-badge"), "
//!     command  visit.arrive
//!     step     gate.print-badge  failed lasting: it was made to fail
//!     undo     gate.shred-badge  done
//!     failed   gate.print-badge: it was made to fail
//!     over     failed
//! ");
//! ```
//!
//! Like the workflows themselves, this room is `no_std`: no clock, no chance, no broker. What a
//! real engine adds to it (the log, the leases, time) is tested where it lives.
//!
//! Read next: `survive.rs` (what is tried), `play.rs` (how a kit is played), `stage.rs` (how runs are
//! carried out).
#![no_std]

extern crate alloc;

mod cancels;
mod door;
mod kit;
mod orders;
mod play;
mod stage;
mod story;
mod survive;
mod time;
mod trouble;
mod world;

pub use kit::{Act, Ended, Kit, Moment, Played};
pub use stage::Stage;
pub use survive::{survives, tells, tells_of};
pub use trouble::{Fault, Lapse, Trouble, Twice, Which};
pub use world::{Asked, World, answer};
