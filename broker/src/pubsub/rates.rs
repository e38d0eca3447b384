//! Rates of the busiest channels, for `PUBSUB STATS`.
//!
//! Counting begins with the first request for rates and ends a minute after the last one, since it
//! costs every publisher a look-up. Up to [`CHANNELS_MAX`] channels are counted. If there are more,
//! the half with the fewest messages is forgotten, which happens at most once in as many new
//! channels.

use std::cmp::Reverse;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::message::Content;
use super::order::OrderGuard;
use crate::glob;

/// The rates of all counted channels.
#[derive(Debug, Default)]
pub(super) struct ChannelRates {
    channels: HashMap<Box<[u8]>, Channel, RandomState>,
    /// The time of the last request, since 1970.
    asked: Duration,
}

/// The counts of one channel.
#[derive(Debug, Default)]
struct Channel {
    /// Messages since counting began, which decide about the place in the table.
    total: u64,
    /// The second of `current`, since 1970.
    second: u64,
    current: Counts,
    /// The counts of the second before.
    last: Counts,
    receivers: usize,
    /// Copies of messages that slow subscribers have lost since counting began.
    dropped: u64,
    /// The time of the last message, since 1970.
    at: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// The rates of one channel, of the last complete second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelRate {
    pub(crate) channel: Vec<u8>,
    pub(crate) messages: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// The receivers of the last message.
    pub(crate) receivers: usize,
    /// Copies of messages that slow subscribers have lost since counting began.
    pub(crate) dropped: u64,
    /// The time since the last message.
    pub(crate) age: Duration,
}

/// Channels that are counted at once.
const CHANNELS_MAX: usize = 1024;
/// Longer names are not counted. With the constant above, it bounds the memory to half a megabyte.
const NAME_BYTES_MAX: usize = 256;
/// Counting ends when rates have not been requested for so long.
const UNASKED_MAX: Duration = Duration::from_secs(60);

impl OrderGuard<'_> {
    /// Returns the rates of the busiest channels that `wanted` accepts, and counts from now on.
    pub(crate) fn channel_rates(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
        channels_max: usize,
    ) -> Vec<ChannelRate> {
        let now = self.time();
        let rates = self.order.rates.get_or_insert_default();
        rates.asked = now;
        let busiest = rates.busiest(now, wanted, channels_max);
        self.order.is_observed = true;
        busiest
    }

    /// Counts a message, if rates are requested.
    pub(super) fn count_rate(&mut self, content: Content<'_>, receivers: usize) {
        let now = self.time();
        let Some(rates) = &mut self.order.rates else { return };
        if now.saturating_sub(rates.asked) <= UNASKED_MAX {
            rates.add(now, content.channel, content.payload.len(), receivers);
        } else {
            self.order.rates = None;
            self.update_observed();
        }
    }

    /// Counts messages on a channel that a slow subscriber has lost, if rates are requested.
    pub(crate) fn count_dropped(&mut self, channel: &[u8], count: u64) {
        let rates = self.order.rates.as_mut();
        if let Some(channel) = rates.and_then(|rates| rates.channels.get_mut(channel)) {
            channel.dropped += count;
        }
    }
}

/// Returns whether a channel matches a pattern, if there is one.
pub(crate) fn wanted(pattern: Option<&[u8]>) -> impl Fn(&[u8]) -> bool {
    move |channel| pattern.is_none_or(|pattern| glob::matches(pattern, channel))
}

impl ChannelRates {
    fn add(&mut self, now: Duration, name: &[u8], bytes: usize, receivers: usize) {
        if name.len() > NAME_BYTES_MAX {
            return;
        }
        if !self.channels.contains_key(name) {
            if self.channels.len() >= CHANNELS_MAX {
                self.forget_half();
            }
            self.channels.insert(name.into(), Channel::default());
        }
        if let Some(channel) = self.channels.get_mut(name) {
            channel.add(now, bytes as u64, receivers);
        }
    }

    fn forget_half(&mut self) {
        let mut totals: Vec<u64> = self.channels.values().map(|channel| channel.total).collect();
        let (_, &mut median, _) = totals.select_nth_unstable(CHANNELS_MAX / 2);
        let more = totals.iter().filter(|total| **total > median).count();
        let mut equal_max = (CHANNELS_MAX / 2).saturating_sub(more);
        self.channels.retain(|_, channel| {
            let is_equal = channel.total == median && equal_max > 0;
            equal_max -= usize::from(is_equal);
            channel.total > median || is_equal
        });
        // Later channels get a chance against those that were busy once.
        self.channels.values_mut().for_each(|channel| channel.total /= 2);
    }

