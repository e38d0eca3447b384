//! The connection to a server. It is opened again after it was lost.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::crypto::ring;

use crate::options::Options;

/// A server, and the connection to it while there is one.
pub(crate) struct Server {
    client: Client,
    connection: Option<Connection>,
}

/// Maximum wait for the connection, and for the next bytes of a reply.
const REPLY_TIME_MAX: Duration = Duration::from_secs(5);

impl Server {
    /// Reads the files for TLS. Connects later.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or has other content than its option expects.
    pub(crate) fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let (host, port) = (options.host.clone(), options.port);
        let client = if options.tls {
            // Another provider cannot be there before.
            let _ = ring::default_provider().install_default();
            let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
            let root_cert = options.cacert.as_deref().map(read).transpose()?;
            let client_tls = match (&options.cert, &options.key) {
                (Some(cert), Some(key)) => {
                    Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
                }
                _ => None,
            };
            let certificates = TlsCertificates { client_tls, root_cert };
            Client::build_with_tls(with_login(address, options)?, certificates)?
        } else {
            Client::open(with_login(ConnectionAddr::Tcp(host, port), options)?)?
        };
        Ok(Self { client, connection: None })
    }

    /// Returns the connection, a new one if there is none or the last one is broken.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses the login.
    pub(crate) fn connection(&mut self) -> RedisResult<&mut Connection> {
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| !redis::ConnectionLike::is_open(connection))
        {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => {
                let connection = self.client.get_connection_with_timeout(REPLY_TIME_MAX)?;
                connection.set_read_timeout(Some(REPLY_TIME_MAX))?;
                connection.set_write_timeout(Some(REPLY_TIME_MAX))?;
                Ok(none.insert(connection))
            }
        }
    }

    /// Forgets the connection, so that the next call opens another one.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }
}

fn with_login(address: ConnectionAddr, options: &Options) -> RedisResult<ConnectionInfo> {
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = &options.user {
        login = login.set_username(user);
    }
    if let Some(password) = options.password() {
        login = login.set_password(password);
    }
    Ok(address.into_connection_info()?.set_redis_settings(login))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
