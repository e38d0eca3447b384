//! What was measured, for people and for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::figure::{Figure, Phase, Quantile};
use crate::sample::Sample;
use crate::scenario::Scenario;

/// One server's figures in one scenario.
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) is_baseline: bool,
    /// All rounds.
    pub(crate) samples: Vec<Sample>,
    /// The middle of each figure.
    pub(crate) median: Sample,
}

/// All servers in one scenario; the first is what the others are compared with.
pub(crate) struct Table {
    pub(crate) scenario: Scenario,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Returns the rows as text, one server a line.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.scenario.name, self.scenario.title);
        let main = self.scenario.figure;
        let Some(first) = self.rows.first().and_then(|row| row.median.get(main)) else {
            return text;
        };
        let baseline = self.rows.iter().find(|row| row.is_baseline);
        let is_of_cpu = |_: &&Row| main == Figure::CpuPerDelivery;
        let baseline = baseline.filter(is_of_cpu).and_then(|row| row.median.get(main));
        for row in &self.rows {
            let Some(value) = row.median.get(main) else { continue };
            let _ = write!(
                text,
                "  {:<10} {:>10} {}  ratio {:>5.2}",
                row.server,
                main.text(value),
                main.label(),
                value / first
            );
            match baseline {
                Some(baseline) if !row.is_baseline && first - baseline > first * EXCESS_MIN => {
                    let _ =
                        write!(text, "  excess {:>5.2}", (value - baseline) / (first - baseline));
                }
                _ => text.push_str("              "),
            }
            for (figure, value) in
                row.median.figures().filter(|(figure, _)| is_shown(*figure, main))
            {
                let _ = write!(text, "  {} {}", figure.text(value), figure.label());
            }
            text.push('\n');
        }
        text
    }
}

/// Where the first server has less above the baseline, in parts of all, parts of that say nothing.
const EXCESS_MIN: f64 = 0.1;

/// What the figures of the summary are.
const LEGEND: &str = "\
The first server is what the others are compared with. CPU is the processor time of all threads of
the server, by the kernel's count. The excess is what a server costs above the baseline, a relay that
parses nothing, in parts of what the first one costs above it. Switches are context switches of the
server and calls its system calls, each for one delivery (or connection); calls are counted by
strace in a round of their own, in which the server is slower and reads more at once. Latencies of
messages sent by the clock count from when each was due. Each figure is the middle of all rounds.
Every server is kept to one processor and the load to another, except ours-2: its second thread has
those two as well, so it waits more often and takes less at a time. What the thread itself costs is
shown by ours-2-pinned, which has two threads on one processor.
In the cluster it is the processor time of the process that has the backplanes, beside that of a server
which delivers the same messages to the same number of clients itself, and beside subscribers of a
broker that all servers share in one process. Every message that arrived was compared with what was sent: a lost, doubled or changed one ends the
measurement.
";

/// Whether a figure stands in the summary beside the main one; `raw.csv` has all.
fn is_shown(figure: Figure, main: Figure) -> bool {
    match figure {
        Figure::Latency(_, Quantile::P90 | Quantile::P9999) => false,
        Figure::Latency(phase, Quantile::P999) => phase == Phase::Whole,
        figure => figure != main,
    }
}

/// Writes `raw.csv`, every figure of every round of every server, and `summary.md`.
pub(crate) fn write(dir: &Path, heading: &str, tables: &[Table]) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    let mut raw = csv::Writer::from_path(dir.join("raw.csv")).map_err(Failure::csv)?;
    raw.write_record(["scenario", "server", "round", "figure", "value", "unit"])
        .map_err(Failure::csv)?;
    for table in tables {
        for row in &table.rows {
            for (round, sample) in row.samples.iter().enumerate() {
                for (figure, value) in sample.figures() {
                    raw.write_record([
                        table.scenario.name,
                        &row.server,
                        &round.to_string(),
                        &figure.name(),
                        &format!("{value:.4}"),
                        figure.unit(),
                    ])
                    .map_err(Failure::csv)?;
                }
            }
        }
    }
    raw.flush()?;
    let tables: Vec<String> = tables.iter().map(Table::text).collect();
    let summary = format!("{heading}\n{LEGEND}\n```text\n{}```\n", tables.join("\n"));
    fs::write(dir.join("summary.md"), summary)?;
    Ok(())
}
