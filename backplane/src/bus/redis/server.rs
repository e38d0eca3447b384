//! Where a server is, and what it takes to get in.
//!
//! The name is resolved anew for every connection, since after a failover it may mean another
//! machine. Connections speak RESP2, which every server knows.

use std::fmt;
use std::io;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError,
};
use futures_util::future::select_ok;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;

use super::Patience;
use super::failure::Failure;
use crate::bus::ConnectError;

pub(super) struct Server {
    host: String,
    port: u16,
    settings: RedisConnectionInfo,
}

/// A connection for commands. It ends by itself when all its clones are dropped and what was under
/// way has been answered.
pub(super) struct Commands {
    pub(super) connection: MultiplexedConnection,
    /// Ends when the connection does.
    pub(super) driver: JoinHandle<()>,
}

/// `PING` finds out that a server is gone. This frees the socket afterwards, on which an answer may
/// still be awaited.
const KEEPALIVE: Duration = Duration::from_secs(5);

impl Server {
    /// An empty password is none.
    pub(super) fn new(host: &str, port: u16, password: &str) -> Self {
        let settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
        let settings = match password {
            "" => settings,
            password => settings.set_password(password),
        };
        Self { host: host.to_owned(), port, settings }
    }

    pub(super) fn from_url(url: &str) -> Result<Self, ConnectError> {
        let found = |what: &str| ConnectError::Url { found: what.to_owned() };
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("redis") => {}
            Some("rediss") => return Err(found("rediss://, and TLS is not supported yet")),
            Some(other) => return Err(found(&format!("the scheme {other}://"))),
            None => return Err(found("no scheme")),
        }
        let info = url.into_connection_info().map_err(|error| found(&url_fault(&error)))?;
        Self::from_info(&info).ok_or_else(|| found("no host and port"))
    }

    fn from_info(info: &ConnectionInfo) -> Option<Self> {
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return None };
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        Some(Self { host: host.clone(), port: *port, settings })
    }

    pub(super) async fn commands(&self, patience: &Patience) -> Result<Commands, Failure> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience.answer));
        let stream = self.stream().await?;
        let opened = MultiplexedConnection::new_with_config(&self.settings, stream, config).await;
        let (connection, driver) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(self.refusal(error, patience).await),
        };
        Ok(Commands { connection, driver: tokio::spawn(driver) })
    }

    pub(super) async fn subscriptions(&self, patience: &Patience) -> Result<PubSub, Failure> {
        let stream = self.stream().await?;
        match PubSub::new(&self.settings, stream).await {
            Ok(subscriptions) => Ok(subscriptions),
            Err(error) => Err(self.refusal(error, patience).await),
        }
    }

    /// Connects to whichever of the host's addresses answers first.
    async fn stream(&self) -> io::Result<TcpStream> {
        let addresses = lookup_host((self.host.as_str(), self.port)).await?;
        let attempts: Vec<_> =
            addresses.map(|address| Box::pin(TcpStream::connect(address))).collect();
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
        Ok(stream)
    }

    /// Returns why a server did not let us in. The client library keeps the server's words on a
    /// password to itself, so it is asked for them again.
    async fn refusal(&self, error: RedisError, patience: &Patience) -> Failure {
        if error.kind() != ErrorKind::AuthenticationFailed {
            return error.into();
        }
        match self.authenticate(patience).await {
            Err(failure) => failure,
            Ok(()) => Failure::Lost(error.to_string().to_lowercase()),
        }
    }

    async fn authenticate(&self, patience: &Patience) -> Result<(), Failure> {
        let nobody = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience.answer));
        let stream = self.stream().await?;
        let (mut connection, driver) =
            MultiplexedConnection::new_with_config(&nobody, stream, config).await?;
        tokio::spawn(driver);
        let mut auth = ::redis::cmd("AUTH");
        auth.arg(self.settings.username()).arg(self.settings.password());
        Ok(auth.query_async(&mut connection).await?)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

/// Says what is wrong with a URL, without the client library's name for the kind of error.
fn url_fault(error: &RedisError) -> String {
    let text = error.to_string();
    let fault = text.split(" - ").next().unwrap_or(&text).trim_end_matches('-').to_lowercase();
    format!("one that cannot be used: {fault}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_server_is_and_who_we_are() {
        for (url, address, user, password) in [
            ("redis://host", "host:6379", None, None),
            ("redis://127.0.0.1:7000/0", "127.0.0.1:7000", None, None),
            ("redis://[::1]:7000", "[::1]:7000", None, None),
            ("redis://:pw@host:7000", "host:7000", None, Some("pw")),
            ("redis://ann:p%40%2F@host?protocol=resp3", "host:6379", Some("ann"), Some("p@/")),
        ] {
            let server = Server::from_url(url).unwrap();
            assert_eq!(server.to_string(), address);
            assert_eq!(server.settings.username(), user, "{url}");
            assert_eq!(server.settings.password(), password, "{url}");
            assert_eq!(server.settings.protocol(), ProtocolVersion::RESP2, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why_and_keeps_its_password() {
        for (url, expected) in [
            ("host:6379", "found no scheme"),
            ("", "found no scheme"),
            ("http://host", "found the scheme http://"),
            ("rediss://:secret@host", "found rediss://, and TLS is not supported yet"),
            ("redis://", "missing hostname"),
            ("redis://:secret@host:99999", "found one that cannot be used: "),
            ("redis://:secret@host/chat", "invalid database number"),
        ] {
            let error = Server::from_url(url).unwrap_err().to_string();
            assert!(error.starts_with("expected a URL such as redis://"), "{error}");
            assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let server = Server::new("host", 6379, "secret");
        assert_eq!(format!("{server} {server:?}"), "host:6379 Server(host:6379)");
    }
}
