//! Compares the broker with other servers: the multiples of its figures, and the rows in which another
//! server is ahead.

use std::fmt::Write as _;

use super::{Row, Table};

/// The start of the names of our servers.
const OURS: &str = "ours";
/// The end of the names of servers with two threads.
const TWO_THREADS: &str = "-2";
/// The end of the name of our server of a hub.
const HUB: &str = "-embedded";

/// Returns a table of multiples and the list of rows in which another server is ahead. The text is
/// empty without other servers.
pub(super) fn text(tables: &[Table]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in tables.iter().flat_map(peers) {
        if !names.contains(&&*row.server) {
            names.push(&row.server);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let columns = names.join(" | ");
    let mut text = format!("{HEAD}\n| scenario | ours | {columns} |\n|---|---|");
    let _ = writeln!(text, "{}", "---|".repeat(names.len()));
    let mut ahead = Vec::new();
    for table in tables {
        let main = table.scenario.figure;
        let Some(own) = ours(table, OURS).and_then(|row| row.median.get(main)) else { continue };
        let _ = write!(text, "| {} | {} {} |", table.scenario.name, main.text(own), main.label());
        for name in &names {
            let Some(multiple) = Multiple::of(table, name) else {
                text.push_str(" – |");
                continue;
            };
            let _ = write!(text, " {:.2} |", multiple.value);
            if multiple.value < 1.0 {
                let doubt = if multiple.is_certain { "" } else { ", but the rounds overlap" };
                let name = format!("{}: {name}", table.scenario.name);
                ahead.push(format!("- {name}, {:.2}{doubt}\n", multiple.value));
            }
        }
        text.push('\n');
    }
    text.push_str(match ahead.is_empty() {
        true => "\nNo other server is ahead in any row.\n",
        false => "\nRows in which another server is ahead:\n\n",
    });
    text + &ahead.concat() + "\n"
}

/// The text above the table.
const HEAD: &str = "\
## Other servers

Their main figures in multiples of ours; above 1, the broker is better. A server with two threads is
compared with the broker with two threads.
";

/// The figure of a server in multiples of ours.
struct Multiple {
    value: f64,
    /// Whether all rounds of the server are below all of ours.
    is_certain: bool,
}

impl Multiple {
    fn of(table: &Table, name: &str) -> Option<Self> {
        let figure = table.scenario.figure;
        let row = peers(table).find(|row| row.server == name)?;
        let ours = ours(table, name)?;
        let rounds = |row: &Row| -> Vec<f64> {
            row.samples.iter().filter_map(|sample| sample.get(figure)).collect()
        };
        let highest = rounds(row).into_iter().fold(f64::MIN, f64::max);
        let is_certain = rounds(ours).into_iter().all(|value| highest < value);
        Some(Self { value: row.median.get(figure)? / ours.median.get(figure)?, is_certain })
    }
}

/// Returns our server with as many threads as the server of this name.
fn ours<'a>(table: &'a Table, name: &str) -> Option<&'a Row> {
    let end = match table.scenario.load.hub() {
        Some(_) => HUB,
        None if name.ends_with(TWO_THREADS) => TWO_THREADS,
        None => "",
    };
    table.rows.iter().find(|row| row.server.strip_prefix(OURS) == Some(end))
}

fn peers(table: &Table) -> impl Iterator<Item = &Row> {
    table.rows.iter().filter(|row| !row.is_baseline && !row.server.starts_with(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::sample::{self, Sample};
    use crate::scenario::SCENARIOS;

    fn row(server: &str, rounds: &[f64]) -> Row {
        let samples: Vec<Sample> =
            rounds.iter().map(|value| Sample::of(Figure::CpuPerDelivery, *value)).collect();
        let is_baseline = server == "baseline";
        Row { server: server.to_owned(), is_baseline, median: sample::median(&samples), samples }
    }

    fn table(rows: Vec<Row>) -> Table {
        Table { scenario: SCENARIOS[0], rows, skipped: Vec::new() }
    }

    #[test]
    fn other_servers_are_multiples_of_ours() {
        let rows = vec![row("redis", &[250.0]), row("ours", &[100.0]), row("baseline", &[1.0])];
        let text = text(&[table(rows)]);
        assert!(text.contains("| scenario | ours | redis |"), "{text}");
        assert!(text.contains("| one | 100 ns CPU/delivery | 2.50 |"), "{text}");
        assert!(text.contains("No other server is ahead"), "{text}");
    }

    #[test]
    fn a_server_that_is_ahead_is_named() {
        let ours = || row("ours", &[90.0, 100.0, 110.0]);
        let text = text(&[
            table(vec![row("nats", &[40.0, 50.0, 60.0]), ours()]),
            table(vec![row("valkey", &[80.0, 95.0, 100.0]), ours()]),
            table(vec![row("valkey-2", &[80.0]), ours(), row("ours-2", &[20.0])]),
        ]);
        assert!(text.contains("- one: nats, 0.50\n"), "{text}");
        assert!(text.contains("- one: valkey, 0.95, but the rounds overlap\n"), "{text}");
        assert!(text.contains("| – | – | 4.00 |") && !text.contains("valkey-2, "), "{text}");
    }

    #[test]
    fn servers_of_a_hub_are_compared_with_ours() {
        let scenario = SCENARIOS.iter().find(|each| each.name == "hub-fan-100");
        let floor = Row { is_baseline: true, ..row("floor-plain", &[10.0]) };
        let rows = vec![floor, row("ours-embedded", &[20.0]), row("ws", &[50.0])];
        let table = Table { scenario: *scenario.expect("a scenario"), ..table(rows) };
        let text = text(&[table]);
        assert!(text.contains("| hub-fan-100 | 20 ns CPU/delivery | 2.50 |"), "{text}");
        assert!(!text.contains("floor"), "{text}");
    }

    #[test]
    fn without_other_servers_there_is_no_comparison() {
        assert_eq!(text(&[table(vec![row("ours", &[1.0]), row("baseline", &[1.0])])]), "");
    }
}
