//! Signs of life for other programs: the file with the process id, and the states that systemd reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use broker::{Config, Server};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// More than a shutdown takes after the last client.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Reports in the time of a watchdog.
const WATCHDOG_PARTS: u32 = 4;

/// Redis' default for a process in the background.
const PID_FILE: &str = "/var/run/redis.pid";

/// The file with the process id, which is removed at the end.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file if the settings name one, or if the process runs in the background. Call it
    /// when the server listens, so that a failed start leaves the file of a running server alone.
    pub(crate) fn create(config: &Config, is_in_background: bool) -> Option<Self> {
        let default = || is_in_background.then(|| PathBuf::from(PID_FILE));
        let path = config.pidfile.clone().or_else(default)?;
        // CONFIG SET dir must not change the file that is removed.
        let path = std::path::absolute(&path).unwrap_or(path);
        match fs::write(&path, format!("{}\n", process::id())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                warn!(path = %path.display(), "Failed to write PID file: {}", reason(&error));
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if holds_own_id(&self.0) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Returns whether no other process has overwritten the file.
fn holds_own_id(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim().parse() == Ok(process::id()))
}

/// Returns the text of an error without its number, as Redis shows it.
fn reason(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// Reports to systemd that clients may connect.
pub(crate) fn notify_ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("Ready to accept connections")]);
}

/// Reports to systemd that the settings are read again. [`notify_ready`] ends it.
pub(crate) fn notify_reloading() {
    // systemd ignores a reload without its time.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let text = NotifyState::Status("Reloading the settings");
        notify(&[NotifyState::Reloading, now, text]);
    }
}

/// Reports to systemd that the clients end over this time, so that it waits for them.
pub(crate) fn notify_draining(window: Duration) {
    let extended = u32::try_from((window + STOP_TIME).as_micros()).unwrap_or(u32::MAX);
    let text = NotifyState::Status("Draining clients");
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(extended), text]);
}

/// Reports to systemd that the server shuts down.
pub(crate) fn notify_stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("Shutting down")]);
}

/// Reports to systemd that all threads make turns, as often as it asks for. Never ends.
pub(crate) async fn keep_watchdog(server: &Server) {
    let Some(time) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    // A script may hold all threads for 5 seconds, and must not use up the time.
    let mut ticks = interval((time / WATCHDOG_PARTS).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        server.turned().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(states)
    {
        warn!(%error, "cannot notify systemd");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_of_another_process_stays() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("pid");
        let config = Config { pidfile: Some(path.clone()), ..Config::default() };
        drop(PidFile::create(&config, false).expect("it is written"));
        assert!(!path.exists());

        let own = PidFile::create(&config, false);
        fs::write(&path, "1\n").expect("it can be written");
        drop(own);
        assert!(path.exists());
    }
}
