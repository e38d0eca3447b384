//! Runs tests in many interleavings of their threads.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread::yield_now;
use shuttle::{check_pct, check_random};

/// Runs a test in this many interleavings: half of them are random, and half have few changes from one
/// thread to another. A failure prints the seed that repeats it.
///
/// # Panics
///
/// When the test panics, or all of its threads wait.
pub fn check(iterations: usize, test: impl Fn() + Send + Sync + 'static) {
    /// Changes of the thread in an interleaving with few of them.
    const CHANGES: usize = 3;

    let test = Arc::new(test);
    let again = test.clone();
    check_random(move || test(), iterations / 2);
    check_pct(move || again(), iterations / 2, CHANGES);
}

/// Lets threads of a test begin together.
#[derive(Clone, Debug, Default)]
pub struct Start(Arc<AtomicUsize>);

impl Start {
    /// Waits until this many threads have called it.
    pub fn wait_for(&self, threads: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        while self.0.load(Ordering::SeqCst) < threads {
            yield_now();
        }
    }
}
