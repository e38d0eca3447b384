//! The replay buffer (`pubsub-replay`): recent messages, for subscribers that were away.
//!
//! Each message of a channel has an **offset**, one more than that of the message before. Offsets
//! are valid for one **epoch** of the channel. A channel that loses its buffer, by a restart or
//! because too many other channels were used since, begins a new epoch. So the epoch and the offset
//! of the last received message determine the missed messages.
//!
//! This module reads no clock: [`Replay::expire`] sets the time, about once a second.
//!
//! Invariant: a rule holds at most its bytes and [`CHANNELS_MAX`] channels.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::config::ReplayRule;
use crate::glob;
use crate::pubsub::message::Name;

/// The messages of all rules.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    rules: Vec<Kept>,
    now: Duration,
}

/// The messages of one rule.
#[derive(Debug)]
struct Kept {
    rule: ReplayRule,
    channels: HashMap<Name, Channel, RandomState>,
    /// Messages by age.
    messages: Line,
    /// Channels by last use.
    uses: Line,
    /// Bytes that the messages take.
    bytes: usize,
    /// Bytes of the names of channels: at most half of the rule's, as long as there are two.
    name_bytes: usize,
    message_count: usize,
    last_number: u64,
    /// The epoch of channels without messages. Another one follows when a channel is forgotten, so
    /// that no channel has the same epoch twice.
    unused: Epoch,
}

/// The messages of one channel.
#[derive(Debug)]
struct Channel {
    epoch: Epoch,
    /// The offset of the last message.
    offset: u64,
    messages: VecDeque<Stored>,
    last_use: u64,
}

#[derive(Debug)]
struct Stored {
    /// Its number in the list of all messages of the rule.
    number: u64,
    payload: Bytes,
    at: Duration,
}

/// Numbers in ascending order, each with a channel. A number whose message or use is gone stays
/// until it comes to the front, or until [`Line::tidy`] removes it.
#[derive(Debug, Default)]
struct Line(VecDeque<(u64, Name)>);

/// Identifies one lifetime of a channel's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// Some of the kept messages of a channel.
#[derive(Debug, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) epoch: Epoch,
    /// The offset of the channel's last message.
    pub(crate) offset: u64,
    /// Messages with their consecutive offsets.
    pub(crate) messages: Vec<(u64, Bytes)>,
}

/// Messages that one call evicts for their age. Publishers wait during the call.
const EXPIRED_MAX: usize = 10_000;
/// Channels that a rule keeps. A new channel evicts the least recently used one.
const CHANNELS_MAX: usize = 10_000;

impl Replay {
    /// Returns an empty buffer for these rules.
    pub(crate) fn new(rules: &[ReplayRule]) -> Self {
        Self { rules: rules.iter().cloned().map(Kept::new).collect(), now: Duration::ZERO }
    }

    /// Returns whether there are no rules.
    pub(crate) fn is_off(&self) -> bool {
        self.rules.is_empty()
    }

    /// Keeps a message, if a rule matches its channel.
    pub(crate) fn add(&mut self, channel: &[u8], payload: impl FnOnce() -> Bytes) {
        let now = self.now;
        if let Some(kept) = self.kept(channel) {
            kept.add(channel, payload(), now);
        }
    }

    /// Returns the messages of a channel after an offset, at most `count`. If the epoch is not the
    /// current one, they begin with the oldest kept message. `None` if no rule matches the channel.
    pub(crate) fn after(
        &mut self,
        channel: &[u8],
        after: Option<(Epoch, u64)>,
        count: usize,
    ) -> Option<Remembered> {
        let kept = self.kept(channel)?;
        // A question creates and refreshes nothing, so it cannot displace a channel.
        let Some(memory) = kept.channels.get(channel) else {
            return Some(Remembered { epoch: kept.unused, offset: 0, messages: Vec::new() });
        };
        let Channel { epoch, offset, .. } = *memory;
        let first = offset - memory.messages.len() as u64 + 1;
        let known = after.filter(|(known, _)| *known == epoch).map_or(0, |(_, offset)| offset);
        let skipped = known.saturating_add(1).saturating_sub(first);
        let messages = memory
            .messages
            .iter()
            .enumerate()
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
            .take(count)
            .map(|(index, stored)| (first + index as u64, stored.payload.clone()))
            .collect();
        Some(Remembered { epoch, offset, messages })
    }

