//! What a person sees while a run goes on: on a terminal, a line for each open step that moves;
//! elsewhere plain lines.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stead_schemas::event::{Event, Seq};
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;

use crate::output;
use crate::story::{Moment, Teller, words};

/// How often a moving line moves.
const TICK: Duration = Duration::from_millis(100);

/// Shows what happens, on standard error.
pub struct Screen {
    teller: Teller,
    moving: Option<MultiProgress>,
    open: BTreeMap<Seq, ProgressBar>,
    waits: BTreeMap<Seq, String>,
    is_silent: bool,
}

impl Screen {
    /// A screen that fits where it is shown; a silent one shows nothing.
    pub fn new(is_silent: bool) -> Self {
        let moving = (output::is_watched() && !is_silent).then(MultiProgress::new);
        let teller = Teller::new(output::note_width());
        Self { teller, moving, open: BTreeMap::new(), waits: BTreeMap::new(), is_silent }
    }

    /// Shows an event of the history.
    pub fn show(&mut self, moment: &Moment) {
        let line = self.teller.tell(moment);
        match &moment.event {
            Event::StepScheduled(step) if self.moving.is_some() => self.open(step.seq),
            Event::StepCompleted(step) => self.close(step.seq, &line),
            Event::StepFailed(step) => self.close(step.seq, &line),
            Event::StepCancelled(step) => self.close(step.seq, &line),
            Event::StepDropped(step) => self.close(step.seq, &line),
            Event::StepSkipped(step) => self.close(step.seq, &line),
            Event::UndoAbandoned(step) => self.close(step.seq, &line),
            _ => self.print(&line),
        }
    }

    /// Shows something that is written nowhere: how far a step is, or why it is tried again.
    pub fn remark(&mut self, seq: Seq, at: Timestamp, word: &str, text: &str) {
        match self.open.get(&seq) {
            Some(bar) => bar.set_message(words::cut(
                &format!("{}: {text}", self.teller.step(seq)),
                output::note_width().saturating_sub(20),
            )),
            None => {
                let text = format!("{}: {text}", self.teller.step(seq));
                let line = self.teller.line(at, word, &text);
                self.print(&line);
            }
        }
    }

    /// Shows what a run waits for, where no event says so.
    pub fn look(&mut self, view: &RunView, now: Timestamp) {
        for waiting in &view.waiting {
            let words = match (waiting.reason.as_str(), waiting.words.as_str()) {
                ("no-worker", "") => "no worker for it is running",
                ("human", "") => "it waits for a person",
                ("log" | "no-worker" | "human", words) => words,
                _ => continue,
            };
            if self.waits.insert(waiting.seq, words.to_owned()).as_deref() != Some(words) {
                self.remark(waiting.seq, now, "waits", words);
            }
        }
    }

    /// Takes the moving lines away.
    pub fn finish(&mut self) {
        for bar in std::mem::take(&mut self.open).into_values() {
            bar.finish_and_clear();
        }
    }

    fn open(&mut self, seq: Seq) {
        let Some(moving) = &self.moving else { return };
        let bar = moving.add(ProgressBar::new_spinner().with_style(style()));
        bar.set_message(self.teller.step(seq).to_owned());
        bar.enable_steady_tick(TICK);
        self.open.insert(seq, bar);
    }

    fn close(&mut self, seq: Seq, line: &str) {
        self.waits.remove(&seq);
        if let Some(bar) = self.open.remove(&seq) {
            bar.finish_and_clear();
        }
        self.print(line);
    }

    fn print(&self, line: &str) {
        match &self.moving {
            _ if self.is_silent => {}
            // A terminal that has gone away is no reason to stop following.
            Some(moving) => drop(moving.println(line)),
            None => output::note(line),
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{spinner:>12}  {msg}  {elapsed}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
