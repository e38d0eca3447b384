//! Starting the same program again: in the background, or under a title without the flags.
//!
//! A password among the flags would stay visible in the list of processes. Redis overwrites its own
//! arguments, which needs unsafe code. Here the process executes itself with a title as its only
//! argument, and passes the words of its command line through standard input. The process id stays.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use broker::{Config, Port};

/// The words of a command line, and the text of standard input if the settings came from there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) words: Vec<OsString>,
    pub(crate) input: Option<Vec<u8>>,
}

/// Holds the stage of a process that was started again.
const STAGE: &str = "BROKER_STAGE";
const TITLED: &str = "titled";
const BACKGROUND: &str = "background";
const UNTITLED: &str = "untitled";

/// Returns whether this process has been started again, with its words on standard input.
pub(crate) fn is_relaunched() -> bool {
    is_in(TITLED) || is_in(BACKGROUND)
}

/// Returns whether this process was started by [`start_in_background`].
pub(crate) fn is_in_background() -> bool {
    is_in(BACKGROUND)
}

fn is_in(stage: &str) -> bool {
    std::env::var_os(STAGE).is_some_and(|found| found == stage)
}

/// Reads the words that the first process passed on.
///
/// # Errors
///
/// Standard input has something else.
pub(crate) fn received() -> io::Result<Launch> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    // Otherwise the words could be read in `/proc/PID/fd/0`.
    let _ = rustix::fs::ftruncate(io::stdin(), 0);
    Launch::decode(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Starts the program in the background.
///
/// # Errors
///
/// The program cannot be started.
pub(crate) fn start_in_background(launch: &Launch, title: &OsStr) -> io::Result<()> {
    let mut command = again(launch, title, BACKGROUND)?;
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

/// Executes the program under a title. Returns only if that fails.
pub(crate) fn execute_under_title(launch: &Launch, title: &OsStr) -> io::Error {
    again(launch, title, TITLED).map_or_else(|error| error, |mut command| command.exec())
}

/// Executes the program with its own words and the options of the allocator, unless that was done
/// or standard input has been read. Returns only if it is not executed.
pub(crate) fn execute_untitled(launch: &Launch) -> io::Result<()> {
    if launch.input.is_some() || is_in(UNTITLED) {
        return Ok(());
    }
    let mut command = Command::new(own_path()?);
    command.arg0(own_name()).args(&launch.words).env(STAGE, UNTITLED);
    tune(&mut command);
    Err(command.exec())
}

/// Sets the options of the allocator that the environment does not set.
fn tune(command: &mut Command) {
    for (name, value) in ALLOCATOR {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
}

fn again(launch: &Launch, title: &OsStr, stage: &str) -> io::Result<Command> {
    let mut words = secret_file()?;
    words.write_all(&launch.encode())?;
    words.rewind()?;
    let mut command = Command::new(own_path()?);
    command.arg0(title).env(STAGE, stage).stdin(words);
    tune(&mut command);
    Ok(command)
}

/// Options of the allocator, which it reads when a process starts: memory of a burst goes back to
/// the system at once, and huge pages do not make the process take megabytes that it does not use.
const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];

/// Creates a file in memory that no other process can open.
#[cfg(target_os = "linux")]
fn secret_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    Ok(memfd_create(c"words", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn secret_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// Returns the path by which the program was started. The kernel names the process after it, so a
/// link called `redis-server` stays visible to `pidof redis-server`.
fn own_path() -> io::Result<PathBuf> {
    let current = std::env::current_exe()?;
    let is_own = |path: &PathBuf| is_same_file(path, &current);
    let name = own_name();
    if name.as_bytes().contains(&b'/') {
        return Ok(Some(PathBuf::from(name)).filter(is_own).unwrap_or(current));
    }
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&dirs).map(|dir| dir.join(&name)).find(is_own);
    Ok(found.unwrap_or(current))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.metadata().map(|data| (data.dev(), data.ino())).ok();
    id(one).is_some_and(|one| Some(one) == id(other))
}

fn own_name() -> OsString {
    std::env::args_os().next().unwrap_or_else(|| "broker".into())
}

/// Returns the title of Redis' default template: `{title} {listen-addr} {server-mode}`.
pub(crate) fn title(config: &Config) -> OsString {
    let mut title = own_name();
    let address = match (config.port, &config.unixsocket) {
        (Port::None, Some(path)) if config.tls.port == Port::None => {
            format!(" unixsocket:{}", path.display())
        }
        (port, _) => {
            let port = if port == Port::None { config.tls.port } else { port };
            let first = config.bind.first().map_or("*", String::as_str);
            format!(" {}:{port}", first.trim_start_matches('-'))
        }
    };
    title.push(address);
    title
}

impl Launch {
    /// Writes the number of words, and each part after its length.
    fn encode(&self) -> Vec<u8> {
        let words = self.words.iter().map(|word| word.as_bytes());
        let mut text = format!("{}\n", self.words.len()).into_bytes();
        for part in words.chain(self.input.as_deref()) {
            text.extend_from_slice(format!("{}\n", part.len()).as_bytes());
            text.extend_from_slice(part);
        }
        text
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let (words_count, mut rest) = number(text)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (length, behind) = number(rest)?;
            let (part, behind) = behind.split_at_checked(length)?;
            parts.push(part.to_vec());
            rest = behind;
        }
        let mut words = parts;
        let input = if words.len() > words_count { words.pop() } else { None };
        let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        (words.len() == words_count).then_some(Self { words, input })
    }
}

/// Reads a number and the end of its line.
fn number(text: &[u8]) -> Option<(usize, &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_words_come_back() {
        for (words, input) in [
            (&[][..], None),
            (&["--requirepass", "a\nb 3\n", ""], None),
            (&["-"], Some(b"port 7000\n".to_vec())),
            (&["a"], Some(Vec::new())),
        ] {
            let launch = Launch { words: words.iter().map(OsString::from).collect(), input };
            assert_eq!(Launch::decode(&launch.encode()), Some(launch));
        }
        for text in ["", "1", "x\n", "1\n", "0\n5\nabc", "1\n1\na1\nb1\nc"] {
            assert_eq!(Launch::decode(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_title_names_the_first_address() {
        let shown = |config: &Config| {
            let title = title(config).to_string_lossy().into_owned();
            title.rsplit_once(' ').expect("it has an address").1.to_owned()
        };
        let bind = vec!["-::1".to_owned(), "127.0.0.1".to_owned()];
        let mut config = Config { bind, port: Port::from(7000), ..Config::default() };
        assert_eq!(shown(&config), "::1:7000");
        config.port = Port::None;
        config.unixsocket = Some("/run/a.sock".into());
        assert_eq!(shown(&config), "unixsocket:/run/a.sock");
    }
}
