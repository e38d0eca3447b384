//! The deliberate differences from the recorded servers, and the parts that are still to be built.
//!
//! A row is `== title`, a `reason:`, and one `case:` for each case. A row with `drop:` removes this
//! text from our answers before the comparison, and its case may be `*`, which stands for all. A
//! row with `ours:` covers this answer only, with `*` for any text. A row with neither covers any
//! answer.

use std::{collections::BTreeSet, fs, path::Path};

use crate::replay::Case;

#[derive(Debug, Default)]
pub(crate) struct Differences {
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    title: String,
    reason: String,
    cases: Vec<String>,
    drop: Vec<String>,
    ours: Option<String>,
    /// The listed cases that have differed.
    needed: BTreeSet<String>,
}

impl Differences {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut rows: Vec<Row> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix("== ") {
                rows.push(Row { title: title.to_owned(), ..Row::default() });
                continue;
            }
            let row = rows.last_mut().expect("a line follows the title of its row");
            match line.split_once(": ") {
                Some(("reason", reason)) => row.reason = reason.to_owned(),
                Some(("case", case)) => row.cases.push(case.to_owned()),
                Some(("drop", text)) => row.drop.push(text.to_owned()),
                Some(("ours", ours)) => row.ours = Some(ours.to_owned()),
                _ => panic!("differences.txt: expected a row, found {line:?}"),
            }
        }
        for Row { title, reason, cases, .. } in &rows {
            assert!(!reason.is_empty() && !cases.is_empty(), "the row {title:?} lacks a line");
        }
        Self { rows }
    }

    /// Returns whether rows cover the difference of this case, and notes that they are needed.
    pub(crate) fn cover(&mut self, case: &Case) -> bool {
        let mut ours = case.ours.clone();
        for row in &mut self.rows {
            row.drop_from(&mut ours, case);
        }
        if ours == case.recorded {
            return true;
        }
        let covering = self.rows.iter_mut().find(|row| row.covers(&ours, case));
        let is_covered = covering.is_some();
        if let Some(row) = covering {
            row.needed.insert(case.name.clone());
        }
        is_covered
    }

    /// Returns the listed cases that did not differ.
    pub(crate) fn unneeded(&self) -> Vec<String> {
        let unneeded = |row: &Row| {
            let cases = row.cases.iter().filter(|case| !row.needed.contains(*case));
            cases.map(|case| format!("{}, in {:?}", case, row.title)).collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(unneeded).collect()
    }
}

impl Row {
    fn drop_from(&mut self, ours: &mut String, case: &Case) {
        let Some(listed) = self.cases.iter().find(|listed| matches(listed, &case.name)) else {
            return;
        };
        for text in &self.drop {
            if ours.contains(text) {
                *ours = ours.replace(text, "");
                self.needed.insert(listed.clone());
            }
        }
    }

    fn covers(&self, ours: &str, case: &Case) -> bool {
        let is_about = self.drop.is_empty() && self.cases.contains(&case.name);
        is_about && self.ours.as_ref().is_none_or(|pattern| matches(pattern, ours))
    }
}

/// `*` matches any text, all other characters match themselves.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
}

#[test]
fn a_star_matches_any_text() {
    assert!(matches("a*c*", "abcd") && matches("*", "") && matches("a", "a"));
    assert!(!matches("a*c", "abcd") && !matches("a", "ab"));
}
