//! `SUBSCRIBE`, `UNSUBSCRIBE` and their kin, and the counts of `PUBSUB`. `execute` publishes.

use super::Answer;
use super::errors::{SHOWN_BYTES_MAX, help_wanted, shown};
use super::spec::Outcome;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::Request;
use crate::pubsub::message::{ChannelKind, Name};
use crate::pubsub::order::OrderGuard;
use crate::pubsub::taps::{TAP_PREFIX, TapForm, is_untappable};
use crate::session::context::Context;
use crate::session::{NAME_BYTES, Names, Session};

/// The kind of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionKind {
    Channel,
    Shard,
    Pattern,
}

impl SubscriptionKind {
    /// Returns the first word of the confirmation of a subscription.
    fn subscribed(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Shard => "ssubscribe",
            Self::Pattern => "psubscribe",
        }
    }

    /// Returns the form and the channels of a tap; `None` for any other subscription.
    fn tapped(self, name: &[u8]) -> Option<(TapForm, &[u8])> {
        let form = match self {
            Self::Channel => TapForm::Channel,
            Self::Pattern => TapForm::Pattern,
            Self::Shard => return None,
        };
        name.strip_prefix(TAP_PREFIX).map(|tapped| (form, tapped))
    }

    /// Returns the first word of the confirmation of its end.
    fn unsubscribed(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Shard => "sunsubscribe",
            Self::Pattern => "punsubscribe",
        }
    }
}

impl Session {
    /// `SUBSCRIBE channel [channel ...]`, and the same for shard channels and patterns
    pub(crate) fn subscribe(
        &mut self,
        kind: SubscriptionKind,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Outcome {
        let mut taps = request.arguments_from(1).filter_map(|name| kind.tapped(name));
        if let Some((_, tapped)) = taps.find(|(_, tapped)| is_untappable(tapped)) {
            let start = b"ERR channels of the server itself cannot be tapped, found '";
            return Err([&start[..], shown(tapped, SHOWN_BYTES_MAX), b"'"].concat()).into();
        }
        for name in request.arguments_from(1) {
            if !self.names(kind).contains(name) {
                let name = self.join(kind, name, context, order);
                self.subscription_bytes += name.len() + NAME_BYTES;
                self.names(kind).insert(name);
            }
            self.confirm(context, kind, kind.subscribed(), Some(name));
        }
        self.record_subscriptions();
        Outcome::Replied
    }

    /// `UNSUBSCRIBE [channel [channel ...]]`, and the same for shard channels and patterns
    pub(crate) fn unsubscribe(
        &mut self,
        kind: SubscriptionKind,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Outcome {
        for name in request.arguments_from(1) {
            if let Some(name) = self.names(kind).take(name) {
                self.leave(kind, &name, context, order);
            }
            self.confirm(context, kind, kind.unsubscribed(), Some(name));
        }
        if request.len() == 1 {
            self.unsubscribe_from_all(kind, context, order);
        }
        self.record_subscriptions();
        Outcome::Replied
    }

    fn unsubscribe_from_all(
        &mut self,
        kind: SubscriptionKind,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) {
        if self.names(kind).is_empty() {
            self.confirm(context, kind, kind.unsubscribed(), None);
        }
        // Copied first: in a hash set that shrinks, finding the first entry takes longer each time.
        let names: Vec<Name> = self.names(kind).iter().cloned().collect();
        for name in names {
            self.names(kind).remove(&name);
            self.leave(kind, &name, context, order);
            self.confirm(context, kind, kind.unsubscribed(), Some(&name));
        }
    }

    /// Ends all subscriptions without a confirmation.
    pub(crate) fn leave_all(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) {
        for kind in [SubscriptionKind::Channel, SubscriptionKind::Shard, SubscriptionKind::Pattern]
        {
            for name in std::mem::take(self.names(kind)) {
                self.leave(kind, &name, context, order);
            }
        }
        self.record_subscriptions();
    }

    fn join(
        &self,
        kind: SubscriptionKind,
        name: &[u8],
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Name {
        let local = &mut context.local;
        if let Some((form, tapped)) = kind.tapped(name) {
            order.join_tap(local, form, &self.output, tapped);
            return Name::from(name);
        }
        match kind {
            SubscriptionKind::Channel => {
                order.join(local, ChannelKind::Channels, &self.output, name)
            }
            SubscriptionKind::Shard => order.join(local, ChannelKind::Shards, &self.output, name),
            SubscriptionKind::Pattern => order.join_pattern(local, &self.output, name),
        }
    }

    fn leave(
        &mut self,
        kind: SubscriptionKind,
        name: &Name,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) {
        self.subscription_bytes -= name.len() + NAME_BYTES;
        let local = &mut context.local;
        if let Some((form, tapped)) = kind.tapped(name) {
            return order.leave_tap(local, form, &self.output, tapped);
        }
        match kind {
            SubscriptionKind::Channel => {
                order.leave(local, ChannelKind::Channels, &self.output, name)
            }
            SubscriptionKind::Shard => order.leave(local, ChannelKind::Shards, &self.output, name),
            SubscriptionKind::Pattern => order.leave_pattern(local, &self.output, name),
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

    /// `PUBSUB NUMPAT`
    pub(super) fn pubsub_numpat(&self) -> Reply {
        Reply::integer(self.server.broker.pattern_count())
    }

    /// `PUBSUB NUMSUB [channel ...]` and `PUBSUB SHARDNUMSUB [shardchannel ...]`
    pub(crate) fn pubsub_numsub(&self, kind: ChannelKind, request: Request<'_>) -> Reply {
        let broker = &self.server.broker;
        let pairs = request.arguments_from(2).flat_map(|channel| {
            [Reply::bulk(channel), Reply::integer(broker.subscriptions(kind, channel))]
        });
        Reply::Array(pairs.collect())
    }

    /// Queues a confirmation with the number of subscriptions. Channels and patterns count together,
    /// shard channels separately.
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
