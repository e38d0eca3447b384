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
    pub(crate) is_floor: bool,
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
        let floor = self.rows.iter().find(|row| row.is_floor);
        let floor = floor.and_then(|row| row.median.get(main));
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
            match floor {
                Some(floor) if !row.is_floor && main == Figure::CpuPerDelivery => {
                    let _ = write!(text, "  excess {:>5.2}", (value - floor) / (first - floor));
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
    let summary = format!("{heading}\n```text\n{}```\n", tables.join("\n"));
    fs::write(dir.join("summary.md"), summary)?;
    Ok(())
}
