//! The housekeeping of replicas, by the first worker.

use std::time::Duration;

use tracing::warn;

use super::Worker;
use crate::config::Config;

/// The interval of the housekeeping.
const TICK: Duration = Duration::from_secs(1);

impl Worker {
    /// Sends `PING` to replicas, closes silent ones, and ends the stream when there has been none for long.
    pub(super) fn tend_replicas(&self, tick: u64, config: &Config) {
        let (settings, replication) = (&config.replication, &self.server.replication);
        if self.server.broker.backlog_bytes().is_none() {
            return;
        }
        for replica in replication.close_silent(settings.timeout) {
            let (id, peer) = (replica.info.id, &replica.info.peer);
            warn!(client.id = id, client.addr = %peer, "replica closed: silent for repl-timeout");
        }
        let is_unused =
            !settings.backlog_time.is_zero() && replication.is_lonely(settings.backlog_time);
        let is_due = match replication.is_replica() {
            // Its replicas must not take it for one that knows all.
            true => replication.known_at().elapsed() < TICK,
            false => tick.is_multiple_of(settings.ping_interval.as_secs().max(1)),
        };
        self.with_order(|context, order| {
            // A replica may have come meanwhile, which needs the order.
            if is_unused && !replication.has_replicas() {
                return order.close_stream();
            }
            order.limit_backlog(settings.backlog_bytes);
            if is_due && replication.has_replicas() {
                order.ping_replicas(&mut context.local);
            }
        });
    }
}
