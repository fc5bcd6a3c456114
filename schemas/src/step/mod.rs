//! What workers are asked and what they answer, one file per outside system.
//!
//! A step's name is `<system>.<what>`. Every step may be asked any number of times and must then
//! find what it made before: it looks, acts, marks, and reads back when it is not sure. The
//! marker is the id of the run that the resource belongs to.

use alloc::string::{String, ToString};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dispatch::Route;

pub mod allowance;
pub mod authentik;
pub mod backup;
pub mod coder;
pub mod entity;
pub mod forgejo;
pub mod guest;
pub mod home;
pub mod known;
pub mod kubernetes;
pub mod notify;
pub mod people;
pub mod pool;
pub mod probe;
pub mod proxmox;
pub mod s3;
pub mod schedule;
pub mod sight;
pub mod touch;
pub mod truenas;
pub mod vault;
pub mod vmids;
pub mod volume;

/// The largest request of a step, in bytes of JSON. A transition may hold several of them and has
/// to fit into one message, which the server limits to a mebibyte.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// The largest answer of a step, in bytes of JSON.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// A request to a worker (or an entity) and its answer.
pub trait Step: Serialize + DeserializeOwned {
    /// The step's name: `proxmox.clone-vm`.
    const NAME: &'static str;
    /// What comes back when it is done.
    type Answer: Serialize + DeserializeOwned;

    /// The step's name where only the request itself knows it.
    fn name(&self) -> String {
        owned(Self::NAME)
    }

    /// Who carries it out; a worker of the step's system unless said otherwise.
    fn route(&self) -> Route {
        Route::Worker
    }
}

/// Once for all steps, and not written out in each of them: a name is in a build in one place.
#[inline(never)]
fn owned(name: &str) -> String {
    name.to_string()
}

/// The system of a step's name: `proxmox` of `proxmox.clone-vm`.
#[must_use]
pub fn system(step: &str) -> &str {
    step.split_once('.').map_or(step, |(system, _)| system)
}

/// Nothing to tell but that it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {}
