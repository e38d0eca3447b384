//! The messages that users publish in a second, for those with a limit.

use std::collections::HashMap;
use std::time::Duration;

/// The messages that each limited user has published in the present second.
#[derive(Debug, Default)]
pub(crate) struct UserRates(HashMap<Vec<u8>, InSecond>);

#[derive(Debug, Default)]
struct InSecond {
    /// Seconds since the start.
    second: u64,
    count: u64,
}

impl UserRates {
    /// Counts a message, unless `count_max` have been counted in this second. Returns whether it has.
    pub(crate) fn count(&mut self, user: &[u8], now: Duration, count_max: u64) -> bool {
        if !self.0.contains_key(user) {
            self.0.insert(user.to_vec(), InSecond::default());
        }
        let Some(published) = self.0.get_mut(user) else { return true };
        if published.second != now.as_secs() {
            *published = InSecond { second: now.as_secs(), count: 0 };
        }
        published.count += 1;
        published.count <= count_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_user_and_second() {
        let mut published = UserRates::default();
        for (user, second, expected) in [
            ("ann", 1, true),
            ("ann", 1, true),
            ("ann", 1, false),
            ("bob", 1, true),
            ("ann", 2, true),
            ("ann", 2, true),
            ("ann", 2, false),
        ] {
            let counted = published.count(user.as_bytes(), Duration::from_secs(second), 2);
            assert_eq!(counted, expected, "{user} in second {second}");
        }
    }
}
