//! Delays between attempts to connect. They are random, so that many servers do not reconnect in
//! step.
//!
//! A delay may be near zero and never exceeds its bound; `Timeouts::settle` relies on the latter.
//! Libraries such as `backon` add their jitter to the full delay, up to twice the bound.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

use super::status::ConnectionRole;
use super::timeouts::Timeouts;

/// Draws each delay from zero to a bound that doubles with every failure.
#[derive(Debug)]
pub(super) struct Backoff {
    role: ConnectionRole,
    /// Number of the current attempt since the last success.
    attempt: u32,
    min: Duration,
    max: Duration,
    bound: Duration,
    connected: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(timeouts: &Timeouts, role: ConnectionRole) -> Self {
        let Timeouts { delay_min: min, delay_max: max, .. } = *timeouts;
        Self { role, attempt: 1, min, max, bound: min, connected: None }
    }

    /// Records a success, and returns the number of the attempt.
    pub(super) fn connected(&mut self) -> u32 {
        self.connected = Some(Instant::now());
        std::mem::take(&mut self.attempt)
    }

    /// Waits before the next attempt.
    pub(super) async fn wait(&mut self) {
        // The bound stays if the server closed the connection shortly after accepting it.
        if self.connected.take().is_some_and(|since| since.elapsed() > self.max / 2) {
            self.bound = self.min;
        }
        let delay = self.bound.mul_f64(rand::random());
        self.attempt += 1;
        debug!(connection = self.role.name(), attempt = self.attempt, ?delay, "reconnecting");
        sleep(delay).await;
        self.bound = (self.bound * 2).min(self.max);
    }
}
