//! Metrics: what is counted, under which name, with which labels. `table.rs` names each once;
//! whoever counts uses the constant, and so can neither invent a name nor forget a label.
//!
//! Nothing here knows who collects them; without a collector nothing is kept. `ops/METRICS.md` is
//! the same table for people.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Key, Label as Pair, Metadata, with_recorder};

pub mod kept;
mod table;

pub use table::*;

/// Where metrics say that they come from; nobody filters by it.
static METADATA: Metadata<'static> = Metadata::new("stead", metrics::Level::INFO, None);

/// What a metric is, as the table has it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, with its unit last.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Who shows it.
    pub by: By,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [Label],
    /// What it says, in a sentence or two.
    pub help: &'static str,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts what fell below each of these bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Which processes show a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Engines.
    Engine,
    /// Workers.
    Worker,
    /// Both.
    Both,
}

impl By {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Engine => "engines",
            Self::Worker => "workers",
            Self::Both => "engines and workers",
        }
    }

    /// Whether those who show `other` show this, too.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self == other || self == Self::Both || other == Self::Both
    }
}

/// A label. Its values are few, and never a run, an owner or anything else that people name.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// What a label may say.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these words.
    These(&'static [&'static str]),
    /// What the code or the site's configuration bounds, in these words.
    Of(&'static str),
}

impl Metric {
    fn key<const N: usize>(&self, values: [&str; N]) -> Key {
        let pairs = self.labels.iter().zip(values);
        let pairs = pairs.map(|(label, value)| Pair::new(label.name, value.to_owned()));
        Key::from_parts(self.name, pairs.collect::<Vec<_>>())
    }

    /// Tells the collector what it is, and where every value of its labels is known shows it
    /// from the start: something that has not happened yet is a nought, not a gap.
    pub fn begin(&self) {
        self.describe();
        for values in combinations(self.labels) {
            let pairs = self.labels.iter().zip(values);
            let pairs: Vec<_> = pairs.map(|(label, value)| Pair::new(label.name, value)).collect();
            let key = Key::from_parts(self.name, pairs);
            with_recorder(|collector| match self.kind {
                Kind::Counter => collector.register_counter(&key, &METADATA).increment(0),
                Kind::Gauge => collector.register_gauge(&key, &METADATA).increment(0.0),
                Kind::Histogram(_) => drop(collector.register_histogram(&key, &METADATA)),
            });
        }
    }

    fn describe(&self) {
        let (name, help) = (self.name.into(), self.help.trim().into());
        with_recorder(|collector| match self.kind {
            Kind::Counter => collector.describe_counter(name, None, help),
            Kind::Gauge => collector.describe_gauge(name, None, help),
            Kind::Histogram(_) => collector.describe_histogram(name, None, help),
        });
    }
}

/// Every combination of the labels' values; none if one of them is not known beforehand.
fn combinations(labels: &[Label]) -> Vec<Vec<&'static str>> {
    labels.iter().fold(vec![Vec::new()], |so_far, label| {
        let Values::These(values) = label.values else { return Vec::new() };
        let longer = |before: &Vec<&'static str>| {
            let before = before.clone();
            values.iter().map(move |value| [&before[..], &[*value]].concat())
        };
        so_far.iter().flat_map(longer).collect()
    })
}

/// Something that only grows, with `N` labels.
#[derive(Debug)]
pub struct Counter<const N: usize> {
    pub(super) metric: Metric,
    pub(super) plain: OnceLock<PlainCounter>,
}

/// Something that goes up and down, with `N` labels.
#[derive(Debug)]
pub struct Gauge<const N: usize> {
    pub(super) metric: Metric,
}

/// How something is spread, with `N` labels.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    pub(super) metric: Metric,
    pub(super) plain: OnceLock<PlainHistogram>,
}

/// A handle that is looked up once.
#[derive(Debug)]
pub(super) struct PlainCounter(metrics::Counter);

/// A handle that is looked up once.
#[derive(Debug)]
pub(super) struct PlainHistogram(metrics::Histogram);

impl<const N: usize> Counter<N> {
    /// Counts so many more.
    pub fn add(&self, more: u64, values: [&str; N]) {
        if N == 0 {
            return self.plain.get_or_init(|| PlainCounter(self.of(values))).0.increment(more);
        }
        self.of(values).increment(more);
    }

