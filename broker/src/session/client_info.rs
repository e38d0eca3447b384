//! The part of a client that all workers share, for `CLIENT LIST`, `CLIENT KILL` and the like.
//!
//! A connection belongs to one worker. That worker updates the information here, and it alone uses
//! the socket. Other workers set a [`Signal`] and wake the connection's task.

use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering,
};
use std::sync::{Arc, Weak};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use locks::Mutex;

use crate::address::Address;
use crate::ids::{CommandId, WorkerId};
use crate::keyspace::{Recipient, Watcher};

/// One client, as other threads see it.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    pub(crate) id: u64,
    pub(crate) slot: ClientSlot,
    pub(crate) peer: Address,
    pub(crate) local: Address,
    /// The socket's number in the process.
    pub(crate) descriptor: i32,
    pub(crate) connected: Instant,
    /// Rarely changed and rarely read.
    pub(crate) names: Mutex<ClientNames>,
    pub(crate) counts: Counts,
    /// The result of its watch, if it watches keys.
    pub(crate) watcher: Mutex<Weak<Watcher>>,
    /// Seconds from the connection to the last request.
    last_request: AtomicU32,
    /// The row of the last command; `u16::MAX` before the first.
    last_command: AtomicU16,
    flags: AtomicU16,
    signal: AtomicU8,
    task: Mutex<Option<Waker>>,
    /// Whether the connection waits for something that `CLIENT UNBLOCK` can end.
    pub(crate) blocked: AtomicBool,
    /// Whether its request waits for the end of `CLIENT PAUSE`.
    pub(crate) paused: AtomicBool,
    /// The states in which the registry counts it, as bits of [`StateCounts`].
    counted: AtomicU8,
}

/// The worker and slot of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSlot {
    pub(crate) worker: WorkerId,
    /// The index of the connection on the worker.
    pub(crate) slot: usize,
}

/// The names that a client has set, and the name of its user.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientNames {
    pub(crate) name: Vec<u8>,
    pub(crate) library_name: Vec<u8>,
    pub(crate) library_version: Vec<u8>,
    pub(crate) user: Vec<u8>,
}

impl ClientNames {
    fn bytes(&self) -> usize {
        let Self { name, library_name, library_version, user } = self;
        [name, library_name, library_version, user].iter().map(|text| text.len()).sum()
    }
}

/// Figures that the owning worker updates.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) channels: AtomicU32,
    pub(crate) patterns: AtomicU32,
    pub(crate) shards: AtomicU32,
    /// Commands queued in a transaction, -1 outside of one.
    pub(crate) queued: AtomicI32,
    pub(crate) database: AtomicU16,
    pub(crate) protocol: AtomicU8,
    /// The id of the client that gets this client's invalidations: 0 for itself, -1 without
    /// tracking.
    pub(crate) redirect: AtomicI64,
    /// Memory of input that has not run: an incomplete request, or requests that wait.
    pub(crate) input_bytes: AtomicUsize,
    /// Bytes of a large argument that are still to come, beyond the room for them. They take no
    /// memory yet, but count as if they did: Redis allocates them at once.
    pub(crate) announced_bytes: AtomicUsize,
    /// Bytes of this input that are not parsed.
    pub(crate) unparsed_bytes: AtomicUsize,
    /// Bytes for which the memory of the unparsed input has room.
    pub(crate) unparsed_room: AtomicUsize,
    /// Bytes of the complete arguments of an incomplete request.
    pub(crate) argument_bytes: AtomicUsize,
    /// Bytes that the client has not read yet.
    pub(crate) output_bytes: AtomicUsize,
    /// The most bytes that a flush has found queued in the last seconds.
    pub(crate) output_peak: AtomicUsize,
    /// Memory of the buffers that hold unread bytes of this client alone.
    pub(crate) reply_buffer: AtomicUsize,
    /// Blocks of unread bytes beyond the first, as Redis counts them.
    pub(crate) reply_blocks: AtomicUsize,
    /// Memory of these blocks.
    pub(crate) block_bytes: AtomicUsize,
    /// Unread bytes in these blocks.
    pub(crate) block_unwritten: AtomicUsize,
    /// The most memory of these blocks since the client has connected.
    pub(crate) block_peak: AtomicUsize,
    /// Milliseconds from the connection to the time since which the oldest unread byte waits, plus
    /// one; 0 without unread bytes.
    behind_since: AtomicU64,
    /// Bytes of queued requests of a transaction.
    pub(crate) queued_bytes: AtomicUsize,
    /// Bytes read from the client since it connected.
    pub(crate) bytes_read: Total,
    /// Bytes written to the client since it connected.
    pub(crate) bytes_written: Total,
    /// Commands that have run for the client, those of its transactions and scripts included.
    pub(crate) commands: Total,
    /// Messages that the client has published.
    pub(crate) messages_in: Total,
    /// Messages that were queued for the client, at its last flush.
    pub(crate) messages_out: AtomicU64,
    /// Bytes of subscriptions, watched keys, queued requests and prefixes.
    pub(crate) state_bytes: AtomicUsize,
    /// The part of these bytes in the sum of all clients.
    summed_bytes: AtomicUsize,
}

