//! An operation as a waterfall: a bar for each step, and beneath the steps that other entities
//! carried out, the bars of theirs.

use std::collections::BTreeMap;

use stead_schemas::event::{Outcome, Seq};
use stead_schemas::time::Timestamp;

use super::operations::{End, Operation, StepSpan};
use super::usual::Usual;
use super::words::{counted, cut, hanging, span};

/// The narrowest that names of steps get where notes stand beside the bars, in characters.
const NAMES_MIN: usize = 16;
/// The narrowest bars, in characters.
const BARS_MIN: usize = 16;
/// The widest: beyond, the eye loses the line.
const BARS_MAX: usize = 80;

/// What other entities carried out for steps of this one.
pub type Beneath = BTreeMap<Seq, Below>;

/// An operation that another entity carried out, and what is usual for it there.
#[derive(Clone, Debug)]
pub struct Below {
    /// The operation.
    pub operation: Operation,
    /// What is usual for those of its kind.
    pub usual: Usual,
}

/// A bar.
pub(super) struct Row {
    /// The step's name, set in beneath the step that it was carried out for.
    pub name: String,
    /// How long it took.
    pub took: String,
    /// How many attempts it took, and that it was slow.
    pub note: String,
    /// Whether it took much longer than usual.
    pub is_slow: bool,
    /// When it was asked for.
    pub from: Timestamp,
    /// When it was settled; now, if it is not.
    pub until: Timestamp,
    /// How its bar is drawn: `█`, or `▒` for what takes back.
    pub fill: char,
    /// How its bar ends: `x` for what failed or was stopped, `>` for what goes on.
    pub end: Option<char>,
}

/// Draws an operation in lines of at most `width` characters, and says how long steps
/// usually take. What is still open reaches to `now`.
pub fn timeline(
    operation: &Operation,
    beneath: &Beneath,
    usual: &Usual,
    now: Timestamp,
    width: usize,
) -> String {
    let rows = rows(operation, beneath, usual, now);
    let until = if operation.until.is_none() { now } else { operation.last() };
    let scale = Scale::of(&rows, operation.from, until, width);
    let mut lines = vec![hanging("", &head(operation, now), width, 2)];
    if !rows.is_empty() {
        lines.push(scale.axis());
    }
    lines.extend(rows.iter().map(|row| scale.draw(row)));
    lines.extend(legend(&rows));
    lines.join("\n")
}

/// What the operation was and how it ended.
pub(super) fn head(operation: &Operation, now: Timestamp) -> String {
    let verb = &operation.verb;
    let took = |until: Timestamp| span(until.since(operation.from));
    match (&operation.outcome, operation.until) {
        (Some(Outcome::Done(_)), Some(until)) => format!("{verb}: done in {}", took(until)),
        (Some(Outcome::Failed(failure)), Some(until)) => {
            format!("{verb}: failed after {}: {failure}", took(until))
        }
        _ if operation.id.is_empty() => verb.clone(),
        _ => format!("{verb}: going on for {}", took(now)),
    }
}

/// The bars of an operation, from the top.
pub(super) fn rows(
    operation: &Operation,
    beneath: &Beneath,
    usual: &Usual,
    now: Timestamp,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in &operation.steps {
        rows.push(row(step, 0, usual, now));
        if let Some(Below { operation, usual }) = beneath.get(&step.seq) {
            rows.extend(operation.steps.iter().map(|step| row(step, 1, usual, now)));
        }
    }
    rows
}

