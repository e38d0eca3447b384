//! The ages of messages of other servers, without a common clock.
//!
//! Each payload has the time of its sender. The difference to the own clock is least for the message
//! that was fastest. A message whose difference is greater by some time is older by that time.
//! Probes arrive every few seconds, so the least difference of each server is known.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The least differences of the clocks of other servers to the own one.
#[derive(Debug, Default)]
pub(crate) struct Ages(HashMap<String, Least>);

/// The least difference in this window and in the one before, in ticks of 100 ns.
#[derive(Clone, Copy, Debug)]
struct Least {
    begun: Instant,
    now: i64,
    before: i64,
}

/// Clocks run apart by less than a few milliseconds within this time.
const WINDOW: Duration = Duration::from_secs(60);
/// Servers that are known. Any client can publish under any name.
const SOURCES_MAX: usize = 1024;

impl Ages {
    /// Records that a message of `source` has just arrived. `sent` is the time of its sender, `now` the
    /// own one, both in ticks.
    pub(crate) fn record(&mut self, source: &str, sent: i64, now: i64) {
        let difference = now.saturating_sub(sent);
        let instant = Instant::now();
        if let Some(least) = self.0.get_mut(source) {
            if instant >= least.begun + WINDOW {
                *least = Least { begun: instant, now: difference, before: least.now };
            }
            least.now = least.now.min(difference);
            return;
        }
        if self.0.len() == SOURCES_MAX {
            self.0.retain(|_, least| instant < least.begun + 2 * WINDOW);
        }
        if self.0.len() < SOURCES_MAX {
            let least = Least { begun: instant, now: difference, before: difference };
            self.0.insert(source.to_owned(), least);
        }
    }

    /// Returns how much longer a message was on its way than the fastest one of its sender. `None`: no
    /// message of this sender has arrived.
    pub(crate) fn of(&self, source: &str, sent: i64, now: i64) -> Option<Duration> {
        let least = self.0.get(source)?;
        let later = now.saturating_sub(sent).saturating_sub(least.now.min(least.before));
        Some(Duration::from_nanos(u64::try_from(later).unwrap_or(0).saturating_mul(100)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 10_000_000;

    #[tokio::test(start_paused = true)]
    async fn ages_do_not_depend_on_the_clocks() {
        for ahead in [-1000 * SECOND, 0, 1000 * SECOND] {
            let mut ages = Ages::default();
            // A clock that runs away by a second within each window.
            for window in 0..10 {
                for wait in [3, 1, 2] {
                    let sent = window * (61 * SECOND);
                    ages.record("a", sent, sent + ahead + window * SECOND + wait * SECOND);
                    tokio::time::advance(WINDOW / 3).await;
                }
            }
            let age = |wait| ages.of("a", 0, ahead + 9 * SECOND + wait * SECOND);
            assert!(age(1).unwrap() <= Duration::from_secs(1), "{:?}", age(1));
            let late = age(31).unwrap();
            assert!((30..=31).contains(&late.as_secs()), "{late:?}");
            assert_eq!(ages.of("b", 0, 0), None);
        }
    }

    #[test]
    fn sources_are_limited() {
        let mut ages = Ages::default();
        (0..2 * SOURCES_MAX).for_each(|number| ages.record(&number.to_string(), 0, 0));
        assert_eq!(ages.0.len(), SOURCES_MAX);
    }
}
