//! A collector for tests: it keeps in memory what it is told, of a histogram the sum.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_global_recorder, with_local_recorder,
};

/// What was counted, by name and labels.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<HashMap<Key, Arc<AtomicU64>>>>);

/// The sum of what a histogram is told, as bits.
struct Sum(Arc<AtomicU64>);

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        let before = f64::from_bits(self.0.load(Ordering::SeqCst));
        self.0.store((before + value).to_bits(), Ordering::SeqCst);
    }
}

impl Kept {
    /// Keeps what is counted in this process from now on.
    ///
    /// # Panics
    /// If somebody collects it already.
    #[must_use]
    pub fn of_this_process() -> Self {
        let kept = Self::default();
        assert!(set_global_recorder(kept.clone()).is_ok(), "somebody collects metrics already");
        kept
    }

    /// Keeps what is counted on this thread meanwhile.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        with_local_recorder(self, work)
    }

    /// The gauge of this name that has this value of a label.
    #[must_use]
    pub fn gauge(&self, name: &str, label: &str) -> f64 {
        self.one_of(name, label).map_or(f64::NAN, f64::from_bits)
    }

    /// The same of a counter; 0 while there is none.
    #[must_use]
    pub fn count(&self, name: &str, label: &str) -> u64 {
        self.one_of(name, label).unwrap_or(0)
    }

    /// A gauge without labels, or the sum of a histogram without any.
    #[must_use]
    pub fn of(&self, name: &str) -> f64 {
        self.bits(name, |_| true).map_or(f64::NAN, f64::from_bits)
    }

    /// The counters of this name, one for each value of their labels.
    #[must_use]
    pub fn counts(&self, name: &str) -> Vec<u64> {
        let kept = self.lock();
        let counters = kept.iter().filter(|(key, _)| key.name() == name);
        counters.map(|(_, counter)| counter.load(Ordering::SeqCst)).collect()
    }

    fn one_of(&self, name: &str, label: &str) -> Option<u64> {
        self.bits(name, |key| key.labels().any(|pair| pair.value() == label))
    }

    fn bits(&self, name: &str, fits: impl Fn(&Key) -> bool) -> Option<u64> {
        let kept = self.lock();
        let key = kept.keys().find(|key| key.name() == name && fits(key))?;
        Some(kept[key].load(Ordering::SeqCst))
    }

    fn place(&self, key: &Key) -> Arc<AtomicU64> {
        self.lock().entry(key.clone()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<AtomicU64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.place(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.place(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Sum(self.place(key))))
    }
}
