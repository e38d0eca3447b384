//! Listeners and workers: serves Redis clients from a broker.

pub(crate) mod accept;
mod backlog;
pub(crate) mod connection;
mod held;
#[cfg(feature = "http")]
mod http;
pub(crate) mod listen;
pub(crate) mod stream;
mod tls_stream;
mod unfinished;
pub(crate) mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::address::Port;
use crate::commands::lookup::Lookup;
use crate::commands::table::SPECS;
use crate::config::Config;
use crate::config::reloaded::{ReloadError, Reloaded};
use crate::config::source::ConfigFile;
use crate::pubsub::Broker;
#[cfg(feature = "http")]
use crate::server::http::Http;
use crate::server::listen::{
    BindError, Listeners, SocketFile, listen, listen_for_http, open_socket_file,
};
use crate::server::worker::WorkerHandle;
use crate::session::server_state::ServerState;
use crate::tls::{Material, Reload};

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
    /// Removes the file when the server ends.
    _socket_file: Option<SocketFile>,
    counters: Option<Counters>,
}

/// The thread that maintains the counters file. Dropping this value ends the thread.
#[derive(Debug)]
struct Counters {
    broker: Broker,
    /// Dropping it ends the thread.
    _running: mpsc::Sender<()>,
}

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
    /// Never waits, so it cannot be cancelled in the middle.
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
    /// Never waits, so it cannot be cancelled in the middle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loaded = broker::ConfigFile::from_text("port any\nappendonly no")?;
    /// let server = broker::Server::bind_loaded(broker::Broker::new(), loaded).await?;
    /// assert!(server.local_addr().is_some_and(|address| address.port() != 0));
    /// # Ok(()) }
    /// ```
    #[allow(clippy::unused_async, reason = "later it may have to wait, for TLS files or a socket")]
    pub async fn bind_loaded(broker: Broker, loaded: ConfigFile) -> Result<Self, BindError> {
        loaded.check().map_err(|error| BindError::of_settings(error.cause()))?;
        let config = loaded.config.clone();
        let material = (config.tls.port != Port::None).then(|| Material::load(&config.tls));
        let material = material.transpose().map_err(|error| {
            warn!("{error}");
            let text = "Failed to configure TLS. Check logs for more info.";
            BindError::of_settings(text.to_owned())
        })?;
        let listeners = listen(&config)?;
        let http = listen_for_http(&config)?;
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
        let file = open_socket_file(&config)?;
        let socket_file = config.unixsocket.as_deref().map(SocketFile::opened);
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
        for listener in listeners.into_all().map(|(listener, _)| listener).chain(file) {
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
            _socket_file: socket_file,
            counters,
        })
    }

    /// Returns when a client has sent `SHUTDOWN`. The caller then calls
    /// [`shutdown`](Self::shutdown).
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
        self.workers[0].reload(loaded.config).await
    }

    /// Reads the files of TLS again. If one has changed, new connections use them; existing
    /// connections go on. Files that cannot be used change nothing, and the log has the reason.
    /// Returns at once without a `tls-port`.
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
        let _ = spawn_blocking(move || reload_tls(&state)).await;
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

/// Reads the files of TLS again, if there is TLS. Blocks the thread.
pub(crate) fn reload_tls(state: &ServerState) {
    let settings = state.settings.get();
    if settings.tls.port == Port::None {
        return;
    }
    match state.tls.reload(&settings.tls) {
        Reload::Unchanged => {}
        Reload::Changed => info!("TLS materials reloaded successfully"),
        Reload::Failed => warn!("Background TLS reload failed"),
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
