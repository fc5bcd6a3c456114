//! A history, decided again by this build. A bug of a workflow that panics is what became of it, and
//! ends nothing else: an engine parks such a run, and these are the tools to look at it with.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use stead_core::divergence::Divergence;
use stead_core::run::Run;
use stead_schemas::transition::Transition;
use thiserror::Error;

thread_local! {
    /// Whether a panic of this thread is waited for.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Why this build does not go along with a history.
#[derive(Debug, Error)]
pub enum Otherwise {
    /// It decides otherwise.
    #[error("{divergence}")]
    Decides {
        /// At which transition.
        n: u64,
        /// What it is.
        divergence: Divergence,
    },
    /// It has a bug.
    #[error("transition {n}: {words}")]
    Panics {
        /// Where.
        n: u64,
        /// What it said.
        words: String,
    },
}

/// Takes a run through transitions, one after the other.
///
/// # Errors
/// At the first with which this build does not go along; the run stands somewhere in it.
pub fn replay(run: &mut Run, history: &[Transition]) -> Result<(), Otherwise> {
    history.iter().try_for_each(|transition| {
        let n = transition.n;
        match caught(|| run.replay(transition)) {
            Ok(replayed) => replayed.map_err(|divergence| Otherwise::Decides { n, divergence }),
            Err(words) => Err(Otherwise::Panics { n, words }),
        }
    })
}

/// Lets a workflow work.
///
/// # Errors
/// In words, if it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_CAUGHT.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(before);
    ended.map_err(|panic| words(&*panic))
}

/// From now on nothing is printed, and no terminal restored, for a panic that is caught here.
pub fn keep_quiet() {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_CAUGHT.get() {
            before(panic);
        }
    }));
}

fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the workflow has a bug, and panicked: {}", said.unwrap_or("no words"))
}
