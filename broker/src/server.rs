//! Listeners and workers: serves a broker to Redis clients.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;
use tokio::sync::{Notify, oneshot};
use tracing::warn;

use crate::accept::Listener;
use crate::broker::Broker;
use crate::config::Config;
use crate::config::source::Loaded;
use crate::host::Host;
use crate::worker::WorkerHandle;

/// Serves a [`Broker`] to Redis clients.
///
/// The threads are the server's own; it needs a runtime of the caller's only to wait for
/// [`shutdown`](Self::shutdown). Dropping it ends it as well, without waiting.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
/// use broker::{Broker, Config, Server};
///
/// let broker = Broker::new();
/// let config = Config { port: 0, ..Config::default() };
/// let server = Server::bind(broker.clone(), &config).await?;
/// println!("redis-cli -p {} SUBSCRIBE news", server.local_addr().port());
/// broker.publish("news", "hello");
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    workers: Arc<[WorkerHandle]>,
    ended: Vec<oneshot::Receiver<()>>,
    stop: Arc<Notify>,
    /// Removed at the end.
    unix_path: Option<PathBuf>,
}

/// Says which address could not be listened on, and why.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
/// use broker::{Broker, Config, Server};
///
/// let bind = vec!["127.0.0.1".to_owned()];
/// let config = Config { bind, port: 0, ..Config::default() };
/// let first = Server::bind(Broker::new(), &config).await?;
/// let taken = Config { port: first.local_addr().port(), ..config };
/// let error = Server::bind(Broker::new(), &taken).await.unwrap_err();
/// assert!(error.to_string().contains("address already in use"));
/// # Ok(()) }
/// ```
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {}", Lower(source))]
pub struct BindError {
    address: String,
    source: io::Error,
}

impl Server {
    /// Listens on the addresses of `config` and starts its workers.
    ///
    /// # Errors
    ///
    /// [`BindError`] when an address cannot be listened on; one with a `-` in front that this
    /// machine does not have is left out. Nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: 0, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok(()) }
    /// ```
    pub async fn bind(broker: Broker, config: &Config) -> Result<Self, BindError> {
        Self::bind_loaded(broker, Loaded::from(config.clone())).await
    }

    /// Does the same with settings that come from files and flags, so that `CONFIG GET` answers
    /// what was given and `CONFIG REWRITE` knows the file.
    ///
    /// # Errors
    ///
    /// [`BindError`] when an address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loaded = broker::Loaded::from_text("port 0\nappendonly no")?;
    /// let server = broker::Server::bind_loaded(broker::Broker::new(), loaded).await?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # Ok(()) }
    /// ```
    #[allow(clippy::unused_async, reason = "later it may have to wait, for TLS files or a socket")]
    pub async fn bind_loaded(broker: Broker, loaded: Loaded) -> Result<Self, BindError> {
        let config = loaded.config.clone();
        let listeners = listen(&config)?;
        // All are open before any of them is served: who reaches one may count on the others.
        let file = open_socket_file(&config)?;
        let addresses: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
        let port = addresses.first().map_or(config.port, SocketAddr::port);
        let host = Host::new(broker, loaded, port).map_err(|error| BindError {
            address: "users".to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, error),
        })?;
        let host = Arc::new(host);
        let stop = Arc::new(Notify::new());
        let mut workers = Vec::new();
        let mut ended = Vec::new();
        for index in 0..config.io_threads.max(1) {
            let (worker, end) = WorkerHandle::start(host.clone(), index, stop.clone())
                .map_err(|source| BindError { address: format!("worker {index}"), source })?;
            workers.push(worker);
            ended.push(end);
        }
        let workers: Arc<[WorkerHandle]> = workers.into();
        workers.iter().for_each(|worker| worker.know(workers.to_vec()));
        for listener in
            listeners.into_iter().map(|(listener, _)| Listener::Tcp(listener)).chain(file)
        {
            workers[0].listen(listener, workers.clone());
        }
        Ok(Self { addresses, workers, ended, stop, unix_path: config.unixsocket })
    }

    /// Returns when a client has asked for the end with `SHUTDOWN`; the caller then calls
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a request that came meanwhile is found by the next call.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::Write;
    ///
    /// let config = broker::Config { port: 0, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// std::net::TcpStream::connect(server.local_addr())?.write_all(b"SHUTDOWN\r\n")?;
    /// server.stop_requested().await;
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn stop_requested(&self) {
        self.stop.notified().await;
    }

    /// Returns the first address that the server listens on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: 0, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(server.local_addr().ip().is_loopback());
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// When the server listens on a socket file only.
    pub fn local_addr(&self) -> SocketAddr {
        *self.addresses.first().expect("the server listens on a socket file only")
    }

    /// Returns all addresses that the server listens on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: 0, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// assert!(server.local_addrs().contains(&server.local_addr()));
    /// # Ok(()) }
    /// ```
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, sends what is queued, closes all connections, and returns when that is
    /// done: after two seconds at the most, even if a client does not read.
    ///
    /// # Cancel safety
    ///
    /// Once begun it goes on, whether the future is polled or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
    /// let config = broker::Config { port: 0, ..Default::default() };
    /// let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// server.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(mut self) {
        self.workers.iter().for_each(WorkerHandle::shut_down);
        for end in &mut self.ended {
            let _ = end.await;
        }
        if let Some(path) = self.unix_path.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.workers.iter().for_each(WorkerHandle::shut_down);
    }
}

