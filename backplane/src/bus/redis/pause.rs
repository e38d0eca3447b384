//! Pauses between attempts, drawn by chance so that a farm of servers does not come back in step.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Patience;

/// The next pause is drawn from zero to a bound that doubles with every failure.
#[derive(Debug)]
pub(super) struct Pause {
    min: Duration,
    max: Duration,
    bound: Duration,
    connected: Option<Instant>,
}

impl Pause {
    pub(super) fn new(patience: &Patience) -> Self {
        let Patience { pause_min: min, pause_max: max, .. } = *patience;
        Self { min, max, bound: min, connected: None }
    }

    /// An attempt went well.
    pub(super) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// Waits before the next attempt.
    pub(super) async fn wait(&mut self) {
        // A server that lets us in only to throw us out earns longer pauses too.
        if self.connected.take().is_some_and(|since| since.elapsed() > self.max / 2) {
            self.bound = self.min;
        }
        sleep(self.bound.mul_f64(rand::random())).await;
        self.bound = (self.bound * 2).min(self.max);
    }
}
