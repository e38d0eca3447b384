//! The processor time and the resident memory of the process, as the kernel reports them.
//!
//! A look at them costs more than the rest of `INFO`, so figures of the last [`FRESH`] are used
//! again. Redis looks at its memory as often.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::observe::memory::resident_bytes;

/// Figures of the process; 0 on systems without `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Processor time in the program.
    pub(crate) user: Duration,
    /// Processor time in the kernel.
    pub(crate) system: Duration,
    pub(crate) resident_bytes: u64,
}

/// The last figures of a process.
#[derive(Debug, Default)]
pub(crate) struct ProcessFigures(Mutex<Option<(Instant, Process)>>);

/// The age up to which figures are used again.
const FRESH: Duration = Duration::from_millis(100);
/// The unit of times in `/proc/self/stat`, on every Linux.
const TICK_MILLIS: u64 = 10;

impl ProcessFigures {
    pub(crate) fn get(&self) -> Process {
        let mut last = self.0.lock();
        match *last {
            Some((at, process)) if at.elapsed() < FRESH => process,
            _ => last.insert((Instant::now(), Process::read())).1,
        }
    }
}

impl Process {
    fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self { resident_bytes: resident_bytes(), ..Self::parse(&stat) }
    }

    /// Returns the processor time in the text of `/proc/self/stat`.
    fn parse(stat: &str) -> Self {
        // The program's name may contain blanks, so fields are counted from its closing parenthesis.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let time = |index: usize| {
            let ticks: u64 = fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0);
            Duration::from_millis(ticks * TICK_MILLIS)
        };
        Self { user: time(11), system: time(12), resident_bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 125 13 14 15 16 17 18 19 20 3 22";
        let process = Process::parse(stat);
        assert_eq!(process.user, Duration::from_millis(2500));
        assert_eq!(process.system, Duration::from_millis(1250));
    }

    #[test]
    fn a_file_without_fields_has_no_figures() {
        assert_eq!(Process::parse("").user, Duration::ZERO);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_knows_this_process() {
        assert!(ProcessFigures::default().get().resident_bytes > 0);
    }
}
