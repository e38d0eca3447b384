//! Where settings come from: files, their includes, standard input and flags.
//!
//! Lines are read as Redis reads them. A flag is a line as well: `--port 7000` is `port "7000"`,
//! and comes after the file. What cannot be understood stops everything, and the error says where
//! it stands, in Redis' form and in ours.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::directive::{self, DIRECTIVES};
use super::ignored::Values;
use super::parse::Invalid;
use super::{Config, ignored};
use crate::protocol::words;
use crate::version::VERSION;

/// Settings as they were given, and what was given without effect.
///
/// ```
/// let loaded = broker::ConfigFile::from_text("port 7000\nappendonly yes\n").unwrap();
/// assert_eq!(loaded.config.port.to_string(), "7000");
/// assert_eq!(loaded.ignored_directives, ["appendonly"]);
/// ```
///
/// Without any line it is what `redis-server` does without a file: unlike [`Config::default`], it
/// listens on all addresses, where protected mode refuses clients from other machines as long as
/// there is no password.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConfigFile {
    /// The settings.
    pub config: Config,
    /// Directives of Redis or Valkey that have no meaning here, each once, in the order found.
    pub ignored_directives: Vec<String>,
    /// Their values, for those who ask with `CONFIG GET`.
    pub(crate) others: BTreeMap<String, Vec<Vec<u8>>>,
    /// The file that was read first.
    pub(crate) file: Option<PathBuf>,
}

/// Says which line of which file could not be understood, and what was expected.
///
/// ```
/// let error = broker::ConfigFile::from_text("prot 7000").unwrap_err();
/// assert!(error.to_string().ends_with(
///     "text:1: unknown directive 'prot', did you mean 'port'?"
/// ));
/// ```
#[derive(Debug, Error)]
pub struct ConfigError {
    place: Box<Line>,
    #[source]
    problem: Box<Problem>,
}

/// One line, and where it stands.
#[derive(Clone, Debug)]
struct Line {
    source: String,
    number: usize,
    text: String,
}

#[derive(Debug, Error)]
enum Problem {
    #[error("Unbalanced quotes in configuration line")]
    UnbalancedQuotes,
    #[error("Bad directive or wrong number of arguments")]
    Unknown { name: String, nearest: Option<&'static str> },
    #[error("{invalid}")]
    Invalid { name: &'static str, expects: &'static str, values: Vec<Vec<u8>>, invalid: Invalid },
    #[error("wrong number of arguments")]
    IncludeWithoutPath,
    #[error("includes are nested too deeply")]
    TooDeep,
    #[error("Can't open config file '{path}': {error}")]
    Unreadable { path: String, error: io::Error },
}

/// Redis has no bound here, and a file that includes itself takes it down.
const INCLUDE_DEPTH_MAX: usize = 16;

impl Default for ConfigFile {
    fn default() -> Self {
        let bind = vec!["*".to_owned(), "-::*".to_owned()];
        Self::from(Config { bind, ..Config::default() })
    }
}

impl From<Config> for ConfigFile {
    fn from(config: Config) -> Self {
        let (ignored_directives, others, file) = Default::default();
        Self { config, ignored_directives, others, file }
    }
}

impl ConfigFile {
    /// Reads settings from lines of text.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first line that cannot be understood.
    ///
    /// ```
    /// let loaded = broker::ConfigFile::from_text("bind 127.0.0.1\nrequirepass \"a b\"").unwrap();
    /// assert_eq!(loaded.config.requirepass.as_deref(), Some(&b"a b"[..]));
    /// ```
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        let mut loaded = Self::default();
        loaded.add_lines("text", text.as_bytes(), 0)?;
        Ok(loaded)
    }

