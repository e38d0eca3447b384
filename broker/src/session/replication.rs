//! The role of the server: master, or replica of another one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use locks::Mutex;
use tokio::sync::watch;

use crate::config::replication::MasterAddress;
use crate::observe::stats::Counter;
use crate::protocol::request::encode;
use crate::session::client_info::{ClientInfo, Signal};

/// The role of a server, its link to a master, and its replicas.
#[derive(Debug)]
pub(crate) struct Replication {
    role: watch::Sender<Role>,
    state: Mutex<State>,
    is_replica: AtomicBool,
    is_linked: AtomicBool,
    /// Another number for each role and each link, so that nothing of a former one goes on.
    epoch: AtomicU64,
    /// Bytes of the master's stream that this server has got.
    received: AtomicU64,
    /// Bytes of the master's stream that this server has carried out.
    applied: AtomicU64,
    /// The database that the stream has selected there.
    database: AtomicU16,
    pub(crate) syncs: Syncs,
    /// Clients that wait for acknowledgements.
    waiting: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
}

/// What the server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// Differs after each change.
    changes: u64,
    /// `None` for a master.
    pub(crate) master: Option<MasterAddress>,
    /// Whether the server had replicas when it changed.
    pub(crate) had_replicas: bool,
}

#[derive(Debug)]
struct State {
    link: Link,
    /// When the keys here were last known to be all that their master had.
    known_at: Instant,
    replicas: BTreeMap<u64, Replica>,
    /// When the last replica left.
    lonely_since: Instant,
}

/// Requests of replicas for the stream.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    /// Those that got a copy of all keys.
    pub(crate) full: Counter,
    /// Those that got the rest of the stream.
    pub(crate) partial: Counter,
    /// Those that asked for the rest, and got a copy.
    pub(crate) denied: Counter,
}

/// The link of a replica to its master.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    /// Since when the link is not up.
    pub(crate) down_since: Instant,
    /// When the master has last sent a byte of its stream.
    pub(crate) last_read: Instant,
    /// The name of the master's stream, once there is a copy of its keys.
    pub(crate) stream: Option<String>,
}

/// The state of a link, in the words of `ROLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connect,
    Connecting,
    Sync,
    Connected,
}

/// A replica of this server.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) ip: String,
    pub(crate) port: u16,
    /// Bytes of the stream that it has acknowledged.
    pub(crate) acked: u64,
    /// `None` until the first acknowledgement: it is copying the keys.
    pub(crate) acked_at: Option<Instant>,
    /// Whether it acknowledges. A client of `SYNC` does not.
    pub(crate) sends_acks: bool,
}

impl Replica {
    /// Returns whether it has the keys.
    pub(crate) fn is_online(&self) -> bool {
        self.acked_at.is_some() || !self.sends_acks
    }

    /// Returns the state in the words of `INFO`.
    pub(crate) fn state(&self) -> &'static str {
        if self.is_online() { "online" } else { "send_bulk" }
    }

    /// Returns the time since its last acknowledgement.
    pub(crate) fn lag(&self) -> Duration {
        self.acked_at.map_or(Duration::ZERO, |at| at.elapsed())
    }
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

impl Replication {
    /// Begins with the role of the settings.
    pub(crate) fn new(master: Option<MasterAddress>) -> Self {
        let is_replica = master.is_some();
        let now = Instant::now();
        Self {
            role: watch::Sender::new(Role { changes: 0, master, had_replicas: false }),
            state: Mutex::new(State {
                link: Link::down(),
                known_at: now,
                replicas: BTreeMap::new(),
                lonely_since: now,
            }),
            is_replica: AtomicBool::new(is_replica),
            is_linked: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            received: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            database: AtomicU16::new(0),
            syncs: Syncs::default(),
            waiting: Mutex::default(),
        }
    }

