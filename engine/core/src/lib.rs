//! The pure part of the engine: fold a history, replay a workflow, decide, compute retries.
//!
//! This room knows no clock, no randomness, no network, no runtime: it is `no_std` with `alloc`,
//! so that it cannot. Time and chance come in as values; what to do comes out as events.
//!
//! Read in this order: `context.rs` (what a workflow may ask for), `step_call.rs` (a step),
//! `operation.rs` (what is taken back together), `combine.rs` (several things at once), `run.rs`
//! (one run: facts in, decisions out, and the same again on replay), `fold.rs` (what follows from
//! a history without its workflow), `ledger.rs` (what it holds outside), `definition.rs` (what a
//! workflow is made known by), `order.rs` (what people do to a run by hand), `retry.rs`, `trace.rs` (the
//! spans of a history).
#![no_std]

extern crate alloc;

pub mod combine;
pub mod context;
pub mod definition;
pub mod divergence;
pub mod drift;
pub mod fold;
pub mod ledger;
mod operation;
pub mod order;
pub mod retry;
pub mod run;
mod shared;
pub mod size;
pub mod step_call;
pub mod trace;