/// A sum to which only one thread adds. So an addition costs no more than one without sharing.
#[derive(Debug, Default)]
pub(crate) struct Total(AtomicU64);

impl Total {
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.get().wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A boolean property of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Monitor = 1,
    InTransaction = 2,
    NoEvict = 4,
    NoTouch = 8,
    Tracking = 16,
    Broadcast = 32,
    /// Is or was the target of another client's `REDIRECT`.
    Recipient = 64,
    /// Has not logged in, though a password is required.
    Stranger = 128,
    /// The client that got its invalidations is gone.
    BrokenRedirect = 256,
    /// Gets the stream for replicas.
    Replica = 512,
    /// Carries out the stream of the server's master.
    Master = 1024,
    /// Has not established TLS.
    Handshake = 2048,
}

/// A request of another client to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Close the connection.
    Close = 1,
    /// Stop waiting, as if time were up.
    Unblock = 2,
    /// Stop waiting, with an error.
    UnblockWithError = 4,
}

/// All clients of a server.
#[derive(Debug, Default)]
pub(crate) struct ClientRegistry {
    by_id: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    /// Tasks that wait until a client is gone.
    waiting: Mutex<Vec<Waker>>,
    /// The memory of all clients, up to [`UNSUMMED_BYTES_MAX`] each.
    bytes: AtomicUsize,
    /// Clients that have a place and no entry yet.
    pub(crate) in_transit: Mutex<InTransit>,
    pub(crate) states: StateCounts,
}

/// Numbers of clients by state, so that `INFO` visits no client.
#[derive(Debug, Default)]
pub(crate) struct StateCounts {
    pub(crate) blocked: AtomicUsize,
    pub(crate) tracking: AtomicUsize,
    pub(crate) subscribed: AtomicUsize,
}

impl StateCounts {
    /// Stands for a client that is gone.
    const GONE: u8 = u8::MAX;

    /// Returns each number with its bit.
    fn by_bit(&self) -> [(u8, &AtomicUsize); 3] {
        [(1, &self.blocked), (2, &self.tracking), (4, &self.subscribed)]
    }

    /// Follows a change from one set of states to another one.
    fn change(&self, before: u8, now: u8) {
        for (bit, count) in self.by_bit() {
            match (before & bit != 0, now & bit != 0) {
                (false, true) => _ = count.fetch_add(1, Ordering::Relaxed),
                (true, false) => _ = count.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
        }
    }
}

/// Bytes per read, and the size of the buffer that a worker lends to the client that it reads from.
/// More would only prolong the turn of one client.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;

/// The clients on their way to another worker, the oldest first. None of them has logged in.
#[derive(Debug, Default)]
pub(crate) struct InTransit {
    next: u64,
    /// When each was accepted, and whether it gives its place to a new client when it arrives.
    clients: BTreeMap<u64, (Instant, bool)>,
}

impl InTransit {
    /// Adds a client, and returns its number.
    pub(crate) fn depart(&mut self, accepted: Instant) -> u64 {
        self.next += 1;
        self.clients.insert(self.next, (accepted, false));
        self.next
    }

