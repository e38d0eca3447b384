//! The role of the server: master, or replica of another one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::replication::MasterAddress;
use crate::observe::stats::Counter;
use crate::session::client_info::{ClientInfo, Signal};

/// The role of a server, its link to a master, and its replicas.
#[derive(Debug)]
pub(crate) struct Replication {
    role: watch::Sender<Role>,
    state: Mutex<State>,
    is_replica: AtomicBool,
    is_linked: AtomicBool,
    /// Bytes of the master's stream that this server has carried out.
    applied: AtomicU64,
    /// The database that the stream has selected there.
    database: AtomicU16,
    pub(crate) syncs: Syncs,
    /// Clients that wait for acknowledgements.
    waiting: Mutex<Vec<Arc<ClientInfo>>>,
}

/// What the server is, and since which change of its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// Differs after each change.
    pub(crate) generation: u64,
    /// `None` for a master.
    pub(crate) master: Option<MasterAddress>,
}

#[derive(Debug)]
struct State {
    /// The name of this server's stream.
    id: String,
    link: Link,
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
    pub(crate) acked_at: Instant,
    /// Whether it acknowledges. A client of `SYNC` does not.
    pub(crate) sends_acks: bool,
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
    pub(crate) fn new(id: String, master: Option<MasterAddress>) -> Self {
        let is_replica = master.is_some();
        Self {
            role: watch::Sender::new(Role { generation: 0, master }),
            state: Mutex::new(State {
                id,
                link: Link::down(),
                replicas: BTreeMap::new(),
                lonely_since: Instant::now(),
            }),
            is_replica: AtomicBool::new(is_replica),
            is_linked: AtomicBool::new(false),
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

    /// Returns whether the role is still the one of this generation.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.role.borrow().generation == generation
    }

    /// Makes the server a replica. The caller holds the order.
    pub(crate) fn follow(&self, master: MasterAddress) {
        self.state.lock().link = Link::down();
        self.change(Some(master));
    }

    /// Makes the server a master, whose stream gets the name `id`. Returns the link that ends. The
    /// caller holds the order.
    pub(crate) fn promote(&self, id: String) -> Link {
        let mut state = self.state.lock();
        state.id = id;
        let link = std::mem::replace(&mut state.link, Link::down());
        drop(state);
        self.change(None);
        link
    }

    fn change(&self, master: Option<MasterAddress>) {
        self.is_linked.store(false, Ordering::Release);
        self.is_replica.store(master.is_some(), Ordering::Release);
        self.role.send_modify(|role| {
            role.generation += 1;
            role.master = master;
        });
    }

    /// Returns the name of this server's stream.
    pub(crate) fn id(&self) -> String {
        self.state.lock().id.clone()
    }

    pub(crate) fn link(&self) -> Link {
        self.state.lock().link.clone()
    }

    /// Records a step of the link.
    pub(crate) fn set_phase(&self, phase: Phase) {
        let mut state = self.state.lock();
        let link = &mut state.link;
        let (was_up, is_up) = (link.phase == Phase::Connected, phase == Phase::Connected);
        if was_up && !is_up {
            link.down_since = Instant::now();
        }
        link.phase = phase;
        self.is_linked.store(is_up, Ordering::Release);
    }

    /// Records that the server has a copy of all keys, from which a stream goes on.
    pub(crate) fn begin_stream(&self, name: String, offset: u64) {
        self.database.store(0, Ordering::Release);
        self.set_stream(name, offset);
    }

    /// Records that the server has the keys of a stream up to `offset`.
    pub(crate) fn set_stream(&self, name: String, offset: u64) {
        let mut state = self.state.lock();
        state.link.stream = Some(name);
        state.link.last_read = Instant::now();
        self.applied.store(offset, Ordering::Release);
    }

    /// Records that the master has sent bytes of its stream.
    pub(crate) fn record_read(&self) {
        self.state.lock().link.last_read = Instant::now();
    }

    /// Records that so many further bytes of the stream have been carried out, and the database that is
    /// selected behind them.
    pub(crate) fn apply(&self, bytes: u64, database: u16) {
        self.database.store(database, Ordering::Release);
        self.applied.fetch_add(bytes, Ordering::Release);
    }

    /// Returns the database that the stream has selected behind the bytes carried out.
    pub(crate) fn database(&self) -> u16 {
        self.database.load(Ordering::Acquire)
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
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
        self.state.lock().replicas.values().for_each(|replica| replica.info.ask(Signal::Close));
    }

    /// Closes replicas that have acknowledged nothing for this time, and returns them.
    pub(crate) fn close_silent(&self, time: Duration) -> Vec<Replica> {
        let state = self.state.lock();
        let is_silent =
            |replica: &&Replica| replica.sends_acks && replica.acked_at.elapsed() > time;
        let silent: Vec<Replica> = state.replicas.values().filter(is_silent).cloned().collect();
        silent.iter().for_each(|replica| replica.info.ask(Signal::Close));
        silent
    }

    /// Records the acknowledgement of a replica, and wakes clients that wait for it.
    pub(crate) fn record_ack(&self, client: u64, offset: u64) {
        let mut state = self.state.lock();
        let Some(replica) = state.replicas.get_mut(&client) else { return };
        replica.acked = replica.acked.max(offset);
        replica.acked_at = Instant::now();
        drop(state);
        self.waiting.lock().drain(..).for_each(|info| info.wake());
    }

    /// Returns the number of replicas that have acknowledged the stream up to `offset`.
    pub(crate) fn acked(&self, offset: u64) -> usize {
        let state = self.state.lock();
        state.replicas.values().filter(|replica| replica.acked >= offset).count()
    }

    /// Wakes a client at the next acknowledgement.
    pub(crate) fn wake_at_ack(&self, info: &Arc<ClientInfo>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.id == info.id) {
            waiting.push(info.clone());
        }
    }
}

impl Link {
    fn down() -> Self {
        let now = Instant::now();
        Self { phase: Phase::Connect, down_since: now, last_read: now, stream: None }
    }
}
