//! The files of cases. `README.md` beside this file explains their format.

use std::{fs, path::Path};

/// One file of cases.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) detailed_errors: bool,
    /// Whether `Echo` returns the text of its argument, also numbers that fit no type.
    pub(crate) echoes_raw_json: bool,
    pub(crate) scenarios: Vec<Scenario>,
}

/// Steps on one server.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) verb: String,
    pub(crate) rest: String,
    /// Header lines of a request.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// The case that the result of this step belongs to.
    pub(crate) expected: Option<Expected>,
}

#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) case: String,
    pub(crate) text: String,
}

/// Reads a file of cases.
///
/// # Errors
///
/// Returns the line that does not fit the format.
pub(crate) fn read(path: &Path) -> Result<List, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut list = List { name, ..List::default() };
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        let wrong = || format!("{place}: expected a step, found {line:?}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(setting) = line.strip_prefix("detailed errors ") {
            list.detailed_errors = setting == "on";
        } else if line == "echo raw JSON" {
            list.echoes_raw_json = true;
        } else if let Some(name) = line.strip_prefix("== ") {
            list.scenarios.push(Scenario { name: name.to_owned(), steps: Vec::new() });
        } else {
            list.scenarios.last_mut().ok_or_else(wrong)?.add(line).ok_or_else(wrong)?;
        }
    }
    Ok(list)
}

impl Scenario {
    fn add(&mut self, line: &str) -> Option<()> {
        if let Some(expected) = line.strip_prefix("= ") {
            let (case, text) = expected.split_once('\t').unwrap_or((&self.name, expected));
            let expected = Expected { case: case.to_owned(), text: text.to_owned() };
            self.steps.last_mut()?.expected = Some(expected);
        } else if let Some(text) = line.strip_prefix("  < ") {
            self.steps.last_mut()?.body.extend(crate::bytes::unescape(text));
        } else if let Some(hex) = line.strip_prefix("  <x ") {
            self.steps.last_mut()?.body.extend(crate::bytes::unhex(hex));
        } else if let Some(header) = line.strip_prefix("  ") {
            self.steps.last_mut()?.headers.push(header.to_owned());
        } else {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            self.steps.push(Step {
                verb: verb.to_owned(),
                rest: rest.to_owned(),
                headers: Vec::new(),
                body: Vec::new(),
                expected: None,
            });
        }
        Some(())
    }
}
