//! Writes the results as tables and as CSV. `peers` compares the broker with other servers.

mod peers;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::figure::{Figure, Phase, Quantile};
use crate::sample::Sample;
use crate::scenario::Scenario;

/// The figures of one server in one scenario.
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) is_baseline: bool,
    /// All rounds.
    pub(crate) samples: Vec<Sample>,
    /// The median of each figure.
    pub(crate) median: Sample,
}

/// The figures of all servers in one scenario. The others are compared with the first.
pub(crate) struct Table {
    pub(crate) scenario: Scenario,
    pub(crate) rows: Vec<Row>,
    /// The servers that cannot run the scenario.
    pub(crate) skipped: Vec<String>,
}

impl Table {
    /// Returns the rows as text, one line for each server.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.scenario.name, self.scenario.title);
        let first = self.rows.first().and_then(|row| row.median.get(self.scenario.figure));
        if let Some(first) = first {
            self.add_rows(&mut text, first);
        }
        if !self.skipped.is_empty() {
            let _ = writeln!(text, "  skipped: {}", self.skipped.join(", "));
        }
        text
    }

    /// Appends a line for each server. `first` is the main figure of the first one.
    fn add_rows(&self, text: &mut String, first: f64) {
        let main = self.scenario.figure;
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
            if let Some(ratio) = self.ratio_of_p50(row) {
                let _ = write!(text, "  of p50 {ratio:>5.2}");
            }
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
    }

    /// Returns the ratio of p50 to that of the first server, if the main figure is another quantile.
    fn ratio_of_p50(&self, row: &Row) -> Option<f64> {
        let Figure::Latency(phase, _) = self.scenario.figure else { return None };
        let p50 = Figure::Latency(phase, Quantile::P50);
        let first = self.rows.first()?.median.get(p50)?;
        let is_other = p50 != self.scenario.figure;
        row.median.get(p50).filter(|_| is_other).map(|value| value / first)
    }
}

/// The least part of the first server's cost that must be above the baseline. Below it, an excess is
/// noise and not shown.
const EXCESS_MIN: f64 = 0.1;

/// The explanation of the figures in the summary.
const LEGEND: &str = "\
Ratios compare each server with the first one. Each figure is the median of all rounds.

- **CPU** is the processor time of all threads of a server, as the kernel counts it. In the scenario
  cluster it is the time of the process with the backplanes. Beside it stand two costs without
  backplanes: a server that delivers the same messages to clients, and subscribers of a broker that
  all servers share in one process.
- **Excess** is the cost of a server above the baseline, divided by that of the first server. The
  baseline is a relay that parses nothing.
- **Switches** are context switches of the server for each delivery or connection.
- **Calls** are system calls of the server for each delivery or connection. strace counts them in a
  separate round. There the server is slower, so each read returns more bytes.
- **Latencies** of messages at a fixed rate count from the time at which a message was due. In
  rate-200 to rate-3000 the rate is the same for all servers; in busy-200 to busy-3000 a process that
  computes all the time shares the processor of the server. The second ratio is that of p50. In
  hub-fan each client has a latency of its own, in hub-stream the sender, in hub-storm a start.

Each server is pinned to one processor and the load to another. Only ours-2 and valkey-2 may use both,
so they wait more often and handle fewer messages per wake-up. The cost of our second thread alone is
that of ours-2-pinned, which has two threads on one processor.

Scenarios of a hub compare servers of WebSocket clients. The floors are relays that parse nothing but
the upgrade and the frames. The plain one writes once a client for each message, the gathering one
once a client for each read from a sender. Ratios are those to the floor that works like the load. The
broker of ours-broker is a process of its own on the same processor, with a figure of its own.

A scenario skips servers that cannot run it: the baseline parses nothing, NATS has no scripts and no
backplanes, and latencies need a processor for the load alone. NATS replies to a batch of messages
and not to each; its patterns are subjects with a wildcard.

The load checks every message. A lost, repeated or changed one ends the measurement.
";

/// Returns whether the summary shows a figure beside the main one. `raw.csv` has all figures.
fn is_shown(figure: Figure, main: Figure) -> bool {
    match figure {
        Figure::Latency(_, Quantile::P90 | Quantile::P9999) => false,
        Figure::Latency(phase, Quantile::P999) => phase == Phase::Whole,
        figure => figure != main,
    }
}

/// Writes `raw.csv`, with the figures of all rounds and servers, and `summary.md`.
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
    let peers = peers::text(tables);
    let tables: Vec<String> = tables.iter().map(Table::text).collect();
    let summary = format!("{heading}\n{LEGEND}\n{peers}```text\n{}```\n", tables.join("\n"));
    fs::write(dir.join("summary.md"), summary)?;
    Ok(())
}
