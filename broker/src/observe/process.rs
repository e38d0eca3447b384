//! The processor time and the resident memory of the process, as the kernel reports them.
//!
//! A look at them costs more than the rest of `INFO`, so figures of the last [`FRESH`] are used
//! again. Redis looks at its memory as often.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use locks::Mutex;

use crate::observe::memory::resident_bytes;

/// Figures of the process; 0 where the system has none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Processor time in the program.
    pub(crate) user: Duration,
    /// Processor time in the kernel.
    pub(crate) system: Duration,
    /// The same times of the main thread.
    pub(crate) main_user: Duration,
    pub(crate) main_system: Duration,
    pub(crate) resident_bytes: u64,
}

/// The last figures of a process.
#[derive(Debug, Default)]
pub(crate) struct ProcessFigures {
    last: Mutex<Option<(Instant, Process)>>,
    /// The file with the times of the main thread.
    main_thread: OnceLock<PathBuf>,
}

/// The age up to which figures are used again.
const FRESH: Duration = Duration::from_millis(100);
/// The unit of times in `/proc/self/stat`, on every Linux.
#[cfg(any(not(windows), test))]
const TICK_MILLIS: u64 = 10;

impl ProcessFigures {
    pub(crate) fn get(&self) -> Process {
        let mut last = self.last.lock();
        match *last {
            Some((at, process)) if at.elapsed() < FRESH => process,
            _ => last.insert((Instant::now(), self.read())).1,
        }
    }

    /// Makes the calling thread the main thread of the figures.
    pub(crate) fn set_main_thread(&self) {
        if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
            let _ = self.main_thread.set(Path::new("/proc").join(thread).join("stat"));
        }
    }

    /// Windows has one sum of the times.
    #[cfg(windows)]
    fn read(&self) -> Process {
        let user = cpu_time::ProcessTime::try_now().map(|time| time.as_duration());
        let resident_bytes = resident_bytes();
        Process { user: user.unwrap_or_default(), resident_bytes, ..Process::default() }
    }

    #[cfg(not(windows))]
    fn read(&self) -> Process {
        let times = |path: &Path| times(&std::fs::read_to_string(path).unwrap_or_default());
        let [user, system] = times(Path::new("/proc/self/stat"));
        let [main_user, main_system] =
            self.main_thread.get().map(|path| times(path)).unwrap_or_default();
        Process { user, system, main_user, main_system, resident_bytes: resident_bytes() }
    }
}

/// Returns the processor times, of the program and of the kernel, in the text of a file `stat`.
#[cfg(any(not(windows), test))]
fn times(stat: &str) -> [Duration; 2] {
    // The program's name may contain blanks, so fields are counted from its closing parenthesis.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].map(|index: usize| {
        let ticks: u64 = fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0);
        Duration::from_millis(ticks * TICK_MILLIS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 125 13 14 15 16 17 18 19 20 3 22";
        assert_eq!(times(stat), [2500, 1250].map(Duration::from_millis));
    }

    #[test]
    fn a_file_without_fields_has_no_figures() {
        assert_eq!(times(""), [Duration::ZERO; 2]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_knows_this_process() {
        let figures = ProcessFigures::default();
        figures.set_main_thread();
        assert!(figures.get().resident_bytes > 0);
        assert!(figures.main_thread.get().is_some_and(|path| path.exists()));
    }
}
