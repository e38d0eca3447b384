//! The log, on standard output or in a file.
//!
//! The log file is opened again as soon as its path leads to another file or to none, so that
//! `logrotate` needs no signal.

mod lines;
#[cfg(unix)]
mod syslog;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use broker::{Config, LogLevel};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::lines::Lines;

/// Starts logging with the level and file of `config`, and to the log of the system if it says so.
///
/// # Errors
///
/// The log file cannot be opened, or there is no socket left.
pub(crate) fn start(config: &Config) -> io::Result<()> {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(Lines { format: config.log_format, time: config.log_timestamp_format });
    #[cfg(unix)]
    let syslog = syslog::Syslog::start(config)?;
    // The settings name it, and the system has none.
    #[cfg(windows)]
    let syslog: Option<tracing_subscriber::layer::Identity> = None;
    let all = tracing_subscriber::registry().with(filter(config.loglevel)).with(syslog);
    match &config.logfile {
        None => all.with(lines).init(),
        Some(path) => {
            let file = LogFile::open(path).map_err(|error| {
                let text = format!("cannot open log file '{}': {error}", path.display());
                io::Error::new(error.kind(), text)
            })?;
            all.with(lines.with_writer(Mutex::new(file))).init();
        }
    }
    Ok(())
}

/// A file that follows its path.
struct LogFile {
    /// Absolute, since `CONFIG SET dir` moves the process.
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let file = append_to(&path)?;
        Ok(Self { path, file })
    }

    /// Opens the path again if it leads elsewhere. If that fails, lines go on into the open file.
    fn follow(&mut self) {
        if !is_at(&self.file, &self.path)
            && let Ok(file) = append_to(&self.path)
        {
            self.file = file;
        }
    }
}

impl Write for LogFile {
    /// Receives a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.follow();
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Returns whether the path leads to this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let id = |data: std::fs::Metadata| (data.dev(), data.ino());
    match (file.metadata(), path.metadata()) {
        (Ok(own), Ok(found)) => id(own) == id(found),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug | LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
        // `Notice`, which is also the default of Redis.
        _ => LevelFilter::INFO,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_renamed_or_removed_file_is_created_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let mut log = LogFile::open(&path).expect("it can be made");
        log.write_all(b"one\n").expect("it is written");
        fs::rename(&path, &old).expect("it is there");
        log.write_all(b"two\n").expect("it is written");
        assert_eq!(fs::read(&old).expect("the old file"), b"one\n");
        assert_eq!(fs::read(&path).expect("the new file"), b"two\n");
        fs::remove_file(&path).expect("it is there");
        log.write_all(b"three\n").expect("it is written");
        assert_eq!(fs::read(&path).expect("the new file"), b"three\n");
    }
}
