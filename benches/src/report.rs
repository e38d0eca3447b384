//! What was measured, for people and for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::load::Sample;
use crate::scenario::{Scenario, Unit};

/// One server's figures in one scenario.
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) is_floor: bool,
    /// All rounds.
    pub(crate) samples: Vec<Sample>,
    /// The one with the middle figure.
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
        let Some(first) = self.rows.first() else { return text };
        let floor = self.rows.iter().find(|row| row.is_floor).map(|row| row.median.figure);
        let unit = self.scenario.unit;
        for row in &self.rows {
            let Sample { figure, rate, context_switches, latency, .. } = &row.median;
            let ratio = figure / first.median.figure;
            let _ = write!(
                text,
                "  {:<10} {figure:>10.0} {}  ratio {ratio:>5.2}",
                row.server,
                unit.label()
            );
            match floor {
                Some(floor) if !row.is_floor && unit == Unit::CpuPerDelivery => {
                    let excess = (figure - floor) / (first.median.figure - floor);
                    let _ = write!(text, "  excess {excess:>5.2}");
                }
                _ => text.push_str("              "),
            }
            if *rate > 0.0 {
                let _ = write!(text, "  {rate:>10.0}/s  {context_switches:>6.3} switches");
            }
            if let Some([p50, p99, p999]) = latency {
                let _ = write!(text, "  p50 {p50} p99 {p99} p99.9 {p999} us");
            }
            text.push('\n');
        }
        text
    }
}

/// Writes `raw.csv`, every round of every server, and `summary.md`.
pub(crate) fn write(dir: &Path, heading: &str, tables: &[Table]) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    let mut raw = csv::Writer::from_path(dir.join("raw.csv")).map_err(Failure::csv)?;
    let names = ["scenario", "server", "round", "unit", "figure", "per_second", "switches", "rss"];
    raw.write_record(names.iter().chain(&["p50_us", "p99_us", "p999_us"])).map_err(Failure::csv)?;
    for table in tables {
        for row in &table.rows {
            for (round, sample) in row.samples.iter().enumerate() {
                let latency = |at: usize| {
                    sample.latency.map_or_else(String::new, |values| values[at].to_string())
                };
                raw.write_record([
                    table.scenario.name,
                    &row.server,
                    &round.to_string(),
                    table.scenario.unit.label(),
                    &format!("{:.1}", sample.figure),
                    &format!("{:.0}", sample.rate),
                    &format!("{:.4}", sample.context_switches),
                    &sample.rss.to_string(),
                    &latency(0),
                    &latency(1),
                    &latency(2),
                ])
                .map_err(Failure::csv)?;
            }
        }
    }
    raw.flush()?;
    let tables: Vec<String> = tables.iter().map(Table::text).collect();
    let summary = format!("{heading}\n```text\n{}```\n", tables.join("\n"));
    fs::write(dir.join("summary.md"), summary)?;
    Ok(())
}
