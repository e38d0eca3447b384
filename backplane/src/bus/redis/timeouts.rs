//! How long a bus waits for a server.

use std::time::Duration;

use tokio::time::timeout;

use super::failure::Failure;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For one answer of the server.
    pub(super) answer: Duration,
    /// Between two questions whether it is still there.
    pub(super) ping_interval: Duration,
    /// A pause between attempts is drawn from zero to a bound, which begins with this …
    pub(super) delay_min: Duration,
    /// … and doubles up to this.
    pub(super) delay_max: Duration,
    /// How long nothing is sent to a server that may have lost its memory. Longer than a pause, so
    /// that all servers have told it the last id they know: an id that was given twice hides what
    /// had it first.
    pub(super) settle: Duration,
}

/// A server is missed after seven seconds at most, and one that comes back is used within two.
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    answer: Duration::from_secs(2),
    ping_interval: Duration::from_secs(5),
    delay_min: Duration::from_millis(25),
    delay_max: Duration::from_millis(500),
    settle: Duration::from_millis(800),
};

/// Gives up after some time.
pub(super) async fn bounded<T>(
    within: Duration,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(within, attempt).await.unwrap_or_else(|_| Err(Failure::no_answer(within)))
}
