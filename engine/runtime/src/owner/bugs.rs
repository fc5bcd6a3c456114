//! A workflow with a bug ends nothing but its own run: a panic in it is caught, and the run is parked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lets code of a workflow work. If it panics, what it said.
///
/// Whoever calls this must not let the same run work again: it may be half way.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the workflow has a bug, and panicked: {}", said.unwrap_or("no words"))
}
