//! A byte stream to a server: TCP, TLS or a Unix socket.
//!
//! Each connection resolves the name again, since a failover may change its address.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::future::select_ok;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::Host;

/// A byte stream of any transport.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

impl fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// `PING` detects a dead server. Keepalive frees the socket of a connection that still waits for
/// replies.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Connects to the first of the host's addresses that responds.
pub(super) async fn connect(
    host: &Host,
    tls: Option<&TlsConnector>,
) -> io::Result<Box<dyn Stream>> {
    let addresses = lookup_host((host.name.as_str(), host.port)).await?;
    let attempts: Vec<_> = addresses.map(|address| Box::pin(TcpStream::connect(address))).collect();
    if attempts.is_empty() {
        return Err(io::Error::other("the host has no address"));
    }
    let (stream, _) = select_ok(attempts).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 5);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(2 * KEEPALIVE))?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// Connects to a Unix socket.
#[cfg(unix)]
pub(super) async fn connect_unix(path: &Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

/// Fails, since this platform has no Unix sockets.
#[cfg(not(unix))]
pub(super) async fn connect_unix(_path: &Path) -> io::Result<Box<dyn Stream>> {
    Err(io::Error::other("socket files need Unix"))
}
