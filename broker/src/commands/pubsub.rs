//! Publishing, subscribing, and asking who listens.

use crate::protocol::reply::{self, Reply};
use crate::protocol::request::Request;
use crate::pubsub::message::{ChannelKind, Name};
use crate::pubsub::subscribers::Context;
use crate::session::{Answer, NAME_BYTES, Names, Session, help_wanted};

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionKind {
    Channel,
    Shard,
    Pattern,
}

impl SubscriptionKind {
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
    pub(crate) fn publish(
        &mut self,
        kind: ChannelKind,
        request: Request<'_>,
        context: &mut Context,
    ) {
        let (channel, payload) = (request.argument(1), request.argument(2));
        let receivers = self.server.broker.publish_from(context, kind, channel, payload);
        let limit = self.output_limit(&context.config);
        context.flush_queue().reply(&self.output, limit, |out| reply::integer(out, receivers));
    }

    /// `SUBSCRIBE channel [channel ...]`, and the same for shard channels and patterns
    pub(crate) fn subscribe(
        &mut self,
        kind: SubscriptionKind,
        request: Request<'_>,
        context: &mut Context,
    ) {
        for name in request.arguments_from(1) {
            if !self.names(kind).contains(name) {
                let name = self.join(kind, name, context);
                self.subscription_bytes += name.len() + NAME_BYTES;
                self.names(kind).insert(name);
            }
            self.confirm(context, kind, kind.subscribed(), Some(name));
        }
        self.record_subscriptions();
    }

    /// `UNSUBSCRIBE [channel [channel ...]]`, and the same for shard channels and patterns
    pub(crate) fn unsubscribe(
        &mut self,
        kind: SubscriptionKind,
        request: Request<'_>,
        context: &mut Context,
    ) {
        for name in request.arguments_from(1) {
            if let Some(name) = self.names(kind).take(name) {
                self.leave(kind, &name, context);
            }
            self.confirm(context, kind, kind.unsubscribed(), Some(name));
        }
        if request.len() == 1 {
            self.unsubscribe_from_all(kind, context);
        }
        self.record_subscriptions();
    }

    fn unsubscribe_from_all(&mut self, kind: SubscriptionKind, context: &mut Context) {
        if self.names(kind).is_empty() {
            self.confirm(context, kind, kind.unsubscribed(), None);
        }
        // Listed first: looking for the first of a set that empties takes longer each time.
        let names: Vec<Name> = self.names(kind).iter().cloned().collect();
        for name in names {
            self.names(kind).remove(&name);
            self.leave(kind, &name, context);
            self.confirm(context, kind, kind.unsubscribed(), Some(&name));
        }
    }

    /// Ends all subscriptions, and tells nobody.
    pub(crate) fn leave_all(&mut self, context: &mut Context) {
        for kind in [SubscriptionKind::Channel, SubscriptionKind::Shard, SubscriptionKind::Pattern]
        {
            for name in std::mem::take(self.names(kind)) {
                self.leave(kind, &name, context);
            }
        }
        self.record_subscriptions();
    }

    fn join(&self, kind: SubscriptionKind, name: &[u8], context: &mut Context) -> Name {
        let broker = &self.server.broker;
        match kind {
            SubscriptionKind::Channel => {
                broker.join(context, ChannelKind::Channels, &self.output, name)
            }
            SubscriptionKind::Shard => {
                broker.join(context, ChannelKind::Shards, &self.output, name)
            }
            SubscriptionKind::Pattern => broker.join_pattern(context, &self.output, name),
        }
    }

    fn leave(&mut self, kind: SubscriptionKind, name: &Name, context: &mut Context) {
        self.subscription_bytes -= name.len() + NAME_BYTES;
        let broker = &self.server.broker;
        match kind {
            SubscriptionKind::Channel => {
                broker.leave(context, ChannelKind::Channels, &self.output, name)
            }
            SubscriptionKind::Shard => {
                broker.leave(context, ChannelKind::Shards, &self.output, name)
            }
            SubscriptionKind::Pattern => broker.leave_pattern(context, &self.output, name),
        }
    }

    fn names(&mut self, kind: SubscriptionKind) -> &mut Names {
        match kind {
            SubscriptionKind::Channel => &mut self.channels,
            SubscriptionKind::Shard => &mut self.shards,
            SubscriptionKind::Pattern => &mut self.patterns,
        }
    }

    /// `PUBSUB CHANNELS [pattern]` and `PUBSUB SHARDCHANNELS [pattern]`
    pub(crate) fn pubsub_channels(&self, kind: ChannelKind, request: Request<'_>) -> Answer {
        if request.len() > 3 {
            return Err(help_wanted("PUBSUB", request.argument(1)));
        }
        let pattern = (request.len() == 3).then(|| request.argument(2));
        let names = self.server.broker.names(kind, pattern);
        Ok(Reply::Array(names.iter().map(Reply::bulk).collect()))
    }

    /// `PUBSUB NUMSUB [channel ...]` and `PUBSUB SHARDNUMSUB [shardchannel ...]`
    pub(crate) fn pubsub_numsub(&self, kind: ChannelKind, request: Request<'_>) -> Reply {
        let broker = &self.server.broker;
        let pairs = request.arguments_from(2).flat_map(|channel| {
            [Reply::bulk(channel), Reply::integer(broker.subscriptions_in(kind, channel))]
        });
        Reply::Array(pairs.collect())
    }

    /// Confirms a change. Channels and patterns count together, shard channels by themselves.
    fn confirm(
        &self,
        context: &mut Context,
        kind: SubscriptionKind,
        word: &str,
        name: Option<&[u8]>,
    ) {
        let subscriptions = match kind {
            SubscriptionKind::Shard => self.shards.len(),
            SubscriptionKind::Channel | SubscriptionKind::Pattern => {
                self.channels.len() + self.patterns.len()
            }
        };
        let protocol = self.output.protocol.get();
        let limit = self.output_limit(&context.config);
        context.flush_queue().push(&self.output, limit, |out| {
            reply::confirmation(out, protocol, word, name, subscriptions);
        });
    }
}
