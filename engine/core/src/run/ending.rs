//! The last events of a run: what is said when it is ended by hand, and that nobody who gave a command
//! is left without an answer.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use stead_schemas::event::{CommandCompleted, Event, LeftBehind, Outcome, RunTerminated};
use stead_schemas::failure::{Class, Failure};

use super::Run;
use crate::size::{LEFT_BYTES_MAX, json_bytes};

/// A request of what stays that is larger is left out where all of them are too much.
const LEFT_REQUEST_BYTES_MAX: usize = 1024;

impl Run {
    /// Ends the run as it is: the workflow is thrown away, and what it would have taken back is
    /// listed. That must be possible whatever the run holds, so that what is too large for one
    /// message is left out.
    pub(super) fn terminate(&mut self, why: &str) -> Vec<Event> {
        let Some(shared) = self.shared.clone() else { return Vec::new() };
        let mut left = self.folded.left.clone();
        left.extend(self.folded.steps.values().map(|open| LeftBehind {
            step: open.step.step.clone(),
            request: open.step.request.clone(),
            why: if open.step.undo { "undo under way" } else { "step under way" }.to_string(),
        }));
        let mut shared = shared.borrow_mut();
        left.extend(shared.not_undone());
        shared.over = true;
        let (why, mut view) = (why.to_string(), shared.view.clone());
        let bytes = json_bytes(&view) + left.iter().map(bytes_of).sum::<usize>();
        if bytes > LEFT_BYTES_MAX && shared.changed("stead.ends-short") {
            view = Value::Null;
            left = shortened(left);
        }
        let mut decisions = core::mem::take(&mut shared.decisions);
        drop(shared);
        self.execution = None;
        self.aside.clear();
        self.end(&mut decisions, Event::RunTerminated(RunTerminated { why, left, view }));
        decisions
    }

    /// The last events of a run: nobody who gave a command is left without an answer.
    pub(super) fn end(&self, decisions: &mut Vec<Event>, last: Event) {
        let answered = |id: &String| {
            decisions.iter().any(|event| matches!(event, Event::CommandCompleted(c) if c.id == *id))
        };
        let open: Vec<String> =
            self.folded.open_commands().into_iter().filter(|id| !answered(id)).collect();
        let words = match last {
            Event::RunTerminated(_) => "the run was terminated",
            _ => "it was over before this command's turn came",
        };
        decisions.extend(open.into_iter().map(|id| {
            let outcome = Outcome::Failed(Failure::new(Class::Refused, words));
            Event::CommandCompleted(CommandCompleted { id, outcome })
        }));
        decisions.push(last);
    }
}

/// What stays, without the requests that are large, and without the last ones where that is not enough.
fn shortened(mut left: Vec<LeftBehind>) -> Vec<LeftBehind> {
    for entry in &mut left {
        let bytes = json_bytes(&entry.request);
        if bytes > LEFT_REQUEST_BYTES_MAX {
            entry.request = format!("{bytes} bytes, left out").into();
        }
    }
    let mut bytes = 0;
    let fits = |entry: &&LeftBehind| {
        bytes += bytes_of(entry);
        bytes <= LEFT_BYTES_MAX
    };
    let kept = left.iter().take_while(fits).count();
    let more = left.split_off(kept).len();
    if more > 0 {
        let (step, why) = ("others".to_string(), format!("{more} more, left out"));
        left.push(LeftBehind { step, request: Value::Null, why });
    }
    left
}

fn bytes_of(left: &LeftBehind) -> usize {
    // The names of its fields, and what stands between them.
    40 + left.step.len() + left.why.len() + json_bytes(&left.request)
}
