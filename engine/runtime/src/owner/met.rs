//! What stood in the way of a step before it was done: the last of it goes into the history with the
//! answer, so that whoever asks later why it took so long is told.

use serde_json::Value;
use stead_schemas::event::{Seq, StepCompleted};
use stead_schemas::failure::Failure;

use super::attempts::Attempt;

/// What is kept of each of a failure's texts, in bytes: the answer beside it may be large.
const TEXT_BYTES_MAX: usize = 1024;

/// What is added to a failure when the worker answers after all.
const LATE: &str = "; its answer came too late";

impl Attempt {
    /// The fact that the step is done.
    pub(super) fn completed(&self, seq: Seq, answer: Value) -> StepCompleted {
        let was_in_the_way = self.number > 1 || self.overdue;
        let met = self.last.clone().filter(|_| was_in_the_way).map(short);
        StepCompleted { seq, answer, attempts: self.number, met }
    }

    /// The attempt before has ended, and nobody waited for it any more.
    pub(super) fn has_answered_late(&mut self) {
        if let Some(last) = self.last.as_mut().filter(|last| !last.words.ends_with(LATE)) {
            cut(&mut last.words, TEXT_BYTES_MAX - LATE.len());
            last.words.push_str(LATE);
        }
    }
}

fn short(mut failure: Failure) -> Failure {
    for text in [&mut failure.words].into_iter().chain(failure.vendor.as_mut()) {
        cut(text, TEXT_BYTES_MAX);
    }
    failure
}

fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}
