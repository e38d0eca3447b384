//! Listeners: opens the addresses of the settings, at the start and for `CONFIG SET`.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

use crate::address::Port;
use crate::config::Config;
use crate::session::moving::Endpoints;
use crate::session::server_state::Ports;

/// The reason why a server did not start: an address, a file, or settings that contradict.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::BindError> {
/// use broker::{Broker, Config, Port, Server};
///
/// let bind = vec!["127.0.0.1".to_owned()];
/// let config = Config { bind, port: Port::Any, ..Config::default() };
/// let first = Server::bind(Broker::new(), &config).await?;
/// let port = first.local_addr().expect("it has a TCP port").port();
/// let taken = Config { port: port.into(), ..config };
/// let error = Server::bind(Broker::new(), &taken).await.unwrap_err();
/// assert!(error.to_string().contains("address already in use"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct BindError {
    problem: Problem,
    listened_on: Option<&'static str>,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot {action}: {}", Lower(source))]
    Failed { action: String, source: io::Error },
    #[error("{0}")]
    Settings(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

impl BindError {
    pub(crate) fn new(address: impl fmt::Display, source: io::Error) -> Self {
        let action = format!("listen on {address}");
        Self { problem: Problem::Failed { action, source }, listened_on: Some("TCP") }
    }

    fn with_tls(self) -> Self {
        Self { listened_on: Some("TLS"), ..self }
    }

    /// Returns the error for settings that contradict each other, the commands or the users.
    pub(crate) fn of_settings(text: String) -> Self {
        Self { problem: Problem::Settings(text), listened_on: None }
    }

    /// Returns the error for another action that failed, such as "start worker 0".
    pub(crate) fn of(action: impl Into<String>, source: io::Error) -> Self {
        let problem = Problem::Failed { action: action.into(), source };
        Self { problem, listened_on: None }
    }

    /// Returns whether the server could not listen on a TCP address. Otherwise a file, a thread or the
    /// settings caused the error.
    pub fn is_about_address(&self) -> bool {
        self.listened_on.is_some()
    }

    /// Returns whether the address is that of `tls-port`.
    pub fn is_about_tls(&self) -> bool {
        self.listened_on == Some("TLS")
    }
}

/// A socket on which connections are accepted.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener),
    #[cfg(unix)]
    /// With its address, and its file if the server has opened it.
    Unix(std::os::unix::net::UnixListener, Arc<str>, Option<SocketFile>),
}

impl Listener {
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Tls(_))
    }

    /// Returns another handle of the socket. The file stays with the first one.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Tls(listener) => Self::Tls(listener.try_clone()?),
            #[cfg(unix)]
            Self::Unix(listener, address, _) => {
                Self::Unix(listener.try_clone()?, address.clone(), None)
            }
        })
    }
}

/// Opens the TCP listeners of the settings, for a server that starts. `open` are listeners that take
/// the place of others; `has_unix` tells whether there is a Unix socket.
pub(crate) fn listen(
    config: &Config,
    open: Listeners,
    has_unix: bool,
) -> Result<Listeners, BindError> {
    let (has_plain, has_tls) = (!open.plain.is_empty(), !open.tls.is_empty());
    if has_tls && config.tls.port == Port::None {
        let text = "an open socket for TLS needs a 'tls-port' and its certificate";
        return Err(BindError::of_settings(text.to_owned()));
    }
    let endpoints = Endpoints {
        names: config.bind.clone(),
        port: if has_plain { Port::None } else { config.port },
        tls_port: if has_tls { Port::None } else { config.tls.port },
        backlog: config.tcp_backlog,
    };
    if endpoints.is_empty() && !has_plain && !has_tls && !has_unix {
        return Err(BindError::of_settings(
            "configured to listen nowhere; set 'bind' with 'port' or 'tls-port', or 'unixsocket'"
                .to_owned(),
        ));
    }
    let mut listeners = endpoints.open()?;
    listeners.plain.extend(open.plain);
    listeners.tls.extend(open.tls);
    Ok(listeners)
}

/// Opens the listeners of the HTTP port of the settings.
pub(crate) fn listen_for_http(
    config: &Config,
) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
    let http = &config.http;
    if http.port != Port::None && cfg!(not(feature = "http")) {
        let text = "'http-port' needs a broker with the cargo feature 'http'";
        return Err(BindError::of_settings(text.to_owned()));
    }
    let endpoints = Endpoints {
        names: http.bind.clone(),
        port: http.port,
        tls_port: Port::None,
        backlog: config.tcp_backlog,
    };
    let listeners = endpoints.open().map_err(|error| BindError { listened_on: None, ..error })?;
    Ok(listeners.plain)
}

/// The TCP listeners of a server.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) plain: Vec<(TcpListener, SocketAddr)>,
    pub(crate) tls: Vec<(TcpListener, SocketAddr)>,
}

impl Listeners {
    /// Returns the port of the plain listeners and that with TLS. Without an address, they are those
    /// of the settings, for the next `CONFIG SET bind`.
    pub(crate) fn ports(&self, port: Port, tls_port: Port) -> Ports {
        let bound = |listeners: &[(TcpListener, SocketAddr)], port: Port| {
            listeners.first().map_or(port.number(), |(_, address)| address.port())
        };
        Ports { plain: bound(&self.plain, port), tls: bound(&self.tls, tls_port) }
    }

