//! Operations as waterfalls in a picture: an SVG that reads on light and on dark ground, needs no
//! font but the reader's own, and holds no script.

use std::fmt::Write;

use stead_schemas::time::Timestamp;

use super::operations::Operation;
use super::timeline::{Beneath, Row, head, rows};
use super::usual::Usual;
use super::words::{cut, span};

/// Everything in pixels.
const WIDTH: u64 = 1_000;
const NAMES: u64 = 220;
const BARS: u64 = 520;
const LINE: u64 = 22;
const MARGIN: u64 = 16;
/// How many parts the axis has.
const TICKS: u64 = 4;
/// How much fits into the column of names, and on a whole line.
const NAME_MAX: usize = 30;
const LINE_MAX: usize = 120;

/// Colours by what a bar means; the second set is for dark ground.
const STYLE: &str = "\
svg{background:#fff}
text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}
.head{font-weight:600}.soft{fill:#59636e}.slow{fill:#9a3412}
.tick{stroke:#d1d9e0}.done{fill:#2f6fdd}.undo{fill:#8250df}.bad{fill:#c93c37}.open{fill:#bf8700}
@media (prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.soft{fill:#9198a1}
.slow{fill:#f0a35e}.tick{stroke:#30363d}.done{fill:#4c8dff}.undo{fill:#a371f7}.bad{fill:#f85149}
.open{fill:#d29922}}";

/// An operation, what other entities did for it, and what is usual for it.
pub struct Drawn<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// What other entities carried out for its steps.
    pub beneath: &'a Beneath,
    /// How long its steps usually take.
    pub usual: &'a Usual,
}

/// The picture of a run's operations, one beneath the other.
pub fn picture(title: &str, drawn: &[Drawn<'_>], now: Timestamp) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    text(&mut body, MARGIN, y + 14, "head", title);
    y += LINE + 8;
    for one in drawn {
        y = operation(&mut body, one, now, y) + LINE;
    }
    y = legend(&mut body, y) + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         {body}</svg>\n",
        escaped(title)
    )
}

/// Draws one operation from `y` down; returns where it ends.
fn operation(out: &mut String, drawn: &Drawn<'_>, now: Timestamp, mut y: u64) -> u64 {
    let Drawn { operation, beneath, usual } = drawn;
    text(out, MARGIN, y + 14, "head", &cut(&head(operation, now), LINE_MAX));
    y += LINE;
    let rows = rows(operation, beneath, usual, now);
    if rows.is_empty() {
        return y;
    }
    if usual.operations > 0 {
        text(out, MARGIN, y + 14, "soft", &usual.legend());
        y += LINE;
    }
    let until = rows.iter().map(|row| row.until).max().unwrap_or(operation.from);
    let until = until.max(operation.last());
    let total = millis(operation.from, until).max(1);
    let left = MARGIN + NAMES;
    for tick in 0..=TICKS {
        let x = left + BARS * tick / TICKS;
        let at = std::time::Duration::from_millis(total * tick / TICKS);
        text(out, x, y + 14, "soft", &if tick == 0 { "0".to_owned() } else { span(at) });
        let bottom = y + LINE * (rows.len() as u64 + 1);
        writeln!(out, "<path class=\"tick\" d=\"M{x} {}V{bottom}\"/>", y + LINE).ok();
    }
    y += LINE;
    for row in &rows {
        bar(out, row, operation.from, total, y);
        y += LINE;
    }
    y
}

fn bar(out: &mut String, row: &Row, from: Timestamp, total: u64, y: u64) {
    let left = MARGIN + NAMES;
    let x = left + BARS * millis(from, row.from).min(total) / total;
    let width =
        (BARS * millis(row.from, row.until) / total).clamp(2, left + BARS - x.min(left + BARS - 2));
    let class = match (row.end, row.fill) {
        (Some('x'), _) => "bad",
        (Some(_), _) => "open",
        (None, '▒') => "undo",
        (None, _) => "done",
    };
    text(out, MARGIN, y + 15, "", &cut(&row.name, NAME_MAX).replace(' ', "\u{a0}"));
    let top = y + 4;
    let tall = LINE - 8;
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{tall}\" rx=\"2\">\
         <title>{}: {}</title></rect>",
        escaped(row.name.trim()),
        escaped(&row.took)
    )
    .ok();
    let right = left + BARS + 12;
    text(out, right, y + 15, "", &row.took);
    if !row.note.is_empty() {
        let class = if row.is_slow { "slow" } else { "soft" };
        // Behind the longest span there is: `59 min 59 s`.
        text(out, right + 80, y + 15, class, &row.note);
    }
}

fn legend(out: &mut String, y: u64) -> u64 {
    let parts = [
        ("done", "done"),
        ("undo", "takes back"),
        ("bad", "failed or stopped"),
        ("open", "goes on"),
    ];
    let mut x = MARGIN;
    for (class, words) in parts {
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"2\"/>"
        )
        .ok();
        text(out, x + 18, y + 11, "soft", words);
        x += 18 + 8 * words.len() as u64 + 24;
    }
    y + 12
}

fn text(out: &mut String, x: u64, y: u64, class: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    writeln!(out, "<text{class} x=\"{x}\" y=\"{y}\">{}</text>", escaped(words)).ok();
}

fn millis(from: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.since(from).as_millis()).unwrap_or(u64::MAX / BARS)
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