fn row(step: &StepSpan, depth: usize, usual: &Usual, now: Timestamp) -> Row {
    let end = match &step.end {
        End::Done => None,
        End::Open => Some('>'),
        End::Failed(_) | End::Cancelled => Some('x'),
    };
    let attempts = match step.attempts {
        0 | 1 => None,
        attempts => Some(counted(u64::from(attempts), "attempt")),
    };
    let until = step.until.unwrap_or(now).max(step.from);
    let compared = usual.beside(&step.name, until.since(step.from));
    let is_slow = compared.as_ref().is_some_and(|compared| compared.is_slow);
    let compared = compared.map(|compared| compared.words);
    let note = attempts.into_iter().chain(compared).collect::<Vec<_>>().join(", ");
    Row {
        name: format!("{}{}", "  ".repeat(depth), step.name),
        took: span(until.since(step.from)),
        note,
        is_slow,
        from: step.from,
        until,
        fill: if step.is_undo { '▒' } else { '█' },
        end,
    }
}

fn legend(rows: &[Row]) -> Option<String> {
    let mut parts = Vec::new();
    if rows.iter().any(|row| row.fill == '▒') {
        parts.push("▒ takes back");
    }
    if rows.iter().any(|row| row.end == Some('x')) {
        parts.push("x failed or stopped");
    }
    if rows.iter().any(|row| row.end == Some('>')) {
        parts.push("> goes on");
    }
    (!parts.is_empty()).then(|| parts.join("   "))
}

/// Where everything is drawn.
struct Scale {
    from: Timestamp,
    total_ms: u64,
    names: usize,
    bars: usize,
    spans: usize,
    /// How wide a line may be, where notes have to stand beneath the bars.
    beneath: Option<usize>,
}

impl Scale {
    fn of(rows: &[Row], from: Timestamp, until: Timestamp, width: usize) -> Self {
        let widest = |text: fn(&Row) -> &str| {
            rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0)
        };
        let (spans, notes) = (widest(|row| &row.took), widest(|row| &row.note));
        let last = rows.iter().map(|row| row.until).max();
        let until = last.unwrap_or(until).max(until);
        // Two spaces stand between columns.
        let (without, notes) = (2 + 2 + spans, if notes == 0 { 0 } else { 2 + notes });
        let is_narrow = without + notes + NAMES_MIN + BARS_MIN > width;
        let beneath = (is_narrow && notes > 0).then_some(width);
        let taken = if beneath.is_some() { without } else { without + notes };
        let room = width.saturating_sub(taken);
        let names = widest(|row| &row.name).min(room.saturating_sub(BARS_MIN));
        let bars = (room - names.min(room)).clamp(BARS_MIN, BARS_MAX);
        let total_ms = u64::try_from(until.since(from).as_millis()).unwrap_or(u64::MAX);
        Self { from, total_ms: total_ms.max(1), names, bars, spans, beneath }
    }

    fn axis(&self) -> String {
        let total = span(std::time::Duration::from_millis(self.total_ms));
        format!("{:names$}  0{total:>right$}", "", names = self.names, right = self.bars - 1)
    }

    fn draw(&self, row: &Row) -> String {
        let (first, after) = (self.column(row.from), self.column(row.until));
        let first = first.min(self.bars - 1);
        let last = after.max(first + 1).min(self.bars) - 1;
        let bar: String = (0..self.bars)
            .map(|column| match row.end {
                Some(end) if column == last => end,
                _ if (first..=last).contains(&column) => row.fill,
                _ => '·',
            })
            .collect();
        let (name, took) = (cut(&row.name, self.names), &row.took);
        let (names, spans) = (self.names, self.spans);
        let line = format!("{name:names$}  {bar}  {took:>spans$}");
        match self.beneath {
            _ if row.note.is_empty() => line,
            None => format!("{line}  {}", row.note),
            Some(width) => format!("{line}\n{}", hanging("    ", &row.note, width, 4)),
        }
    }

    fn column(&self, at: Timestamp) -> usize {
        let offset = u64::try_from(at.since(self.from).as_millis()).unwrap_or(u64::MAX);
        let bars = u64::try_from(self.bars).unwrap_or(0);
        usize::try_from(offset.saturating_mul(bars) / self.total_ms).unwrap_or(self.bars)
    }
}