    /// Returns the role now and in the future.
    pub(crate) fn roles(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    pub(crate) fn master(&self) -> Option<MasterAddress> {
        self.role.borrow().master.clone()
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.is_replica.load(Ordering::Acquire)
    }

    /// Returns whether this server is a replica without a connection to its master.
    pub(crate) fn lacks_master(&self) -> bool {
        self.is_replica() && !self.is_linked.load(Ordering::Acquire)
    }

    /// Returns whether the role and the link are still those of this epoch.
    pub(crate) fn is_current(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    /// Makes the server a replica. The caller holds the order.
    pub(crate) fn follow(&self, master: MasterAddress) {
        self.change(Some(master));
        // As in Redis, a client does not wait for replicas of a replica.
        self.wake_waiting();
    }

    /// Makes the server a master. Returns when its keys were last known to be all that the former master
    /// had. The caller holds the order.
    pub(crate) fn promote(&self) -> Instant {
        self.change(None);
        self.state.lock().known_at
    }

    fn change(&self, master: Option<MasterAddress>) {
        let mut state = self.state.lock();
        if !self.is_replica() {
            // A master has all that it has given out.
            state.known_at = Instant::now();
        }
        state.link = Link::down();
        let had_replicas = !state.replicas.is_empty();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.is_linked.store(false, Ordering::Release);
        self.is_replica.store(master.is_some(), Ordering::Release);
        drop(state);
        self.role.send_modify(|role| {
            role.changes += 1;
            role.master = master;
            role.had_replicas = had_replicas;
        });
    }

    pub(crate) fn link(&self) -> Link {
        self.state.lock().link.clone()
    }

    /// Begins another attempt to link, and returns its epoch. Nothing of a former link is carried out
    /// from now on.
    pub(crate) fn begin_link(&self) -> u64 {
        let mut state = self.state.lock();
        state.link.phase = Phase::Connecting;
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Records a step of the link of an epoch.
    pub(crate) fn set_phase(&self, epoch: u64, phase: Phase) {
        let mut state = self.state.lock();
        if !self.is_current(epoch) {
            return;
        }
        let link = &mut state.link;
        let (was_up, is_up) = (link.phase == Phase::Connected, phase == Phase::Connected);
        if was_up && !is_up {
            link.down_since = Instant::now();
        }
        link.phase = phase;
        self.is_linked.store(is_up, Ordering::Release);
    }

    /// Records that the server has a copy of all keys, from which a stream goes on. They are those that
    /// the master had at the instant `asked`.
    pub(crate) fn begin_stream(&self, name: String, offset: u64, asked: Instant) {
        let mut state = self.state.lock();
        state.link.stream = Some(name);
        state.link.last_read = Instant::now();
        state.known_at = asked;
        self.database.store(0, Ordering::Release);
        self.received.store(offset, Ordering::Release);
        self.applied.store(offset, Ordering::Release);
    }

    /// Records that the stream goes on behind the bytes carried out, perhaps with another name.
    pub(crate) fn continue_stream(&self, epoch: u64, name: Option<String>) {
        let mut state = self.state.lock();
        if self.is_current(epoch) {
            state.link.stream = name.or(state.link.stream.take());
            // Bytes of a former link that were not carried out come again.
            self.received.store(self.applied(), Ordering::Release);
        }
    }

    /// Records that the keys are not those of the master, so that they are copied again.
    pub(crate) fn forget_stream(&self) {
        self.state.lock().link.stream = None;
    }

    /// Records that the master has sent bytes of its stream.
    pub(crate) fn record_read(&self, epoch: u64, bytes: usize) {
        let mut state = self.state.lock();
        if self.is_current(epoch) {
            state.link.last_read = Instant::now();
            self.received.fetch_add(bytes as u64, Ordering::AcqRel);
        }
    }

    /// Records that so many further bytes of the stream have been carried out, and the database that is
    /// selected behind them.
    pub(crate) fn apply(&self, bytes: u64, database: u16) {
        self.database.store(database, Ordering::Release);
        let applied = self.applied.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let has_all = || applied == self.received.load(Ordering::Acquire);
        if has_all() {
            let mut state = self.state.lock();
            // Once more, since bytes are counted under this lock.
            if has_all() {
                state.known_at = state.known_at.max(state.link.last_read);
            }
        }
    }

    /// Returns when the keys here were last known to be all that their master had.
    pub(crate) fn known_at(&self) -> Instant {
        self.state.lock().known_at
    }

    /// Returns the database that the stream has selected behind the bytes carried out.
    pub(crate) fn database(&self) -> u16 {
        self.database.load(Ordering::Acquire)
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Returns what tells the master how far this server is.
    pub(crate) fn acknowledgement(&self) -> Vec<u8> {
        let mut request = Vec::new();
        encode(&mut request, &["REPLCONF", "ACK", &self.applied().to_string()]);
        request
    }

    pub(crate) fn add_replica(&self, replica: Replica) {
        self.state.lock().replicas.insert(replica.info.id, replica);
    }

    pub(crate) fn remove_replica(&self, client: u64) {
        let mut state = self.state.lock();
        if state.replicas.remove(&client).is_some() {
            state.lonely_since = Instant::now();
        }
    }

    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.state.lock().replicas.values().cloned().collect()
    }

    pub(crate) fn has_replicas(&self) -> bool {
        !self.state.lock().replicas.is_empty()
    }

    /// Returns whether there has been no replica for this time.
    pub(crate) fn is_lonely(&self, time: Duration) -> bool {
        let state = self.state.lock();
        state.replicas.is_empty() && state.lonely_since.elapsed() >= time
    }

    /// Closes all replicas, since they would miss a change.
    pub(crate) fn close_replicas(&self) {
        for replica in self.state.lock().replicas.values() {
            replica.info.ask(Signal::Close);
        }
    }

    /// Closes replicas that have sent nothing for this time, and taken nothing of what waits for them.
    /// Returns them.
    pub(crate) fn close_silent(&self, time: Duration) -> Vec<Replica> {
        let (state, now) = (self.state.lock(), Instant::now());
        let is_silent = |replica: &&Replica| {
            let is_unread = replica.info.counts.output_bytes.load(Ordering::Relaxed) > 0;
            replica.info.idle(now) > time && (replica.sends_acks || is_unread)
        };
        let silent: Vec<Replica> = state.replicas.values().filter(is_silent).cloned().collect();
        for replica in &silent {
            replica.info.ask(Signal::Close);
        }
        silent
    }

    /// Returns the number of replicas that have acknowledged within this time.
    pub(crate) fn good_replicas(&self, lag_max: Duration) -> usize {
        let state = self.state.lock();
        let is_good = |replica: &&Replica| replica.is_online() && replica.lag() <= lag_max;
        state.replicas.values().filter(is_good).count()
    }

    /// Records the acknowledgement of a replica, and wakes clients that wait for it.
    pub(crate) fn record_ack(&self, client: u64, offset: u64) {
        let mut state = self.state.lock();
        let Some(replica) = state.replicas.get_mut(&client) else { return };
        replica.acked = replica.acked.max(offset);
        replica.acked_at = Some(Instant::now());
        drop(state);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().for_each(|info| info.wake());
    }

    /// Returns the number of replicas that have acknowledged the stream up to `offset`.
    pub(crate) fn acked(&self, offset: u64) -> usize {
        let state = self.state.lock();
        let has = |replica: &&Replica| replica.acked_at.is_some() && replica.acked >= offset;
        state.replicas.values().filter(has).count()
    }

    /// Wakes a client at the next acknowledgement.
    pub(crate) fn wake_at_ack(&self, info: &Arc<ClientInfo>) {
        self.waiting.lock().insert(info.id, info.clone());
    }

    /// Forgets a client that waits no more.
    pub(crate) fn forget_waiting(&self, client: u64) {
        self.waiting.lock().remove(&client);
    }
}

impl Link {
    fn down() -> Self {
        let now = Instant::now();
        Self { phase: Phase::Connect, down_since: now, last_read: now, stream: None }
    }
}
