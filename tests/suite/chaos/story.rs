//! What chaos did, as it happens: on standard error, and in a file beside the logs.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;

use tokio::time::Instant;

use super::load::Book;
use crate::stage::Stage;

/// See the module's head.
pub struct Story {
    began: Instant,
    seed: u64,
    strikes: u32,
    file: RefCell<File>,
}

impl Story {
    /// Begins, with the seed that it follows from.
    pub fn begin(stage: &Stage, seed: u64) -> Self {
        let file = File::create(stage.folder().join("story.log")).expect("a file");
        let story = Self { began: Instant::now(), seed, strikes: 0, file: RefCell::new(file) };
        let folder = stage.folder().display();
        story.tell(&format!("chaos, seed {seed}; if it fails, everything is in {folder}"));
        story
    }

    /// Tells what is done.
    pub fn tell(&self, words: &str) {
        let line = format!("{:8.1} s  {words}", self.began.elapsed().as_secs_f64());
        // Nobody reads it any more where that fails.
        writeln!(self.file.borrow_mut(), "{line}").ok();
        writeln!(std::io::stderr(), "{line}").ok();
    }

    /// Tells what strikes.
    pub fn strike(&mut self, words: &str) {
        self.strikes += 1;
        self.tell(words);
    }

    /// The summary.
    pub fn end(&self, book: &Book) {
        let (seed, strikes) = (self.seed, self.strikes);
        self.tell(&format!("seed {seed}: {} under {strikes} strikes: all well", book.summary()));
    }
}
