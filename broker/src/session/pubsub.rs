//! Publishing, subscribing, and asking who listens.

use super::{Answer, Names, Session, help_wanted};
use crate::audience::Audience;
use crate::message::Space;
use crate::resp::reply::{self, Reply};
use crate::resp::request::Request;

impl Session {
    /// `PUBLISH channel message` and `SPUBLISH shardchannel message`
    pub(super) fn publish(&mut self, space: Space, request: Request<'_>, audience: &mut Audience) {
        let (channel, payload) = (request.argument(1), request.argument(2));
        let receivers = self.host.broker.publish_from(audience, space, channel, payload);
        let limit = self.output_limit(&audience.config);
        audience.mail().reply(&self.member, limit, |out| reply::integer(out, receivers));
    }

    /// `SUBSCRIBE channel [channel ...]` and `SSUBSCRIBE shardchannel [shardchannel ...]`
    pub(super) fn subscribe(
        &mut self,
        space: Space,
        request: Request<'_>,
        audience: &mut Audience,
    ) {
        let kind = if space == Space::Shards { "ssubscribe" } else { "subscribe" };
        for channel in request.arguments_from(1) {
            if !self.names(space).contains(channel) {
                let name = self.host.broker.join(audience, space, &self.member, channel);
                self.names(space).insert(name);
            }
            self.confirm(audience, kind, space, Some(channel));
        }
        self.note_subscriptions();
    }

    /// `UNSUBSCRIBE [channel [channel ...]]` and `SUNSUBSCRIBE [shardchannel [shardchannel ...]]`
    pub(super) fn unsubscribe(
        &mut self,
        space: Space,
        request: Request<'_>,
        audience: &mut Audience,
    ) {
        let kind = if space == Space::Shards { "sunsubscribe" } else { "unsubscribe" };
        for channel in request.arguments_from(1) {
            if let Some(name) = self.names(space).take(channel) {
                self.host.broker.leave(audience, space, &self.member, &name);
            }
            self.confirm(audience, kind, space, Some(channel));
        }
        if request.len() == 1 {
            if self.names(space).is_empty() {
                self.confirm(audience, kind, space, None);
            }
            while let Some(name) = self.names(space).iter().next().cloned() {
                self.names(space).remove(&name);
                self.host.broker.leave(audience, space, &self.member, &name);
                self.confirm(audience, kind, space, Some(&name));
            }
        }
        self.note_subscriptions();
    }

    /// `PSUBSCRIBE pattern [pattern ...]`
    pub(super) fn psubscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        for pattern in request.arguments_from(1) {
            if !self.patterns.contains(pattern) {
                let name = self.host.broker.join_pattern(audience, &self.member, pattern);
                self.patterns.insert(name);
            }
            self.confirm(audience, "psubscribe", Space::Channels, Some(pattern));
        }
        self.note_subscriptions();
    }

    /// `PUNSUBSCRIBE [pattern [pattern ...]]`
    pub(super) fn punsubscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        for pattern in request.arguments_from(1) {
            if let Some(name) = self.patterns.take(pattern) {
                self.host.broker.leave_pattern(audience, &self.member, &name);
            }
            self.confirm(audience, "punsubscribe", Space::Channels, Some(pattern));
        }
        if request.len() == 1 {
            if self.patterns.is_empty() {
                self.confirm(audience, "punsubscribe", Space::Channels, None);
            }
            while let Some(name) = self.patterns.iter().next().cloned() {
                self.patterns.remove(&name);
                self.host.broker.leave_pattern(audience, &self.member, &name);
                self.confirm(audience, "punsubscribe", Space::Channels, Some(&name));
            }
        }
        self.note_subscriptions();
    }

    /// `PUBSUB CHANNELS [pattern]` and `PUBSUB SHARDCHANNELS [pattern]`
    pub(super) fn pubsub_channels(&self, space: Space, request: Request<'_>) -> Answer {
        if request.len() > 3 {
            return Err(help_wanted("PUBSUB", request.argument(1)));
        }
        let pattern = (request.len() == 3).then(|| request.argument(2));
        let names = self.host.broker.names(space, pattern);
        Ok(Reply::Array(names.iter().map(Reply::bulk).collect()))
    }

    /// `PUBSUB NUMSUB [channel ...]` and `PUBSUB SHARDNUMSUB [shardchannel ...]`
    pub(super) fn pubsub_numsub(&self, space: Space, request: Request<'_>) -> Reply {
        let broker = &self.host.broker;
        let pairs = request.arguments_from(2).flat_map(|channel| {
            [Reply::bulk(channel), Reply::integer(broker.subscriptions_in(space, channel))]
        });
        Reply::Array(pairs.collect())
    }

    fn names(&mut self, space: Space) -> &mut Names {
        if space == Space::Shards { &mut self.shards } else { &mut self.channels }
    }

    /// Confirms a change. Channels and patterns count together, shard channels by themselves.
    fn confirm(&self, audience: &mut Audience, kind: &str, space: Space, name: Option<&[u8]>) {
        let subscriptions = match space {
            Space::Shards => self.shards.len(),
            _ => self.channels.len() + self.patterns.len(),
        };
        let protocol = self.member.protocol.get();
        let limit = self.output_limit(&audience.config);
        audience.mail().push(&self.member, limit, |out| {
            reply::confirmation(out, protocol, kind, name, subscriptions);
        });
    }
}
