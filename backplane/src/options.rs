//! What an application may set on a backplane.

use std::path::PathBuf;
use std::time::Duration;

use crate::store::History;

/// Names, times and limits of a backplane.
///
/// ```
/// let mut options = backplane::Options::default();
/// options.hub = "ChatHub".into();
/// options.local_delivery_when_down = true;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The hub whose clients the connections are. Servers of SignalR 2 know it by the name of its
    /// class; all servers of an app must agree. `Hub` by default.
    pub hub: String,
    /// The recent messages that are kept for connections which come back.
    pub history: History,
    /// What may wait while the broker is away.
    pub queue: Queue,
    /// Whether connections of this server get what it sends while the broker is away. The others get it
    /// once the broker is back, if the send did not fail by then. Nobody who stays attached gets it
    /// twice. It does not move cursors, so a connection that comes back is given it once more: whether
    /// the client has it, no other server could know.
    pub local_delivery_when_down: bool,
    /// How long a change of a group waits for the server that has the connection.
    pub ack_timeout: Duration,
    /// How often the backplane sends a probe through the broker, which it must receive itself.
    pub probe_interval: Duration,
    /// What the broker shows this server as in `CLIENT LIST`.
    pub client_name: Option<String>,
    /// Certificates for `rediss://`.
    pub tls: Tls,
}

/// What may wait while the broker is away. A send beyond it fails.
///
/// ```
/// assert_eq!(backplane::Queue::default().messages, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes of them.
    pub bytes: usize,
    /// For so long.
    pub age: Duration,
}

/// Certificates for connections with TLS, as PEM files.
///
/// ```
/// let mut options = backplane::Options::default();
/// options.tls.ca = Some("/etc/ssl/redis/ca.crt".into());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// Who has to have signed the server's certificate; those whom the system trusts by default.
    pub ca: Option<PathBuf>,
    /// What the server wants to see of us.
    pub certificate: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hub: "Hub".to_owned(),
            history: History::default(),
            queue: Queue::default(),
            local_delivery_when_down: false,
            ack_timeout: Duration::from_secs(10),
            probe_interval: Duration::from_secs(5),
            client_name: None,
            tls: Tls::default(),
        }
    }
}

impl Default for Queue {
    /// 10,000 messages, 16 MiB, five seconds.
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 * 1024 * 1024, age: Duration::from_secs(5) }
    }
}
