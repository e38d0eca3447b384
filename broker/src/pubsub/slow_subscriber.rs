//! What happens to the messages of a subscriber that reaches its limit, in place of its end.
//!
//! An outbox holds bytes. At the limit they are parsed, so that nobody else pays for a policy. Only
//! whole messages are dropped; replies and confirmations stay.

use std::collections::{HashMap, HashSet};

use super::outbox::{Outbox, Verdict};
use super::queued_frames::message;
use crate::config::{SlowPolicy, SlowRule};
use crate::glob;
use crate::protocol::Protocol;

/// The messages that a client has lost since the last notice.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    new: Counts,
    /// Those that the client itself has still to learn, if it asked for pushes.
    for_push: Counts,
    /// Whether a notice was taken before.
    is_known: bool,
}

/// Numbers of messages, by channel.
#[derive(Debug, Default)]
struct Counts {
    channels: HashMap<Vec<u8>, u64>,
    /// Those of further channels.
    others: u64,
}

/// The contents of the notices about one client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The channels, each with the number of its lost messages; `None` is for further channels.
    pub(crate) channels: Vec<(Option<Vec<u8>>, u64)>,
    /// Whether these are the first losses of the client.
    pub(crate) is_first: bool,
}

/// The start of the channels on which clients learn of their losses.
pub(crate) const NOTICES: &str = "__broker__:lost:";
/// Channels of one notice. Further ones are counted together.
const CHANNELS_MAX: usize = 256;

impl Counts {
    fn add(&mut self, channel: Option<&[u8]>, count: u64) {
        let Some(channel) = channel else {
            self.others += count;
            return;
        };
        if let Some(known) = self.channels.get_mut(channel) {
            *known += count;
        } else if self.channels.len() < CHANNELS_MAX {
            self.channels.insert(channel.to_vec(), count);
        } else {
            self.others += count;
        }
    }

    fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.others == 0
    }

    fn take(&mut self) -> Vec<(Option<Vec<u8>>, u64)> {
        let Self { channels, others } = std::mem::take(self);
        let others = (others > 0).then_some((None, others));
        channels.into_iter().map(|(channel, count)| (Some(channel), count)).chain(others).collect()
    }
}

impl Losses {
    fn add(&mut self, channel: &[u8]) {
        self.new.add(Some(channel), 1);
    }

    /// Returns whether there is something for a notice or a push.
    pub(crate) fn is_new(&self) -> bool {
        !self.new.is_empty() || !self.for_push.is_empty()
    }

    /// Takes what the next notices tell.
    pub(crate) fn take(&mut self) -> Lost {
        let channels = self.new.take();
        let is_known = self.is_known || channels.is_empty();
        self.is_known |= !channels.is_empty();
        Lost { channels, is_first: !is_known }
    }

    /// Keeps a loss until the client has room for a push about it.
    pub(crate) fn keep_for_push(&mut self, channel: Option<&[u8]>, count: u64) {
        self.for_push.add(channel, count);
    }

    /// Takes the losses for pushes.
    pub(crate) fn take_for_push(&mut self) -> Vec<(Option<Vec<u8>>, u64)> {
        self.for_push.take()
    }
}

/// Returns what happens to messages on a channel.
pub(crate) fn slow_policy(rules: &[SlowRule], channel: &[u8]) -> SlowPolicy {
    let rule = rules.iter().find(|rule| glob::matches(&rule.pattern, channel));
    rule.map_or(SlowPolicy::Disconnect, |rule| rule.policy)
}

/// Drops messages by the rules until the outbox is below its limit. Returns whether it is.
pub(super) fn make_room(
    outbox: &mut Outbox,
    protocol: Protocol,
    rules: &[SlowRule],
    limit: usize,
    losses: &mut Losses,
) -> bool {
    let policy = |channel: &[u8]| match channel.starts_with(NOTICES.as_bytes()) {
        true => SlowPolicy::Disconnect,
        false => slow_policy(rules, channel),
    };
    let is_below = |outbox: &Outbox, limit: usize| outbox.counted_bytes() < limit;
    outbox.remove_newest(limit, |frame| match message(frame, protocol) {
        Some((channel, _)) if policy(channel) == SlowPolicy::DropNewest => {
            losses.add(channel);
            true
        }
        _ => false,
    });
    if is_below(outbox, limit) {
        return true;
    }
    // Before replies, or far beyond a soft limit, the newest messages are not the last bytes.
    if rules.iter().any(|rule| rule.policy == SlowPolicy::DropNewest) {
        drop_newest(outbox, protocol, policy, limit - limit / 4, losses);
    }
    if rules.iter().any(|rule| rule.policy == SlowPolicy::Conflate) {
        conflate(outbox, protocol, policy, losses);
    }
    // With less room, the next message would begin anew.
    let mut excess = outbox.bytes().saturating_sub(limit - limit / 4);
    outbox.retain(|frame| {
        if excess == 0 {
            return Verdict::Stop;
        }
        match message(frame, protocol) {
            Some((channel, _))
                if matches!(policy(channel), SlowPolicy::DropOldest | SlowPolicy::Conflate) =>
            {
                excess = excess.saturating_sub(frame.len());
                losses.add(channel);
                Verdict::Remove
            }
            _ => Verdict::Keep,
        }
    });
    is_below(outbox, limit - limit / 8)
}

