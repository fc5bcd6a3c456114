//! `stead-simulate`: lets worlds live, and tells which seeds broke a rule.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use stead_simulation::trace::Counts;
use stead_simulation::{Outcome, simulate};

/// How many lines of a failed world are shown.
const TAIL: usize = 60;
/// How often it is said how far we are.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Lets simulated worlds live, one for each seed, and judges them.
#[derive(Parser)]
#[command(name = "ops/simulate")]
struct Arguments {
    /// How many worlds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this one, and all of its story
    #[arg(long, conflicts_with_all = ["seeds", "first", "jobs"])]
    seed: Option<u64>,
    /// How many worlds at a time
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// End after so many worlds that broke a rule
    #[arg(long, default_value_t = 10)]
    failures: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(seed),
        None => many(&arguments),
    }
}

fn one(seed: u64) -> ExitCode {
    let outcome = simulate(seed);
    for line in &outcome.trace {
        say(line);
    }
    say(&format!("digest {:016x}; {}", outcome.digest, outcome.counts));
    verdict(seed, &outcome)
}

fn verdict(seed: u64, outcome: &Outcome) -> ExitCode {
    let Some(violation) = &outcome.violation else { return ExitCode::SUCCESS };
    say(&format!("seed {seed} broke a rule: {}\n  {}", violation.rule, violation.words));
    ExitCode::FAILURE
}

/// What the threads share.
struct Tally {
    next: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    counts: Mutex<Counts>,
    began: Instant,
    reported: Mutex<Instant>,
}

fn many(arguments: &Arguments) -> ExitCode {
    let tally = Tally {
        next: AtomicU64::new(arguments.first),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        counts: Mutex::default(),
        began: Instant::now(),
        reported: Mutex::new(Instant::now()),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| tally.work(arguments));
        }
    });
    let failed = tally.failed.load(Ordering::Relaxed);
    say(&tally.words());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Tally {
    fn work(&self, arguments: &Arguments) {
        let end = arguments.first.saturating_add(arguments.seeds);
        while self.failed.load(Ordering::Relaxed) < arguments.failures {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let outcome = simulate(seed);
            self.done.fetch_add(1, Ordering::Relaxed);
            lock(&self.counts).add_all(&outcome.counts);
            if outcome.violation.is_some() {
                self.failed.fetch_add(1, Ordering::Relaxed);
                show_failure(seed, &outcome);
            }
            self.report();
        }
    }

    fn report(&self) {
        let mut reported = lock(&self.reported);
        if reported.elapsed() < REPORT_EVERY {
            return;
        }
        *reported = Instant::now();
        note(&self.words());
    }

    fn words(&self) -> String {
        format!(
            "{} seeds, {} failed, {} seconds, {}",
            self.done.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
            self.began.elapsed().as_secs(),
            lock(&self.counts),
        )
    }
}

fn show_failure(seed: u64, outcome: &Outcome) {
    let tail = outcome.trace.len().saturating_sub(TAIL);
    for line in &outcome.trace[tail..] {
        say(line);
    }
    verdict(seed, outcome);
    say(&format!("all of it: ops/simulate --seed {seed}\n"));
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader that has gone away is no error.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

fn note(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}
