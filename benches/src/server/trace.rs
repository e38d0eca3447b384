//! Counts the system calls of a server with `strace`, if that is installed.
//!
//! A traced server is many times slower, so each read returns more bytes. System calls are therefore
//! counted in a separate round, and their figure is a little too low.

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// A running count, up to [`Trace::end`].
pub(crate) struct Trace {
    strace: Child,
    file: tempfile::NamedTempFile,
}

/// The longest time until `strace` is attached to all threads.
const START_TIME_MAX: Duration = Duration::from_secs(5);

/// Returns whether `strace` is installed and can count calls.
pub(crate) fn is_possible() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o", "/dev/null", "true"]);
    let quiet = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

impl Trace {
    /// Starts to count the calls of all threads of a process.
    pub(super) fn start(process: u32, tasks: &[i32]) -> Result<Self, Failure> {
        let file = tempfile::NamedTempFile::new()?;
        let strace = Command::new("strace")
            .args(["-f", "-q", "-c", "-U", "calls,name", "-p", &process.to_string(), "-o"])
            .arg(file.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let trace = Self { strace, file };
        let deadline = Instant::now() + START_TIME_MAX;
        let is_traced = |task: &i32| {
            let status = fs::read_to_string(format!("/proc/{process}/task/{task}/status"));
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        };
        while !tasks.iter().all(is_traced) {
            if Instant::now() > deadline {
                return Err(Failure::Late("strace"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(trace)
    }

    /// Returns the number of calls.
    pub(crate) fn end(mut self) -> Result<f64, Failure> {
        let process = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| io::Error::other("strace has no number"))?;
        kill_process(process, Signal::INT).map_err(io::Error::from)?;
        self.strace.wait()?;
        Ok(calls(&fs::read_to_string(self.file.path())?))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Adds up the calls of a table. Its last line is their total and does not count.
fn calls(table: &str) -> f64 {
    let count = |line: &str| {
        let (count, name) = line.trim().split_once(' ')?;
        if name.trim() == "total" { None } else { count.parse::<f64>().ok() }
    };
    table.lines().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_table_are_added_up() {
        let table = "    calls syscall\n--------- ----------------\n       12 read\n        3 write\n\
                     --------- ----------------\n       15 total\n";
        assert!((calls(table) - 15.0).abs() < f64::EPSILON);
    }
}
