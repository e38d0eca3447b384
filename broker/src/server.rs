//! Listeners and workers: serves Redis clients from a broker.

pub(crate) mod accept;
mod backlog;
pub(crate) mod connection;
mod held;
#[cfg(feature = "http")]
mod http;
pub(crate) mod listen;
mod master_link;
mod master_socket;
pub(crate) mod open_sockets;
pub(crate) mod stream;
mod tls_stream;
mod unfinished;
mod within;
pub(crate) mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::commands::lookup::Lookup;
use crate::commands::table::SPECS;
use crate::config::Config;
use crate::config::reloaded::{ReloadError, Reloaded};
use crate::config::source::ConfigFile;
use crate::pubsub::Broker;
#[cfg(feature = "http")]
use crate::server::http::Http;
use crate::server::listen::{
    BindError, Listener, Listeners, listen, listen_for_http, open_socket_file,
};
use crate::server::open_sockets::OpenSockets;
use crate::server::worker::WorkerHandle;
use crate::session::drain::Window;
use crate::session::server_state::ServerState;
use crate::tls::Material;

/// Serves a [`Broker`] to Redis clients.
///
/// The server has its own threads. A runtime of the caller is needed only to await its functions.
/// Dropping the server also ends it, without waiting.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
/// use broker::{Broker, Config, Port, Server};
///
/// let broker = Broker::new();
/// let config = Config { port: Port::Any, ..Config::default() };
/// let server = Server::bind(broker.clone(), &config).await?;
/// if let Some(address) = server.local_addr() {
///     println!("redis-cli -p {} SUBSCRIBE news", address.port());
/// }
/// broker.publish("news", "hello");
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    state: Arc<ServerState>,
    workers: Arc<[WorkerHandle]>,
    ended: Vec<oneshot::Receiver<()>>,
    stop: Arc<Notify>,
    #[cfg(feature = "http")]
    http: Option<Http>,
    counters: Option<Counters>,
}

/// The thread that maintains the counters file. Dropping this value ends the thread.
#[derive(Debug)]
struct Counters {
    broker: Broker,
    /// Dropping it ends the thread.
    _running: mpsc::Sender<()>,
}

/// The longest drain: a sum with a point of time must not overflow.
const DRAIN_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// Interval between syncs of the counters file.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);

impl Server {
    /// Listens on the addresses of `config` and starts its workers.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the server cannot listen on an address. An address with a leading `-` is
    /// skipped if the machine does not have it. After an error nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle. It blocks the thread for up to a second if
    /// another server uses the counters file.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(server.local_addr().is_some_and(|address| address.port() != 0));
    /// # Ok(()) }
    /// ```
    pub async fn bind(broker: Broker, config: &Config) -> Result<Self, BindError> {
        Self::bind_loaded(broker, ConfigFile::from(config.clone())).await
    }

    /// Listens and starts workers like [`bind`](Self::bind), with settings from files and flags.
    /// `CONFIG GET` then returns ignored directives as well, and `CONFIG REWRITE` writes the file.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the server cannot listen on an address, or if the settings contradict each
    /// other.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle. It blocks the thread for up to a second if
    /// another server uses the counters file.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loaded = broker::ConfigFile::from_text("port any\nappendonly no")?;
    /// let server = broker::Server::bind_loaded(broker::Broker::new(), loaded).await?;
    /// assert!(server.local_addr().is_some_and(|address| address.port() != 0));
    /// # Ok(()) }
    /// ```
    pub async fn bind_loaded(broker: Broker, loaded: ConfigFile) -> Result<Self, BindError> {
        Self::bind_to(broker, loaded, OpenSockets::default()).await
    }

