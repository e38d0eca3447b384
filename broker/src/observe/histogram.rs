//! The distribution of the times of a command's calls.
//!
//! Each power of two has 32 steps, so a result is at most 3 % above the recorded time. Threads add
//! without a lock, and a reader may miss concurrent additions. Therefore the crate `hdrhistogram` does
//! not fit: it records through `&mut`, and each worker would need a histogram for each command.

use std::sync::atomic::{AtomicU64, Ordering};

/// The distribution of the times of one command.
#[derive(Debug)]
pub(crate) struct Histogram {
    steps: Box<[AtomicU64]>,
}

/// Steps of each power of two.
const STEPS: u64 = 32;
/// As in Redis, longer times count as a second.
const NANOS_MAX: u64 = 1_000_000_000;

impl Histogram {
    pub(crate) fn add(&self, nanos: u64) {
        self.steps[step(nanos.clamp(1, NANOS_MAX))].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of recorded times.
    pub(crate) fn total(&self) -> u64 {
        self.counts().sum()
    }

    /// Returns the number of times up to this many nanoseconds, to the precision of a step.
    pub(crate) fn total_within(&self, nanos: u64) -> u64 {
        self.counts().take(step(nanos.clamp(1, NANOS_MAX)) + 1).sum()
    }

    /// Returns a percentile in nanoseconds.
    pub(crate) fn at_percentile(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.total() as f64).round().max(1.0);
        let mut seen = 0;
        let reached = self.counts().position(|count| {
            seen += count;
            seen as f64 >= wanted
        });
        reached.map_or(0, highest_of)
    }

    pub(crate) fn reset(&self) {
        self.steps.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.steps.iter().map(|count| count.load(Ordering::Relaxed))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { steps: (0..=step(NANOS_MAX)).map(|_| AtomicU64::new(0)).collect() }
    }
}

/// Numbers below [`STEPS`] have a step each.
fn step(nanos: u64) -> usize {
    let shift = nanos.max(1).ilog2().saturating_sub(STEPS.ilog2());
    let step = u64::from(shift) * STEPS + (nanos >> shift);
    usize::try_from(step).unwrap_or(usize::MAX)
}

/// Returns the highest number of a step.
fn highest_of(step: usize) -> u64 {
    let step = step as u64;
    let shift = (step / STEPS).saturating_sub(1);
    let lowest = step - shift * STEPS;
    ((lowest + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_within_its_step() {
        for nanos in (0..200).chain([1_000, 1_024, 65_535, 65_536, 999_999, NANOS_MAX]) {
            let highest = highest_of(step(nanos));
            assert!(highest >= nanos && highest <= nanos + nanos / STEPS, "{nanos}: {highest}");
            assert!(nanos == 0 || step(nanos - 1) <= step(nanos), "{nanos}");
            assert_eq!(step(highest), step(nanos));
            assert_eq!(step(highest + 1), step(nanos) + 1);
        }
    }

    #[test]
    fn percentiles_and_totals_count_all_times() {
        let histogram = Histogram::default();
        assert_eq!((histogram.total(), histogram.at_percentile(50.0)), (0, 0));
        for micros in 1..=100 {
            histogram.add(micros * 1000);
        }
        histogram.add(60 * NANOS_MAX);
        assert_eq!(histogram.total(), 101);
        assert_eq!(histogram.total_within(1), 0);
        assert_eq!(histogram.total_within(NANOS_MAX), 101);
        let median = histogram.at_percentile(50.0);
        assert!((50_000..=53_000).contains(&median), "{median}");
        assert!(histogram.at_percentile(100.0) >= NANOS_MAX);
        histogram.reset();
        assert_eq!(histogram.total(), 0);
    }
}
