//! Running in the background, and telling others that the process is there: the file with its
//! number, and systemd.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use broker::Config;
use tracing::warn;

/// Tells the process in the background what it is.
const MARK: &str = "BROKER_DAEMON";
/// Redis' default for a process in the background.
const PID_FILE: &str = "/var/run/redis.pid";

/// Whether this process was started by [`start`].
pub(crate) fn is_daemon() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts the same program in the background. Forking would not do, since threads are not forked.
///
/// # Errors
///
/// When the program cannot be started.
pub(crate) fn start(words: &[OsString], input: Option<&[u8]>) -> io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(words)
        .env(MARK, "1")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(text)?;
    }
    Ok(())
}

/// The file with the number of the process, which goes with it.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file, if the settings want one.
    pub(crate) fn create(config: &Config) -> Option<Self> {
        if is_daemon() {
            // A session of its own, so that the terminal's end is not ours.
            #[cfg(unix)]
            let _ = rustix::process::setsid();
        }
        let default = || is_daemon().then(|| PathBuf::from(PID_FILE));
        let path = config.pidfile.clone().or_else(default)?;
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot write the pid file");
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Tells systemd that clients may connect, if it wants to know.
pub(crate) fn notify_ready() {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready])
    {
        warn!(%error, "cannot tell systemd that the server is ready");
    }
}
