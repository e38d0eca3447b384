//! `PUBSUB STATS`, `PUBSUB CLIENTS` and `PUBSUB EXPLAIN`: the load of channels, the subscribers of a
//! channel, and the cost of a message on it.

use std::task::{self, Poll};
use std::time::{Duration, Instant};

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR, shown};
use super::spec::Outcome;
use crate::acl::{Access, ChannelUse, Denied, User};
use crate::config::ReplayRule;
use crate::protocol::reply::Reply;
use crate::protocol::request::{Request, integer};
use crate::pubsub::message::ChannelKind;
use crate::pubsub::order::OrderGuard;
use crate::pubsub::rates::{ChannelRate, wanted};
use crate::pubsub::slow_subscriber::slow_policy;
use crate::pubsub::subscribers::Subscribed;
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::session::survey::{Reader, Survey};
use crate::session::{Fields, PendingSurvey, Session};

/// The channels of `PUBSUB STATS` and the clients of `PUBSUB CLIENTS`, unless the request names a
/// number.
const SHOWN_DEFAULT: usize = 100;
/// Clients in a reply of `PUBSUB CLIENTS`.
const CLIENTS_MAX: usize = 10_000;

/// `PUBSUB STATS [pattern] [TOP count]`
pub(super) fn stats(
    request: Request<'_>,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> Answer {
    let options: Vec<&[u8]> = request.arguments_from(2).collect();
    let (pattern, count) = match options[..] {
        [] => (None, SHOWN_DEFAULT),
        [pattern] => (Some(pattern), SHOWN_DEFAULT),
        [word, count] => (None, option(word, "top", count)?),
        [pattern, word, count] => (Some(pattern), option(word, "top", count)?),
        _ => return Err(SYNTAX_ERROR.to_vec()),
    };
    order.catch_up(&mut context.local);
    let rates = order.channel_rates(wanted(pattern), count);
    Ok(Reply::Array(rates.into_iter().map(describe_rate).collect()))
}

fn describe_rate(rate: ChannelRate) -> Reply {
    Reply::Map(vec![
        (Reply::bulk("channel"), Reply::bulk(rate.channel)),
        (Reply::bulk("messages-per-sec"), Reply::integer(rate.messages)),
        (Reply::bulk("bytes-in-per-sec"), Reply::integer(rate.bytes_in)),
        (Reply::bulk("bytes-out-per-sec"), Reply::integer(rate.bytes_out)),
        (Reply::bulk("receivers"), Reply::integer(rate.receivers)),
        (Reply::bulk("dropped"), Reply::integer(rate.dropped)),
        (Reply::bulk("last-ms"), millis(rate.age)),
    ])
}

