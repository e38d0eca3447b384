//! Compares this program with another version of it.
//!
//! Both run in turn in each round, so that a slow moment of the machine affects both. The interval is
//! that of the median of all ratios, by their order alone: it holds whatever their distribution is.

use std::fmt::Write as _;
use std::path::Path;

use crate::report::Table;
use crate::subprotocol::Subprotocol;
use crate::systems::{SystemUnderTest, hub, ours};

/// Rounds of each measurement, unless the arguments say otherwise.
pub(crate) const ROUNDS: usize = 15;
/// Fewer rounds give no interval that holds in 95 % of all runs.
pub(crate) const ROUNDS_MIN: usize = 6;
/// The part of all runs whose interval lies on one side of the true ratio.
const TAIL_MAX: f64 = 0.025;

/// Returns the version in `folder` and the one at `broker` and `bench`, each as a broker and as the server
/// of a hub.
pub(crate) fn systems(folder: &Path, broker: &Path, bench: &Path) -> Vec<SystemUnderTest> {
    let versions = [("before", &*folder.join("broker"), &*folder.join("bench"))];
    let versions = versions.into_iter().chain([("now", broker, bench)]);
    versions
        .flat_map(|(name, broker, bench)| {
            let bench = bench.display().to_string();
            let words = [&bench, "--hub-port", "{port}"];
            [
                ours(name, &broker.display().to_string(), "1"),
                hub(name, Subprotocol::SignalR, &words),
            ]
        })
        .collect()
}

/// Returns a line with the ratio of the two versions.
pub(crate) fn text(table: &Table) -> String {
    let figure = table.scenario.figure;
    let [before, now] = &table.rows[..] else { return String::new() };
    let mut ratios: Vec<f64> = before
        .samples
        .iter()
        .zip(&now.samples)
        .filter_map(|(before, now)| Some(now.get(figure)? / before.get(figure)?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (Some((low, high)), Some(old), Some(new)) =
        (interval(&ratios), before.median.get(figure), now.median.get(figure))
    else {
        return format!("{:<18} too few rounds\n", table.scenario.name);
    };
    let middle = ratios[ratios.len() / 2];
    let verdict = if low > 1.0 || high < 1.0 { "differs" } else { "" };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<18} {:>8} -> {:>8} {:<18} ratio {middle:.3} ({low:.3} to {high:.3}) {verdict}",
        table.scenario.name,
        figure.text(old),
        figure.text(new),
        figure.label(),
    );
    text
}

/// Returns an interval that has the true median in 95 % of all runs. `sorted` are independent values of any
/// distribution: each is above the median with a probability of one half.
fn interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let count = sorted.len();
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut tail, mut outside) = (0.0, 0);
    // The probability that at most `outside` values are below the median.
    while tail + probability <= TAIL_MAX {
        tail += probability;
        outside += 1;
        probability *= (count + 1 - outside) as f64 / outside as f64;
    }
    let first = outside.checked_sub(1)?;
    Some((sorted[first], sorted[count - 1 - first]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_leaves_out_what_is_rare() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        // The table of the sign test: 4 and 12 of 15, 1 and 6 of 6, 6 and 15 of 20.
        assert_eq!(interval(&values), Some((4.0, 12.0)));
        assert_eq!(interval(&values[..6]), Some((1.0, 6.0)));
        assert_eq!(interval(&values[..5]), None);
        let twenty: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(interval(&twenty), Some((6.0, 15.0)));
    }
}
