//! Rows of text under headings.

use std::fmt;

/// A table. The columns at the left have texts, those at the right numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) headings: Vec<&'static str>,
    /// The number of columns with texts.
    pub(crate) texts: usize,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns the width of each column, in characters.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(self.headings[column].len())
        };
        (0..self.headings.len()).map(width).collect()
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let cells = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < self.texts { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        writeln!(f, "{}", self.line(&self.headings, &widths))?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            writeln!(f, "{}", self.line(&cells, &widths))?;
        }
        Ok(())
    }
}

/// Returns text without characters that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// Writes a number in at most four digits and a unit.
pub(crate) fn short(number: u64) -> String {
    let units = ["", "k", "M", "G", "T", "P", "E"];
    let (mut number, mut unit) = (number, 0);
    while number >= 10_000 && unit + 1 < units.len() {
        number /= 1000;
        unit += 1;
    }
    format!("{number}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_at_the_left_and_numbers_at_the_right() {
        let rows =
            vec![vec!["news".to_owned(), "7".to_owned()], vec!["a".to_owned(), "1000".to_owned()]];
        let table = Table { headings: vec!["channel", "in"], texts: 1, rows };
        assert_eq!(table.to_string(), "channel    in\nnews        7\na        1000\n");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\r\nb"), "a?[2J??b");
    }

    #[test]
    fn large_numbers_are_short() {
        for (number, text) in [(0, "0"), (9_999, "9999"), (10_000, "10k"), (u64::MAX, "18E")] {
            assert_eq!(short(number), text);
        }
    }
}
