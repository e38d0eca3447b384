//! Commands that took longer than `latency-monitor-threshold`: the samples for `LATENCY`.
//!
//! As in Redis, each event has up to 160 samples, at most one a second. Callers pass the time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// The samples of all events.
#[derive(Debug, Default)]
pub(crate) struct LatencyMonitor {
    events: BTreeMap<&'static str, Samples>,
}

/// The samples of one event, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) all: VecDeque<Sample>,
    /// The longest time ever, in milliseconds.
    pub(crate) longest: u64,
}

/// The longest time of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Seconds since 1970.
    pub(crate) time: u64,
    pub(crate) milliseconds: u64,
}

/// Redis' limit for each event.
const SAMPLES_MAX: usize = 160;

impl LatencyMonitor {
    pub(crate) fn add(&mut self, event: &'static str, sample: Sample) {
        let samples = self.events.entry(event).or_default();
        samples.longest = samples.longest.max(sample.milliseconds);
        if let Some(last) = samples.all.back_mut().filter(|last| last.time == sample.time) {
            last.milliseconds = last.milliseconds.max(sample.milliseconds);
            return;
        }
        if samples.all.len() == SAMPLES_MAX {
            samples.all.pop_front();
        }
        samples.all.push_back(sample);
    }

    pub(crate) fn samples(&self, event: &[u8]) -> Option<&Samples> {
        std::str::from_utf8(event).ok().and_then(|event| self.events.get(event))
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (&'static str, &Samples)> {
        self.events.iter().map(|(event, samples)| (*event, samples))
    }

    /// Removes all events and returns their number.
    pub(crate) fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }

    /// Removes one event and returns whether it existed.
    pub(crate) fn reset(&mut self, event: &[u8]) -> bool {
        std::str::from_utf8(event).is_ok_and(|event| self.events.remove(event).is_some())
    }

    /// Returns the text of `LATENCY DOCTOR`.
    pub(crate) fn report(&self) -> String {
        let mut text = String::from(
            "Dave, I have observed latency spikes in this Redis instance. You don't mind talking \
             about it, do you Dave?\n\n",
        );
        for ((event, samples), number) in self.events().zip(1..) {
            let count = samples.all.len().max(1) as u64;
            let sum: u64 = samples.all.iter().map(|sample| sample.milliseconds).sum();
            let average = sum / count;
            let deviations = samples.all.iter().map(|sample| sample.milliseconds.abs_diff(average));
            let deviation = deviations.sum::<u64>() / count;
            let first = samples.all.front().map_or(0, |sample| sample.time);
            let last = samples.all.back().map_or(0, |sample| sample.time);
            let period = last.saturating_sub(first) as f64 / count as f64;
            let _ = writeln!(
                text,
                "{number}. {event}: {count} latency spikes (average {average}ms, mean deviation \
                 {deviation}ms, period {period:.2} sec). Worst all time event {}ms.",
                samples.longest
            );
        }
        text.push_str(
            "\nI have a few advices for you:\n\n- SLOWLOG GET tells which commands took long.\n",
        );
        text
    }
}

impl Samples {
    /// Draws the samples as Redis does. Their ages count up to `now`.
    pub(crate) fn graph(&self, event: &str, now: u64) -> String {
        let times = || self.all.iter().map(|sample| sample.milliseconds);
        let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let mut text = format!(
            "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
            self.longest,
            "-".repeat(GRAPH_COLUMNS)
        );
        let columns: Vec<Vec<u8>> =
            self.all.iter().map(|sample| column(sample, low, high, now)).collect();
        for (part, columns) in columns.chunks(GRAPH_COLUMNS).enumerate() {
            if part > 0 {
                text.push('\n');
            }
            let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
            for row in 0..rows {
                let cell = |column: &Vec<u8>| column.get(row).map_or(' ', |&cell| cell.into());
                text.extend(columns.iter().map(cell));
                text.push('\n');
            }
        }
        text
    }
}

/// Returns one column of a graph: the bar, a blank, and the age.
fn column(sample: &Sample, low: u64, high: u64, now: u64) -> Vec<u8> {
    /// From low to high.
    const BARS: &[u8] = b"_o#";

    let steps = BARS.len() * GRAPH_ROWS;
    let range = (high - low).max(1);
    let step = (sample.milliseconds - low).saturating_mul(steps as u64) / range;
    let step = usize::try_from(step).unwrap_or(usize::MAX).min(steps - 1);
    let bar = |row: usize| match step.checked_sub((GRAPH_ROWS - row - 1) * BARS.len()) {
        None => b' ',
        Some(part) => BARS.get(part).copied().unwrap_or(b'|'),
    };
    let ago = now.saturating_sub(sample.time);
    let label = match ago {
        0..60 => format!("{ago}s"),
        60..3600 => format!("{}m", ago / 60),
        3600..86400 => format!("{}h", ago / 3600),
        _ => format!("{}d", ago / 86400),
    };
    (0..GRAPH_ROWS).map(bar).chain([b' ']).chain(label.into_bytes()).collect()
}

const GRAPH_COLUMNS: usize = 80;
const GRAPH_ROWS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(samples: &[(u64, u64)]) -> LatencyMonitor {
        let mut monitor = LatencyMonitor::default();
        for &(time, milliseconds) in samples {
            monitor.add("command", Sample { time, milliseconds });
        }
        monitor
    }

    #[test]
    fn a_second_has_one_sample_its_longest() {
        let monitor = monitor(&[(10, 5), (10, 9), (10, 3), (11, 2)]);
        let samples = monitor.samples(b"command").unwrap();
        let expected = [Sample { time: 10, milliseconds: 9 }, Sample { time: 11, milliseconds: 2 }];
        assert_eq!(samples.all, expected);
        assert_eq!(samples.longest, 9);
        assert!(monitor.samples(b"fast-command").is_none());
    }

    #[test]
    fn the_oldest_samples_go() {
        let times: Vec<_> = (0..200).map(|second| (second, 1)).collect();
        let monitor = monitor(&times);
        let samples = monitor.samples(b"command").unwrap();
        assert_eq!((samples.all.len(), samples.all[0].time), (SAMPLES_MAX, 40));
    }

    #[test]
    fn a_reset_returns_the_number_of_events() {
        let mut monitor = monitor(&[(1, 1)]);
        assert!(!monitor.reset(b"nosuch"));
        assert!(monitor.reset(b"command"));
        assert_eq!(monitor.reset_all(), 0);
    }

    #[test]
    fn a_graph_is_drawn_as_redis_draws_it() {
        let monitor = monitor(&[(1, 1), (61, 5), (100, 9)]);
        let line = "-".repeat(80);
        let bars = "  #\n _|\n ||\n_||\n   \n";
        let labels = "130\nm9s\n s \n";
        let title = "command - high 9 ms, low 1 ms (all time high 9 ms)";
        let graph = monitor.samples(b"command").unwrap().graph("command", 100);
        assert_eq!(graph, format!("{title}\n{line}\n{bars}{labels}"));
    }
}
