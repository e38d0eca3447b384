//! Listening sockets that another program has opened for the server.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::server::listen::{BindError, Listener, Listeners};

/// Listening sockets that are open already, as systemd passes them. Those of one kind take the place
/// of the addresses of that kind in the settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker::{Broker, ConfigFile, OpenSockets, Server};
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = socket.local_addr()?;
/// let sockets = OpenSockets { plain: vec![socket], ..OpenSockets::default() };
/// let server = Server::bind_to(Broker::new(), ConfigFile::default(), sockets).await?;
/// assert_eq!(server.local_addrs(), [address]);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct OpenSockets {
    /// Sockets for clients, in place of `bind` and `port`.
    pub plain: Vec<TcpListener>,
    /// Sockets for clients with TLS, in place of `tls-port`. They need the other settings of TLS, and a
    /// `tls-port` other than 0.
    pub tls: Vec<TcpListener>,
    /// Sockets for metrics and checks, in place of `http-port`.
    pub http: Vec<TcpListener>,
    /// Sockets for clients on this machine, in place of `unixsocket`.
    #[cfg(unix)]
    pub unix: Vec<std::os::unix::net::UnixListener>,
}

impl OpenSockets {
    /// Takes the TCP sockets for clients.
    pub(crate) fn take_tcp(&mut self) -> Result<Listeners, BindError> {
        Ok(Listeners { plain: adopted(&mut self.plain)?, tls: adopted(&mut self.tls)? })
    }

    /// Takes the sockets for metrics and checks.
    pub(crate) fn take_http(&mut self) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
        adopted(&mut self.http)
    }

    /// Takes the Unix sockets. Their files belong to the program that opened them.
    #[cfg(unix)]
    pub(crate) fn take_unix(&mut self) -> Result<Vec<Listener>, BindError> {
        let adopted = |listener: std::os::unix::net::UnixListener| {
            listener.set_nonblocking(true)?;
            let path = listener.local_addr()?.as_pathname().map(|path| path.display().to_string());
            Ok(Listener::Unix(listener, path.unwrap_or_default().into(), None))
        };
        self.unix.drain(..).map(adopted).collect::<io::Result<_>>().map_err(unusable)
    }

    #[cfg(not(unix))]
    pub(crate) fn take_unix(&mut self) -> Result<Vec<Listener>, BindError> {
        Ok(Vec::new())
    }
}

fn adopted(sockets: &mut Vec<TcpListener>) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
    let adopted = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    sockets.drain(..).map(adopted).collect::<io::Result<_>>().map_err(unusable)
}

fn unusable(source: io::Error) -> BindError {
    BindError::of("use an open socket", source)
}