/// Opens a listener for each address of `config`.
fn listen(config: &Config) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
    let mut listeners: Vec<(TcpListener, SocketAddr)> = Vec::new();
    // Port 0 is any free one, but the same for all addresses.
    let mut port = config.port;
    if config.unixsocket.is_some() && port == 0 {
        // As in Redis, port 0 beside a socket file is no port at all.
        return Ok(listeners);
    }
    for entry in &config.bind {
        let (optional, name) = match entry.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, entry.as_str()),
        };
        match listen_on(name, port, config.tcp_backlog) {
            Ok(listener) => {
                port = listener.1.port();
                listeners.push(listener);
            }
            Err(error) if optional && is_missing(&error, config.port == 0) => {}
            Err(source) => {
                let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
                return Err(BindError { address: format!("{host}:{port}"), source });
            }
        }
    }
    if listeners.is_empty() {
        let source =
            io::Error::new(io::ErrorKind::AddrNotAvailable, "none of the addresses exists here");
        return Err(BindError { address: config.bind.join(" "), source });
    }
    warn_of_short_backlog(config.tcp_backlog);
    Ok(listeners)
}

fn listen_on(name: &str, port: u16, backlog: u32) -> io::Result<(TcpListener, SocketAddr)> {
    let name = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        name => name,
    };
    let mut addresses = (name, port).to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Opens the socket file, if there is to be one.
#[cfg(unix)]
fn open_socket_file(config: &Config) -> Result<Option<Listener>, BindError> {
    let Some(path) = &config.unixsocket else { return Ok(None) };
    let address = path.display().to_string();
    match listen_on_path(path, config.unixsocketperm) {
        Ok(listener) => Ok(Some(Listener::Unix(listener, address.into()))),
        Err(source) => Err(BindError { address, source }),
    }
}

#[cfg(not(unix))]
fn open_socket_file(_: &Config) -> Result<Option<Listener>, BindError> {
    Ok(None)
}

/// Opens a socket file. Whatever stood in its place is removed, as Redis does.
#[cfg(unix)]
fn listen_on_path(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;

    let _ = std::fs::remove_file(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if mode != 0 {
        // Before anybody can connect (CVE-2023-45145).
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.set_nonblocking(true)?;
    socket.listen(511)?;
    Ok(socket.into())
}

/// Whether the machine does not have such an address. With any port, one that is taken on the
/// second address only is as good as missing.
fn is_missing(error: &io::Error, any_port: bool) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, Unsupported};
    // The kernel says "address family not supported" where IPv6 is off.
    const EAFNOSUPPORT: i32 = 97;
    matches!(error.kind(), AddrNotAvailable | Unsupported)
        || error.raw_os_error() == Some(EAFNOSUPPORT)
        || (any_port && error.kind() == AddrInUse)
}

/// The kernel silently cuts the backlog to a limit of its own.
fn warn_of_short_backlog(backlog: u32) {
    let Ok(text) = std::fs::read_to_string("/proc/sys/net/core/somaxconn") else { return };
    if let Ok(limit) = text.trim().parse::<u32>()
        && limit < backlog
    {
        warn!(backlog, limit, "the kernel allows a shorter backlog only, see net.core.somaxconn");
    }
}

/// An error of the system as we write errors: lower case, without its number.
struct Lower<'a>(&'a io::Error);

impl fmt::Display for Lower<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut letters = text.chars();
        match letters.next() {
            Some(first) => write!(f, "{}{}", first.to_lowercase(), letters.as_str()),
            None => Ok(()),
        }
    }
}
