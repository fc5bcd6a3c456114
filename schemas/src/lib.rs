//! Everything ever written to the log or the wire: ids, subjects, events, commands, steps.
//!
//! This room knows no clock, network, file or runtime: it is `no_std` with `alloc`, so that it
//! cannot. Whatever is written here may be read for ever; a changed shape needs a golden file
//! (see `tests/golden`) and must still decode what was written before.
//!
//! Read next: `event.rs` (the facts), `transition.rs` (how they are written), `subjects.rs`.
#![no_std]

extern crate alloc;

pub mod archive;
pub mod checkup;
pub mod command;
pub mod depth;
pub mod dispatch;
pub mod event;
pub mod failure;
pub mod glance;
pub mod ids;
pub mod ledger;
pub mod limit;
pub mod notice;
pub mod origin;
pub mod owner;
pub mod policy;
pub mod proof;
pub mod public;
pub mod refusal;
pub mod site;
pub mod step;
pub mod subjects;
pub mod time;
pub mod trace;
pub mod transition;
