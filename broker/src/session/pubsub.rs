//! Publishing, subscribing, and asking who listens.

use super::{Answer, NAME_BYTES, Names, Session, help_wanted};
use crate::audience::Audience;
use crate::message::{Name, Space};
use crate::resp::reply::{self, Reply};
use crate::resp::request::Request;

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Shard,
    Pattern,
}

impl Kind {
    /// The first word of the confirmation.
    fn subscribed(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Shard => "ssubscribe",
            Self::Pattern => "psubscribe",
        }
    }

    /// The first word of the confirmation that it is over.
    fn unsubscribed(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Shard => "sunsubscribe",
            Self::Pattern => "punsubscribe",
        }
    }
}

impl Session {
    /// `PUBLISH channel message` and `SPUBLISH shardchannel message`
    pub(super) fn publish(&mut self, space: Space, request: Request<'_>, audience: &mut Audience) {
        let (channel, payload) = (request.argument(1), request.argument(2));
        let receivers = self.host.broker.publish_from(audience, space, channel, payload);
        let limit = self.output_limit(&audience.config);
        audience.mail().reply(&self.member, limit, |out| reply::integer(out, receivers));
    }

    /// `SUBSCRIBE channel [channel ...]`, and the same for shard channels and patterns
    pub(super) fn subscribe(&mut self, kind: Kind, request: Request<'_>, audience: &mut Audience) {
        for name in request.arguments_from(1) {
            if !self.names(kind).contains(name) {
                let name = self.join(kind, name, audience);
                self.subscription_bytes += name.len() + NAME_BYTES;
                self.names(kind).insert(name);
            }
            self.confirm(audience, kind, kind.subscribed(), Some(name));
        }
        self.note_subscriptions();
    }

    /// `UNSUBSCRIBE [channel [channel ...]]`, and the same for shard channels and patterns
    pub(super) fn unsubscribe(
        &mut self,
        kind: Kind,
        request: Request<'_>,
        audience: &mut Audience,
    ) {
        for name in request.arguments_from(1) {
            if let Some(name) = self.names(kind).take(name) {
                self.leave(kind, &name, audience);
            }
            self.confirm(audience, kind, kind.unsubscribed(), Some(name));
        }
        if request.len() == 1 {
            self.unsubscribe_from_all(kind, audience);
        }
        self.note_subscriptions();
    }

    fn unsubscribe_from_all(&mut self, kind: Kind, audience: &mut Audience) {
        if self.names(kind).is_empty() {
            self.confirm(audience, kind, kind.unsubscribed(), None);
        }
        // Listed first: looking for the first of a set that empties takes longer each time.
        let names: Vec<Name> = self.names(kind).iter().cloned().collect();
        for name in names {
            self.names(kind).remove(&name);
            self.leave(kind, &name, audience);
            self.confirm(audience, kind, kind.unsubscribed(), Some(&name));
        }
    }

    /// Ends all subscriptions, and tells nobody.
    pub(super) fn leave_all(&mut self, audience: &mut Audience) {
        for kind in [Kind::Channel, Kind::Shard, Kind::Pattern] {
            for name in std::mem::take(self.names(kind)) {
                self.leave(kind, &name, audience);
            }
        }
        self.note_subscriptions();
    }

    fn join(&self, kind: Kind, name: &[u8], audience: &mut Audience) -> Name {
        let broker = &self.host.broker;
        match kind {
            Kind::Channel => broker.join(audience, Space::Channels, &self.member, name),
            Kind::Shard => broker.join(audience, Space::Shards, &self.member, name),
            Kind::Pattern => broker.join_pattern(audience, &self.member, name),
        }
    }

    fn leave(&mut self, kind: Kind, name: &Name, audience: &mut Audience) {
        self.subscription_bytes -= name.len() + NAME_BYTES;
        let broker = &self.host.broker;
        match kind {
            Kind::Channel => broker.leave(audience, Space::Channels, &self.member, name),
            Kind::Shard => broker.leave(audience, Space::Shards, &self.member, name),
            Kind::Pattern => broker.leave_pattern(audience, &self.member, name),
        }
    }

    fn names(&mut self, kind: Kind) -> &mut Names {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Shard => &mut self.shards,
            Kind::Pattern => &mut self.patterns,
        }
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

    /// Confirms a change. Channels and patterns count together, shard channels by themselves.
    fn confirm(&self, audience: &mut Audience, kind: Kind, word: &str, name: Option<&[u8]>) {
        let subscriptions = match kind {
            Kind::Shard => self.shards.len(),
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
        };
        let protocol = self.member.protocol.get();
        let limit = self.output_limit(&audience.config);
        audience.mail().push(&self.member, limit, |out| {
            reply::confirmation(out, protocol, word, name, subscriptions);
        });
    }
}