    /// Adds the settings of a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file, or one that it includes, cannot be read or understood.
    ///
    /// ```
    /// let error = broker::ConfigFile::default().add_file("/no/such/file".as_ref()).unwrap_err();
    /// assert!(error.to_string().contains("Can't open config file '/no/such/file'"));
    /// ```
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = Line { source: path.display().to_string(), number: 0, text: String::new() };
        self.file.get_or_insert_with(|| std::path::absolute(path).unwrap_or(path.to_owned()));
        self.add_file_at(path, &origin, 0)
    }

    /// Adds the settings that `reader` gives, which messages call `name`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it cannot be read or understood.
    ///
    /// ```
    /// let mut loaded = broker::ConfigFile::default();
    /// loaded.add_reader("standard input", &b"port 7000"[..]).unwrap();
    /// assert_eq!(loaded.config.port.to_string(), "7000");
    /// ```
    pub fn add_reader(&mut self, name: &str, mut reader: impl Read) -> Result<(), ConfigError> {
        let mut text = Vec::new();
        let origin = Line { source: name.to_owned(), number: 0, text: String::new() };
        reader
            .read_to_end(&mut text)
            .map_err(|error| origin.error(Problem::Unreadable { path: name.to_owned(), error }))?;
        self.add_lines(name, &text, 0)
    }

    /// Adds flags such as `--port 7000`, as `redis-server` reads them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first flag that cannot be understood.
    ///
    /// ```
    /// let mut loaded = broker::ConfigFile::default();
    /// loaded.add_flags(["--port", "7000", "--requirepass", "secret"]).unwrap();
    /// assert_eq!(loaded.config.port.to_string(), "7000");
    /// ```
    pub fn add_flags<T: AsRef<[u8]>>(
        &mut self,
        flags: impl IntoIterator<Item = T>,
    ) -> Result<(), ConfigError> {
        self.add_lines("command line", &lines_of(flags), 0)
    }

    fn add_lines(&mut self, source: &str, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let text = String::from_utf8_lossy(line).into_owned();
            let place = Line { source: source.to_owned(), number: index + 1, text };
            self.add_line(line, &place, depth)?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &[u8], place: &Line, depth: usize) -> Result<(), ConfigError> {
        let words = words::split(line).map_err(|_| place.error(Problem::UnbalancedQuotes))?;
        let Some((name, values)) = words.split_first() else { return Ok(()) };
        if name.eq_ignore_ascii_case(b"include") {
            return self.include(values, place, depth);
        }
        let Some(directive) = directive::find(name) else {
            return self.log_ignored_directives(name, values, place);
        };
        directive.set(&mut self.config, values).map_err(|invalid| {
            let (name, expects) = (directive.name, directive.expects);
            place.error(Problem::Invalid { name, expects, values: values.to_vec(), invalid })
        })
    }

    fn log_ignored_directives(
        &mut self,
        name: &[u8],
        values: &[Vec<u8>],
        place: &Line,
    ) -> Result<(), ConfigError> {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        let Some(other) = ignored::find(name) else {
            let nearest = nearest(&lower);
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(place.error(Problem::Unknown { name, nearest }));
        };
        let given = self.others.entry(other.canonical()).or_default();
        match other.values {
            // Its lines add up, until `save ""` takes them all back.
            Values::Save if values != [b""] => given.extend_from_slice(values),
            Values::Save => given.clear(),
            Values::Words(_) | Values::Master => {
                let value = values.join(&b' ');
                other.check(&value).map_err(|invalid| {
                    let (name, values) = (other.name, values.to_vec());
                    let expects = match other.values {
                        Values::Words(words) => words,
                        _ => "the name and the port of a server",
                    };
                    place.error(Problem::Invalid { name, expects, values, invalid })
                })?;
                *given = vec![other.normal(&value)];
            }
            _ => *given = values.to_vec(),
        }
        if !self.ignored_directives.contains(&lower) {
            self.ignored_directives.push(lower);
        }
        Ok(())
    }

    fn include(
        &mut self,
        values: &[Vec<u8>],
        place: &Line,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let [path] = values else { return Err(place.error(Problem::IncludeWithoutPath)) };
        if depth == INCLUDE_DEPTH_MAX {
            return Err(place.error(Problem::TooDeep));
        }
        let path = String::from_utf8_lossy(path);
        if !path.contains(['*', '?', '[']) {
            return self.add_file_at(Path::new(&*path), place, depth + 1);
        }
        // As in Redis, a pattern that matches nothing is no error.
        let matching = glob::glob(&path).map_err(|error| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, error);
            place.error(Problem::Unreadable { path: path.clone().into_owned(), error })
        })?;
        matching.flatten().try_for_each(|path| self.add_file_at(&path, place, depth + 1))
    }

    fn add_file_at(&mut self, path: &Path, from: &Line, depth: usize) -> Result<(), ConfigError> {
        let source = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| from.error(Problem::Unreadable { path: source.clone(), error }))?;
        self.add_lines(&source, &text, depth)
    }
}

/// Turns flags into lines by Redis' rule: what follows a flag is its value, whatever it looks like;
/// after that, what begins with `--` is a flag again.
fn lines_of<T: AsRef<[u8]>>(flags: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut has_value = true;
    let mut flags = flags.into_iter().peekable();
    while let Some(flag) = flags.next() {
        let flag = flag.as_ref();
        match flag.strip_prefix(b"--") {
            Some(name) if has_value => {
                if !lines.is_empty() {
                    lines.push(b'\n');
                }
                lines.extend_from_slice(name);
                // A flag may hold its values itself, as in '--maxmemory 700mb'.
                has_value = words::split(name).is_ok_and(|words| words.len() > 1);
                // `--save` without a value means `save ""`.
                let next = flags.peek().map(AsRef::as_ref);
                if name.eq_ignore_ascii_case(b"save")
                    && next.is_none_or(|next| next.starts_with(b"--"))
                {
                    lines.extend_from_slice(b" \"\"");
                    has_value = true;
                }
            }
            _ => {
                lines.push(b' ');
                lines.extend_from_slice(words::quote(flag).as_bytes());
                has_value = true;
            }
        }
    }
    lines
}