impl Session {
    /// `PUBSUB CLIENTS channel [LIMIT count]`
    pub(super) fn pubsub_clients(
        &mut self,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Outcome {
        let options: Vec<&[u8]> = request.arguments_from(3).collect();
        let count = match options[..] {
            [] => Ok(SHOWN_DEFAULT),
            [word, count] => option(word, "limit", count),
            _ => Err(SYNTAX_ERROR.to_vec()),
        };
        let reply = |readers: &[Reader], _: Fields| {
            let now = Instant::now();
            Reply::Array(readers.iter().map(|reader| describe_reader(reader, now)).collect())
        };
        match count {
            Ok(count) => {
                let patterns = order.matching_patterns(request.argument(2));
                let patterns = patterns.into_iter().map(|(name, _)| name).collect();
                let survey = Survey::new(request.argument(2), patterns, count.min(CLIENTS_MAX));
                self.ask(PendingSurvey { survey: survey.into(), known: Vec::new(), reply }, context)
            }
            Err(error) => Err(error).into(),
        }
    }

    /// `PUBSUB EXPLAIN channel [USER username] [BYTES count]`
    pub(super) fn pubsub_explain(
        &mut self,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Outcome {
        match self.explain(request, context, order) {
            Ok(pending) => self.ask(pending, context),
            Err(error) => Err(error).into(),
        }
    }

    fn explain(
        &self,
        request: Request<'_>,
        context: &Context,
        order: &mut OrderGuard<'_>,
    ) -> Result<PendingSurvey, CommandError> {
        let channel = request.argument(2);
        let (mut user, mut bytes) = (self.user.clone(), 0);
        let options: Vec<&[u8]> = request.arguments_from(3).collect();
        for pair in options.chunks(2) {
            match pair {
                [word, name] if word.eq_ignore_ascii_case(b"user") => {
                    user = self.server.users.get(name).ok_or_else(|| {
                        [b"ERR User '", shown(name, usize::MAX), b"' not found"].concat()
                    })?;
                }
                [word, count] if word.eq_ignore_ascii_case(b"bytes") => {
                    bytes =
                        integer(count).and_then(|n| u64::try_from(n).ok()).ok_or(NOT_AN_INTEGER)?;
                }
                _ => return Err(SYNTAX_ERROR.to_vec()),
            }
        }
        let patterns = order.matching_patterns(channel);
        let by_channel = self.server.broker.subscriptions(ChannelKind::Channels, channel);
        let receivers = by_channel + patterns.iter().map(|(_, count)| count).sum::<usize>();
        let by_pattern = patterns
            .iter()
            .map(|(name, count)| (Reply::bulk(name), Reply::integer(*count)))
            .collect();
        let by_shard = self.server.broker.subscriptions(ChannelKind::Shards, channel);
        let replay = order.replay_rule(channel).map_or(Reply::Null, describe_rule);
        let denied = verdict(&user, channel);
        let policy = slow_policy(&context.config.pubsub_slow_policy, channel);
        let known = vec![
            (Reply::bulk("channel"), Reply::bulk(channel)),
            (Reply::bulk("receivers"), Reply::integer(receivers)),
            (Reply::bulk("by-channel"), Reply::integer(by_channel)),
            (Reply::bulk("by-pattern"), Reply::Map(by_pattern)),
            (Reply::bulk("by-shard"), Reply::integer(by_shard)),
            (Reply::bulk("replay-rule"), replay),
            (Reply::bulk("slow-policy"), Reply::bulk(policy.name())),
            (Reply::bulk("bytes-to-send"), Reply::integer(bytes.saturating_mul(receivers as u64))),
            (Reply::bulk("user"), Reply::bulk(user.name())),
            (Reply::bulk("acl"), Reply::bulk(if denied.is_some() { "denied" } else { "allowed" })),
            (Reply::bulk("missing-rule"), denied.map_or(Reply::Null, Reply::bulk)),
        ];
        let patterns = patterns.into_iter().map(|(name, _)| name).collect();
        let survey = Survey::new(channel, patterns, 1).into();
        let reply = |readers: &[Reader], mut known: Fields| {
            let slowest = readers.first().map(|reader| describe_reader(reader, Instant::now()));
            known.push((Reply::bulk("slowest"), slowest.unwrap_or(Reply::Null)));
            Reply::Map(known)
        };
        Ok(PendingSurvey { survey, known, reply })
    }

    fn ask(&mut self, pending: PendingSurvey, context: &mut Context) -> Outcome {
        context.effects.push(Effect::Survey(pending.survey.clone()));
        self.survey = Some(Box::new(pending));
        Outcome::WaitForSurvey
    }

    /// Returns ready once all workers have answered the survey of this client.
    pub(crate) fn poll_survey(&self, cx: &task::Context<'_>) -> Poll<()> {
        self.survey.as_ref().map_or(Poll::Ready(()), |pending| pending.survey.poll_done(cx))
    }

    /// Ends [`Flow::WaitForSurvey`](super::execute::Flow::WaitForSurvey).
    pub(crate) fn reply_after_survey(&mut self, context: &mut Context) {
        if let Some(pending) = self.survey.take() {
            let PendingSurvey { survey, known, reply } = *pending;
            self.reply(context, &reply(&survey.readers(), known));
        }
    }
}

fn describe_reader(reader: &Reader, now: Instant) -> Reply {
    let names = reader.info.names.lock().clone();
    let (by, pattern) = match &reader.by {
        Subscribed::Channel => ("channel", Reply::Null),
        Subscribed::Shard => ("shard", Reply::Null),
        Subscribed::Pattern(pattern) => ("pattern", Reply::bulk(pattern)),
    };
    Reply::Map(vec![
        (Reply::bulk("id"), Reply::integer(reader.info.id)),
        (Reply::bulk("name"), Reply::bulk(names.name)),
        (Reply::bulk("addr"), Reply::bulk(reader.info.peer.to_string())),
        (Reply::bulk("user"), Reply::bulk(names.user)),
        (Reply::bulk("by"), Reply::bulk(by)),
        (Reply::bulk("pattern"), pattern),
        (Reply::bulk("unread-bytes"), Reply::integer(reader.unread_bytes())),
        (Reply::bulk("lag-ms"), millis(reader.lag(now))),
    ])
}

/// Returns a rule as `pubsub-replay` has it.
fn describe_rule(rule: &ReplayRule) -> Reply {
    let ReplayRule { pattern, messages_max, bytes_max, age_max } = rule;
    let limits = format!(" {messages_max} {bytes_max} {}", age_max.as_secs());
    Reply::bulk([pattern, limits.as_bytes()].concat())
}

/// Returns the rule that a user lacks to publish to a channel.
fn verdict(user: &User, channel: &[u8]) -> Option<Vec<u8>> {
    let access = Access {
        command: "publish",
        argument: Some(channel),
        keys: &[],
        channels: &[(ChannelUse::Literal, channel)],
    };
    match user.may(&access) {
        Ok(()) => None,
        Err(Denied::Channel(channel)) => Some([b"&", &channel[..]].concat()),
        Err(Denied::Command | Denied::Key(_)) => Some(b"+publish".to_vec()),
    }
}

/// Returns the positive number after an option with this name.
fn option(word: &[u8], name: &str, count: &[u8]) -> Result<usize, CommandError> {
    if !word.eq_ignore_ascii_case(name.as_bytes()) {
        return Err(SYNTAX_ERROR.to_vec());
    }
    let count = integer(count).and_then(|count| usize::try_from(count).ok());
    count.filter(|count| *count > 0).ok_or_else(|| NOT_AN_INTEGER.to_vec())
}

fn millis(time: Duration) -> Reply {
    Reply::integer(time.as_millis())
}