    /// Advances the clock (monotonic, arbitrary origin) and evicts expired messages.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.now = now;
        self.rules.iter_mut().for_each(|kept| kept.expire(now));
    }

    /// Returns the rule that matches a channel.
    pub(crate) fn rule(&self, channel: &[u8]) -> Option<&ReplayRule> {
        let mut rules = self.rules.iter().map(|kept| &kept.rule);
        rules.find(|rule| glob::matches(&rule.pattern, channel))
    }

    fn kept(&mut self, channel: &[u8]) -> Option<&mut Kept> {
        self.rules.iter_mut().find(|kept| glob::matches(&kept.rule.pattern, channel))
    }
}

impl Kept {
    fn new(rule: ReplayRule) -> Self {
        Self {
            rule,
            channels: HashMap::default(),
            messages: Line::default(),
            uses: Line::default(),
            bytes: 0,
            name_bytes: 0,
            message_count: 0,
            last_number: 0,
            unused: Epoch::random(),
        }
    }

    fn add(&mut self, name: &[u8], payload: Bytes, at: Duration) {
        // No message would stay beside such a name. A position before this message is of an older epoch.
        if name.len() > self.rule.bytes_max {
            self.unused = Epoch::random();
            return;
        }
        let name = self.use_channel(name);
        let stored = Stored { number: self.last_number, payload, at };
        self.bytes += stored.bytes();
        self.message_count += 1;
        self.messages.push(stored.number, &name);
        let channel = self.channels.get_mut(&name).expect("it is in use");
        channel.offset += 1;
        channel.messages.push_back(stored);
        if channel.messages.len() > self.rule.messages_max {
            self.forget_first_of(&name);
        }
        while self.bytes + self.name_bytes > self.rule.bytes_max && self.message_count > 0 {
            self.forget_oldest();
        }
        let channels = &self.channels;
        self.messages.tidy(self.message_count, |number, name| {
            let oldest = channels.get(name).and_then(|channel| channel.messages.front());
            oldest.is_some_and(|stored| stored.number <= number)
        });
    }

    /// Records a use of a channel, and returns its name. The first use begins its epoch.
    fn use_channel(&mut self, name: &[u8]) -> Name {
        self.last_number += 1;
        let number = self.last_number;
        let name = match self.channels.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => {
                while self.channels.len() >= CHANNELS_MAX
                    || (self.name_bytes + name.len() > self.rule.bytes_max / 2
                        && !self.channels.is_empty())
                {
                    self.forget_channel();
                }
                self.name_bytes += name.len();
                let name = Name::from(name);
                self.channels.insert(name.clone(), Channel::new(self.unused));
                name
            }
        };
        self.channels.get_mut(&name).expect("it was just put there").last_use = number;
        self.uses.push(number, &name);
        let channels = &self.channels;
        self.uses.tidy(channels.len(), |number, name| {
            channels.get(name).is_some_and(|channel| channel.last_use == number)
        });
        name
    }

    fn expire(&mut self, now: Duration) {
        let age_max = self.rule.age_max;
        for _ in 0..EXPIRED_MAX {
            match self.oldest() {
                Some(oldest) if now.saturating_sub(oldest.at) > age_max => {
                    self.forget_oldest();
                }
                _ => return,
            }
        }
    }

    /// Returns the oldest message of all channels.
    fn oldest(&mut self) -> Option<&Stored> {
        while let Some((number, name)) = self.messages.0.front() {
            let first = self.channels.get(name).and_then(|channel| channel.messages.front());
            if first.is_some_and(|stored| stored.number == *number) {
                break;
            }
            self.messages.0.pop_front();
        }
        let (_, name) = self.messages.0.front()?;
        self.channels[name].messages.front()
    }

    fn forget_oldest(&mut self) {
        if self.oldest().is_some()
            && let Some((_, name)) = self.messages.0.pop_front()
        {
            self.forget_first_of(&name);
        }
    }

    fn forget_first_of(&mut self, name: &Name) {
        let channel = self.channels.get_mut(name).expect("it has messages");
        if let Some(stored) = channel.messages.pop_front() {
            self.bytes -= stored.bytes();
            self.message_count -= 1;
        }
    }

    /// Evicts the least recently used channel and ends its epoch.
    fn forget_channel(&mut self) {
        self.unused = Epoch::random();
        while let Some((number, name)) = self.uses.0.pop_front() {
            if self.channels.get(&name).is_some_and(|channel| channel.last_use == number) {
                let channel = self.channels.remove(&name).expect("it was just there");
                self.name_bytes -= name.len();
                self.bytes -= channel.messages.iter().map(Stored::bytes).sum::<usize>();
                self.message_count -= channel.messages.len();
                return;
            }
        }
    }
}

