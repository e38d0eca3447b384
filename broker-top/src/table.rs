//! Rows of text under headings.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// A table. The columns at the left have texts, those at the right numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) headings: Vec<&'static str>,
    /// The number of columns with texts.
    pub(crate) texts: usize,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns the width of each column, in cells of a terminal.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            longest.max(self.headings[column].len())
        };
        (0..self.headings.len()).map(width).collect()
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let cells = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            if column < self.texts { format!("{cell}{blanks}") } else { format!("{blanks}{cell}") }
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

/// Returns text without characters that a terminal would obey, or that hide or turn others.
pub(crate) fn harmless(text: &str) -> String {
    let is_harmful = |character: char| {
        character.is_control()
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
            || matches!(character, '\u{e0000}'..='\u{e007f}')
    };
    text.chars().map(|character| if is_harmful(character) { '?' } else { character }).collect()
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
        let row = |name: &str, count: &str| vec![name.to_owned(), count.to_owned()];
        let rows = vec![row("news", "7"), row("中文", "1000")];
        let table = Table { headings: vec!["channel", "in"], texts: 1, rows };
        assert_eq!(table.to_string(), "channel    in\nnews        7\n中文     1000\n");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\r\nb"), "a?[2J??b");
        assert_eq!(harmless("\u{202e}zero\u{200b}width"), "?zero?width");
    }

    #[test]
    fn large_numbers_are_short() {
        for (number, text) in [(0, "0"), (9_999, "9999"), (10_000, "10k"), (u64::MAX, "18E")] {
            assert_eq!(short(number), text);
        }
    }
}
