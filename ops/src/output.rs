//! What the verbs print: results on standard output, everything else on standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::cli::Global;

/// Prints a line of the result. A reader that has gone away is no error.
pub fn line(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints a result as one JSON document.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(error) => complain(&format!("cannot print the result: {error}")),
    }
}

/// Prints one JSON document on one line, for streams of them.
pub fn json_line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => complain(&format!("cannot print the result: {error}")),
    }
}

/// Says what is going on.
pub fn note(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Warns.
pub fn warn(text: &str) {
    note(&format!("warning: {text}"));
}

/// Says why it did not work.
pub fn complain(text: &str) {
    note(&format!("stead: {text}"));
}

/// Says why it did not work, to a machine: one line of JSON.
pub fn complain_json(error: &serde_json::Value) {
    note(&error.to_string());
}

/// Whether a person is watching standard error.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// How many characters fit on a line of the result; `unwatched` where nobody watches it.
pub fn width_or(unwatched: usize) -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(unwatched, |(width, _)| usize::from(width.0))
}

/// How many characters fit on a line of the result.
pub fn width() -> usize {
    width_or(120)
}

/// How many characters fit on a line of what is said meanwhile.
pub fn note_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// Sets logging up, on standard error: lines for people, or JSON for machines.
pub fn start_logging(global: &Global) {
    let level = global.log.as_deref().unwrap_or("warn");
    // These two tell what we tell ourselves, in more lines and without the run.
    let quieter = format!("{level},vaultrs=off,async_nats=error");
    let filter = EnvFilter::try_from_env("STEAD_LOG").unwrap_or_else(|_| EnvFilter::new(quieter));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if global.log_json {
        // Each field stands beside the others, so that one can look for `run` without knowing more.
        logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        logs.with_target(false).with_ansi(is_watched()).init();
    }
}