/// Drops the newest messages until so many bytes are left.
fn drop_newest(
    outbox: &mut Outbox,
    protocol: Protocol,
    policy: impl Fn(&[u8]) -> SlowPolicy,
    bytes_left: usize,
    losses: &mut Losses,
) {
    let is_meant = |channel: &[u8]| policy(channel) == SlowPolicy::DropNewest;
    let mut droppable = 0;
    outbox.retain(|frame| {
        let is_meant = message(frame, protocol).is_some_and(|(channel, _)| is_meant(channel));
        droppable += if is_meant { frame.len() } else { 0 };
        Verdict::Keep
    });
    let excess = outbox.bytes().saturating_sub(bytes_left);
    let mut kept = droppable.saturating_sub(excess);
    outbox.retain(|frame| match message(frame, protocol) {
        Some((channel, _)) if !is_meant(channel) => Verdict::Keep,
        Some((channel, _)) if frame.len() > kept => {
            kept = 0;
            losses.add(channel);
            Verdict::Remove
        }
        Some(_) => {
            kept -= frame.len();
            Verdict::Keep
        }
        None => Verdict::Keep,
    });
}

/// Leaves the last message of each subscription.
fn conflate(
    outbox: &mut Outbox,
    protocol: Protocol,
    policy: impl Fn(&[u8]) -> SlowPolicy,
    losses: &mut Losses,
) {
    let mut last = HashMap::new();
    let mut number = 0_usize;
    outbox.retain(|frame| {
        if let Some((channel, start)) = message(frame, protocol)
            && policy(channel) == SlowPolicy::Conflate
        {
            match last.get_mut(start) {
                Some(known) => *known = number,
                None => _ = last.insert(start.to_vec(), number),
            }
        }
        number += 1;
        Verdict::Keep
    });
    let last: HashSet<usize> = last.into_values().collect();
    let mut number = 0;
    outbox.retain(|frame| {
        let is_last = last.contains(&number);
        number += 1;
        match message(frame, protocol) {
            Some((channel, _)) if !is_last && policy(channel) == SlowPolicy::Conflate => {
                losses.add(channel);
                Verdict::Remove
            }
            _ => Verdict::Keep,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::message::ChannelKind;
    use crate::pubsub::outbox::Pool;

    const LIMIT: usize = 200_000;

    struct Bench {
        outbox: Outbox,
        pool: Pool,
        rules: Vec<SlowRule>,
        losses: Losses,
    }

    impl Bench {
        fn new(rules: &[(&str, SlowPolicy)]) -> Self {
            let rule = |(pattern, policy): &(&str, SlowPolicy)| SlowRule {
                pattern: pattern.as_bytes().to_vec(),
                policy: *policy,
            };
            Self {
                outbox: Outbox::default(),
                pool: Pool::default(),
                rules: rules.iter().map(rule).collect(),
                losses: Losses::default(),
            }
        }

        fn push(&mut self, bytes: &[u8]) -> bool {
            let counted = match bytes.len() > 1_000 {
                true => self.outbox.push_shared(bytes.to_vec().into()),
                false => self.outbox.push_with(&mut self.pool, |out| out.extend_from_slice(bytes)),
            };
            counted < LIMIT
                || make_room(
                    &mut self.outbox,
                    Protocol::Resp3,
                    &self.rules,
                    LIMIT,
                    &mut self.losses,
                )
        }

        fn message(&mut self, channel: &str, number: usize, bytes: usize) -> bool {
            let payload = format!("{number:0bytes$}");
            let mut frame = Vec::new();
            let channel = channel.as_bytes();
            ChannelKind::Channels.write(&mut frame, Protocol::Resp3, channel, payload.as_bytes());
            self.push(&frame)
        }

        fn lost(&mut self) -> usize {
            self.losses.take().channels.iter().map(|(_, count)| *count as usize).sum()
        }

        /// Returns the channels and the numbers that are left.
        fn left(&mut self) -> Vec<(String, usize)> {
            let mut left = Vec::new();
            self.outbox.retain(|frame| {
                if let Some((channel, start)) = message(frame, Protocol::Resp3) {
                    let channel = String::from_utf8_lossy(channel).into_owned();
                    let payload = String::from_utf8_lossy(&frame[start.len()..]).into_owned();
                    let number = payload.split("\r\n").nth(1).unwrap().parse().unwrap();
                    left.push((channel, number));
                }
                Verdict::Keep
            });
            left
        }
    }

    #[test]
    fn the_oldest_messages_go_and_what_is_lost_is_counted() {
        for bytes in [10, 500, 3_000] {
            let mut bench = Bench::new(&[("n*", SlowPolicy::DropOldest)]);
            assert!(bench.push(b"+OK\r\n"));
            let count = 1_000_000 / bytes;
            assert!((0..count).all(|number| bench.message("news", number, bytes)));
            let left = bench.left();
            let expected = (count - left.len()..count).map(|number| ("news".to_owned(), number));
            assert!(left.iter().cloned().eq(expected), "with {bytes} bytes");
            let lost = (count - left.len()) as u64;
            assert_eq!(bench.losses.take().channels, [(Some(b"news".to_vec()), lost)]);
            assert!(bench.outbox.bytes() > LIMIT / 2 && bench.outbox.counted_bytes() < LIMIT);
        }
    }

    #[test]
    fn the_newest_messages_go() {
        for bytes in [10, 500, 3_000] {
            let mut bench = Bench::new(&[("*", SlowPolicy::DropNewest)]);
            let count = 1_000_000 / bytes;
            assert!((0..count).all(|number| bench.message("news", number, bytes)));
            let left = bench.left();
            assert!(left.iter().map(|(_, number)| *number).eq(0..left.len()));
            assert_eq!(bench.lost() + left.len(), count);
        }
    }

    #[test]
    fn the_newest_messages_go_before_replies_and_at_a_lower_limit() {
        let mut bench = Bench::new(&[("*", SlowPolicy::DropNewest)]);
        let count = 180;
        assert!((0..count).all(|number| bench.message("news", number, 1_000)));
        let pong = [&b"$900\r\n"[..], &[b'x'; 900], b"\r\n"].concat();
        assert!((0..100).all(|_| bench.push(&pong)));
        let left = bench.left();
        assert!(left.iter().map(|(_, number)| *number).eq(0..left.len()));
        assert_eq!(bench.lost() + left.len(), count);

        let Bench { outbox, rules, losses, .. } = &mut bench;
        assert!(make_room(outbox, Protocol::Resp3, rules, 150_000, losses));
        assert!(outbox.counted_bytes() < 150_000);
    }

    #[test]
    fn the_last_message_of_each_channel_stays() {
        let mut bench = Bench::new(&[("*", SlowPolicy::Conflate)]);
        let channels = ["a", "b", "c"];
        for number in 0..30_000 {
            assert!(bench.message(channels[number % 3], number, 20));
        }
        let mut left = bench.left();
        assert_eq!(bench.lost() + left.len(), 30_000);
        let last = left.split_off(left.len() - 3);
        assert_eq!(
            last.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
            [29_997, 29_998, 29_999]
        );
    }

    #[test]
    fn replies_and_other_channels_stay_until_the_end_of_the_client() {
        let mut bench = Bench::new(&[("drop", SlowPolicy::DropOldest)]);
        let mut kept = 0;
        while bench.push(&[&b"$900\r\n"[..], &[b'x'; 900], b"\r\n"].concat()) {
            kept += 1;
            assert!(bench.message("other", kept, 100) || kept > 100);
            if !bench.message("drop", kept, 100) {
                break;
            }
        }
        assert!(kept > 150, "{kept}");
        let left = bench.left();
        assert_eq!(left.iter().filter(|(channel, _)| channel == "other").count(), kept);
    }

    #[test]
    fn a_frame_that_is_partly_written_is_never_cut() {
        let mut bench = Bench::new(&[("*", SlowPolicy::DropOldest)]);
        assert!(bench.message("news", 0, 100));
        let mut written = bench.outbox.to_vec();
        bench.outbox.advance(7, &mut bench.pool);
        written.truncate(7);
        assert!((1..10_000).all(|number| bench.message("news", number, 100)));
        written.extend(bench.outbox.to_vec());
        let mut rest = &written[..];
        while !rest.is_empty() {
            let length = super::super::queued_frames::length(rest).expect("whole frames only");
            assert!(message(&rest[..length], Protocol::Resp3).is_some());
            rest = &rest[length..];
        }
    }

    #[test]
    fn losses_of_many_channels_are_counted_together() {
        let mut losses = Losses::default();
        (0..1_000).for_each(|number: u32| losses.add(number.to_string().as_bytes()));
        let Lost { channels, is_first } = losses.take();
        assert!(is_first && channels.len() == CHANNELS_MAX + 1);
        assert_eq!(channels.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
        assert_eq!(losses.take(), Lost { channels: Vec::new(), is_first: false });
    }
}
