//! The receiving end of a bus.

use tracing::info;

use crate::metrics::Metrics;

/// What the connection that sends knows of the ids that arrive. The bus calls it from its own tasks.
pub(crate) trait Ids: Send + Sync + 'static {
    /// Records that a reset counter issued ids up to `to` while the subscription was interrupted.
    fn missed_after_reset(&self, to: u64);

    /// Waits until a payload shows that the id counter was reset. Cancel safe.
    fn counter_reset(&self) -> impl Future<Output = ()> + Send;

    /// Returns the id of the last payload.
    fn last_id(&self) -> Option<u64>;

    /// Returns the counters that the bus updates.
    fn metrics(&self) -> &Metrics;
}

/// Takes the payloads of a bus. The bus calls it from its own tasks.
pub(crate) trait Sink: Ids {
    /// Delivers a payload of the subscription, at the latest with the next call of
    /// [`release`](Self::release). Returns false for a duplicate.
    fn receive(&self, payload: &[u8]) -> bool;

    /// Delivers all payloads. The bus calls it before it waits for more.
    fn release(&self);

    /// Waits a short time for connections that read and have many messages to read. Messages may
    /// arrive faster than a thread comes to all of them. Cancel safe.
    fn wait_for_readers(&self) -> impl Future<Output = ()> + Send;

    /// Delivers a payload that was replayed by the broker.
    fn recover(&self, payload: &[u8]);

    /// Returns whether messages between the last payload and this one have not arrived.
    fn misses_before(&self, payload: &[u8]) -> bool;

    /// Waits until the connections can take the next replayed messages, up to a limit of time.
    fn wait_for_capacity(&self) -> impl Future<Output = ()> + Send;

    /// Records that the subscription is back after an interruption. Missed messages may be replayed
    /// next.
    fn resubscribed(&self);

    /// Records that the subscription is lost.
    fn unsubscribed(&self);

    /// Records that the next message is the first one of another run of the broker. Ids before it may
    /// have been reserved only. `issued` is the last id of a message of this server.
    fn run_began(&self, issued: u64);

    /// Logs how many messages were replayed since the counter had the value `before`.
    fn log_recovered(&self, before: u64) {
        let messages = self.metrics().recovered.get() - before;
        if messages > 0 {
            info!(messages, "replayed missed messages");
        }
    }
}
