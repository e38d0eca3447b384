//! Reads settings from files, their includes, standard input and flags.
//!
//! Lines have Redis' syntax. A flag becomes a line after those of the file: `--port 7000` is
//! `port "7000"`. The first mistake is an error with its place, in Redis' form and in ours.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::warn;

use super::directive;
use super::flags::lines_of;
use super::ignored::Values;
use super::parse::Invalid;
use super::promises::{self, NOT_ON_DISK, Promise, Verdict};
use super::sources::Sources;
use super::{Config, ignored};
use crate::descriptors::fit_clients;
use crate::protocol::words;
use crate::version::VERSION;

/// Settings with their sources, and the directives without an effect.
///
/// ```
/// let loaded = broker::ConfigFile::from_text("port 7000\nhz 10\n").unwrap();
/// assert_eq!(loaded.config.port.to_string(), "7000");
/// assert_eq!(loaded.ignored_directives(), ["hz"]);
/// ```
///
/// Without any line it is the default of `redis-server` without a file. Unlike [`Config::default`],
/// it listens on all addresses. Protected mode refuses clients from other machines while there is no
/// password.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConfigFile {
    /// The settings.
    pub config: Config,
    /// Ignored directives, each once, in the order found.
    ignored: Vec<Given>,
    /// The values of ignored directives by their names of today, for `CONFIG GET`.
    pub(crate) others: BTreeMap<String, Vec<Vec<u8>>>,
    /// The first file, which `CONFIG REWRITE` writes.
    pub(crate) file: Option<PathBuf>,
    /// All that was read, for a reload.
    pub(crate) sources: Sources,
    /// The settings as they were read. A program may have changed [`config`](Self::config).
    pub(crate) read: Config,
}

/// A mistake in the settings: its file and line, the expectation, and the value found.
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

/// An ignored directive, and the last line that gives it a value.
#[derive(Clone, Debug, PartialEq)]
struct Given {
    name: &'static str,
    place: Line,
}

/// One line and its place.
#[derive(Clone, Debug, PartialEq)]
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
    #[error("This setting is not supported")]
    Refused { name: &'static str, consequence: &'static str },
    #[error("includes are nested too deeply")]
    TooDeep,
    #[error("Can't open config file '{path}': {error}")]
    Unreadable { path: String, error: io::Error },
}

/// Redis has no limit, so a file that includes itself crashes it.
const INCLUDE_DEPTH_MAX: usize = 16;

impl Default for ConfigFile {
    fn default() -> Self {
        let bind = vec!["*".to_owned(), "-::*".to_owned()];
        Self::from(Config { bind, ..Config::default() })
    }
}

impl From<Config> for ConfigFile {
    fn from(config: Config) -> Self {
        let (ignored, others, file, sources) = Default::default();
        Self { read: config.clone(), config, ignored, others, file, sources }
    }
}

