//! Waiting for the thing itself, within a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for what normally takes milliseconds, on a machine that may be busy.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long a test waits for browsers, Node.js and other programs that are slow to start, and for what
/// many programs do together.
pub const SLOW_DEADLINE: Duration = Duration::from_secs(60);

/// Returns what the future gives.
///
/// # Panics
///
/// When it gives nothing within the deadline.
#[track_caller]
pub fn within<F: Future>(deadline: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(deadline, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happened within {deadline:?}, waited for at {caller}"),
        }
    }
}

/// Waits until the condition holds, for at most [`DEADLINE`].
///
/// # Panics
///
/// When it still does not hold then.
#[track_caller]
pub fn eventually(condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    eventually_within(DEADLINE, condition)
}

/// Waits until the condition holds, for at most the given time.
///
/// # Panics
///
/// When it still does not hold then.
#[track_caller]
pub fn eventually_within(
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        while !condition().await {
            assert!(
                Instant::now() < end,
                "the condition at {caller} did not hold within {deadline:?}"
            );
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// How often a condition that cannot wake us is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
