//! Where settings came from, so that they can be read again.

use std::path::{Path, PathBuf};

use super::source::{ConfigError, ConfigFile};

/// Files, texts and flags in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sources(Vec<Source>);

#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// Absolute, since `dir` moves the process.
    File(PathBuf),
    /// Standard input, a variable or the flags. They cannot change.
    Text { name: String, lines: Vec<u8> },
}

impl Sources {
    pub(super) fn add_file(&mut self, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.0.push(Source::File(path));
    }

    pub(super) fn add_text(&mut self, name: &str, lines: &[u8]) {
        self.0.push(Source::Text { name: name.to_owned(), lines: lines.to_vec() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads all of them again. Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file cannot be read, or if a setting is a mistake or refused.
    pub(crate) fn read(&self) -> Result<ConfigFile, ConfigError> {
        let mut read = ConfigFile::default();
        for source in &self.0 {
            match source {
                Source::File(path) => read.add_file(path)?,
                Source::Text { name, lines } => read.add_reader(name, &lines[..])?,
            }
        }
        read.check()?;
        Ok(read)
    }
}
