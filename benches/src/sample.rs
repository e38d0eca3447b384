//! The figures of one measurement.

use hdrhistogram::Histogram;

use crate::figure::{Figure, Phase, Quantile};

/// Figures by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<(Figure, f64)>);

impl Sample {
    pub(crate) fn of(figure: Figure, value: f64) -> Self {
        Self(vec![(figure, value)])
    }

    #[must_use]
    pub(crate) fn and(mut self, figure: Figure, value: f64) -> Self {
        self.0.push((figure, value));
        self
    }

    /// Adds the quantiles of latencies in nanoseconds.
    #[must_use]
    pub(crate) fn and_latency(self, phase: Phase, nanos: &Histogram<u64>) -> Self {
        Quantile::ALL.into_iter().fold(self, |sample, quantile| {
            let value = nanos.value_at_quantile(quantile.part()) as f64 / 1000.0;
            sample.and(Figure::Latency(phase, quantile), value)
        })
    }

    pub(crate) fn get(&self, figure: Figure) -> Option<f64> {
        self.0.iter().find(|(own, _)| *own == figure).map(|(_, value)| *value)
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = (Figure, f64)> {
        self.0.iter().copied()
    }
}

/// Returns the median of each figure of several samples.
pub(crate) fn median(samples: &[Sample]) -> Sample {
    let Some(first) = samples.first() else { return Sample::default() };
    let middle = |figure: Figure| {
        let mut values: Vec<f64> = samples.iter().filter_map(|sample| sample.get(figure)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Sample(first.figures().map(|(figure, _)| (figure, middle(figure))).collect())
}

/// Returns an empty histogram for nanoseconds, with three significant digits, up to ten minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(600_000_000_000, 3).expect("three digits are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_each_figure_counts() {
        let sample =
            |cpu: f64, rate: f64| Sample::of(Figure::CpuPerDelivery, cpu).and(Figure::Rate, rate);
        let median = median(&[sample(1.0, 30.0), sample(3.0, 10.0), sample(2.0, 20.0)]);
        assert_eq!(median.get(Figure::CpuPerDelivery), Some(2.0));
        assert_eq!(median.get(Figure::Rate), Some(20.0));
        assert_eq!(median.get(Figure::Memory), None);
    }
}
