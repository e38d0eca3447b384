//! Waiting for a future or a condition, within a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// The deadline for an event that normally takes milliseconds, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The deadline for browsers, Node.js and other programs that start slowly, and for the joint work
/// of many programs.
pub const SLOW_DEADLINE: Duration = Duration::from_secs(60);

/// Returns the output of the future.
///
/// # Panics
///
/// When the future is not ready within the deadline.
#[track_caller]
pub fn within<F: Future>(deadline: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(deadline, future).await {
            Ok(output) => output,
            Err(_) => panic!("the future at {caller} was not ready within {deadline:?}"),
        }
    }
}

/// Waits until the condition holds, for at most [`DEADLINE`].
///
/// # Panics
///
/// When it does not hold by then.
#[track_caller]
pub fn eventually(condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    eventually_within(DEADLINE, condition)
}

/// Waits until the condition holds, for at most the given time.
///
/// # Panics
///
/// When it does not hold by then.
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

/// The interval at which a condition is checked again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