impl ConfigFile {
    /// Reads settings from lines of text.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first line with a mistake.
    ///
    /// ```
    /// let loaded = broker::ConfigFile::from_text("bind 127.0.0.1\nrequirepass \"a b\"").unwrap();
    /// assert_eq!(loaded.config.requirepass.as_deref(), Some(&b"a b"[..]));
    /// ```
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        let mut loaded = Self::default();
        loaded.add_reader("text", text.as_bytes())?;
        Ok(loaded)
    }

    /// Adds the settings of a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the file or an included file cannot be read or has a mistake.
    ///
    /// ```
    /// let error = broker::ConfigFile::default().add_file("/no/such/file".as_ref()).unwrap_err();
    /// assert!(error.to_string().contains("Can't open config file '/no/such/file'"));
    /// ```
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = Line { source: path.display().to_string(), number: 0, text: String::new() };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.sources.add_file(absolute.clone());
        self.file.get_or_insert(absolute);
        self.add_file_at(path, &origin, 0)?;
        self.read = self.config.clone();
        Ok(())
    }

    /// Adds the settings of `reader`. Errors refer to it as `name`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it cannot be read or has a mistake.
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
        self.add_text(name, &text)
    }

    fn add_text(&mut self, name: &str, lines: &[u8]) -> Result<(), ConfigError> {
        self.sources.add_text(name, lines);
        self.add_lines(name, lines, 0)?;
        self.read = self.config.clone();
        Ok(())
    }

    /// Sets [`Config::requirepass`] to a password from outside of files and flags, such as a variable of the
    /// environment. `CONFIG REWRITE` does not write it. An empty one changes nothing.
    ///
    /// ```
    /// let mut loaded = broker::ConfigFile::from_text("requirepass a").unwrap();
    /// loaded.add_password(b"b");
    /// assert_eq!(loaded.config.requirepass.as_deref(), Some(&b"b"[..]));
    /// ```
    pub fn add_password(&mut self, password: &[u8]) {
        if !password.is_empty() {
            self.sources.add_password(password);
            self.config.requirepass = Some(password.to_vec());
            self.config.requirepass_file = None;
            self.read = self.config.clone();
        }
    }

    /// Adds flags such as `--port 7000`, with the syntax of `redis-server`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first flag with a mistake.
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
        self.add_text("command line", &lines_of(flags))
    }

    /// Returns the directives of Redis and Valkey that are ignored without a consequence, each once,
    /// in the order found.
    ///
    /// ```
    /// let loaded = broker::ConfigFile::from_text("hz 10\nappendonly yes").unwrap();
    /// assert_eq!(loaded.ignored_directives(), ["hz"]);
    /// ```
    pub fn ignored_directives(&self) -> Vec<&'static str> {
        // The program obeys `supervised` without a setting: it looks for the socket of systemd.
        let harmless = self.ignored.iter().filter(|given| given.name != "supervised");
        let harmless = harmless.filter(|given| self.promise(given).is_none());
        harmless.map(|given| given.name).collect()
    }

    /// Returns a line for each ignored setting that has a consequence, with that consequence, and one for
    /// each file of a Redis server in its folder, since its keys are not loaded.
    ///
    /// ```
    /// let loaded = broker::ConfigFile::from_text("appendonly yes").unwrap();
    /// assert!(loaded.warnings()[0].starts_with("text:1: 'appendonly yes' has no effect: "));
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let promises = self.ignored.iter().filter_map(|given| Some((given, self.promise(given)?)));
        promises
            .filter(|(_, promise)| promise.verdict == Verdict::Warn)
            .map(|(Given { place, .. }, promise)| {
                let Line { source, number, text } = place;
                format!("{source}:{number}: '{text}' has no effect: {}", promise.consequence)
            })
            .chain(self.unread_data())
            .collect()
    }

    /// Returns a line for each file that a Redis server would load.
    fn unread_data(&self) -> impl Iterator<Item = String> {
        let folder = self.config.dir.clone().unwrap_or_default();
        ["dbfilename", "appenddirname"].into_iter().filter_map(move |directive| {
            let given = self.others.get(directive).map(|values| values.join(&b' '));
            let name = match given {
                Some(given) => String::from_utf8(given).ok()?,
                None => ignored::find(directive.as_bytes())?.default?.to_owned(),
            };
            let is_nameless = name.is_empty();
            let path = folder.join(name);
            let is_there = !is_nameless && path.exists();
            is_there
                .then(|| format!("the keys in {} are not loaded: {NOT_ON_DISK}", path.display()))
        })
    }

    /// Refuses settings that promise security or other servers, which the broker does not have.
    /// [`Server::bind_loaded`](crate::Server::bind_loaded) does the same.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first of these settings.
    ///
    /// ```
    /// let loaded = broker::ConfigFile::from_text("loadmodule a.so").unwrap();
    /// assert!(loaded.check().unwrap_err().to_string().contains("modules cannot be loaded"));
    /// ```
    pub fn check(&self) -> Result<(), ConfigError> {
        for given in &self.ignored {
            if let Some(promise) = self.promise(given).filter(|it| it.verdict == Verdict::Refuse) {
                let Promise { name, consequence, .. } = promise;
                return Err(given.place.error(Problem::Refused { name, consequence }));
            }
        }
        Ok(())
    }

    /// Raises the limit of open files of this process to [`Config::maxclients`], or lowers that setting
    /// to the limit and logs a warning.
    ///
    /// ```
    /// let mut loaded = broker::ConfigFile::from_text("maxclients 100").unwrap();
    /// loaded.fit_maxclients();
    /// assert!((1..=100).contains(&loaded.config.maxclients));
    /// ```
    pub fn fit_maxclients(&mut self) {
        let wanted = self.config.maxclients;
        let fitting = fit_clients(wanted);
        if fitting < wanted {
            warn!(wanted, "maxclients lowered to {fitting}: the limit of open files is too low");
            self.config.maxclients = fitting;
        }
        self.read.maxclients = self.config.maxclients;
        self.sources.is_fitted = true;
    }

    fn promise(&self, given: &Given) -> Option<&'static Promise> {
        let name = ignored::find(given.name.as_bytes())?.canonical();
        promises::find(&name, &self.others.get(&name)?.join(&b' '))
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
            return self.ignore(name, values, place);
        };
        directive.set(&mut self.config, values).map_err(|invalid| {
            let (name, expects) = (directive.name, directive.expects);
            place.error(Problem::Invalid { name, expects, values: values.to_vec(), invalid })
        })
    }

    fn ignore(&mut self, name: &[u8], values: &[Vec<u8>], place: &Line) -> Result<(), ConfigError> {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        let Some(other) = ignored::find(name) else {
            let nearest = nearest(&lower);
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(place.error(Problem::Unknown { name, nearest }));
        };
        let given = self.others.entry(other.canonical()).or_default();
        match other.values {
            // Lines accumulate until `save ""` removes them all.
            Values::Save if values != [b""] => given.extend_from_slice(values),
            Values::Save => given.clear(),
            Values::Words(_) => {
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
        let place = place.clone();
        match self.ignored.iter_mut().find(|known| known.name == other.name) {
            Some(known) => known.place = place,
            None => self.ignored.push(Given { name: other.name, place }),
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
        // As in Redis, a pattern without a match is no error.
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

/// Finds the directive with the most similar name, if one is similar enough.
fn nearest(name: &str) -> Option<&'static str> {
    let known = directive::all()
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
        let Line { number, text, .. } = &*self.place;
        let problem = &self.problem;
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (broker {VERSION}) ***")?;
        // A file that cannot be opened has no lines.
        if *number > 0 {
            writeln!(f, "Reading the configuration file, at line {number}")?;
            writeln!(f, ">>> '{text}'")?;
        }
        writeln!(f, "{problem}")?;
        self.fmt_cause(f)
    }
}

impl ConfigError {
    /// Returns the place of the mistake and the name of the directive. Unlike the error itself, the
    /// text has no value, which may be a password.
    ///
    /// ```
    /// let error = broker::ConfigFile::from_text("requirepass a b").unwrap_err();
    /// assert_eq!(error.place(), "text:1: requirepass");
    /// ```
    pub fn place(&self) -> String {
        let Line { source, number, text } = &*self.place;
        match text.split_whitespace().next() {
            Some(directive) => format!("{source}:{number}: {directive}"),
            None => source.clone(),
        }
    }

    /// Returns the cause, or the place alone where the cause may quote a password.
    pub(crate) fn without_values(&self) -> String {
        match &*self.problem {
            Problem::Unreadable { .. }
            | Problem::Refused { .. }
            | Problem::TooDeep
            | Problem::Invalid { invalid: Invalid::PasswordFile(_), .. } => self.cause(),
            _ => format!("mistake at {}", self.place()),
        }
    }

    /// Returns the cause in one line, without Redis' block around it.
    pub(crate) fn cause(&self) -> String {
        fmt::from_fn(|f| self.fmt_cause(f)).to_string()
    }

    fn fmt_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { source, number, .. } = &*self.place;
        match &*self.problem {
            Problem::Refused { name, consequence } => {
                write!(f, "{source}:{number}: '{name}' is refused: {consequence}")
            }
            Problem::Unknown { name, nearest: Some(nearest) } => {
                write!(
                    f,
                    "{source}:{number}: unknown directive '{name}', did you mean '{nearest}'?"
                )
            }
            Problem::Unknown { name, nearest: None } => {
                write!(f, "{source}:{number}: unknown directive '{name}'")
            }
            // The expectation would hide the cause.
            Problem::Invalid {
                name,
                invalid: Invalid::User(cause) | Invalid::PasswordFile(cause),
                ..
            } => {
                write!(f, "{source}:{number}: '{name}' is refused: {cause}")
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
                    "{source}:{number}: expected a closing quote followed by whitespace or end of line"
                )
            }
            Problem::IncludeWithoutPath => {
                write!(f, "{source}:{number}: 'include' expects one path")
            }
            Problem::TooDeep => {
                write!(f, "{source}:{number}: expected at most {INCLUDE_DEPTH_MAX} nested includes")
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
    fn ignored_directives_are_listed_once() {
        let loaded = ConfigFile::from_text("hz 10\nhz 20\nAppendOnly no").unwrap();
        assert_eq!(loaded.ignored_directives(), ["hz", "appendonly"]);
        assert_eq!(loaded.warnings(), [""; 0]);
        assert_eq!(loaded.config, ConfigFile::default().config);
    }

    #[test]
    fn a_setting_with_a_consequence_is_a_warning_until_it_is_taken_back() {
        let mut loaded = ConfigFile::from_text("\nsave 900 1\nsave 300 10\nhz 10").unwrap();
        let [warning] = &loaded.warnings()[..] else { panic!("one warning") };
        assert!(warning.starts_with("text:3: 'save 300 10' has no effect: "), "{warning}");
        assert_eq!(loaded.ignored_directives(), ["hz"]);
        loaded.add_flags(["--save", ""]).unwrap();
        assert_eq!(loaded.warnings(), [""; 0]);
        assert_eq!(loaded.ignored_directives(), ["save", "hz"]);
    }

    #[test]
    fn a_setting_that_promises_too_much_is_refused_until_it_is_taken_back() {
        for (text, takes_back) in [
            ("cluster-enabled yes", &["--cluster-enabled", "no"]),
            ("tls-key-file-pass x", &["--tls-key-file-pass", ""]),
        ] {
            let mut loaded = ConfigFile::from_text(text).unwrap();
            let error = loaded.check().unwrap_err().cause();
            assert!(error.starts_with("text:1: '") && error.contains("' is refused: "), "{error}");
            loaded.add_flags(takes_back).unwrap();
            assert!(loaded.check().is_ok(), "{text}");
        }
        assert!(ConfigFile::from_text("loadmodule /x.so").unwrap().check().is_err());
    }

    #[test]
    fn errors_name_the_line_the_expectation_and_the_nearest_name() {
        for (text, expected) in [
            (
                "\nport 64k",
                r#"text:2: 'port' expects a number from 0 to 65535, or 'any', found "64k""#,
            ),
            ("port", "text:1: 'port' expects a number from 0 to 65535, or 'any', found nothing"),
            ("prot 1", "text:1: unknown directive 'prot', did you mean 'port'?"),
            ("requirepas x", "text:1: unknown directive 'requirepas', did you mean 'requirepass'?"),
            ("qwertyuiopasdf x", "text:1: unknown directive 'qwertyuiopasdf'"),
            ("port \"1", "text:1: expected a closing quote followed by whitespace or end of line"),
            ("include", "text:1: 'include' expects one path"),
            (
                "user a on\nuser a off",
                "text:2: 'user' is refused: Duplicate user found. A user can only be defined once \
                 in config files",
            ),
        ] {
            assert_eq!(message(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_password_file_must_have_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let line = |rest: &str| format!("requirepass-file {}{rest}", path.display());
        let absent = message(&line(""));
        assert!(
            absent.starts_with("text:1: 'requirepass-file' is refused: no password in "),
            "{absent}"
        );
        std::fs::write(&path, "\nsecret").unwrap();
        let empty = message(&line(""));
        assert!(
            empty.ends_with(": expected one in the first line, found an empty line"),
            "{empty}"
        );
        std::fs::write(&path, "\u{feff}secret").unwrap();
        let marked = message(&line(""));
        assert!(marked.ends_with("without a byte order mark, found one"), "{marked}");
        std::fs::write(&path, "a b").unwrap();
        let config = ConfigFile::from_text(&line("")).unwrap().config;
        assert_eq!(config.requirepass.as_deref(), Some(&b"a b"[..]));
        let config = ConfigFile::from_text(&line("\nrequirepass-file \"\"")).unwrap().config;
        assert_eq!((config.requirepass, config.requirepass_file), (None, None));
        let config = ConfigFile::from_text(&line("\nrequirepass x")).unwrap().config;
        assert_eq!(
            (config.requirepass.as_deref(), config.requirepass_file),
            (Some(&b"x"[..]), None)
        );
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        let path = std::env::temp_dir().join(format!("broker-include-{}.conf", std::process::id()));
        std::fs::write(&path, format!("include {}\n", path.display())).unwrap();
        let error = ConfigFile::default().add_file(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("expected at most 16 nested includes"), "{error}");
    }
}
