//! Whether histories are whole: each transition follows the one before it.

use std::collections::HashMap;

use stead_schemas::glance::Glance;
use stead_schemas::ids::RunId;
use stead_schemas::transition::link;

use super::Stored;

/// The ends of all histories read so far.
#[derive(Default)]
pub struct Chains {
    ends: HashMap<RunId, (u64, String)>,
}

impl Chains {
    /// How many histories there are.
    pub fn runs(&self) -> usize {
        self.ends.len()
    }

    /// Looks at the next message; the words say what is wrong with it, and where it lies.
    pub fn follow(&mut self, stored: &Stored) -> Option<String> {
        let place = |words: String| {
            let (partition, epoch, seq) = (stored.partition, stored.epoch, stored.seq);
            format!("partition {partition}, epoch {epoch}, sequence {seq}: {words}")
        };
        let run = &stored.run;
        let Some(glance) = Glance::at(&stored.bytes) else {
            return Some(place(format!("a transition of {run} cannot be read")));
        };
        let (n, end) = self.ends.get(run).cloned().unwrap_or_default();
        // What follows is measured by this message, so that each fault is told once.
        self.ends.insert(run.clone(), (glance.n, link(&stored.bytes)));
        if glance.run != *run {
            let words = format!("a transition of {} lies in the history of {run}", glance.run);
            return Some(place(words));
        }
        if glance.n != n + 1 {
            let words = format!("transition {} of {run} is where {} should be", glance.n, n + 1);
            return Some(place(words));
        }
        if glance.prev != end {
            let words = format!(
                "transition {} of {run} does not follow from transition {n}, which was altered",
                glance.n
            );
            return Some(place(words));
        }
        None
    }
}