    /// Starts workers like [`bind_loaded`](Self::bind_loaded), on sockets that are open already.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the server cannot listen on an address or use a socket, or if the settings
    /// contradict each other.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle. It blocks the thread for up to a second if
    /// another server uses the counters file.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use broker::{Broker, ConfigFile, OpenSockets, Server};
    ///
    /// let http = vec![std::net::TcpListener::bind("127.0.0.1:0")?];
    /// let sockets = OpenSockets { http, ..OpenSockets::default() };
    /// let server = Server::bind_to(Broker::new(), ConfigFile::from_text("port any")?, sockets).await?;
    /// # #[cfg(feature = "http")]
    /// assert_eq!(server.http_addrs().len(), 1);
    /// # Ok(()) }
    /// ```
    #[allow(clippy::unused_async, reason = "later it may have to wait, for TLS files or a socket")]
    pub async fn bind_to(
        broker: Broker,
        loaded: ConfigFile,
        mut sockets: OpenSockets,
    ) -> Result<Self, BindError> {
        loaded.check().map_err(|error| BindError::of_settings(error.cause()))?;
        let config = loaded.config.clone();
        let material = config.needs_tls().then(|| Material::load(&config.tls));
        let material = material.transpose().map_err(|error| {
            warn!("{error}");
            let text = "Failed to configure TLS. Check logs for more info.";
            BindError::of_settings(text.to_owned())
        })?;
        let open_files = sockets.take_unix()?;
        let has_unix = config.unixsocket.is_some() || !open_files.is_empty();
        let open = sockets.take_tcp()?;
        let (has_plain, has_tls) = (!open.plain.is_empty(), !open.tls.is_empty());
        let listeners = listen(&config, open, has_unix)?;
        let http = match sockets.take_http()? {
            open if open.is_empty() => listen_for_http(&config)?,
            open => open,
        };
        let addresses = Listeners::addresses(&listeners.plain);
        let tls_addresses = Listeners::addresses(&listeners.tls);
        let ports = listeners.ports(config.port, config.tls.port);
        let lookup = Lookup::new(&config).map_err(BindError::of_settings)?;
        let server = ServerState::new(broker.clone(), loaded, ports, SPECS.len())
            .map_err(BindError::of_settings)?;
        if let Some(material) = material {
            server.tls.set(Arc::new(material));
        }
        let server = Arc::new(server);
        // Files that a running server may use come last, so that a start that fails leaves them
        // alone.
        if let Some(path) = &config.counters_file {
            broker
                .keep_counters(path.clone())
                .map_err(|source| BindError::of(format!("use {}", path.display()), source))?;
        }
        // All listeners are open before one is served: a client that reaches one may use the
        // others.
        let files = match open_files {
            open if open.is_empty() => open_socket_file(&config)?.into_iter().collect(),
            open => open,
        };
        // A drain stops to accept on these, and leaves them open.
        let is_open = |listener: &&Listener| match listener {
            Listener::Tcp(_) => has_plain,
            Listener::Tls(_) => has_tls,
            #[cfg(unix)]
            Listener::Unix(_, _, file) => file.is_none(),
        };
        let listeners: Vec<Listener> =
            listeners.into_all().map(|(listener, _)| listener).chain(files).collect();
        let kept = listeners.iter().filter(is_open).map(Listener::try_clone);
        let kept = kept
            .collect::<io::Result<_>>()
            .map_err(|source| BindError::of("keep an open socket", source))?;
        let stop = Arc::new(Notify::new());
        let mut workers = Vec::new();
        let mut ended = Vec::new();
        for index in 0..config.io_threads.max(1) {
            let (worker, end) =
                WorkerHandle::start(server.clone(), lookup.clone(), index, stop.clone())
                    .map_err(|source| BindError::of(format!("start worker {index}"), source))?;
            workers.push(worker);
            ended.push(end);
        }
        let workers: Arc<[WorkerHandle]> = workers.into();
        workers.iter().for_each(|worker| worker.set_workers(workers.to_vec()));
        workers[0].keep(kept);
        for listener in listeners {
            workers[0].listen(listener, workers.clone());
        }
        #[cfg(feature = "http")]
        let http = (!http.is_empty())
            .then(|| Http::start(http, server.clone(), workers.clone()))
            .transpose()
            .map_err(|source| BindError::of("start the thread for HTTP", source))?;
        #[cfg(not(feature = "http"))]
        drop(http);
        let counters = config.counters_file.is_some().then(|| Counters::tend(broker)).transpose();
        let counters = counters
            .map_err(|source| BindError::of("start the thread of the counters file", source))?;
        Ok(Self {
            addresses,
            tls_addresses,
            state: server,
            workers,
            ended,
            stop,
            #[cfg(feature = "http")]
            http,
            counters,
        })
    }

