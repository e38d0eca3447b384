//! One thread with its connections.
//!
//! A connection lives and dies on one worker, so what belongs to it needs no lock. A **turn** is
//! all tasks that were ready in one poll; at its end one flush writes every outbox that got
//! something, with one write each. The flush is a task that is woken by the first thing queued,
//! and thus runs after all others that were ready then.

mod flush;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll, ready};
use std::thread;
use std::time::Duration;

use slab::Slab;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::address::Address;
use crate::observe::disconnect::Disconnect;
use crate::pubsub::registry::WorkerId;
use crate::pubsub::subscribers::{ClientOutput, Context, Effect};
use crate::server::accept::{Accepted, Listener, accept};
use crate::server::connection::{Connection, Scratch};
use crate::server::listen::{Move, Place};
use crate::server::stream::Stream;
use crate::session::Session;
use crate::session::client_info::{ClientInfo, ClientSlot, Flag, Signal};
use crate::session::server_state::ServerState;

/// How others reach a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    tasks: mpsc::UnboundedSender<Task>,
    connections: Arc<AtomicUsize>,
}

/// What a worker is told to do.
#[derive(Debug)]
enum Task {
    Serve(Accepted),
    /// Accept connections for all these workers, the first of which is this one.
    Listen(Listener, Arc<[WorkerHandle]>),
    /// These are all workers of the server.
    Know(Vec<WorkerHandle>),
    /// Look again whether clients may listen to what they listen to.
    CheckRights,
    /// Listen elsewhere; only for the worker that listens.
    Move(Arc<Move>),
    ShutDown,
}

/// One thread's connections, and who among them listens to what.
pub(crate) struct Worker {
    pub(crate) server: Arc<ServerState>,
    context: RefCell<Context>,
    scratch: RefCell<Scratch>,
    connections: RefCell<Slab<Rc<Connection>>>,
    count: Arc<AtomicUsize>,
    listeners: RefCell<Vec<Accepting>>,
    /// Held while the server moves to other addresses.
    moving: tokio::sync::Mutex<()>,
    shutting_down: Cell<bool>,
    /// Told when the last connection is gone.
    empty: Notify,
    /// All workers of the server.
    all: RefCell<Vec<WorkerHandle>>,
    /// Told when a client wants the server to stop.
    stop: Arc<Notify>,
    /// The state of the settings that the audience has.
    generation: Cell<u64>,
}

/// A listener that is being served.
struct Accepting {
    is_tcp: bool,
    task: JoinHandle<()>,
}

/// How long clients may take to read what is queued when the server shuts down.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(2);

/// How often keys are looked for whose time is over, as in Redis with its default of `hz`.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);