    fn busiest(
        &self,
        now: Duration,
        wanted: impl Fn(&[u8]) -> bool,
        channels_max: usize,
    ) -> Vec<ChannelRate> {
        let wanted = self.channels.iter().filter(|(name, _)| wanted(name));
        let mut rates: Vec<_> = wanted.map(|(name, channel)| channel.rate(now, name)).collect();
        rates.sort_by(|a, b| {
            let key = |rate: &ChannelRate| (Reverse(rate.messages), rate.age);
            key(a).cmp(&key(b)).then_with(|| a.channel.cmp(&b.channel))
        });
        rates.truncate(channels_max);
        rates
    }
}

impl Channel {
    fn add(&mut self, now: Duration, bytes: u64, receivers: usize) {
        if now.as_secs() != self.second {
            self.last = self.complete(now);
            self.current = Counts::default();
            self.second = now.as_secs();
        }
        self.total += 1;
        self.current.messages += 1;
        self.current.bytes_in += bytes;
        self.current.bytes_out += bytes * receivers as u64;
        self.receivers = receivers;
        self.at = now;
    }

    /// Returns the counts of the last complete second.
    fn complete(&self, now: Duration) -> Counts {
        match now.as_secs().checked_sub(self.second) {
            Some(0) => self.last,
            Some(1) => self.current,
            _ => Counts::default(),
        }
    }

    fn rate(&self, now: Duration, name: &[u8]) -> ChannelRate {
        let Counts { messages, bytes_in, bytes_out } = self.complete(now);
        let age = now.saturating_sub(self.at);
        let receivers = self.receivers;
        let (channel, dropped) = (name.to_vec(), self.dropped);
        ChannelRate { channel, messages, bytes_in, bytes_out, receivers, dropped, age }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn busiest(rates: &ChannelRates, now: u64, channels_max: usize) -> Vec<(String, u64, u64)> {
        let all = rates.busiest(at(now), |_| true, channels_max);
        let row = |rate: ChannelRate| {
            (String::from_utf8(rate.channel).unwrap(), rate.messages, rate.bytes_out)
        };
        all.into_iter().map(row).collect()
    }

    #[test]
    fn a_rate_is_that_of_the_last_complete_second() {
        let mut rates = ChannelRates::default();
        let row = |messages, bytes| vec![("a".to_owned(), messages, bytes)];
        rates.add(at(5_100), b"a", 10, 2);
        rates.add(at(5_900), b"a", 10, 2);
        assert_eq!(busiest(&rates, 5_950, 9), row(0, 0));
        assert_eq!(busiest(&rates, 6_000, 9), row(2, 40));
        rates.add(at(6_500), b"a", 1, 1);
        assert_eq!(busiest(&rates, 6_999, 9), row(2, 40));
        assert_eq!(busiest(&rates, 7_000, 9), row(1, 1));
        assert_eq!(busiest(&rates, 8_000, 9), row(0, 0));
        rates.add(at(9_000), b"a", 1, 1);
        assert_eq!(busiest(&rates, 9_000, 9), row(0, 0));
        // The clock is set back.
        rates.add(at(3_000), b"a", 1, 1);
        assert_eq!(busiest(&rates, 3_000, 9), row(0, 0));
    }

    #[test]
    fn the_busiest_channels_come_first() {
        let mut rates = ChannelRates::default();
        for name in ["a", "b", "b", "c", "b", "c"] {
            rates.add(at(0), name.as_bytes(), 0, 0);
        }
        let rows: Vec<_> = busiest(&rates, 1_000, 2);
        assert_eq!(rows, [("b".to_owned(), 3, 0), ("c".to_owned(), 2, 0)]);
    }

    #[test]
    fn busy_channels_survive_any_number_of_others() {
        let mut rates = ChannelRates::default();
        for number in 0..20 * CHANNELS_MAX {
            rates.add(at(0), b"busy", 0, 0);
            rates.add(at(0), number.to_string().as_bytes(), 0, 0);
            assert!(rates.channels.len() <= CHANNELS_MAX);
        }
        rates.add(at(0), &[b'x'; NAME_BYTES_MAX + 1], 0, 0);
        assert_eq!(busiest(&rates, 1_000, 1)[0].0, "busy");
        assert!(rates.channels.keys().all(|name| name.len() <= NAME_BYTES_MAX));
    }
}
