//! Busy processes that compete with the server for its processor.

use std::process::{Child, Command};

use rustix::process::Pid;

use crate::Failure;
use crate::server::{self, SERVER_CPU};

/// Processes that compute until they are dropped.
pub(super) struct Neighbours(Vec<Child>);

impl Neighbours {
    /// Starts `count` processes on the processor of the server.
    pub(super) fn start(count: usize) -> Result<Self, Failure> {
        let mut all = Self(Vec::new());
        for _ in 0..count {
            let child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?;
            server::pin(Some(Pid::from_child(&child)), &[SERVER_CPU])?;
            all.0.push(child);
        }
        Ok(all)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
