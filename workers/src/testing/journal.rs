//! Keeps everything that is logged in this process, to be searched for secrets.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static WRITTEN: Mutex<String> = Mutex::new(String::new());

/// Begins to listen; once for all tests.
pub(super) fn listen() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| tracing::subscriber::set_global_default(Journal).unwrap());
}

/// What was logged so far.
pub(super) fn so_far() -> String {
    written().clone()
}

fn written() -> MutexGuard<'static, String> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Journal;

impl Subscriber for Journal {
    /// The lab knows all secrets and may speak of them; everybody else may not, down to debug.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG && !metadata.target().starts_with("stead_lab")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Line);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line;

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{}={value:?} ", field.name());
        // A text cannot refuse to be written to.
        let _ = written().write_str(&text);
    }
}

#[test]
fn what_is_logged_can_be_searched() {
    listen();
    tracing::info!(word = "needle-in-the-log", "a line");
    assert!(so_far().contains("needle-in-the-log"));
}
