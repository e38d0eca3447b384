//! One thread with its connections.
//!
//! A connection stays on one worker for its lifetime, so its state needs no lock. A **turn** is one
//! round of the tasks that are ready. At its end a flush writes the outboxes with new bytes, usually
//! with one write each; one of many outboxes lasts several turns. The flush is a task that the first
//! queued bytes wake, and thus runs after all tasks that were ready at that time.

mod draining;
mod flush;
mod losses;
mod replicas;
mod taps;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll};
use std::thread;
use std::time::Duration;

use slab::Slab;
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::select;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::commands::config::reload;
#[cfg(feature = "http")]
use crate::commands::info::report;
use crate::commands::lookup::Lookup;
#[cfg(feature = "lua")]
use crate::commands::script_client::CommandRunner;
use crate::config::reloaded::{ReloadError, Reloaded};
use crate::config::source::ConfigFile;
use crate::config::{ChannelEvents, Config};
#[cfg(feature = "lua")]
use crate::ids::WorkerId;
#[cfg(feature = "http")]
use crate::keyspace::Report;
use crate::observe::disconnect::Disconnect;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::order::OrderGuard;
use crate::pubsub::script_barrier::{Gate, Turn};
use crate::server::accept::{Accepted, Arrival, Identity, PROTECTED, accept, is_protected};
use crate::server::connection::{Connection, Scratch};
use crate::server::listen::Listener;
use crate::session::Session;
use crate::session::client_info::{ClientInfo, ClientSlot, Flag, Signal};
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::session::moving::{Endpoints, Move};
use crate::session::server_state::ServerState;
use crate::session::survey::Survey;

/// A handle by which other threads send tasks to a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    tasks: mpsc::UnboundedSender<Task>,
    connections: Arc<AtomicUsize>,
}

/// A task for a worker.
#[derive(Debug)]
enum Task {
    Serve(Accepted),
    /// Accept connections for all these workers, the first of which is this one.
    Listen(Listener, Arc<[WorkerHandle]>),
    /// Keep these sockets open during a drain; only for the worker that has the listeners.
    Keep(Vec<Listener>),
    /// These are all workers of the server.
    SetWorkers(Vec<WorkerHandle>),
    /// Check again whether clients have the permissions that their subscriptions need.
    CheckPermissions,
    /// Add the subscribers of this worker to a survey.
    Survey(Arc<Survey>),
    /// Listen on other addresses; only for the worker that has the listeners.
    Move(Arc<Move>),
    /// Put the changes of files in force that were read again.
    Reload(Box<ConfigFile>, oneshot::Sender<Result<Reloaded, ReloadError>>),
    /// Return the figures of the keys; none while a script is late.
    #[cfg(feature = "http")]
    Report(oneshot::Sender<Option<Box<Report>>>),
    /// Show that the thread makes turns.
    Turn(oneshot::Sender<()>),
    ShutDown,
}

/// One thread's connections and their subscriptions.
pub(crate) struct Worker {
    pub(crate) server: Arc<ServerState>,
    /// Whether it has the listeners and the other duties of which a server has one. Its number does not
    /// tell: threads get numbers in any order, and a broker may have several servers.
    pub(super) is_first: bool,
    gate: RefCell<Gate>,
    /// The number of the worker's script engine.
    #[cfg(feature = "lua")]
    scripts: WorkerId,
    context: RefCell<Context>,
    scratch: RefCell<Scratch>,
    connections: RefCell<Slab<Rc<Connection>>>,
    listeners: RefCell<Vec<Accepting>>,
    /// Other handles of the sockets that another program has opened.
    kept: RefCell<Vec<Listener>>,
    /// Held for one step of a handshake.
    handshake: tokio::sync::Mutex<()>,
    /// Held while the server moves to other addresses.
    moving: tokio::sync::Mutex<()>,
    shutting_down: Cell<bool>,
    /// Notified when the last connection is gone.
    empty: Notify,
    /// All workers of the server.
    all: RefCell<Vec<WorkerHandle>>,
    /// Notified when a client sends `SHUTDOWN`.
    stop: Arc<Notify>,
    /// The generation of the settings in `context`.
    generation: Cell<u64>,
}

