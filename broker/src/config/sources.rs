//! Where settings came from, so that they can be read again.

use std::path::PathBuf;

use super::source::{ConfigError, ConfigFile};

/// Files, texts and flags in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sources {
    all: Vec<Source>,
    /// Whether `maxclients` was lowered to the limit of open files.
    pub(super) is_fitted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// Absolute, since `dir` moves the process.
    File(PathBuf),
    /// Standard input or flags, which cannot change.
    Text { name: String, lines: Vec<u8> },
    /// A password that no file has.
    Password(Vec<u8>),
}

impl Sources {
    pub(super) fn add_file(&mut self, path: PathBuf) {
        self.all.push(Source::File(path));
    }

    pub(super) fn add_text(&mut self, name: &str, lines: &[u8]) {
        self.all.push(Source::Text { name: name.to_owned(), lines: lines.to_vec() });
    }

    pub(super) fn add_password(&mut self, password: &[u8]) {
        self.all.push(Source::Password(password.to_vec()));
    }

    /// Returns whether the settings came from a program alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether this password came from outside of files and flags.
    pub(crate) fn have_password(&self, password: Option<&[u8]>) -> bool {
        let is_it = |given: &[u8]| Some(given) == password;
        self.all.iter().any(|source| matches!(source, Source::Password(given) if is_it(given)))
    }

    /// Reads all of them again. Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file cannot be read, or if a setting is a mistake or refused.
    pub(crate) fn read(&self) -> Result<ConfigFile, ConfigError> {
        let mut read = ConfigFile::default();
        for source in &self.all {
            match source {
                Source::File(path) => read.add_file(path)?,
                Source::Text { name, lines } => read.add_reader(name, &lines[..])?,
                Source::Password(password) => read.add_password(password),
            }
        }
        read.check()?;
        if self.is_fitted {
            read.fit_maxclients();
        }
        Ok(read)
    }
}