    /// Counts one more.
    pub fn count(&self, values: [&str; N]) {
        self.add(1, values);
    }

    fn of(&self, values: [&str; N]) -> metrics::Counter {
        let key = self.metric.key(values);
        with_recorder(|collector| collector.register_counter(&key, &METADATA))
    }
}

impl<const N: usize> Gauge<N> {
    /// It stands there now.
    pub fn set(&self, to: f64, values: [&str; N]) {
        self.of(values).set(to);
    }

    /// It stands so much higher, or lower, than it did.
    pub fn step(&self, by: f64, values: [&str; N]) {
        self.of(values).increment(by);
    }

    fn of(&self, values: [&str; N]) -> metrics::Gauge {
        let key = self.metric.key(values);
        with_recorder(|collector| collector.register_gauge(&key, &METADATA))
    }
}

impl<const N: usize> Histogram<N> {
    /// Something took so long.
    pub fn took(&self, span: Duration, values: [&str; N]) {
        let seconds = span.as_secs_f64();
        if N == 0 {
            return self.plain.get_or_init(|| PlainHistogram(self.of(values))).0.record(seconds);
        }
        self.of(values).record(seconds);
    }

    fn of(&self, values: [&str; N]) -> metrics::Histogram {
        let key = self.metric.key(values);
        with_recorder(|collector| collector.register_histogram(&key, &METADATA))
    }
}

/// What measures something that there may be none of: a nought would mean that it is due.
const OF_WHAT_THERE_MAY_BE_NONE: [&Gauge<0>; 2] = [&TOKEN_DAYS_LEFT, &BACKUP_OVERDUE_HOURS];

/// Shows from the start whatever `by` shows.
pub fn begin(by: By) {
    METRICS.iter().filter(|metric| metric.by.covers(by)).for_each(Metric::begin);
    let without_number = OF_WHAT_THERE_MAY_BE_NONE.iter();
    let without_number = without_number.filter(|gauge| gauge.metric.by.covers(by));
    without_number.for_each(|gauge| gauge.set(f64::NAN, []));
}

/// Shows from the start what an engine counts by kinds of entities with their verbs, and by systems.
/// Whoever asks by how much a counter has grown does not see the first count of one that appears with it.
pub fn begin_engine<'a>(
    kinds: impl Iterator<Item = (&'a str, &'a [&'a str])>,
    systems: impl Iterator<Item = &'a str>,
) {
    let mut entities = Vec::new();
    for (kind, verbs) in kinds {
        for verb in verbs {
            BECOMES.iter().for_each(|end| COMMANDS.add(0, [kind, verb, end]));
        }
        entities.push(kind);
    }
    systems.chain(entities).for_each(|system| PAUSED.add(0, [system]));
}

/// The same of a worker that calls these systems.
pub fn begin_worker<'a>(systems: impl Iterator<Item = &'a str>) {
    for system in systems {
        CALL_ENDS.iter().for_each(|end| VENDOR_CALLS.add(0, [system, end]));
    }
}

/// What of a step's name is not its system: `clone-vm` of `proxmox.clone-vm`.
#[must_use]
pub fn what(step: &str) -> &str {
    step.split_once('.').map_or(step, |(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Label, METRICS, Values, combinations};

    #[test]
    fn every_combination_of_known_values_is_there_from_the_start() {
        const ONE: Label = Label { name: "one", values: Values::These(&["a", "b"]) };
        const TWO: Label = Label { name: "two", values: Values::These(&["x", "y"]) };
        const OPEN: Label = Label { name: "open", values: Values::Of("whatever there is") };
        let all = [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]];
        assert_eq!(combinations(&[ONE, TWO]), all);
        assert_eq!(combinations(&[]), [[""; 0]]);
        assert!(combinations(&[ONE, OPEN]).is_empty());
    }

    #[test]
    fn names_are_as_the_field_names_them() {
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("stead_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(name.ends_with("_seconds"), "{name}");
                assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
            }
            assert!(metric.help.trim().ends_with('.'), "{name}: {}", metric.help);
            for label in metric.labels {
                assert!(!["run", "owner", "name", "id"].contains(&label.name), "{name}");
            }
        }
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name is given twice");
    }
}
