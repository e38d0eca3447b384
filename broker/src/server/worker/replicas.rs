//! The housekeeping of replicas, by the first worker.

use tracing::warn;

use super::Worker;
use crate::config::Config;

impl Worker {
    /// Sends `PING` to replicas, closes silent ones, and ends the stream when there has been none for long.
    pub(super) fn tend_replicas(&self, tick: u64, config: &Config) {
        let (settings, replication) = (&config.replication, &self.server.replication);
        if self.server.broker.backlog_bytes().is_none() {
            return;
        }
        for replica in replication.close_silent(settings.timeout) {
            warn!(client.addr = %replica.info.peer, "replica closed: it has acknowledged nothing for repl-timeout");
        }
        let is_unused =
            !settings.backlog_time.is_zero() && replication.is_lonely(settings.backlog_time);
        self.with_order(|context, order| {
            // A replica may have come meanwhile, which needs the order.
            if is_unused && !replication.has_replicas() {
                return order.close_stream();
            }
            if tick.is_multiple_of(settings.ping_interval.as_secs().max(1))
                && replication.has_replicas()
            {
                order.ping_replicas(&mut context.local);
            }
        });
    }
}
