//! The end of all connections of a hub, spread evenly over a window of time.
//!
//! Each connection takes a number when the drain begins, and each number has a slot of the window. So
//! each second has its share, and no more. A random step between two slots makes the order random.
//!
//! A connection that comes later ends at a random time of the rest.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

/// The state of the drain of a hub.
pub(crate) struct Drain {
    is_announced: AtomicBool,
    stopping: CancellationToken,
    plan: watch::Sender<Option<Plan>>,
    taken: AtomicUsize,
}

/// When connections end.
#[derive(Clone, Copy, Debug)]
struct Plan {
    start: Instant,
    window: Duration,
    slots: usize,
    /// The distance of two numbers in slots. It has no common divisor with their number, so each
    /// slot is of one number.
    step: usize,
    first: usize,
}

impl Drain {
    /// Makes [`is_announced`](Self::is_announced) true.
    pub(crate) fn announce(&self) {
        self.is_announced.store(true, Ordering::Relaxed);
    }

    /// Returns whether the server is about to lose its connections, so new clients go elsewhere.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced.load(Ordering::Relaxed)
    }

    /// Ends the connections over a window. A later call replaces the window.
    pub(crate) fn begin(&self, connections: usize, window: Duration) {
        self.announce();
        self.plan.send_replace(Some(Plan::new(connections, window)));
        self.stopping.cancel();
    }

    /// Is cancelled when connections end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Waits until a connection is to end. Each connection calls it once.
    pub(crate) async fn turn(self: &Arc<Self>) {
        self.stopping.cancelled().await;
        // In a box, since an idle connection has no part in it.
        Box::pin(self.slot()).await;
    }

    async fn slot(&self) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let mut plans = self.plan.subscribe();
        loop {
            let plan = *plans.borrow_and_update();
            let Some(plan) = plan else { return };
            if time::timeout_at(plan.end_of(number), plans.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Plan {
    fn new(connections: usize, window: Duration) -> Self {
        let slots = connections.max(1);
        let start = rand::random_range(0..slots);
        let step = (start..start + slots).map(|step| step % slots);
        let step = step.filter(|step| divisor(*step, slots) == 1).find(|step| *step > 0);
        let first = rand::random_range(0..slots);
        Self { start: Instant::now(), window, slots, step: step.unwrap_or(1), first }
    }

    /// Returns the end of the connection with a number.
    fn end_of(&self, number: usize) -> Instant {
        if number >= self.slots {
            let left = (self.start + self.window).saturating_duration_since(Instant::now());
            return Instant::now() + left.mul_f64(rand::random());
        }
        let slot = (number as u128 * self.step as u128 + self.first as u128) % self.slots as u128;
        #[expect(clippy::cast_precision_loss, reason = "a part of the window")]
        let part = slot as f64 / self.slots as f64;
        self.start + self.window.mul_f64(part)
    }
}

/// Returns the greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            is_announced: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            plan: watch::Sender::new(None),
            taken: AtomicUsize::new(0),
        }
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("plan", &*self.plan.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn each_second_has_its_share_in_a_random_order() {
        for connections in [1, 2, 30, 2_000, 2_003] {
            let drain = Arc::new(Drain::default());
            drain.begin(connections, WINDOW);
            let mut seconds = vec![0; 30];
            let mut ends = Vec::new();
            let start = Instant::now();
            for number in 0..connections {
                let end = drain.plan.borrow().unwrap().end_of(number) - start;
                ends.push(end);
                seconds[usize::try_from(end.as_secs()).unwrap()] += 1;
            }
            assert!(seconds.iter().all(|count| *count <= connections.div_ceil(30)), "{seconds:?}");
            assert!(connections < 30 || !ends.is_sorted(), "the order is random");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_connection_ends_within_the_window_and_a_shorter_window_holds_for_all() {
        let drain = Arc::new(Drain::default());
        let early = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.turn().await }
        });
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        drain.begin(2, 1000 * WINDOW);
        time::advance(WINDOW).await;
        drain.begin(2, WINDOW);
        let start = Instant::now();
        for _ in 0..3 {
            drain.turn().await;
        }
        early.await.unwrap();
        assert!(start.elapsed() <= WINDOW + Duration::from_millis(1));
        drain.turn().await;
    }
}
