//! One page per workflow, and the table of them all.
//!
//! A page is a plain async function that a stranger can read. It knows steps by their requests
//! and answers, never the workers that carry them out, and it cannot do anything else: this room
//! is `no_std`, without clock, chance, network or file.
#![no_std]

extern crate alloc;

use serde::Serialize;
use serde_json::Value;
use stead_core::definition::Definition;

pub mod allowance;
pub mod backup;
pub mod bucket;
pub mod calendar;
pub mod drift;
pub mod home;
mod machine;
pub mod mcp;
pub mod notice;
pub mod people;
mod plan;
pub mod pool;
pub mod probe;
pub mod schedule;
mod storage;
pub mod template;
pub mod token;
pub mod vmids;
pub mod volume;
pub mod workspace;

/// Every workflow of this build.
pub static WORKFLOWS: &[Definition] = &[
    allowance::DEFINITION,
    backup::DEFINITION,
    bucket::DEFINITION,
    calendar::DEFINITION,
    drift::DEFINITION,
    home::DEFINITION,
    mcp::DEFINITION,
    notice::DEFINITION,
    people::DEFINITION,
    pool::DEFINITION,
    probe::DEFINITION,
    schedule::DEFINITION,
    pool::spare::DEFINITION,
    template::DEFINITION,
    token::DEFINITION,
    vmids::DEFINITION,
    volume::DEFINITION,
    workspace::DEFINITION,
];

/// What a workflow hands on: an answer, a state, an order.
fn as_value(value: &impl Serialize) -> Value {
    // Maps whose keys are no texts are the only thing JSON cannot hold; no page has one.
    serde_json::to_value(value).unwrap_or_default()
}