impl WorkerHandle {
    /// Starts a worker's thread. The receiver hears when the thread has ended.
    pub(crate) fn start(
        server: Arc<ServerState>,
        index: usize,
        stop: Arc<Notify>,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (tasks, queue) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let handle = Self { tasks, connections: connections.clone() };
        let (report, started) = std::sync::mpsc::channel();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = report.send(Ok(()));
                    runtime.block_on(Worker::new(server, connections, stop).run(queue));
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
            let _ = ended.send(());
        })?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("a worker ended as it started")))?;
        Ok((handle, end))
    }

    /// Accepts connections on `listener`, for all `workers`; this one must be the first.
    pub(crate) fn listen(&self, listener: Listener, workers: Arc<[Self]>) {
        let _ = self.tasks.send(Task::Listen(listener, workers));
    }

    /// Asks the worker to send what is queued, close its connections, and end.
    pub(crate) fn shut_down(&self) {
        let _ = self.tasks.send(Task::ShutDown);
    }

    pub(crate) fn serve(&self, accepted: Accepted) {
        let _ = self.tasks.send(Task::Serve(accepted));
    }

    /// Tells the worker who the others are.
    pub(crate) fn know(&self, all: Vec<Self>) {
        let _ = self.tasks.send(Task::Know(all));
    }

    fn check_rights(&self) {
        let _ = self.tasks.send(Task::CheckRights);
    }

    /// Asks the worker that listens to do so elsewhere.
    fn listen_elsewhere(&self, wanted: Arc<Move>) {
        let _ = self.tasks.send(Task::Move(wanted));
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Worker {
    fn new(server: Arc<ServerState>, count: Arc<AtomicUsize>, stop: Arc<Notify>) -> Rc<Self> {
        let id = server.broker.open_inbox();
        let generation = Cell::new(server.settings.generation());
        let config = server.settings.get();
        let entrance = server.broker.entrance(id.index());
        Rc::new(Self {
            server,
            context: RefCell::new(Context::new(id, config, entrance)),
            scratch: RefCell::default(),
            connections: RefCell::default(),
            count,
            listeners: RefCell::default(),
            moving: tokio::sync::Mutex::default(),
            shutting_down: Cell::new(false),
            empty: Notify::new(),
            all: RefCell::default(),
            stop,
            generation,
        })
    }

    /// Works until it is told to shut down, or nobody is left who could tell.
    async fn run(self: Rc<Self>, mut queue: mpsc::UnboundedReceiver<Task>) {
        let flush = spawn_local(self.clone().flush());
        let inbox = spawn_local(self.clone().take_inbox());
        let clock = spawn_local(self.clone().watch_time());
        let expiry = spawn_local(self.clone().expire_keys());
        while let Some(task) = queue.recv().await {
            match task {
                Task::Serve(accepted) => match accepted.into_stream() {
                    Ok((stream, peer, local)) => self.serve(stream, peer, local),
                    Err(error) => warn!(%error, "cannot serve an accepted connection"),
                },
                Task::Know(all) => *self.all.borrow_mut() = all,
                Task::CheckRights => {
                    self.enter().await;
                    self.check_rights();
                    self.leave_gate();
                }
                Task::Listen(listener, workers) => {
                    self.accept_on(listener, workers);
                }
                Task::Move(wanted) => drop(spawn_local(self.clone().listen_elsewhere(wanted))),
                Task::ShutDown => break,
            }
        }
        self.shut_down().await;
        [flush, inbox, clock, expiry].iter().for_each(JoinHandle::abort);
        // With a script that does not end, the broker has no further use.
        if self.server.broker.enter(&mut self.context.borrow_mut()) {
            self.server.broker.close_inbox(self.context.borrow().worker());
            self.leave_gate();
        }
    }

    fn accept_on(self: &Rc<Self>, listener: Listener, workers: Arc<[WorkerHandle]>) {
        let is_tcp = matches!(listener, Listener::Tcp(_));
        let task = spawn_local(accept(self.clone(), listener, workers));
        self.listeners.borrow_mut().push(Accepting { is_tcp, task });
    }

    /// Listens at another place, or at the same as before if that fails.
    async fn listen_elsewhere(self: Rc<Self>, wanted: Arc<Move>) {
        let _one_at_a_time = self.moving.lock().await;
        let to = wanted.to.clone();
        // Names may have to be looked up, which takes seconds where that fails.
        if !spawn_blocking(move || to.is_known()).await.unwrap_or(false) {
            warn!("cannot listen elsewhere: an address to bind is not known");
            return wanted.end(false);
        }
        // First, since the new addresses may be the old ones in part.
        let old: Vec<Accepting> =
            self.listeners.borrow_mut().extract_if(.., |accepting| accepting.is_tcp).collect();
        for accepting in old {
            accepting.task.abort();
            let _ = accepting.task.await;
        }
        let has_worked = self.open(wanted.to.clone()).await;
        if !has_worked {
            self.open(wanted.from.clone()).await;
        }
        wanted.end(has_worked);
    }

    async fn open(self: &Rc<Self>, place: Place) -> bool {
        let asked = place.port.number();
        let opened = spawn_blocking(move || place.open()).await;
        if self.shutting_down.get() {
            return false;
        }
        match opened.expect("opening listeners does not panic") {
            Ok(listeners) => {
                // Without an address the port stays, for the next address.
                let port = listeners.first().map_or(asked, |(_, address)| address.port());
                self.server.port.store(port, Ordering::Relaxed);
                let workers: Arc<[WorkerHandle]> = self.all.borrow().as_slice().into();
                for (listener, address) in listeners {
                    info!("listening on {address}");
                    self.accept_on(Listener::Tcp(listener), workers.clone());
                }
                true
            }
            Err(error) => {
                warn!("{error}");
                false
            }
        }
    }

    /// Takes a connection in.
    pub(crate) fn serve(self: &Rc<Self>, stream: Stream, peer: Address, local: Address) {
        let stats = self.server.broker.stats();
        stats.connections_received.add(1);
        stats.connected_clients.add(1);
        let id = self.server.broker.next_client_id();
        let mut connections = self.connections.borrow_mut();
        let entry = connections.vacant_entry();
        let home = ClientSlot { worker: self.context.borrow().worker(), place: entry.key() };
        let info = Arc::new(ClientInfo::new(id, home, peer, local, stream.descriptor()));
        self.server.clients.add(info.clone());
        let output = Rc::new(ClientOutput::new(id, home.place));
        self.context.borrow_mut().enter(&output);
        let session = Session::new(self.server.clone(), output.clone(), info.clone());
        let connection = Rc::new(Connection::new(stream, info, output, session));
        entry.insert(connection.clone());
        self.count.store(connections.len(), Ordering::Relaxed);
        debug!(client.id = id, client.addr = %connection.info.peer, "client connected");
        if self.shutting_down.get() {
            self.context
                .borrow_mut()
                .flush_queue()
                .disconnect(&connection.output, Disconnect::Shutdown);
        }
        spawn_local(Serving { worker: self.clone(), connection }.run());
    }

    /// Delivers what other threads publish.
    async fn take_inbox(self: Rc<Self>) {
        loop {
            poll_fn(|cx| {
                ready!(self.poll_enter(cx));
                let taken = self.server.broker.poll_inbox(&mut self.context.borrow_mut(), cx);
                self.leave_gate();
                taken
            })
            .await;
            tokio::task::yield_now().await;
        }
    }

    /// Closes, about once a second, those who were silent or behind for too long.
    async fn watch_time(self: Rc<Self>) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await.into_std();
            self.take_settings();
            for (_, connection) in self.connections.borrow().iter() {
                connection.check_time(now, &mut self.context.borrow_mut());
            }
            // What concerns the whole server is one worker's business.
            if self.context.borrow().worker() == WorkerId(0) {
                let stats = self.server.broker.stats();
                stats.rates.update(stats.commands_processed.get());
                self.evict();
                if self.server.broker.enter(&mut self.context.borrow_mut()) {
                    self.server.broker.tell_time(self.server.uptime());
                    self.leave_gate();
                }
            }
        }
    }

    /// Removes keys whose time is over, also when nobody asks for them.
    async fn expire_keys(self: Rc<Self>) {
        // What concerns the whole server is one worker's business.
        if self.context.borrow().worker() != WorkerId(0) {
            return;
        }
        let mut ticks = interval(EXPIRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.take_settings();
            self.enter().await;
            while self.server.broker.expire_keys(&mut self.context.borrow_mut()) {
                self.leave_gate();
                // Others have their turn in between.
                tokio::task::yield_now().await;
                self.enter().await;
            }
            self.leave_gate();
        }
    }

    /// Passes the gate: before anything that takes the order, since a script may hold that.
    async fn enter(&self) {
        poll_fn(|cx| self.poll_enter(cx)).await;
    }

    fn poll_enter(&self, cx: &task::Context<'_>) -> Poll<()> {
        while !self.server.broker.enter(&mut self.context.borrow_mut()) {
            ready!(self.server.broker.poll_idle(cx));
        }
        Poll::Ready(())
    }

    fn leave_gate(&self) {
        self.server.broker.leave_gate(&mut self.context.borrow_mut());
    }

    /// Puts changed settings in force on this worker.
    fn take_settings(&self) {
        let generation = self.server.settings.generation();
        if self.generation.replace(generation) != generation {
            self.context.borrow_mut().set_config(self.server.settings.get());
        }
    }

    /// Closes the clients that hold most, until all hold less than `maxmemory-clients`.
    fn evict(&self) {
        let limit = self.context.borrow().config.maxmemory_clients;
        let Some(bytes_max) = limit.bytes(self.context.borrow().config.maxmemory) else { return };
        let mut clients = self.server.clients.all();
        let mut bytes: usize = clients.iter().map(|info| info.bytes()).sum();
        clients.sort_by_key(|info| info.bytes());
        while bytes > bytes_max
            && let Some(info) = clients.pop()
        {
            if !info.is(Flag::NoEvict) {
                bytes -= info.bytes();
                self.server.record_eviction(&info);
                info.ask(Signal::Close);
            }
        }
    }

    /// Does what sessions want done that they cannot do themselves.
    fn apply_effects(&self) {
        let effects = std::mem::take(&mut self.context.borrow_mut().effects);
        for effect in effects {
            match effect {
                Effect::Close(ids) => self.close(&ids),
                Effect::Resume => self.server.clients.all().iter().for_each(|info| info.wake()),
                Effect::CheckRights => {
                    // Those of this worker before anything else happens, others soon.
                    self.check_rights();
                    let others = self.all.borrow();
                    others.iter().for_each(WorkerHandle::check_rights);
                }
                Effect::Evict => self.evict(),
                Effect::Move(wanted) => {
                    if let Some(listening) = self.all.borrow().first() {
                        listening.listen_elsewhere(wanted);
                    }
                }
                #[cfg(feature = "lua")]
                Effect::ResumeScript => {
                    let engine = self.context.borrow().engine.clone();
                    spawn_local(async move {
                        while !engine.resume_script() {
                            // Others have their turn in between.
                            tokio::task::yield_now().await;
                        }
                    });
                }
                Effect::ShutDown => self.stop.notify_one(),
            }
        }
    }

    /// Closes clients: those of this worker before anything else happens, others soon.
    fn close(&self, ids: &[u64]) {
        for info in ids.iter().filter_map(|&id| self.server.clients.get(id)) {
            info.ask(Signal::Close);
        }
        for (_, connection) in self.connections.borrow().iter() {
            if ids.contains(&connection.info.id) {
                connection.end(&mut self.context.borrow_mut());
            }
        }
    }

    /// Closes clients that may no longer listen to what they listen to.
    fn check_rights(&self) {
        for (_, connection) in self.connections.borrow().iter() {
            connection.check_rights(&mut self.context.borrow_mut());
        }
    }

    /// Stops accepting, sends what is queued, and waits for the clients to take it, within a bound.
    async fn shut_down(&self) {
        self.shutting_down.set(true);
        self.listeners.borrow_mut().drain(..).for_each(|listener| listener.task.abort());
        if self.server.broker.enter(&mut self.context.borrow_mut()) {
            // What was published before belongs to what is queued.
            self.server.broker.catch_up(&mut self.context.borrow_mut());
            self.leave_gate();
        } else if let Some(run) = self.server.broker.running_script() {
            run.kill();
        }
        for (_, connection) in self.connections.borrow().iter() {
            self.context
                .borrow_mut()
                .flush_queue()
                .disconnect(&connection.output, Disconnect::Shutdown);
        }
        let all_gone = async {
            while !self.connections.borrow().is_empty() {
                self.empty.notified().await;
            }
        };
        if timeout(SHUTDOWN_TIME_MAX, all_gone).await.is_err() {
            let left = self.connections.borrow().len();
            warn!(clients = left, "clients did not read in time what was queued for them");
        }
    }

    fn connection(&self, output: &ClientOutput) -> Option<Rc<Connection>> {
        let connections = self.connections.borrow();
        connections.get(output.place).filter(|found| found.output.id() == output.id()).cloned()
    }

    /// Cleans up after a connection; what needs the order, once no script has it.
    fn forget(self: &Rc<Self>, connection: &Rc<Connection>) {
        connection.abandon_script();
        // A transaction that ended in a panic must not hold everybody up.
        self.server.broker.include(&mut self.context.borrow_mut());
        if self.server.broker.enter(&mut self.context.borrow_mut()) {
            connection.end(&mut self.context.borrow_mut());
            self.leave_gate();
            self.remove(connection);
        } else if self.shutting_down.get() {
            self.remove(connection);
        } else {
            let (worker, connection) = (self.clone(), connection.clone());
            spawn_local(async move {
                worker.enter().await;
                connection.end(&mut worker.context.borrow_mut());
                worker.leave_gate();
                worker.remove(&connection);
            });
        }
    }

    fn remove(&self, connection: &Connection) {
        self.context.borrow_mut().exit(&connection.output);
        self.server.clients.remove(connection.info.id);
        let mut connections = self.connections.borrow_mut();
        connections.remove(connection.output.place);
        self.count.store(connections.len(), Ordering::Relaxed);
        self.server.broker.stats().connected_clients.subtract(1);
        if connections.is_empty() {
            self.empty.notify_one();
        }
    }
}