/// A listener that is being served.
struct Accepting {
    is_tcp: bool,
    task: JoinHandle<()>,
}

/// Time that clients have to read queued bytes when the server shuts down.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(2);

/// Seconds for which `CLIENT LIST` shows the largest output of a client, as in Redis.
const PEAK_SECONDS: u64 = 5;

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

/// Time that a client has to establish TLS.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Interval of the search for expired keys, as in Redis with its default of `hz`.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);

impl WorkerHandle {
    /// Starts a worker's thread. The receiver gets a value when the thread has ended.
    pub(crate) fn start(
        server: Arc<ServerState>,
        lookup: Lookup,
        index: usize,
        stop: Arc<Notify>,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (tasks, queue) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let handle = Self { tasks, connections };
        let (report, started) = std::sync::mpsc::channel();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    // Its inbox needs the order, which a script may hold once clients are served.
                    let worker = Worker::new(server, lookup, index == 0, stop);
                    let _ = report.send(Ok(()));
                    runtime.block_on(worker.run(queue));
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
            let _ = ended.send(());
        })?;
        started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended during the start")))?;
        Ok((handle, end))
    }

    /// Accepts connections on `listener`, for all `workers`; this one must be the first.
    pub(crate) fn listen(&self, listener: Listener, workers: Arc<[Self]>) {
        let _ = self.tasks.send(Task::Listen(listener, workers));
    }

    /// Keeps sockets open that another program has opened.
    pub(crate) fn keep(&self, sockets: Vec<Listener>) {
        let _ = self.tasks.send(Task::Keep(sockets));
    }

    /// Asks the worker to send queued bytes, close its connections, and end.
    pub(crate) fn shut_down(&self) {
        let _ = self.tasks.send(Task::ShutDown);
    }

    pub(crate) fn serve(&self, accepted: Accepted) {
        let _ = self.tasks.send(Task::Serve(accepted));
    }

    /// Sends the worker the handles of all workers.
    pub(crate) fn set_workers(&self, all: Vec<Self>) {
        let _ = self.tasks.send(Task::SetWorkers(all));
    }

    fn check_permissions(&self) {
        let _ = self.tasks.send(Task::CheckPermissions);
    }

    /// Asks the worker for the subscribers of a channel.
    fn survey(&self, survey: &Arc<Survey>) {
        let _ = self.tasks.send(Task::Survey(survey.clone()));
    }

    /// Asks the worker that has the listeners to listen on other addresses.
    fn listen_elsewhere(&self, wanted: Arc<Move>) {
        let _ = self.tasks.send(Task::Move(wanted));
    }

    /// Puts the changes of files in force that were read again.
    pub(crate) async fn reload(&self, read: ConfigFile) -> Result<Reloaded, ReloadError> {
        let (sender, reloaded) = oneshot::channel();
        let _ = self.tasks.send(Task::Reload(Box::new(read), sender));
        reloaded.await.unwrap_or_else(|_| Err(ReloadError("the server shuts down".to_owned())))
    }

    /// Returns the figures of the keys; `None` while a script is late, or if the worker has ended.
    #[cfg(feature = "http")]
    pub(crate) async fn report(&self) -> Option<Box<Report>> {
        let (sender, report) = oneshot::channel();
        let _ = self.tasks.send(Task::Report(sender));
        report.await.ok().flatten()
    }

    /// Returns once the worker has begun another turn; `None` if it has ended.
    pub(crate) async fn turn(&self) -> Option<()> {
        let (sender, turn) = oneshot::channel();
        let _ = self.tasks.send(Task::Turn(sender));
        turn.await.ok()
    }

    /// Counts a connection that is given to the worker; the caller counts it down at its end.
    pub(crate) fn take_place(&self) -> Arc<AtomicUsize> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Worker {
    fn new(
        server: Arc<ServerState>,
        lookup: Lookup,
        is_first: bool,
        stop: Arc<Notify>,
    ) -> Rc<Self> {
        let id = server.broker.open_inbox();
        server.checks.record(id, server.users.generation());
        let gate = RefCell::new(server.broker.gate(id));
        let generation = Cell::new(server.settings.generation());
        let config = server.settings.get();
        #[cfg_attr(not(feature = "lua"), expect(unused_mut, reason = "only scripts change it"))]
        let mut context = Context::new(id, config);
        #[cfg(feature = "lua")]
        let scripts = {
            let runner = CommandRunner::new(server.clone(), lookup.clone(), id);
            let scripts = runner.worker();
            context.scripts = Some(Rc::new(runner));
            scripts
        };
        Rc::new(Self {
            server,
            is_first,
            gate,
            #[cfg(feature = "lua")]
            scripts,
            context: RefCell::new(context),
            scratch: RefCell::new(Scratch::new(lookup)),
            connections: RefCell::default(),
            listeners: RefCell::default(),
            kept: RefCell::default(),
            handshake: tokio::sync::Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            shutting_down: Cell::new(false),
            empty: Notify::new(),
            all: RefCell::default(),
            stop,
            generation,
        })
    }

    /// Performs tasks until it receives [`Task::ShutDown`], or until all handles are dropped.
    async fn run(self: Rc<Self>, mut queue: mpsc::UnboundedReceiver<Task>) {
        self.server.loops.add(Handle::current().metrics());
        if self.is_first {
            self.server.process.set_main_thread();
        }
        let flush = spawn_local(self.clone().flush());
        let inbox = spawn_local(self.clone().take_inbox());
        let taps = spawn_local(self.clone().serve_taps());
        let clock = spawn_local(self.clone().watch_time());
        let expiry = spawn_local(self.clone().expire_keys());
        let drains = spawn_local(self.clone().follow_drains());
        let mut master = None;
        while let Some(task) = queue.recv().await {
            match task {
                Task::Serve(accepted) => match accepted.arrive() {
                    Ok(arrival) => self.serve(arrival),
                    Err(error) => warn!(%error, "cannot serve an accepted connection"),
                },
                Task::Keep(sockets) => *self.kept.borrow_mut() = sockets,
                Task::SetWorkers(all) => {
                    *self.all.borrow_mut() = all;
                    master = Some(spawn_local(self.clone().follow_master()));
                }
                Task::CheckPermissions => self.check_permissions(),
                Task::Survey(survey) => self.answer(&survey),
                Task::Listen(listener, workers) => {
                    self.accept_on(listener, workers);
                }
                Task::Move(wanted) => drop(spawn_local(self.clone().listen_elsewhere(wanted))),
                Task::Reload(read, wanted) => {
                    let reloaded = self
                        .with_order(|context, order| reload(&self.server, *read, context, order));
                    let late = || {
                        let late = Err(ReloadError("a script is late".to_owned()));
                        self.server.record_reload(&late);
                        late
                    };
                    let _ = wanted.send(reloaded.unwrap_or_else(late));
                }
                #[cfg(feature = "http")]
                Task::Report(wanted) => {
                    let _ = wanted.send(self.with_order(|_, order| report(order)));
                }
                Task::Turn(wanted) => _ = wanted.send(()),
                Task::ShutDown => break,
            }
        }
        self.shut_down().await;
        [flush, inbox, taps, clock, expiry, drains]
            .iter()
            .chain(&master)
            .for_each(JoinHandle::abort);
        self.with_order(|context, order| {
            #[cfg(feature = "lua")]
            order.close_inbox_of(self.scripts, &mut context.local);
            order.close_inbox(&mut context.local);
        });
    }

    fn accept_on(self: &Rc<Self>, listener: Listener, workers: Arc<[WorkerHandle]>) {
        let is_tcp = listener.is_tcp();
        let task = spawn_local(accept(self.clone(), listener, workers));
        self.listeners.borrow_mut().push(Accepting { is_tcp, task });
    }

    /// Listens on other addresses, or on the former ones if that fails.
    async fn listen_elsewhere(self: Rc<Self>, wanted: Arc<Move>) {
        let _one_at_a_time = self.moving.lock().await;
        let to = wanted.to.clone();
        // Names may have to be resolved, and a failure can take seconds.
        if !spawn_blocking(move || to.is_known()).await.unwrap_or(false) {
            warn!("cannot listen on other addresses: a name in 'bind' does not resolve");
            return wanted.end(false);
        }
        // Closed first, since some of the new addresses may be old ones.
        self.close_listeners(|accepting| accepting.is_tcp).await;
        let has_worked = self.open(wanted.to.clone()).await;
        if has_worked {
            self.kept.borrow_mut().retain(|listener| !listener.is_tcp());
        }
        if !has_worked {
            self.open(wanted.from.clone()).await;
        }
        wanted.end(has_worked);
    }

    async fn open(self: &Rc<Self>, endpoints: Endpoints) -> bool {
        let (port, tls_port) = (endpoints.port, endpoints.tls_port);
        let opened = spawn_blocking(move || endpoints.open()).await;
        if self.shutting_down.get() || self.server.drain.is_under_way() {
            return false;
        }
        match opened.expect("opening listeners does not panic") {
            Ok(listeners) => {
                let ports = listeners.ports(port, tls_port);
                self.server.port.store(ports.plain, Ordering::Relaxed);
                self.server.tls_port.store(ports.tls, Ordering::Relaxed);
                let workers: Arc<[WorkerHandle]> = self.all.borrow().as_slice().into();
                for (listener, address) in listeners.into_all() {
                    info!("listening on {address}");
                    self.accept_on(listener, workers.clone());
                }
                true
            }
            Err(error) => {
                warn!(%error, "cannot listen on other addresses");
                false
            }
        }
    }

    /// Serves a new connection.
    pub(crate) fn serve(self: &Rc<Self>, arrival: Arrival) {
        let Arrival { stream, peer, local, mut admission, identity } = arrival;
        let stats = self.server.broker.stats();
        stats.connections_received.add(1);
        let id = self.server.broker.next_client_id();
        let mut connections = self.connections.borrow_mut();
        let entry = connections.vacant_entry();
        let slot = ClientSlot { worker: self.context.borrow().worker(), slot: entry.key() };
        let info = ClientInfo::new(id, slot, peer, local, stream.descriptor());
        let info = Arc::new(info.accepted_at(admission.accepted));
        self.server.clients.add(info.clone());
        let output = Rc::new(ClientOutput::new(id, slot.slot));
        self.context.borrow_mut().local.subscribers.enter(&output);
        let session = Session::new(self.server.clone(), output.clone(), info.clone());
        if admission.arrive() {
            debug!(client.id = id, "client closed: its place goes to a new one");
            info.ask(Signal::Close);
        }
        let connection = Rc::new(Connection::new(stream, info, output, session, admission));
        entry.insert(connection.clone());
        debug!(client.id = id, client.addr = %connection.info.peer, "client connected");
        match identity {
            Identity::Unknown => {}
            #[cfg(feature = "http")]
            Identity::User(user) => {
                // Limits that another thread has changed before hold for this login.
                self.take_settings();
                connection.log_in_by_token(&user, &mut self.context.borrow_mut());
            }
            Identity::Master(epoch) => connection.carry_out(epoch),
        }
        if self.shutting_down.get() || self.server.drain.is_under_way() {
            self.context
                .borrow_mut()
                .flush_queue()
                .disconnect(&connection.output, Disconnect::Shutdown);
        }
        spawn_local(Serving { worker: self.clone(), connection }.run());
    }

    /// Delivers messages from other threads.
    async fn take_inbox(self: Rc<Self>) {
        loop {
            poll_fn(|cx| {
                // A limit that was changed before a message holds for its delivery.
                self.take_settings();
                let mut context = self.context.borrow_mut();
                let taken = self.with_turn(&mut context, |context, turn| match turn.lock() {
                    Some(mut lock) => lock.guard().poll_inbox(&mut context.local, cx),
                    None => self.poll_again(cx),
                });
                context.local.deliver_taken();
                context.local.after_release.run();
                taken
            })
            .await;
            tokio::task::yield_now().await;
        }
    }

    /// Closes clients that were idle or over their soft limit for too long, and frees spare memory,
    /// about once a second. The first worker also performs the housekeeping of the whole server.
    async fn watch_time(self: Rc<Self>) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 1_u64.. {
            let now = ticks.tick().await.into_std();
            self.take_settings();
            for (_, connection) in self.connections.borrow().iter() {
                connection.check_time(now, &mut self.context.borrow_mut());
                connection.record_buffers(self.server.broker.stats());
                if tick.is_multiple_of(PEAK_SECONDS) {
                    connection.forget_peak();
                }
            }
            self.tell_losses();
            self.context.borrow_mut().flush_queue().pool().trim();
            // Housekeeping of the whole server, by one worker.
            if self.is_first {
                let stats = self.server.broker.stats();
                stats.rates.commands.update(stats.commands_processed.get());
                stats.rates.input.update(stats.input_bytes.get());
                stats.rates.output.update(stats.output_bytes.get());
                let turns = self.server.loops.turns();
                stats.rates.turns.update(turns.count);
                let micros = u64::try_from(turns.time.as_micros()).unwrap_or(u64::MAX);
                stats.rates.turn_micros.update(micros);
                stats.buffers.input.advance();
                let _ = self.server.peak_bytes();
                stats.buffers.output.advance();
                let config = self.context.borrow().config.clone();
                self.evict(&config);
                self.tend_tls(tick, &config);
                let now = self.server.uptime();
                self.with_order(|_, order| order.expire_replay(now));
                self.tend_replicas(tick, &config);
                self.tell_occupancy(config.notify_pubsub_events).await;
            }
        }
    }

    /// Publishes the events about channels that have got or lost subscriptions.
    async fn tell_occupancy(&self, events: ChannelEvents) {
        /// Channels of one turn.
        const COUNT_MAX: usize = 256;
        let is_wanted = events != ChannelEvents::default();
        while self.with_order(|context, order| {
            order.watch_occupancy(is_wanted);
            order.publish_occupancy(&mut context.local, events, COUNT_MAX)
        }) == Some(true)
        {
            // Other tasks run in between.
            tokio::task::yield_now().await;
        }
    }

    /// Looks for changed files of TLS, and warns once a day of certificates that end soon. Called in
    /// each second.
    fn tend_tls(&self, second: u64, config: &Config) {
        let interval = config.tls.auto_reload_interval.as_secs();
        if interval > 0 && second.is_multiple_of(interval) {
            let server = self.server.clone();
            spawn_blocking(move || server.reload_tls());
        }
        if second % SECONDS_OF_DAY == 1
            && let Some(material) = self.server.tls.material()
        {
            material.warn_of_end();
        }
    }

    /// Removes expired keys that no client accesses.
    async fn expire_keys(self: Rc<Self>) {
        // One worker does this for the whole server.
        if !self.is_first {
            return;
        }
        let mut ticks = interval(EXPIRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.take_settings();
            // As in Redis, no key expires while writes are held back, or on a replica.
            if self.server.pause.holds_back(true).is_some() || self.server.replication.is_replica()
            {
                continue;
            }
            loop {
                self.idle().await;
                let may_be_more = self.with_order(|context, order| {
                    let config = context.config.clone();
                    order.expire_keys(&mut context.local, &config)
                });
                if may_be_more != Some(true) {
                    break;
                }
                // Other tasks run in between.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns all workers of the server.
    pub(super) fn all(&self) -> Vec<WorkerHandle> {
        self.all.borrow().clone()
    }

    /// Calls `act` within a turn.
    fn with_turn<R>(
        &self,
        context: &mut Context,
        act: impl FnOnce(&mut Context, &mut Turn<'_>) -> R,
    ) -> R {
        let mut gate = self.gate.borrow_mut();
        let mut turn = gate.enter(&mut context.local);
        act(context, &mut turn)
    }

    /// Calls `act` with the order, for housekeeping; returns `None` while a script is late.
    pub(super) fn with_order<R>(
        &self,
        act: impl FnOnce(&mut Context, &mut OrderGuard<'_>) -> R,
    ) -> Option<R> {
        let mut context = self.context.borrow_mut();
        let result = self.with_turn(&mut context, |context, turn| {
            let mut lock = turn.lock()?;
            let mut order = lock.guard();
            context.cleanup.drain(..).for_each(|watch| watch.end(&mut order));
            Some(act(context, &mut order))
        });
        context.local.deliver_taken();
        context.local.after_release.run();
        result
    }

    /// Performs the clean-up that waited while a script was late.
    fn clean_up(context: &mut Context, turn: &mut Turn<'_>) {
        if !context.cleanup.is_empty()
            && let Some(mut lock) = turn.lock()
        {
            let mut order = lock.guard();
            context.cleanup.drain(..).for_each(|watch| watch.end(&mut order));
        }
    }

    /// Waits until no script is late.
    pub(super) async fn idle(&self) {
        poll_fn(|cx| {
            let context = &mut self.context.borrow_mut();
            match self.with_turn(context, |_, turn| turn.is_busy()) {
                true => self.poll_again(cx),
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Wakes the task once no script runs.
    fn poll_again(&self, cx: &task::Context<'_>) -> Poll<()> {
        if self.server.broker.poll_idle(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Puts changed settings in force on this worker.
    fn take_settings(&self) {
        let generation = self.server.settings.generation();
        if self.generation.replace(generation) != generation {
            self.context.borrow_mut().set_config(self.server.settings.get());
        }
    }

    /// Closes the largest clients, until the others together take no more than `maxmemory-clients`.
    fn evict(&self, config: &Config) {
        let Some(bytes_max) = config.maxmemory_clients.bytes(config.maxmemory) else { return };
        // Other workers change the figures meanwhile, and sorting needs figures that stand still.
        let clients = self.server.clients.all().into_iter().map(|info| (info.bytes(), info));
        let mut clients: Vec<_> = clients.collect();
        let mut bytes: usize = clients.iter().map(|(bytes, _)| bytes).sum();
        clients.sort_by_key(|(bytes, _)| *bytes);
        while bytes > bytes_max
            && let Some((of_client, info)) = clients.pop()
        {
            if info.is_exempt() {
                continue;
            }
            bytes -= of_client;
            // Another worker may have found it, too.
            if info.ask(Signal::Close) {
                self.server.record_eviction(&info);
            }
        }
    }

    /// Performs the effects that sessions have left.
    fn apply_effects(self: &Rc<Self>, context: &mut Context, turn: &mut Turn<'_>) {
        let effects = std::mem::take(&mut context.effects);
        for effect in effects {
            match effect {
                Effect::Close(ids) => self.close(&ids, context, turn),
                Effect::Resume => self.server.clients.all().iter().for_each(|info| info.wake()),
                Effect::CheckPermissions => {
                    // Clients of this worker are checked before the next request, others before
                    // the reply.
                    self.check_clients(context, turn);
                    let others = self.all.borrow();
                    others.iter().for_each(WorkerHandle::check_permissions);
                }
                Effect::Evict => self.evict(&context.config),
                Effect::Survey(survey) => {
                    let all = self.all.borrow();
                    survey.begin(all.len());
                    all.iter().for_each(|worker| worker.survey(&survey));
                }
                Effect::Move(wanted) => {
                    if let Some(listening) = self.all.borrow().first() {
                        listening.listen_elsewhere(wanted);
                    }
                }
                #[cfg(feature = "lua")]
                Effect::ResumeScript => {
                    let Some(scripts) = context.scripts.clone() else { continue };
                    let worker = self.clone();
                    spawn_local(async move {
                        while !scripts.resume(&mut worker.context.borrow_mut().local) {
                            // Other tasks run in between.
                            tokio::task::yield_now().await;
                        }
                    });
                }
                Effect::ShutDown => self.stop.notify_one(),
            }
        }
    }

    /// Closes clients: those of this worker before the next request, others soon.
    fn close(&self, ids: &[u64], context: &mut Context, turn: &mut Turn<'_>) {
        for info in ids.iter().filter_map(|&id| self.server.clients.get(id)) {
            info.ask(Signal::Close);
        }
        // While a script is late, the connections end once it does.
        let Some(mut lock) = turn.lock() else { return };
        for (_, connection) in self.connections.borrow().iter() {
            if ids.contains(&connection.info.id) {
                connection.end(context, &mut lock.guard());
            }
        }
    }

    /// Closes clients that have lost a permission that their subscriptions need.
    fn check_permissions(&self) {
        let mut context = self.context.borrow_mut();
        self.with_turn(&mut context, |context, turn| self.check_clients(context, turn));
        context.local.after_release.run();
    }

    /// Adds the subscribers of this worker to a survey.
    fn answer(&self, survey: &Survey) {
        let connections = self.connections.borrow();
        let info = |slot: usize| Some(connections.get(slot)?.info.clone());
        survey.answer(&self.context.borrow().local.subscribers, info);
    }

    fn check_clients(&self, context: &mut Context, turn: &mut Turn<'_>) {
        let generation = self.server.users.generation();
        for (_, connection) in self.connections.borrow().iter() {
            connection.check_permissions(context, turn);
        }
        self.server.checks.record(context.worker(), generation);
    }

    /// Stops accepting connections, sends queued bytes, and waits up to [`SHUTDOWN_TIME_MAX`] for
    /// clients to read them.
    async fn shut_down(&self) {
        self.shutting_down.set(true);
        self.listeners.borrow_mut().drain(..).for_each(|listener| listener.task.abort());
        // Messages published before the shutdown are delivered.
        let caught_up = self.with_order(|context, order| order.catch_up(&mut context.local));
        if caught_up.is_none()
            && let Some(run) = self.server.broker.running_script()
        {
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
            warn!(clients = left, "closed clients with unread output at shutdown");
        }
    }

    fn connection(&self, output: &ClientOutput) -> Option<Rc<Connection>> {
        let connections = self.connections.borrow();
        connections.get(output.slot).filter(|found| found.output.id() == output.id()).cloned()
    }

    /// Cleans up after a connection. While a script is late, the clean-up waits for its end.
    fn forget(self: &Rc<Self>, connection: &Rc<Connection>) {
        connection.abandon_script();
        if self.with_order(|context, order| connection.end(context, order)).is_some()
            || self.shutting_down.get()
        {
            return self.remove(connection);
        }
        let (worker, connection) = (self.clone(), connection.clone());
        spawn_local(async move {
            while worker.with_order(|context, order| connection.end(context, order)).is_none() {
                worker.idle().await;
            }
            worker.remove(&connection);
        });
    }

    fn remove(&self, connection: &Connection) {
        self.context.borrow_mut().local.subscribers.exit(&connection.output);
        self.server.clients.remove(connection.info.id);
        let mut connections = self.connections.borrow_mut();
        connections.remove(connection.output.slot);
        if connections.is_empty() {
            self.empty.notify_one();
        }
    }
}

/// A connection that is being served. Dropping it cleans up, even after a panic. A panic ends no
/// other connection.
struct Serving {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
}

impl Serving {
    async fn run(self) {
        let Self { worker, connection } = &self;
        // Boxed, so that connections without TLS hold no place for it.
        if connection.needs_handshake() && !Box::pin(self.handshake()).await {
            return;
        }
        let reason = poll_fn(|cx| {
            worker.take_settings();
            let mut context = worker.context.borrow_mut();
            let polled = worker.with_turn(&mut context, |context, turn| {
                Worker::clean_up(context, turn);
                let scratch = &worker.scratch;
                let polled = connection.poll(&worker.server, context, turn, scratch, cx);
                worker.apply_effects(context, turn);
                polled
            });
            context.local.after_release.run();
            polled
        })
        .await;
        // Whoever sees the connection end finds nothing of its client any more.
        connection.info.ask(Signal::Close);
        if !connection.is_executing() {
            worker.with_order(|context, order| connection.end(context, order));
        }
        connection.close_socket();
        // A transaction that has begun runs to its end, even without its client.
        poll_fn(|cx| {
            let mut context = worker.context.borrow_mut();
            let ended = worker.with_turn(&mut context, |context, turn| {
                let ended = connection.poll_transaction(context, turn, cx);
                worker.apply_effects(context, turn);
                ended
            });
            context.local.after_release.run();
            ended
        })
        .await;
        worker.server.broker.stats().ends[reason as usize].add(1);
        let (id, peer) = (connection.info.id, &connection.info.peer);
        match reason {
            Disconnect::SlowSubscriber | Disconnect::RequestTooBig => {
                warn!(client.id = id, client.addr = %peer, %reason, "client closed");
            }
            _ => debug!(client.id = id, client.addr = %peer, %reason, "client disconnected"),
        }
    }
}

impl Serving {
    /// Makes the steps of a handshake, in turns of their own: the signature of one takes as long as
    /// hundreds of requests, and other clients are served between two of them.
    async fn establish(&self) -> io::Result<()> {
        let Self { worker, connection } = self;
        loop {
            poll_fn(|cx| connection.poll_handshake_ready(cx)).await;
            let _one_in_each_turn = worker.handshake.lock().await;
            let step =
                poll_fn(|cx| Poll::Ready(connection.poll_handshake(&worker.context.borrow(), cx)));
            let step = step.await;
            tokio::task::yield_now().await;
            if let Poll::Ready(established) = step {
                return established;
            }
        }
    }

    /// Establishes TLS within its time. Returns whether the client is to be served.
    async fn handshake(&self) -> bool {
        let Self { worker, connection } = self;
        let info = &connection.info;
        let gives_up_its_place = poll_fn(|cx| {
            info.remember(cx.waker());
            if info.is_asked(Signal::Close) { Poll::Ready(()) } else { Poll::Pending }
        });
        info.set(Flag::Handshake, true);
        let established = select! {
            biased;
            () = gives_up_its_place => Err(io::ErrorKind::TimedOut.into()),
            established = timeout(HANDSHAKE_TIME_MAX, self.establish()) => {
                established.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        };
        info.set(Flag::Handshake, false);
        let stats = worker.server.broker.stats();
        let error = match established {
            Ok(()) => {
                stats.handshakes.add(1);
                let config = worker.server.settings.get();
                let is_refused = is_protected(&worker.server, &config, &connection.info.peer);
                if is_refused {
                    stats.connections_rejected.add(1);
                    connection.send_refusal(PROTECTED);
                    connection.close_socket();
                }
                return !is_refused;
            }
            Err(error) => error,
        };
        stats.handshakes_failed.add(1);
        let (peer, local) = (&connection.info.peer, &connection.info.local);
        let (is_logged, unlogged) = worker.server.failed_handshakes.count(worker.server.uptime());
        if unlogged > 0 {
            warn!("{unlogged} more client connections could not be accepted");
        }
        let line =
            format!("Error accepting a client connection: {error} (addr={peer} laddr={local})");
        if is_logged {
            warn!("{line}")
        } else {
            debug!("{line}")
        }
        false
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