    pub(crate) fn addresses(listeners: &[(TcpListener, SocketAddr)]) -> Vec<SocketAddr> {
        listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Returns all of them, the plain ones first.
    pub(crate) fn into_all(self) -> impl Iterator<Item = (Listener, SocketAddr)> {
        let Self { plain, tls } = self;
        let plain = plain.into_iter().map(|(listener, at)| (Listener::Tcp(listener), at));
        plain.chain(tls.into_iter().map(|(listener, at)| (Listener::Tls(listener), at)))
    }
}

impl Endpoints {
    fn is_empty(&self) -> bool {
        (self.port == Port::None && self.tls_port == Port::None) || self.names.is_empty()
    }

    /// Returns whether all names without a leading `-` resolve to an address.
    pub(crate) fn is_known(&self) -> bool {
        let mut needed = self.names.iter().filter(|name| !name.starts_with('-'));
        needed.all(|name| address_of(name, self.port.number()).is_ok())
    }

    /// Opens listeners for each name. Opens none without a port or a name.
    pub(crate) fn open(&self) -> Result<Listeners, BindError> {
        let plain = self.open_at(self.port)?;
        let tls = self.open_at(self.tls_port).map_err(BindError::with_tls)?;
        Ok(Listeners { plain, tls })
    }

    fn open_at(&self, asked: Port) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
        let mut listeners: Vec<(TcpListener, SocketAddr)> = Vec::new();
        if asked == Port::None || self.names.is_empty() {
            return Ok(listeners);
        }
        // With port `any`, the port of the first listener serves for all addresses.
        let mut port = asked.number();
        for entry in &self.names {
            let (optional, name) = match entry.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, entry.as_str()),
            };
            match listen_on(name, port, self.backlog) {
                Ok(listener) => {
                    port = listener.1.port();
                    listeners.push(listener);
                }
                Err(error) if optional && is_missing(&error, asked == Port::Any) => {}
                Err(source) => {
                    let host =
                        if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
                    return Err(BindError::new(format!("{host}:{port}"), source));
                }
            }
        }
        if listeners.is_empty() {
            let source = io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "none of these addresses exists on this machine",
            );
            return Err(BindError::new(self.names.join(" "), source));
        }
        warn_of_short_backlog(self.backlog);
        Ok(listeners)
    }
}

fn address_of(name: &str, port: u16) -> io::Result<SocketAddr> {
    let name = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        name => name,
    };
    let mut addresses = (name, port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn listen_on(name: &str, port: u16, backlog: u32) -> io::Result<(TcpListener, SocketAddr)> {
    let address = address_of(name, port)?;
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

/// Opens the socket file, if the settings name one.
#[cfg(unix)]
pub(crate) fn open_socket_file(config: &Config) -> Result<Option<Listener>, BindError> {
    let Some(path) = &config.unixsocket else { return Ok(None) };
    let address = path.display().to_string();
    match listen_on_path(path, config.unixsocketperm) {
        Ok(listener) => {
            Ok(Some(Listener::Unix(listener, address.into(), Some(SocketFile::opened(path)))))
        }
        Err(source) => Err(BindError::of(format!("listen on {address}"), source)),
    }
}

#[cfg(not(unix))]
pub(crate) fn open_socket_file(config: &Config) -> Result<Option<Listener>, BindError> {
    let Some(path) = &config.unixsocket else { return Ok(None) };
    let absent = io::Error::new(io::ErrorKind::Unsupported, "this system has no socket files");
    Err(BindError::of(format!("listen on {}", path.display()), absent))
}

/// The socket file of a listener. Dropping this value removes the file, unless another server has
/// replaced it.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute, since `CONFIG SET dir` moves the process.
    path: PathBuf,
    id: Option<(u64, u64)>,
}

#[cfg(unix)]
impl SocketFile {
    /// Returns the file that has just been opened at `path`.
    fn opened(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { id: file_id(&path), path }
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some() && self.id == file_id(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Returns the device and the inode of a file.
#[cfg(unix)]
fn file_id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    path.symlink_metadata().ok().map(|data| (data.dev(), data.ino()))
}

/// Opens a socket file. Removes an existing file at the path, as Redis does.
#[cfg(unix)]
fn listen_on_path(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;

    let _ = std::fs::remove_file(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if mode != 0 {
        // Before a client can connect (CVE-2023-45145).
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.set_nonblocking(true)?;
    socket.listen(511)?;
    Ok(socket.into())
}

/// Returns whether the machine lacks the address. With port `any`, an address on which the chosen
/// port is in use also counts as missing.
fn is_missing(error: &io::Error, any_port: bool) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, Unsupported};
    // The kernel's error "address family not supported", where IPv6 is off.
    const EAFNOSUPPORT: i32 = if cfg!(windows) { 10047 } else { 97 };
    matches!(error.kind(), AddrNotAvailable | Unsupported)
        || error.raw_os_error() == Some(EAFNOSUPPORT)
        || (any_port && error.kind() == AddrInUse)
}

/// Warns if the kernel cuts the backlog to its own limit, which it does silently.
fn warn_of_short_backlog(backlog: u32) {
    let Ok(text) = std::fs::read_to_string("/proc/sys/net/core/somaxconn") else { return };
    if let Ok(limit) = text.trim().parse::<u32>()
        && limit < backlog
    {
        warn!(backlog, limit, "tcp-backlog exceeds the kernel's limit, see net.core.somaxconn");
    }
}

/// An error of the system in the form of our errors: lower case, without its number.
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