/// A connection that is being served. What it leaves behind is cleaned up however it ends, even
/// by a panic, which ends no other connection.
struct Serving {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
}

impl Serving {
    async fn run(self) {
        let Self { worker, connection } = &self;
        let reason = poll_fn(|cx| {
            worker.take_settings();
            worker.server.broker.enter(&mut worker.context.borrow_mut());
            let polled = connection.poll(&worker.server, &worker.context, &worker.scratch, cx);
            worker.apply_effects();
            worker.leave_gate();
            polled
        })
        .await;
        let stats = worker.server.broker.stats();
        let (id, peer) = (connection.info.id, &connection.info.peer);
        match reason {
            Disconnect::SlowSubscriber => {
                stats.output_limit_disconnections.add(1);
                warn!(client.id = id, client.addr = %peer, "client closed: it {reason}");
            }
            Disconnect::RequestTooBig => {
                stats.query_limit_disconnections.add(1);
                warn!(client.id = id, client.addr = %peer, "client closed: {reason}");
            }
            _ => debug!(client.id = id, client.addr = %peer, %reason, "client disconnected"),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.worker.forget(&self.connection);
    }
}

/// Returns the worker with the fewest connections.
pub(crate) fn least_busy(workers: &[WorkerHandle]) -> usize {
    let indices = 0..workers.len();
    indices.min_by_key(|&index| workers[index].connections()).unwrap_or(0)
}
