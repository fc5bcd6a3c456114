//! The probe: a step that does nothing, to see and to measure the whole path.

use serde::{Deserialize, Serialize};

use super::{Done, Step};

/// Does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noop {
    /// Which of the probe's steps this is.
    pub number: u32,
}

impl Step for Noop {
    const NAME: &'static str = "probe.noop";
    type Answer = Done;
}
