//! Counters, from which `INFO` is made.
//!
//! They are plain sums that any thread adds to; nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a broker and its servers have done so far.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) connections_received: Counter,
    pub(crate) connections_rejected: Counter,
    pub(crate) connected_clients: Counter,
    pub(crate) commands_processed: Counter,
    pub(crate) messages_published: Counter,
    /// One for each receiver.
    pub(crate) messages_delivered: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    /// Clients closed at their output limit.
    pub(crate) output_limit_disconnections: Counter,
    pub(crate) query_limit_disconnections: Counter,
}

/// A number that threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
