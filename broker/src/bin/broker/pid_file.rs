//! The file with the process id.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use broker::Config;
use tracing::warn;

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