impl Channel {
    fn new(epoch: Epoch) -> Self {
        Self { epoch, offset: 0, messages: VecDeque::new(), last_use: 0 }
    }
}

impl Stored {
    /// Returns the bytes that the message takes, with its list entries.
    fn bytes(&self) -> usize {
        self.payload.len() + size_of::<Self>() + size_of::<(u64, Name)>()
    }
}

impl Line {
    fn push(&mut self, number: u64, name: &Name) {
        self.0.push_back((number, name.clone()));
    }

    /// Removes the entries that are not `there` any more, once the list is more than twice as long
    /// as the `count` of those that are.
    fn tidy(&mut self, count: usize, there: impl Fn(u64, &Name) -> bool) {
        if self.0.len() > 2 * count + 64 {
            self.0.retain(|(number, name)| there(*number, name));
        }
    }
}

impl Epoch {
    fn random() -> Self {
        let mut bytes = [0; 8];
        // Without the system's randomness, the seed of the hasher must do.
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self(u64::from_le_bytes(bytes)),
            Err(_) => Self(RandomState::default().hash_one(0)),
        }
    }

    /// Parses the text that [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| {
            text.len() == EPOCH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        })?;
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0EPOCH_DIGITS$x}", self.0)
    }
}

const EPOCH_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(messages_max: usize, bytes_max: usize) -> Replay {
        let age_max = Duration::from_secs(10);
        let pattern = b"app*".to_vec();
        Replay::new(&[ReplayRule { pattern, messages_max, bytes_max, age_max }])
    }

    fn add(replay: &mut Replay, channel: &str, payload: &str) {
        replay.add(channel.as_bytes(), || payload.to_owned().into());
    }

    fn all(replay: &mut Replay, channel: &str) -> Remembered {
        replay.after(channel.as_bytes(), None, usize::MAX).unwrap()
    }

    /// Returns the offsets of the kept messages.
    fn offsets(replay: &mut Replay, channel: &str) -> Vec<u64> {
        all(replay, channel).messages.iter().map(|(offset, _)| *offset).collect()
    }

    #[test]
    fn exactly_the_missed_messages_are_returned() {
        let mut replay = replay(100, 1 << 20);
        let Remembered { epoch, offset, .. } = all(&mut replay, "app");
        assert_eq!(offset, 0);
        ["a", "b", "c"].iter().for_each(|payload| add(&mut replay, "app", payload));
        let after = |replay: &mut Replay, offset, count| {
            replay.after(b"app", Some((epoch, offset)), count).unwrap().messages
        };
        let message = |offset, payload: &'static str| (offset, Bytes::from(payload));
        assert_eq!(after(&mut replay, 1, 9), [message(2, "b"), message(3, "c")]);
        assert_eq!(after(&mut replay, 0, 1), [message(1, "a")]);
        assert_eq!(after(&mut replay, 3, 9), []);
        assert_eq!(after(&mut replay, u64::MAX, 9), []);
        let other = Epoch(epoch.0 ^ 1);
        let remembered = replay.after(b"app", Some((other, 3)), 9).unwrap();
        assert_eq!((remembered.epoch, remembered.messages.len()), (epoch, 3));
        assert_eq!(replay.after(b"other", None, 9), None);
    }

    #[test]
    fn messages_bytes_and_age_are_limited_and_offsets_go_on() {
        let mut replay = replay(3, 1 << 20);
        (0..5).for_each(|_| add(&mut replay, "app", "x"));
        assert_eq!(offsets(&mut replay, "app"), [3, 4, 5]);
        replay.expire(Duration::from_secs(10));
        add(&mut replay, "app", "x");
        replay.expire(Duration::from_secs(11));
        assert_eq!(offsets(&mut replay, "app"), [6]);
        replay.expire(Duration::from_secs(30));
        assert_eq!(offsets(&mut replay, "app"), [0; 0]);
        assert_eq!(all(&mut replay, "app").offset, 6);
        assert_eq!(replay.rules[0].bytes, 0);

        let payload = "x".repeat(1000);
        let mut replay = self::replay(1000, 2500);
        (0..4).for_each(|_| add(&mut replay, "app1", &payload));
        add(&mut replay, "app2", &payload);
        assert_eq!(offsets(&mut replay, "app1"), [4]);
        assert_eq!(offsets(&mut replay, "app2"), [1]);
    }

    #[test]
    fn names_of_channels_take_at_most_half_of_the_bytes() {
        let mut replay = replay(10, 100_000);
        for round in 0..100 {
            add(&mut replay, &format!("app:{round:05000}"), "x");
        }
        let kept = &replay.rules[0];
        assert!(kept.channels.len() < 10, "{}", kept.channels.len());
        assert_eq!(kept.name_bytes, kept.channels.keys().map(|name| name.len()).sum::<usize>());
        assert_eq!(kept.message_count, kept.channels.len());

        // A name alone beyond the limit displaces no others, and its message is a gap.
        let (channels, unused) = (kept.channels.len(), kept.unused);
        add(&mut replay, &format!("app:{}", "x".repeat(200_000)), "x");
        let kept = &replay.rules[0];
        assert_eq!((kept.channels.len(), kept.message_count), (channels, channels));
        assert_ne!(kept.unused, unused);
    }

    #[test]
    fn memory_stays_bounded_for_any_sequence_of_messages() {
        let mut replay = replay(2, 1 << 20);
        let first = all(&mut replay, "app:0").epoch;
        for round in 0..3 * CHANNELS_MAX {
            add(&mut replay, &format!("app:{round}"), "x");
            add(&mut replay, "app", "x");
        }
        let kept = &replay.rules[0];
        assert_eq!(kept.channels.len(), CHANNELS_MAX);
        assert!(kept.bytes <= kept.rule.bytes_max);
        assert!(kept.messages.0.len() <= 2 * kept.message_count + 65);
        assert!(kept.uses.0.len() <= 2 * CHANNELS_MAX + 65);
        let stored = kept.channels.values().map(|channel| channel.messages.len()).sum::<usize>();
        assert_eq!(stored, kept.message_count);
        assert_eq!(offsets(&mut replay, "app").len(), 2);
        assert_ne!(all(&mut replay, "app:0").epoch, first);
    }

    #[test]
    fn an_epoch_is_read_as_it_was_written() {
        let epoch = Epoch(0x0123_4567_89ab_cdef);
        assert_eq!(epoch.to_string(), "0123456789abcdef");
        assert_eq!(Epoch::parse(b"0123456789abcdef"), Some(epoch));
        for text in ["", "1", "0123456789abcdeg", "+123456789abcdef"] {
            assert_eq!(Epoch::parse(text.as_bytes()), None, "{text}");
        }
    }
}
