//! What metrics show in these tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use stead_runtime::metric::REASONS;

use crate::desk::on_simulated_time;

/// A collector that keeps what it is told: of a histogram, the sum.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<HashMap<Key, Arc<AtomicU64>>>>);

/// The sum of what a histogram is told, as bits.
struct Sum(Arc<AtomicU64>);

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        let before = f64::from_bits(self.0.load(Ordering::SeqCst));
        self.0.store((before + value).to_bits(), Ordering::SeqCst);
    }
}

impl Shown {
    pub fn gauge(&self, name: &str, label: &str) -> f64 {
        let fits = |key: &Key| key.labels().any(|pair| pair.value() == label);
        self.bits(name, fits).map_or(f64::NAN, f64::from_bits)
    }

    /// A gauge without labels, or the sum of a histogram without any.
    pub fn of(&self, name: &str) -> f64 {
        self.bits(name, |_| true).map_or(f64::NAN, f64::from_bits)
    }

    /// The counters of this name, one for each value of their labels.
    pub fn counts(&self, name: &str) -> Vec<u64> {
        let kept = self.0.lock().unwrap();
        let counters = kept.iter().filter(|(key, _)| key.name() == name);
        counters.map(|(_, counter)| counter.load(Ordering::SeqCst)).collect()
    }

    fn bits(&self, name: &str, fits: impl Fn(&Key) -> bool) -> Option<u64> {
        let kept = self.0.lock().unwrap();
        let key = kept.keys().find(|key| key.name() == name && fits(key))?;
        Some(kept[key].load(Ordering::SeqCst))
    }

    fn place(&self, key: &Key) -> Arc<AtomicU64> {
        self.0.lock().unwrap().entry(key.clone()).or_default().clone()
    }

    /// How many runs wait, by reason, where any do.
    pub fn waiting(&self) -> Vec<(&'static str, f64)> {
        let all = REASONS.map(|reason| (reason, self.gauge("stead_runs_waiting", reason)));
        all.into_iter().filter(|(_, count)| *count > 0.0).collect()
    }
}

impl Recorder for Shown {
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

/// Runs a story on simulated time, of which metrics are shown.
pub fn shown<S: Future<Output = ()>>(story: impl FnOnce(Shown) -> S) {
    let shown = Shown::default();
    with_local_recorder(&shown, || on_simulated_time(story(shown.clone())));
}
