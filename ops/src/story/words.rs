//! Spans, callers, failures and long texts, in words.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use stead_schemas::command::fields::is_printable;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::Outcome;
use stead_schemas::failure::Failure;
use stead_schemas::step::Step;
use stead_schemas::step::guest::AwaitHome;
use stead_schemas::time::{Timestamp, spoken};

/// A span as a person says it, up to days.
pub fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    match minutes {
        0..60 => spoken(span),
        60..1_440 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1_440, minutes / 60 % 24),
    }
}

/// A moment to the second: `2026-03-01 12:00:05`, in UTC.
pub fn moment(at: Timestamp) -> String {
    match DateTime::from_timestamp_millis(at.as_millis()) {
        Some(moment) => {
            moment.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ").replace('Z', "")
        }
        None => at.to_string(),
    }
}

/// What somebody outside is to report, by the step that waits for it.
pub fn awaited(step: &str) -> &'static str {
    match step {
        AwaitHome::NAME => "the guest is to say that its home is mounted and can be written to",
        _ => "somebody is to report",
    }
}

/// Who asked, to stand behind a comma.
pub fn caller(by: &Caller) -> String {
    match by {
        Caller::Inbox { message, client } => {
            format!("message {message} of the inbox{}", called(client.as_deref()))
        }
        Caller::Api => "through the API".to_owned(),
        Caller::User(origin) => {
            let user = origin.user.as_deref().unwrap_or("somebody");
            let from = origin.host.as_ref().map(|host| format!(" from {host}"));
            let (from, called) = (from.unwrap_or_default(), called(origin.client.as_deref()));
            format!("by {user}{from}{called}")
        }
        Caller::Run(address) => format!("by step {} of {}", address.seq, address.run),
        Caller::Command { id } => format!("implied by command {id}"),
        Caller::Engine => "by the engine itself".to_owned(),
    }
}

/// What a client says of itself, which nobody has checked.
fn called(client: Option<&str>) -> String {
    client.map(|client| format!(" (says it is {client:?})")).unwrap_or_default()
}

/// Why it failed: the step only where `known` does not say it already.
pub fn failure(failure: &Failure, known: Option<&str>) -> String {
    let mut failure = failure.clone();
    if failure.step.as_deref() == known {
        failure.step = None;
    }
    failure.to_string()
}

/// How a command ended, to stand behind its verb.
pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Failed(failed) => format!("failed: {failed}"),
    }
}

/// `1 attempt`, `3 attempts`.
pub fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A space at which no line is broken: `3.4 s` stays together.
const GLUE: char = '\u{a0}';

/// A text that stays on one line where it is told among others.
pub fn glued(text: &str) -> String {
    text.replace(' ', &GLUE.to_string())
}

/// A text without what would begin a line or move the cursor: it was written by others, and old
/// histories have what the door refuses by now.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if is_printable(letter) { letter } else { ' ' }).collect()
}

/// `head` and then `text`, in lines of at most `width` characters; the lines after the first
/// begin with `indent` spaces. Words that are longer than a line are broken, too.
pub fn hanging(head: &str, text: &str, width: usize, indent: usize) -> String {
    let (width, text) = (width.max(indent.saturating_add(20)), one_line(text));
    let mut lines = vec![head.to_owned()];
    let mut used = head.chars().count();
    let mut is_first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !is_first && used + 1 + length > width {
            lines.push(" ".repeat(indent));
            used = indent;
        } else if !is_first {
            push(&mut lines, " ");
            used += 1;
        }
        is_first = false;
        for letter in word.chars() {
            if used >= width {
                lines.push(" ".repeat(indent));
                used = indent;
            }
            push(&mut lines, letter.encode_utf8(&mut [0; 4]));
            used += 1;
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches(' ')).collect();
    lines.join("\n").replace(GLUE, " ")
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// A text in at most `width` characters; what is cut off shows as `…`.
pub fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width {
        return text;
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{cut, glued, hanging, span};

    #[test]
    fn spans_are_said_as_a_person_says_them() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(said(59), "59.0 s");
        assert_eq!(said(250), "4 min 10 s");
        assert_eq!(said(7_260), "2 h 1 min");
        assert_eq!(said(200_000), "2 d 7 h");
    }

    #[test]
    fn long_texts_hang_beneath_their_first_line() {
        let hung = |text: &str| hanging("+1  ", text, 24, 4);
        assert_eq!(hung("one two three four five six"), "+1  one two three four\n    five six");
        assert_eq!(hung("abcdefghijklmnopqrstuvwxyz"), "+1  abcdefghijklmnopqrst\n    uvwxyz");
        assert_eq!(hung(&format!("two three four {}", glued("3 s"))), "+1  two three four 3 s");
        assert_eq!(
            hung(&format!("two three fourteen {}", glued("3 s"))),
            "+1  two three fourteen\n    3 s"
        );
        assert_eq!(hung("short"), "+1  short");
    }

    #[test]
    fn what_others_wrote_begins_no_line_and_moves_no_cursor() {
        let forged = "x\n2026-11-30 jane deletes all\r\u{1b}[1A\u{9b}2K\u{202e}y";
        let shown = "x 2026-11-30 jane deletes all  [1A 2K y";
        assert_eq!(hanging("at  ", forged, 80, 4), format!("at  {shown}"));
        assert_eq!(cut(forged, 80), shown);
    }

    #[test]
    fn what_is_cut_off_shows() {
        assert_eq!(cut("workspace", 9), "workspace");
        assert_eq!(cut("workspaces", 9), "workspac…");
    }
}