    /// Returns when a client has sent `SHUTDOWN`, or when a [drain](Self::drain) has ended all
    /// clients. The caller then calls [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call returns a request that arrived in between.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::Write;
    ///
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// std::net::TcpStream::connect(server.local_addrs())?.write_all(b"SHUTDOWN\r\n")?;
    /// server.stop_requested().await;
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn stop_requested(&self) {
        self.stop.notified().await;
    }

    /// Returns once each thread that serves clients has begun another turn, for those who watch the
    /// process. A script that has not become late may hold all threads for `busy-reply-threshold`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// server.turned().await;
    /// # Ok(()) }
    /// ```
    pub async fn turned(&self) {
        for worker in &*self.workers {
            if worker.turn().await.is_none() {
                // It has ended, and so does the server.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns the first address that the server has listened on since its start; `None` if it
    /// listens on a Unix socket only.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(server.local_addr().is_some_and(|address| address.ip().is_loopback()));
    /// # Ok(()) }
    /// ```
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// Returns all TCP addresses that the server opened at its start. `CONFIG SET port` and
    /// `CONFIG SET bind` open others in their place, which this function does not return.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert_eq!(server.local_addrs().first().copied(), server.local_addr());
    /// # Ok(()) }
    /// ```
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the TCP addresses for clients with TLS that the server opened at its start.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(server.tls_addrs().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// Returns the addresses of the HTTP port, which serves `/metrics`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// use broker::{Broker, Config, HttpSettings, Port, Server};
    ///
    /// let http = HttpSettings { port: Port::Any, ..HttpSettings::default() };
    /// let config = Config { port: Port::Any, http, ..Config::default() };
    /// let server = Server::bind(Broker::new(), &config).await?;
    /// assert!(!server.http_addrs().is_empty());
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "http")]
    pub fn http_addrs(&self) -> &[SocketAddr] {
        self.http.as_ref().map_or(&[], |http| &http.addresses)
    }

    /// Puts the settings in force that differ from the last reading of the files. Settings of
    /// `CONFIG SET` stay where the files have not changed.
    ///
    /// `bind`, `port`, `tls-port` and `dir` stay until the next start, though `CONFIG SET` could change
    /// them. Users stay as well; `ACL LOAD` reads their file.
    ///
    /// # Errors
    ///
    /// [`ReloadError`] if a value cannot be put in force, or while a script is late. Nothing has
    /// changed then.
    ///
    /// # Cancel safety
    ///
    /// Once begun, the reload completes even if the future is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use broker::{Broker, ConfigFile, Server};
    ///
    /// let server = Server::bind_loaded(Broker::new(), ConfigFile::from_text("port any")?).await?;
    /// let reloaded = server.reload(ConfigFile::from_text("port any\ntimeout 60")?).await?;
    /// assert_eq!(reloaded.changed, ["timeout"]);
    /// # Ok(()) }
    /// ```
    pub async fn reload(&self, loaded: ConfigFile) -> Result<Reloaded, ReloadError> {
        self.workers[0].reload(loaded).await
    }

    /// Reads the files again from which the server was started, also those of TLS, and puts changed
    /// settings in force like [`reload`](Self::reload). `CONFIG RELOAD` does the same, but does not wait for
    /// the files of TLS.
    ///
    /// # Errors
    ///
    /// [`ReloadError`] if a file cannot be read or has a mistake, or for the reasons of
    /// [`reload`](Self::reload). Nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while files are read, nothing changes. Afterwards the changed settings
    /// come into force, and the files of TLS may stay.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use broker::{Broker, ConfigFile, Server};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("redis.conf");
    /// std::fs::write(&path, "port any")?;
    /// let mut loaded = ConfigFile::default();
    /// loaded.add_file(&path)?;
    /// let server = Server::bind_loaded(Broker::new(), loaded).await?;
    ///
    /// std::fs::write(&path, "port any\ntimeout 60")?;
    /// assert_eq!(server.reload_files().await?.changed, ["timeout"]);
    /// # Ok(()) }
    /// ```
    pub async fn reload_files(&self) -> Result<Reloaded, ReloadError> {
        let state = self.state.clone();
        let ended = |_| ReloadError("the server shuts down".to_owned());
        let read = spawn_blocking(move || state.read_again()).await.map_err(ended)??;
        let reloaded = self.reload(read).await?;
        self.reload_tls().await;
        Ok(reloaded)
    }

    /// Reads the files of TLS again. If one has changed, new connections use them; existing
    /// connections go on. Files that cannot be used change nothing, and the log has the reason.
    /// Returns at once without a `tls-port` and without `http-tls`.
    ///
    /// # Cancel safety
    ///
    /// Once begun, the reload completes even if the future is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// server.reload_tls().await;
    /// # Ok(()) }
    /// ```
    pub async fn reload_tls(&self) {
        let state = self.state.clone();
        let _ = spawn_blocking(move || state.reload_tls()).await;
    }

    /// Begins to end all clients, spread over `window`, so that they do not all come back at once.
    /// [`stop_requested`](Self::stop_requested) returns when none is left, at the latest at the end of
    /// the window.
    ///
    /// The server stops to listen, and announces the drain on the channel `__broker__:draining`. Each
    /// client gets its queued bytes before its end; those without a subscription go last. `SHUTDOWN
    /// ABORT` ends the drain, and the server listens again. A drain under way gets the new window.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// use std::time::Duration;
    ///
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// server.drain(Duration::from_secs(5));
    /// server.stop_requested().await; // At once, since there is no client.
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub fn drain(&self, window: Duration) {
        self.state.drain.begin(window.min(DRAIN_MAX));
    }

    /// Begins the drain of [`Config::shutdown_drain`], as it is in force now. Returns false if that is
    /// zero, or if a drain is under way.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(!server.drain_by_settings(), "the default is zero");
    /// # Ok(()) }
    /// ```
    pub fn drain_by_settings(&self) -> bool {
        let window = self.state.settings.get().shutdown_drain;
        let begins = !window.is_zero() && !self.state.drain.is_under_way();
        if begins {
            self.drain(window);
        }
        begins
    }

    /// Returns the drains that begin and end from now on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// use std::time::Duration;
    ///
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// let mut drains = server.drains();
    /// server.drain(Duration::from_secs(5));
    /// assert_eq!(drains.next().await, Some(Duration::from_secs(5)));
    /// # Ok(()) }
    /// ```
    pub fn drains(&self) -> Drains {
        Drains(self.state.drain.changes())
    }

    /// Stops accepting connections, sends queued replies and messages, and closes all connections.
    /// Waits at most two seconds for clients to read.
    ///
    /// # Cancel safety
    ///
    /// Once begun, the shutdown completes even if the future is dropped. The exact counters are
    /// then not written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(mut self) {
        self.workers.iter().for_each(WorkerHandle::shut_down);
        for end in &mut self.ended {
            let _ = end.await;
        }
        if let Some(Counters { broker, .. }) = &self.counters {
            broker.close_counters();
        }
    }
}

/// The drains of a server, from [`Server::drains`].
#[derive(Debug)]
pub struct Drains(watch::Receiver<Option<Window>>);

impl Drains {
    /// Waits for the next change. Returns the window of a drain that has begun, and `None` when
    /// `SHUTDOWN ABORT` has ended one. Waits for good once the server has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call returns a change that came in between.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// use std::time::Duration;
    ///
    /// let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// let mut drains = server.drains();
    /// server.drain(Duration::from_secs(1));
    /// assert!(drains.next().await.is_some());
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Duration> {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().map(|window| window.time)
    }
}

impl Counters {
    fn tend(broker: Broker) -> io::Result<Self> {
        let (running, ended) = mpsc::channel();
        let own = broker.clone();
        thread::Builder::new().name("counters".to_owned()).spawn(move || {
            while ended.recv_timeout(COUNTERS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                own.tend_counters();
            }
            own.tend_counters();
        })?;
        Ok(Self { broker, _running: running })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.workers.iter().for_each(WorkerHandle::shut_down);
    }
}
