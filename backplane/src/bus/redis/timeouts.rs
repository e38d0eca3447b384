//! Timeouts and delays of a bus.

use std::time::Duration;

use tokio::time::timeout;

use super::failure::Failure;

/// Timeouts and delays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For one reply on an open connection.
    pub(super) answer: Duration,
    /// For each step of an attempt to connect. Shorter, since an attempt that began during a fault
    /// delays the next one.
    pub(super) attempt: Duration,
    /// Between two `PING` requests.
    pub(super) ping_interval: Duration,
    /// Initial bound of the random delay between two attempts to connect.
    pub(super) delay_min: Duration,
    /// Maximum bound of that delay.
    pub(super) delay_max: Duration,
    /// Wait before sending to a server that may have lost its data. Longer than a delay, so that
    /// all servers restore the counter to their last id first. An id that is issued twice hides the
    /// first message with that id.
    pub(super) settle: Duration,
}

impl Timeouts {
    /// With the default of five seconds for `answer`, an outage is detected within ten seconds, and
    /// a recovered server is used within two.
    pub(super) fn new(answer: Duration) -> Self {
        Self {
            answer,
            attempt: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            delay_min: Duration::from_millis(25),
            delay_max: Duration::from_millis(500),
            settle: Duration::from_millis(800),
        }
    }
}

/// Fails if the attempt takes longer than `within`.
pub(super) async fn bounded<T>(
    within: Duration,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(within, attempt).await.unwrap_or(Err(Failure::Silent(within)))
}
