//! Pauses between attempts, drawn by chance so that a farm of servers does not come back in step.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

use super::status::ConnectionRole;
use super::timeouts::Timeouts;

/// The next pause is drawn from zero to a bound that doubles with every failure.
#[derive(Debug)]
pub(super) struct Backoff {
    role: ConnectionRole,
    /// The number of the attempt under way, counted from the last that went well.
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

    /// An attempt went well. Returns which it was.
    pub(super) fn connected(&mut self) -> u32 {
        self.connected = Some(Instant::now());
        std::mem::take(&mut self.attempt)
    }

    /// Waits before the next attempt.
    pub(super) async fn wait(&mut self) {
        // A server that lets us in only to throw us out earns longer pauses too.
        if self.connected.take().is_some_and(|since| since.elapsed() > self.max / 2) {
            self.bound = self.min;
        }
        let delay = self.bound.mul_f64(rand::random());
        self.attempt += 1;
        debug!(
            connection = self.role.name(),
            attempt = self.attempt,
            ?delay,
            "backplane tries again"
        );
        sleep(delay).await;
        self.bound = (self.bound * 2).min(self.max);
    }
}
