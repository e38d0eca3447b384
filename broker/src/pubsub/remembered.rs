//! The replay buffer for programs in this process. Clients use `PUBSUB REPLAY`.

use bytes::Bytes;

use super::Broker;
use super::order::OrderGuard;
use crate::config::ReplayRule;
use crate::pubsub::replay::{Epoch, Remembered};

/// A position in the replay buffer of a channel: directly after one of its messages.
///
/// Each message advances it by one. A position from an older epoch, such as before a restart,
/// counts as before all messages that are kept now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPosition {
    /// The epoch of the channel's buffer.
    epoch: Epoch,
    /// The number of the message in this epoch.
    offset: u64,
}

impl ReplayPosition {
    /// Returns the position after the next message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = broker::Broker::new();
    /// # let all = broker::ReplayRule { pattern: "*".into(), messages_max: 9, bytes_max: 999, age_max: std::time::Duration::MAX };
    /// # let config = broker::Config { port: broker::Port::Any, pubsub_replay: vec![all], ..Default::default() };
    /// # let server = broker::Server::bind(broker.clone(), &config).await?;
    /// let here = broker.replay_end("news").ok_or("no rule matches")?;
    /// broker.publish("news", "hello");
    /// assert_eq!(broker.replay_end("news"), Some(here.next()));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn next(self) -> Self {
        Self { offset: self.offset + 1, ..self }
    }
}

impl Broker {
    /// Returns the position after the last message of a channel; `None` if no rule of
    /// [`Config::pubsub_replay`](crate::Config) matches the channel.
    ///
    /// A position obtained before a subscription precedes the first message that the subscriber
    /// gets.
    ///
    /// ```
    /// assert!(broker::Broker::new().replay_end("news").is_none());
    /// ```
    pub fn replay_end(&self, channel: impl AsRef<[u8]>) -> Option<ReplayPosition> {
        let end = self.with_order(|order, _| order.replay(channel.as_ref(), None, 0))?;
        Some(ReplayPosition { epoch: end.epoch, offset: end.offset })
    }

    /// Returns up to `count` kept messages of a channel after `position`, each with the position
    /// after it; `None` if no rule matches the channel.
    ///
    /// A subscriber that was away subscribes again and then calls this for the messages it missed.
    /// Messages published between the two calls arrive twice.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use broker::{Broker, Config, Port, ReplayRule, Server};
    ///
    /// let broker = Broker::new();
    /// let rule = ReplayRule {
    ///     pattern: "news*".into(),
    ///     messages_max: 100,
    ///     bytes_max: 1024 * 1024,
    ///     age_max: Duration::from_secs(60),
    /// };
    /// let config = Config { port: Port::Any, pubsub_replay: vec![rule], ..Config::default() };
    /// let server = Server::bind(broker.clone(), &config).await?;
    ///
    /// let here = broker.replay_end("news").ok_or("no rule matches")?;
    /// broker.publish("news", "one");
    /// broker.publish("news", "two");
    /// let missed = broker.replay_after("news", here, 1).unwrap_or_default();
    /// let (position, payload) = &missed[0];
    /// assert_eq!(payload, "one");
    /// let missed = broker.replay_after("news", *position, 100).unwrap_or_default();
    /// assert_eq!(missed[0].1, "two");
    /// # Ok(()) }
    /// ```
    pub fn replay_after(
        &self,
        channel: impl AsRef<[u8]>,
        position: ReplayPosition,
        count: usize,
    ) -> Option<Vec<(ReplayPosition, Bytes)>> {
        let after = Some((position.epoch, position.offset));
        let remembered =
            self.with_order(|order, _| order.replay(channel.as_ref(), after, count))?;
        let epoch = remembered.epoch;
        let message = |(offset, payload)| (ReplayPosition { epoch, offset }, payload);
        Some(remembered.messages.into_iter().map(message).collect())
    }
}

impl OrderGuard<'_> {
    /// Returns the rule that keeps the messages of a channel.
    pub(crate) fn replay_rule(&self, channel: &[u8]) -> Option<&ReplayRule> {
        self.order.replay.rule(channel)
    }

    /// Returns kept messages of a channel, see [`Replay::after`](super::replay::Replay::after).
    pub(crate) fn replay(
        &mut self,
        channel: &[u8],
        after: Option<(Epoch, u64)>,
        count: usize,
    ) -> Option<Remembered> {
        self.order.replay.after(channel, after, count)
    }
}