    /// Makes the oldest client give its place to a new one, if it was accepted before `other`. Returns false
    /// if there is none.
    pub(crate) fn give_up_oldest(&mut self, other: Option<Instant>) -> bool {
        let oldest = self.clients.values_mut().find(|(_, gives_up)| !gives_up);
        let oldest = oldest.filter(|(accepted, _)| other.is_none_or(|other| *accepted < other));
        oldest.map(|(_, gives_up)| *gives_up = true).is_some()
    }

    /// Removes a client that has arrived. Returns whether it gives up its place.
    pub(crate) fn arrive(&mut self, client: u64) -> bool {
        self.clients.remove(&client).is_some_and(|(_, gives_up)| gives_up)
    }
}

/// A client may grow by so much before the sum of all clients follows.
const UNSUMMED_BYTES_MAX: usize = 32 * 1024;

impl ClientInfo {
    pub(crate) fn new(
        id: u64,
        slot: ClientSlot,
        peer: Address,
        local: Address,
        descriptor: i32,
    ) -> Self {
        let counts = Counts {
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            shards: AtomicU32::new(0),
            queued: AtomicI32::new(-1),
            database: AtomicU16::new(0),
            protocol: AtomicU8::new(2),
            redirect: AtomicI64::new(-1),
            input_bytes: AtomicUsize::new(0),
            announced_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            unparsed_bytes: AtomicUsize::new(0),
            unparsed_room: AtomicUsize::new(0),
            argument_bytes: AtomicUsize::new(0),
            output_peak: AtomicUsize::new(0),
            reply_buffer: AtomicUsize::new(0),
            reply_blocks: AtomicUsize::new(0),
            block_bytes: AtomicUsize::new(0),
            block_unwritten: AtomicUsize::new(0),
            block_peak: AtomicUsize::new(0),
            behind_since: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            bytes_read: Total::default(),
            bytes_written: Total::default(),
            commands: Total::default(),
            messages_in: Total::default(),
            messages_out: AtomicU64::new(0),
            state_bytes: AtomicUsize::new(0),
            summed_bytes: AtomicUsize::new(0),
        };
        Self {
            id,
            slot,
            peer,
            local,
            descriptor,
            connected: Instant::now(),
            names: Mutex::default(),
            counts,
            watcher: Mutex::default(),
            last_request: AtomicU32::new(0),
            last_command: AtomicU16::new(u16::MAX),
            flags: AtomicU16::new(0),
            signal: AtomicU8::new(0),
            task: Mutex::default(),
            blocked: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            counted: AtomicU8::new(0),
        }
    }

    /// Returns the recipient of the client's invalidations.
    pub(crate) fn recipient(&self) -> Recipient {
        let ClientSlot { worker, slot } = self.slot;
        Recipient { client: self.id, worker, slot }
    }

