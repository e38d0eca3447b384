//! The state that all handles of a broker and all its workers share.

#![cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts stop the world"))]

use std::sync::{Arc, OnceLock};

use locks::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use super::message::ChannelKind;
use super::order::{OrderLock, OrderMutex, OwnedOrder};
use super::registry::Registry;
use super::replica_stream::StreamFigures;
use super::script_barrier::ScriptBarrier;
use crate::keyspace::counters_file::CountersFile;
use crate::observe::stats::Stats;

/// Shared state of one broker.
#[derive(Default)]
pub(super) struct Shared {
    /// Indexed by [`ChannelKind`].
    pub(super) channels: [Registry; ChannelKind::COUNT],
    order: OrderMutex,
    /// The number of patterns, readable without the order.
    pub(super) patterns: AtomicUsize,
    pub(super) stats: Stats,
    pub(super) last_mailbox: AtomicU64,
    pub(super) last_client: AtomicU64,
    /// Bytes of all keys and values, readable without the order.
    pub(super) key_bytes: AtomicUsize,
    /// Changes of keys since the start, readable without the order.
    pub(super) changes: AtomicU64,
    pub(super) replica_stream: StreamFigures,
    /// Whether the keys are those of a master, so that programs in this process must not change them.
    pub(super) is_read_only: AtomicBool,
    pub(super) counters: OnceLock<CountersFile>,
    pub(super) barrier: Arc<ScriptBarrier>,
}

impl Shared {
    /// Acquires the order. On a worker, only a `Turn` may call this.
    pub(super) fn lock(&self) -> OrderLock<'_> {
        self.order.lock(self)
    }

    /// Acquires the order for a script.
    pub(super) fn lock_owned(&self) -> OwnedOrder {
        self.order.lock_owned()
    }

    pub(super) fn registry(&self, kind: ChannelKind) -> &Registry {
        &self.channels[kind as usize]
    }

    /// Writes queued changes of counters to their file, and returns whether that has worked. The
    /// order must not be held.
    pub(super) fn write_counters(&self) -> bool {
        self.counters.get().is_none_or(CountersFile::write_queued)
    }
}
