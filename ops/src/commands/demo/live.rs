//! The steps of one command while they happen: a line for each that is done, and on a terminal a
//! moving line for each that is not.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::Event;
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;

use super::seen::Seen;
use crate::output;
use crate::story::Moment;
use crate::story::operations::{End, StepSpan};
use crate::story::words::cut;

/// How often a moving line moves.
const TICK: Duration = Duration::from_millis(100);
/// The column of names, in characters: the longest, indented.
const NAMES: usize = 26;
/// What stands beside a name: when it began, how long it took, and the room between.
const BESIDE: usize = 9 + 2 + 2 + 7;
/// The least room that is worth a word of the worker's.
const WORDS_MIN: usize = 10;

/// Which steps get a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The workspace's own.
    Own,
    /// Those of other entities, too, beneath the step they were carried out for.
    All,
}

/// Shows the steps of one command.
pub struct Live {
    run: RunId,
    began: Timestamp,
    lines: Lines,
    moving: Option<MultiProgress>,
    open: BTreeMap<StepAddress, ProgressBar>,
    width: usize,
}

impl Live {
    /// Shows what this run does for a command that was given then.
    pub fn new(run: RunId, began: Timestamp, lines: Lines) -> Self {
        let is_watched = std::io::stdout().is_terminal();
        let moving = is_watched
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(10)));
        Self { run, began, lines, moving, open: BTreeMap::new(), width: output::width() }
    }

    /// Shows an event of this or another run.
    pub fn show(&mut self, seen: &Seen, run: &RunId, moment: &Moment) {
        let at = |seq| StepAddress { run: run.clone(), seq };
        match &moment.event {
            Event::StepScheduled(step) => self.open(at(step.seq), &step.step),
            Event::StepCompleted(step) => self.close(seen, &at(step.seq)),
            Event::StepFailed(step) => self.close(seen, &at(step.seq)),
            Event::StepCancelled(step) => self.close(seen, &at(step.seq)),
            Event::StepDropped(step) => self.close(seen, &at(step.seq)),
            Event::StepSkipped(step) => self.close(seen, &at(step.seq)),
            Event::UndoAbandoned(step) => self.close(seen, &at(step.seq)),
            Event::RunStarted(_)
            | Event::CommandAccepted(_)
            | Event::CommandCompleted(_)
            | Event::TimerStarted(_)
            | Event::TimerFired(_)
            | Event::TimerDropped(_)
            | Event::CancelRequested(_)
            | Event::StepRetried(_)
            | Event::StepEdited(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::SignalReceived(_)
            | Event::ChangeMarked(_)
            | Event::TerminateRequested(_)
            | Event::RunTerminated(_)
            | Event::RunCompleted(_)
            | Event::RunFailed(_)
            | Event::ContinuedAsNew(_)
            | Event::Noted(_) => {}
        }
    }

    /// Shows how far a step is.
    pub fn remark(&self, step: &StepAddress, words: &str) {
        let room = self.width.saturating_sub(BESIDE + self.names() + 3);
        if let Some(bar) = self.open.get(step).filter(|_| room >= WORDS_MIN) {
            bar.set_message(cut(words, room));
        }
    }

    /// The last line: what came of it.
    pub fn end(&mut self, took: Duration, words: &str) {
        self.clear();
        self.print(&format!("{:>9}  {words}", seconds(took)));
    }

    fn open(&mut self, step: StepAddress, name: &str) {
        let Some(moving) = &self.moving else { return };
        let bar = moving.add(ProgressBar::new_spinner().with_style(style()));
        let indent = if step.run == self.run { "" } else { "  " };
        let name = cut(&format!("{indent}{name}"), self.names());
        bar.set_prefix(format!("{name:names$}", names = self.names()));
        bar.enable_steady_tick(TICK);
        self.open.insert(step, bar);
    }

    /// A step of another entity gets its line when the step is done that it belongs to: so it
    /// stands beneath that one.
    fn close(&mut self, seen: &Seen, step: &StepAddress) {
        if let Some(bar) = self.open.remove(step) {
            bar.finish_and_clear();
        }
        if step.run != self.run {
            return;
        }
        let spans = seen.latest(&self.run).map(|operation| operation.steps).unwrap_or_default();
        for span in spans.iter().filter(|span| span.seq == step.seq) {
            self.print(&self.line(span, 0));
        }
        let beneath = match self.lines {
            Lines::Own => None,
            Lines::All => seen.beneath(step),
        };
        for span in beneath.iter().flat_map(|operation| &operation.steps) {
            self.print(&self.line(span, 1));
        }
    }

    fn line(&self, span: &StepSpan, depth: usize) -> String {
        let began = seconds(span.from.since(self.began));
        let took = seconds(span.until.unwrap_or(span.from).since(span.from));
        let (names, name) = (self.names(), format!("{}{}", "  ".repeat(depth), span.name));
        let name = cut(&name, names);
        let line = format!("{began:>9}  {name:names$}  {took:>7}");
        match &span.end {
            End::Done | End::Open => line,
            End::Failed(failure) => format!("{line}  failed: {failure}"),
            End::Cancelled => format!("{line}  stopped"),
        }
    }

    fn names(&self) -> usize {
        NAMES.min(self.width.saturating_sub(BESIDE))
    }

    fn clear(&mut self) {
        for bar in std::mem::take(&mut self.open).into_values() {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        match &self.moving {
            // The moving lines step aside; whatever is printed next begins on a line of its own.
            Some(moving) => moving.suspend(|| output::line(line)),
            None => output::line(line),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner:>9}  {prefix}  {took:>7}  {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.with_key("took", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        // A line that cannot be written is not shown.
        write!(out, "{:.1} s", state.elapsed().as_secs_f64()).ok();
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stead_schemas::time::Timestamp;

    use super::{Lines, Live};
    use crate::story::operations::{End, StepSpan};

    fn check(width: usize, depth: usize, expected: &str) {
        let run = "workspace-k3j5x7q2m4n6p8r9-1".parse().expect("a run id");
        let began = Timestamp::from_millis(1_000);
        let (moving, open, lines) = (None, BTreeMap::new(), Lines::All);
        let live = Live { run, began, lines, moving, open, width };
        let span = StepSpan {
            seq: 1,
            name: "truenas.snapshot-dataset".to_owned(),
            is_undo: false,
            from: Timestamp::from_millis(1_430),
            until: Some(Timestamp::from_millis(3_360)),
            end: End::Done,
            attempts: 1,
        };
        assert_eq!(live.line(&span, depth), expected);
    }

    #[test]
    fn a_line_says_when_a_step_began_and_how_long_it_took() {
        check(60, 0, "   0.43 s  truenas.snapshot-dataset     1.93 s");
        check(60, 1, "   0.43 s    truenas.snapshot-dataset   1.93 s");
    }

    #[test]
    fn a_narrow_terminal_cuts_names_only() {
        check(40, 1, "   0.43 s    truenas.snapshot-…   1.93 s");
    }
}