/// Finds the directive that looks most like `name`, if one does.
fn nearest(name: &str) -> Option<&'static str> {
    let known = DIRECTIVES
        .iter()
        .map(|directive| directive.name)
        .chain(ignored::IGNORED.iter().map(|other| other.name));
    known
        .chain(["include"])
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|&(distance, candidate)| distance <= candidate.len() / 2)
        .map(|(_, candidate)| candidate)
}

impl Line {
    fn error(&self, problem: Problem) -> ConfigError {
        ConfigError { place: Box::new(self.clone()), problem: Box::new(problem) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { source, number, text } = &*self.place;
        let problem = &*self.problem;
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (broker {VERSION}) ***")?;
        writeln!(f, "Reading the configuration file, at line {number}")?;
        writeln!(f, ">>> '{text}'")?;
        writeln!(f, "{problem}")?;
        match problem {
            Problem::Unknown { name, nearest: Some(nearest) } => {
                write!(
                    f,
                    "{source}:{number}: unknown directive '{name}', did you mean '{nearest}'?"
                )
            }
            Problem::Unknown { name, nearest: None } => {
                write!(f, "{source}:{number}: unknown directive '{name}'")
            }
            Problem::Invalid { name, expects, values, .. } => {
                let found = match &values[..] {
                    [] => "nothing".to_owned(),
                    values => {
                        values.iter().map(|value| words::quote(value)).collect::<Vec<_>>().join(" ")
                    }
                };
                write!(f, "{source}:{number}: '{name}' expects {expects}, found {found}")
            }
            Problem::UnbalancedQuotes => {
                write!(
                    f,
                    "{source}:{number}: expected a closing quote, with a blank or nothing behind it"
                )
            }
            Problem::IncludeWithoutPath => {
                write!(f, "{source}:{number}: 'include' expects one path")
            }
            Problem::TooDeep => {
                write!(
                    f,
                    "{source}:{number}: expected at most {INCLUDE_DEPTH_MAX} files that include each other"
                )
            }
            Problem::Unreadable { path, error } => {
                write!(f, "{source}:{number}: cannot read '{path}': {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let error = ConfigFile::from_text(text).unwrap_err().to_string();
        error.lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn comments_blanks_and_quotes() {
        let text = "# comment\n\n  port 7000  \r\nrequirepass \"a\\x00b\"\nlogfile ''\nbind 127.0.0.1 -::1\n";
        let config = ConfigFile::from_text(text).unwrap().config;
        assert_eq!(config.port, crate::address::Port::from(7000));
        assert_eq!(config.requirepass.as_deref(), Some(&b"a\0b"[..]));
        assert_eq!(config.logfile, None);
    }

    #[test]
    fn what_has_no_meaning_is_listed_once() {
        let loaded = ConfigFile::from_text("save 900 1\nsave 300 10\nAppendOnly yes").unwrap();
        assert_eq!(loaded.ignored_directives, ["save", "appendonly"]);
        assert_eq!(loaded.config, ConfigFile::default().config);
    }

    #[test]
    fn errors_name_the_line_what_was_expected_and_the_nearest_name() {
        for (text, expected) in [
            (
                "\nport 64k",
                r#"text:2: 'port' expects a number from 0 to 65535, or 'any', found "64k""#,
            ),
            ("port", "text:1: 'port' expects a number from 0 to 65535, or 'any', found nothing"),
            ("prot 1", "text:1: unknown directive 'prot', did you mean 'port'?"),
            ("requirepas x", "text:1: unknown directive 'requirepas', did you mean 'requirepass'?"),
            ("qwertyuiopasdf x", "text:1: unknown directive 'qwertyuiopasdf'"),
            ("port \"1", "text:1: expected a closing quote, with a blank or nothing behind it"),
            ("include", "text:1: 'include' expects one path"),
        ] {
            assert_eq!(message(text), expected, "{text:?}");
        }
    }

    #[test]
    fn flags_become_lines_as_in_redis() {
        for (flags, expected) in [
            (&["--port", "7000", "--loglevel", "debug"][..], "port \"7000\"\nloglevel \"debug\""),
            (&["--port", "6379", "6380"], "port \"6379\" \"6380\""),
            (&["--port", "--loglevel", "verbose"], "port \"--loglevel\" \"verbose\""),
            (&["--port", "--bla", "--loglevel", "verbose"], "port \"--bla\"\nloglevel \"verbose\""),
            (&["--maxmemory 700mb", "--port", "1"], "maxmemory 700mb\nport \"1\""),
            (&["--save", "--port", "1"], "save \"\"\nport \"1\""),
            (&["--save", ""], "save \"\""),
            (&["--port"], "port"),
        ] {
            assert_eq!(String::from_utf8(lines_of(flags)).unwrap(), expected, "{flags:?}");
        }
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        let path = std::env::temp_dir().join(format!("broker-include-{}.conf", std::process::id()));
        std::fs::write(&path, format!("include {}\n", path.display())).unwrap();
        let error = ConfigFile::default().add_file(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("expected at most 16 files"), "{error}");
    }
}
