//! What happened in a world, line by line, and a digest of it: the same seed must give the same
//! lines.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The story of a world.
pub struct Trace {
    lines: Vec<String>,
    digest: u64,
}

impl Default for Trace {
    fn default() -> Self {
        // The beginning of FNV-1a, 64 bit.
        Self { lines: Vec::new(), digest: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Trace {
    /// Adds what happened `at` this time.
    pub fn add(&mut self, at: Duration, words: fmt::Arguments<'_>) {
        let line = format!("{:>10.3} {words}", at.as_secs_f64());
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines.push(line);
    }

    /// The lines and their digest.
    #[must_use]
    pub fn told(self) -> (Vec<String>, u64) {
        (self.lines, self.digest)
    }
}

/// How often what happened, to see that the faults really strike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// One more of these.
    pub fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How many there were.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Those of another world, too.
    pub fn add_all(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> =
            self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        out.write_str(&all.join(", "))
    }
}