    /// Records the time of a read, or of a write to a client that takes its replies slowly.
    pub(crate) fn touch(&self, now: Instant) {
        let seconds = now.saturating_duration_since(self.connected).as_secs();
        self.last_request.store(u32::try_from(seconds).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Returns the time since the last of these, with it rounded down to whole seconds.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        let last = Duration::from_secs(self.last_request.load(Ordering::Relaxed).into());
        now.saturating_duration_since(self.connected + last)
    }

    /// Sets since when the oldest unread byte waits.
    pub(crate) fn set_behind_since(&self, since: Option<Instant>) {
        let millis = since.map(|since| since.saturating_duration_since(self.connected).as_millis());
        let value = millis.map_or(0, |millis| u64::try_from(millis + 1).unwrap_or(u64::MAX));
        self.counts.behind_since.store(value, Ordering::Relaxed);
    }

    /// Returns the age of the oldest unread byte.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        match self.counts.behind_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            millis => {
                let since = self.connected + Duration::from_millis(millis - 1);
                now.saturating_duration_since(since)
            }
        }
    }

    pub(crate) fn set_last_command(&self, id: CommandId) {
        self.last_command.store(id.0, Ordering::Relaxed);
    }

    pub(crate) fn last_command(&self) -> Option<CommandId> {
        let id = CommandId(self.last_command.load(Ordering::Relaxed));
        Some(id).filter(|&id| id != CommandId::UNKNOWN)
    }

    pub(crate) fn set(&self, flag: Flag, is: bool) {
        if is {
            self.flags.fetch_or(flag as u16, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!(flag as u16), Ordering::Relaxed);
        }
    }

    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::Relaxed) & flag as u16 != 0
    }

    /// Returns whether `maxmemory-clients` does not close the client.
    pub(crate) fn is_exempt(&self) -> bool {
        [Flag::NoEvict, Flag::Replica, Flag::Master].iter().any(|flag| self.is(*flag))
    }

    /// Returns the memory that the client takes, as far as it is counted.
    pub(crate) fn bytes(&self) -> usize {
        let Counts { input_bytes, announced_bytes, output_bytes, state_bytes, .. } = &self.counts;
        let counts = [input_bytes, announced_bytes, output_bytes, state_bytes];
        let counted: usize = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        size_of::<Self>() + counted + self.names.lock().bytes()
    }

    /// Returns whether a key that the client watches has changed.
    pub(crate) fn has_watched_change(&self) -> bool {
        self.watcher.lock().upgrade().is_some_and(|watcher| watcher.has_changed())
    }

    /// Returns whether a request of the client waits, as Redis counts blocked clients.
    pub(crate) fn is_blocked(&self) -> bool {
        [&self.blocked, &self.paused].iter().any(|waits| waits.load(Ordering::Relaxed))
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        let Counts { channels, patterns, shards, .. } = &self.counts;
        [channels, patterns, shards].iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Sets the time at which the client was accepted, by whichever thread.
    pub(crate) fn accepted_at(mut self, accepted: Instant) -> Self {
        self.connected = accepted;
        self
    }

    /// Sets a signal and wakes the connection's task. Returns whether it was not set yet.
    pub(crate) fn ask(&self, signal: Signal) -> bool {
        let before = self.signal.fetch_or(signal as u8, Ordering::Release);
        self.wake();
        before & signal as u8 == 0
    }

    /// Returns whether a signal is set.
    pub(crate) fn is_asked(&self, signal: Signal) -> bool {
        self.signal.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Clears a signal.
    pub(crate) fn clear(&self, signal: Signal) {
        self.signal.fetch_and(!(signal as u8), Ordering::Relaxed);
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        if let Some(task) = &*self.task.lock() {
            task.wake_by_ref();
        }
    }

    /// Sets the task that [`wake`](Self::wake) wakes.
    pub(crate) fn remember(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }
}

impl ClientRegistry {
    pub(crate) fn add(&self, info: Arc<ClientInfo>) {
        self.settle_bytes(&info);
        self.by_id.lock().insert(info.id, info);
    }

    /// Counts a client in its present states. Call it after each change of them.
    pub(crate) fn count_states(&self, info: &ClientInfo) {
        let now = u8::from(info.is_blocked())
            | u8::from(info.is(Flag::Tracking)) << 1
            | u8::from(info.is_subscribed()) << 2;
        if info.counted.load(Ordering::Relaxed) == now {
            return;
        }
        let change = |before| (before != StateCounts::GONE).then_some(now);
        if let Ok(before) = info.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
        {
            self.states.change(before, now);
        }
    }

    /// Returns the memory of all clients, as far as [`settle_bytes`](Self::settle_bytes) and
    /// [`sum_bytes`](Self::sum_bytes) have seen it.
    pub(crate) fn known_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds all changes of a client's memory to the sum, also small ones. Returns the sum.
    pub(crate) fn settle_bytes(&self, info: &ClientInfo) -> usize {
        let now = info.bytes();
        let before = info.counts.summed_bytes.swap(now, Ordering::Relaxed);
        // Wraps around for a client that has shrunk.
        let change = now.wrapping_sub(before);
        self.bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
    }

    pub(crate) fn remove(&self, id: u64) {
        // Whoever finds it gone finds it in no figure.
        let known = self.by_id.lock().get(&id).cloned();
        if let Some(info) = known {
            let summed = info.counts.summed_bytes.swap(0, Ordering::Relaxed);
            self.bytes.fetch_sub(summed, Ordering::Relaxed);
            match info.counted.swap(StateCounts::GONE, Ordering::Relaxed) {
                StateCounts::GONE => {}
                before => self.states.change(before, 0),
            }
        }
        self.by_id.lock().remove(&id);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Adds the change of a client's memory to the sum. Returns the sum if the client has grown by
    /// more than [`UNSUMMED_BYTES_MAX`]. Only the worker of the client calls it.
    pub(crate) fn sum_bytes(&self, info: &ClientInfo) -> Option<usize> {
        let before = info.counts.summed_bytes.load(Ordering::Relaxed);
        let grown = info.bytes().checked_sub(before);
        if grown.is_some_and(|grown| grown <= UNSUMMED_BYTES_MAX) {
            return None;
        }
        let sum = self.settle_bytes(info);
        grown.map(|_| sum)
    }

    /// Returns a client, unless it is about to be closed: its thread may take a moment to close it.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.by_id.lock().get(&id).filter(|info| !info.is_asked(Signal::Close)).cloned()
    }

    /// Returns ready once none of these clients is there.
    pub(crate) fn poll_gone(&self, ids: &[u64], cx: &task::Context<'_>) -> Poll<()> {
        let clients = self.by_id.lock();
        if !ids.iter().any(|id| clients.contains_key(id)) {
            return Poll::Ready(());
        }
        // Added while the clients are locked, so that no removal comes between.
        self.waiting.lock().push(cx.waker().clone());
        Poll::Pending
    }

    /// Closes the clients with a flag. Returns them, and those that are about to be closed already.
    pub(crate) fn close_all(&self, flag: Flag) -> Vec<u64> {
        let clients = self.by_id.lock();
        let meant = clients.values().filter(|info| info.is(flag));
        meant
            .map(|info| {
                info.ask(Signal::Close);
                info.id
            })
            .collect()
    }

    /// Returns the number of clients that were asked to end and have not.
    pub(crate) fn ending(&self) -> usize {
        let clients = self.by_id.lock();
        clients.values().filter(|info| info.is_asked(Signal::Close)).count()
    }

    /// Returns all clients except those that are about to be closed, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<ClientInfo>> {
        let clients = self.by_id.lock();
        clients.values().filter(|info| !info.is_asked(Signal::Close)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gives_up_its_place_only_while_it_is_on_its_way() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut transit = InTransit::default();
        assert!(!transit.give_up_oldest(None));
        let (first, second) = (transit.depart(at(1)), transit.depart(at(2)));
        // Another client is older.
        assert!(!transit.give_up_oldest(Some(at(0))));
        assert!(transit.give_up_oldest(Some(at(2))));
        let third = transit.depart(at(3));
        assert!(!transit.arrive(third) && transit.arrive(first) && !transit.arrive(second));
        assert!(!transit.give_up_oldest(None));
    }

    fn info(id: u64) -> Arc<ClientInfo> {
        let address = || Address::Unix("".into());
        let slot = ClientSlot { worker: WorkerId(0), slot: 0 };
        Arc::new(ClientInfo::new(id, slot, address(), address(), 3))
    }

    #[test]
    fn clients_that_are_about_to_be_closed_are_no_longer_found() {
        let clients = ClientRegistry::default();
        [1, 2].into_iter().for_each(|id| clients.add(info(id)));
        clients.get(1).expect("a client").ask(Signal::Close);
        assert!(clients.get(1).is_none());
        assert_eq!(clients.all().iter().map(|info| info.id).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_sum_follows_large_changes_of_each_client() {
        let info = info(1);
        let clients = ClientRegistry::default();
        clients.add(info.clone());
        let sum = |bytes: usize| {
            info.counts.output_bytes.store(bytes, Ordering::Relaxed);
            clients.sum_bytes(&info)
        };
        assert_eq!(sum(1_000), None);
        assert!(sum(1_000_000).is_some_and(|sum| (1_000_000..1_010_000).contains(&sum)));
        assert_eq!(sum(10), None);
        assert!(clients.bytes.load(Ordering::Relaxed) < 10_000);
        assert!(sum(500_000).is_some_and(|sum| (500_000..510_000).contains(&sum)));
        clients.remove(1);
        assert_eq!(clients.bytes.load(Ordering::Relaxed), 0);
    }
}
