//! Keys, scripts and remembered messages.

use std::time::Duration;

use super::{Directive, Kind};
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, integer, memory_within};
use crate::config::{ChannelEvents, Config, ReplayRule, SlowPolicy, SlowRule};
use crate::keyspace::EventClasses;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "databases",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number from 1 to 65535",
        kind: Kind::Integer {
            min: 1,
            max: 65_535,
            get: |config| config.databases.into(),
            set: |config, count| config.databases = u16::try_from(count).unwrap_or(16),
        },
    },
    Directive {
        name: "counters-file",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.counters_file,
            get: |config| config.counters_file.clone(),
        },
    },
    Directive {
        name: "notify-keyspace-events",
        change: Change::Free,
        is_shown: true,
        expects: "letters of Ag$lshzxeKEtmdn",
        kind: Kind::Text {
            get: |config| config.notify_keyspace_events.letters(),
            set: |config, letters| {
                config.notify_keyspace_events =
                    EventClasses::parse(letters).ok_or(Invalid::EventClass)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "busy-reply-threshold",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds, 0 for no limit",
        kind: BUSY_REPLY_THRESHOLD,
    },
    Directive {
        name: "lua-time-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds, 0 for no limit",
        kind: BUSY_REPLY_THRESHOLD,
    },
    Directive {
        name: "pubsub-replay",
        change: Change::Immutable,
        is_shown: true,
        expects: "a pattern, a number of messages, bytes such as 16mb, and seconds; or \"\" for none",
        kind: Kind::Rules {
            get: show_replay,
            add: set_replay,
            clear: |config| config.pubsub_replay.clear(),
        },
    },
    Directive {
        name: "notify-pubsub-events",
        change: Change::Free,
        is_shown: true,
        expects: "letters of ov",
        kind: Kind::Text { get: show_channel_events, set: set_channel_events },
    },
    Directive {
        name: "pubsub-slow-policy",
        change: Change::Free,
        is_shown: true,
        expects: "a pattern, and disconnect, drop-oldest, drop-newest or conflate; or \"\" for none",
        kind: Kind::Rules {
            get: show_slow_policy,
            add: set_slow_policy,
            clear: |config| config.pubsub_slow_policy.clear(),
        },
    },
];

/// The kind of `busy-reply-threshold` and of its older name.
const BUSY_REPLY_THRESHOLD: Kind = Kind::Integer {
    min: 0,
    max: i64::MAX,
    get: |config| i64::try_from(config.busy_reply_threshold.as_millis()).unwrap_or(i64::MAX),
    set: |config, millis| {
        config.busy_reply_threshold = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    },
};

fn show_replay(config: &Config) -> Vec<Vec<u8>> {
    let values = config.pubsub_replay.iter().flat_map(|rule| {
        let numbers = [rule.messages_max as u64, rule.bytes_max as u64, rule.age_max.as_secs()];
        let numbers = numbers.map(|number| number.to_string().into_bytes());
        std::iter::once(rule.pattern.clone()).chain(numbers)
    });
    values.collect()
}

/// Adds a line of `pubsub-replay`; an empty one removes the lines before it.
fn set_replay(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.iter().all(Vec::is_empty) {
        config.pubsub_replay.clear();
        return Ok(());
    }
    if !values.len().is_multiple_of(4) {
        return Err(Invalid::ArgumentCount);
    }
    for rule in values.chunks(4) {
        config.pubsub_replay.push(ReplayRule {
            pattern: rule[0].clone(),
            messages_max: integer(&rule[1], 1, i64::MAX)?.try_into().unwrap_or(usize::MAX),
            bytes_max: memory_within(&rule[2], 1)?,
            age_max: Duration::from_secs(integer(&rule[3], 1, i64::MAX)?.unsigned_abs()),
        });
    }
    Ok(())
}

fn show_channel_events(config: &Config) -> Vec<u8> {
    let ChannelEvents { occupied, vacated } = config.notify_pubsub_events;
    [(occupied, b'o'), (vacated, b'v')]
        .into_iter()
        .filter_map(|(is_wanted, letter)| is_wanted.then_some(letter))
        .collect()
}

fn set_channel_events(config: &mut Config, letters: &[u8]) -> Result<(), Invalid> {
    if letters.iter().any(|letter| !b"ov".contains(letter)) {
        return Err(Invalid::ChannelEvent);
    }
    config.notify_pubsub_events =
        ChannelEvents { occupied: letters.contains(&b'o'), vacated: letters.contains(&b'v') };
    Ok(())
}

fn show_slow_policy(config: &Config) -> Vec<Vec<u8>> {
    let rules = config.pubsub_slow_policy.iter();
    let values =
        rules.flat_map(|rule| [rule.pattern.clone(), rule.policy.name().as_bytes().to_vec()]);
    values.collect()
}

/// Adds a line of `pubsub-slow-policy`; an empty one removes the lines before it.
fn set_slow_policy(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.iter().all(Vec::is_empty) {
        config.pubsub_slow_policy.clear();
        return Ok(());
    }
    if !values.len().is_multiple_of(2) {
        return Err(Invalid::ArgumentCount);
    }
    for rule in values.chunks(2) {
        let is_meant = |(name, _): &(&str, _)| rule[1].eq_ignore_ascii_case(name.as_bytes());
        let (_, policy) =
            SlowPolicy::NAMES.into_iter().find(is_meant).ok_or(Invalid::SlowPolicy)?;
        config.pubsub_slow_policy.push(SlowRule { pattern: rule[0].clone(), policy });
    }
    Ok(())
}
