//! What the verbs print: results on standard output, everything else on standard error.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;
use stead_schemas::command::fields::is_printable;
use tracing_subscriber::EnvFilter;

use crate::cli::Global;

/// Prints a line of the result. A reader that has gone away is no error.
pub fn line(text: &str) {
    writeln!(std::io::stdout(), "{}", harmless(text)).ok();
}

/// A text that tells a terminal nothing: parts of it were written by others.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_good = |letter: char| is_printable(letter) || "\n\t".contains(letter);
    match text.chars().all(is_good) {
        true => text.into(),
        false => text.chars().map(|c| if is_good(c) { c } else { '\u{fffd}' }).collect(),
    }
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
    writeln!(std::io::stderr(), "{}", harmless(text)).ok();
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

/// Puts another filter in force.
type Refilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// What changes the level; nothing where the command line or STEAD_LOG has decided it.
static REFILTER: OnceLock<Refilter> = OnceLock::new();

/// Sets logging up, on standard error: lines for people, or JSON for machines.
pub fn start_logging(global: &Global) {
    let level = global.log.as_deref().unwrap_or("warn");
    let from_environment = std::env::var("STEAD_LOG").ok().filter(|level| !level.is_empty());
    let from_environment = from_environment.and_then(|level| filter_of(&level).ok());
    let is_decided = global.log.is_some() || from_environment.is_some();
    let filter = from_environment.unwrap_or_else(|| filter(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let refilter: Refilter = if global.log_json {
        // Each field stands beside the others, so that one can look for `run` without knowing more.
        let logs = logs.json().flatten_event(true).with_current_span(false).with_span_list(false);
        let logs = logs.with_filter_reloading();
        let handle = logs.reload_handle();
        logs.init();
        Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    } else {
        let logs = logs.with_target(false).with_ansi(is_watched()).with_filter_reloading();
        let handle = logs.reload_handle();
        logs.init();
        Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    };
    if !is_decided {
        REFILTER.set(refilter).ok();
    }
}

/// Logs at this level from now on, unless the command line or STEAD_LOG has decided it.
pub fn set_log_level(level: &str) -> Result<(), String> {
    REFILTER.get().map_or(Ok(()), |refilter| refilter(filter(level)))
}

fn filter(level: &str) -> EnvFilter {
    filter_of(level).unwrap_or_default()
}

/// A level, or several for parts of the program. Some crates tell what we tell ourselves, in more lines,
/// without the run, and with what is in an address: whoever wants to hear them names them.
fn filter_of(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("vaultrs=off,rustify=off,async_nats=error,{level}"))
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_is_printed_tells_a_terminal_nothing() {
        assert_eq!(harmless("a\tb\nc é …"), "a\tb\nc é …");
        assert_eq!(
            harmless("a\u{1b}]0;x\u{7}\rb\u{9b}c\u{202e}"),
            "a\u{fffd}]0;x\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}"
        );
    }
}
