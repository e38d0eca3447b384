//! Publishing, subscribing, and asking who listens.

use crate::audience::Audience;
use crate::resp::reply::{self, Reply};
use crate::resp::request::Request;

use super::{Answer, Session};

impl Session {
    /// `PUBLISH channel message`
    pub(super) fn publish(&mut self, request: Request<'_>, audience: &mut Audience) {
        let (channel, payload) = (request.argument(1), request.argument(2));
        let receivers = self.host.broker.publish_from(audience, channel, payload);
        let limit = self.output_limit();
        audience.mail().reply(&self.member, limit, |out| reply::integer(out, receivers));
    }

    /// `SUBSCRIBE channel [channel ...]`
    pub(super) fn subscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        for channel in request.arguments_from(1) {
            if !self.channels.contains(channel) {
                let name = self.host.broker.join(audience, &self.member, channel);
                self.channels.insert(name);
            }
            self.confirm(audience, "subscribe", Some(channel));
        }
    }

    /// `UNSUBSCRIBE [channel [channel ...]]`
    pub(super) fn unsubscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        if request.len() > 1 {
            for channel in request.arguments_from(1) {
                if let Some(name) = self.channels.take(channel) {
                    self.host.broker.leave(audience, &self.member, &name);
                }
                self.confirm(audience, "unsubscribe", Some(channel));
            }
            return;
        }
        if self.channels.is_empty() {
            self.confirm(audience, "unsubscribe", None);
        }
        while let Some(name) = self.channels.iter().next().cloned() {
            self.channels.remove(&name);
            self.host.broker.leave(audience, &self.member, &name);
            self.confirm(audience, "unsubscribe", Some(&name));
        }
    }

    /// `PSUBSCRIBE pattern [pattern ...]`
    pub(super) fn psubscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        for pattern in request.arguments_from(1) {
            if !self.patterns.contains(pattern) {
                let name = self.host.broker.join_pattern(audience, &self.member, pattern);
                self.patterns.insert(name);
            }
            self.confirm(audience, "psubscribe", Some(pattern));
        }
    }

    /// `PUNSUBSCRIBE [pattern [pattern ...]]`
    pub(super) fn punsubscribe(&mut self, request: Request<'_>, audience: &mut Audience) {
        if request.len() > 1 {
            for pattern in request.arguments_from(1) {
                if let Some(name) = self.patterns.take(pattern) {
                    self.host.broker.leave_pattern(audience, &self.member, &name);
                }
                self.confirm(audience, "punsubscribe", Some(pattern));
            }
            return;
        }
        if self.patterns.is_empty() {
            self.confirm(audience, "punsubscribe", None);
        }
        while let Some(name) = self.patterns.iter().next().cloned() {
            self.patterns.remove(&name);
            self.host.broker.leave_pattern(audience, &self.member, &name);
            self.confirm(audience, "punsubscribe", Some(&name));
        }
    }

    /// `PUBSUB CHANNELS [pattern]`
    pub(super) fn pubsub_channels(&self, request: Request<'_>) -> Answer {
        if request.len() > 3 {
            return Err(help_wanted("PUBSUB", request.argument(1)));
        }
        let pattern = (request.len() == 3).then(|| request.argument(2));
        Ok(Reply::Array(self.host.broker.channels(pattern).iter().map(Reply::bulk).collect()))
    }

    /// `PUBSUB NUMSUB [channel [channel ...]]`
    pub(super) fn pubsub_numsub(&self, request: Request<'_>) -> Reply {
        let pairs = request.arguments_from(2).flat_map(|channel| {
            [Reply::bulk(channel), Reply::integer(self.host.broker.subscriptions(channel))]
        });
        Reply::Array(pairs.collect())
    }

    fn confirm(&self, audience: &mut Audience, kind: &str, name: Option<&[u8]>) {
        let subscriptions = self.channels.len() + self.patterns.len();
        let protocol = self.member.protocol.get();
        audience.mail().reply(&self.member, self.output_limit(), |out| {
            reply::confirmation(out, protocol, kind, name, subscriptions);
        });
    }
}

/// Redis' answer to a subcommand that it knows with arguments that it does not.
fn help_wanted(container: &str, subcommand: &[u8]) -> Vec<u8> {
    let start = b"ERR unknown subcommand or wrong number of arguments for '";
    [start, subcommand, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}
