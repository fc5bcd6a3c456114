//! Whatever any test of a worker sends, and whatever the lab answers, is held against the vendors' own
//! API descriptions, where those are at hand.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use stead_contract::{Specs, faults};
use stead_lab::Lab;

/// A file of the descriptions, if they are at hand.
pub(crate) fn specification(file: &str) -> Option<Arc<Value>> {
    Some(Specs::find()?.file(file))
}

/// Looks at each call to the lab once; at the latest when the stage goes.
pub(super) struct Watch {
    lab: Lab,
    seen: Mutex<usize>,
}

impl Watch {
    pub(super) fn new(lab: &Lab) -> Self {
        Self { lab: lab.clone(), seen: Mutex::new(0) }
    }

    /// Checks every call since the last look.
    pub(super) fn look(&self, step: &str) {
        let Some(specs) = Specs::find() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = self.lab.requests_after(*seen);
        *seen += calls.len();
        let faults: Vec<_> = calls.iter().flat_map(|call| faults(specs, call)).collect();
        assert!(faults.is_empty(), "{step}: {faults:#?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.look("at the end");
        }
    }
}
