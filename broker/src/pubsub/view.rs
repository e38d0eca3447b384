//! The parts of a broker that need no order: counts, names, statistics.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};

use super::message::{ChannelKind, Name};
use super::script_barrier::{Gate, ScriptRun};
use super::shared::Shared;
use crate::glob;
use crate::ids::WorkerId;
use crate::keyspace::counters_file::CountersFile;
use crate::observe::stats::Stats;

/// A handle for workers and their sessions. It acquires the order only to open an inbox.
#[derive(Clone)]
pub(crate) struct BrokerView {
    pub(super) shared: Arc<Shared>,
}

impl BrokerView {
    /// Opens an inbox for a worker or its script engine, and returns its number. For the start of
    /// a worker's thread, before its first turn.
    pub(crate) fn open_inbox(&self) -> WorkerId {
        self.shared.lock().guard().open_inbox()
    }

    /// Returns the gate of a worker.
    pub(crate) fn gate(&self, worker: WorkerId) -> Gate {
        Gate::new(self.shared.clone(), worker)
    }

    /// Returns the channels that match `pattern`, or all without a pattern.
    pub(crate) fn names(&self, kind: ChannelKind, pattern: Option<&[u8]>) -> Vec<Name> {
        let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        self.shared.registry(kind).names(wanted)
    }

    /// Returns the number of subscriptions of a channel.
    pub(crate) fn subscriptions(&self, kind: ChannelKind, channel: &[u8]) -> usize {
        self.shared.registry(kind).subscriptions(channel)
    }

    /// Returns the number of channels with subscriptions.
    pub(crate) fn channel_count(&self, kind: ChannelKind) -> usize {
        self.shared.registry(kind).len()
    }

    pub(crate) fn pattern_count(&self) -> usize {
        self.shared.patterns.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Returns the bytes that keys and values take.
    pub(crate) fn key_bytes(&self) -> usize {
        self.shared.key_bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of changes of keys since the start.
    pub(crate) fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Relaxed)
    }

    /// Returns the name of the stream for replicas; empty before the first replica.
    pub(crate) fn stream_id(&self) -> String {
        self.shared.replica_stream.id.lock().clone()
    }

    /// Records whether this server is a replica, for programs in this process.
    pub(crate) fn set_read_only(&self, is: bool) {
        self.shared.is_read_only.store(is, Ordering::Release);
    }

    /// Returns the bytes of the stream for replicas so far.
    pub(crate) fn stream_offset(&self) -> u64 {
        self.shared.replica_stream.offset.load(Ordering::Relaxed)
    }

    /// Returns the bytes in the backlog of that stream; `None` if there is no stream.
    pub(crate) fn backlog_bytes(&self) -> Option<usize> {
        let figures = &self.shared.replica_stream;
        let is_open = figures.is_open.load(Ordering::Relaxed);
        is_open.then(|| figures.backlog_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn next_client_id(&self) -> u64 {
        self.shared.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the script that runs.
    pub(crate) fn running_script(&self) -> Option<Arc<ScriptRun>> {
        self.shared.barrier.running()
    }

    /// Returns ready once no script runs.
    pub(crate) fn poll_idle(&self, cx: &task::Context<'_>) -> Poll<()> {
        self.shared.barrier.poll_idle(cx)
    }

    /// Writes queued changes of counters to their file, and returns whether that has worked. The
    /// order must not be held.
    pub(crate) fn write_counters(&self) -> bool {
        self.shared.write_counters()
    }

    /// Returns whether the counters file cannot be written, so that changes must be refused.
    pub(crate) fn has_lost_counters(&self) -> bool {
        self.shared.counters.get().is_some_and(CountersFile::has_failed)
    }

    /// Returns whether there is a counters file.
    pub(crate) fn keeps_counters(&self) -> bool {
        self.shared.counters.get().is_some()
    }

    /// Writes queued changes of counters to their file and returns when the disk has them. The
    /// order must not be held.
    pub(crate) fn save_counters(&self) -> io::Result<()> {
        self.shared.counters.get().map_or(Ok(()), CountersFile::save)
    }
}

impl fmt::Debug for BrokerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerView").finish_non_exhaustive()
    }
}
