//! Options of a hub: times, limits, and the pages that may connect.
//!
//! The defaults are ASP.NET Core's, since clients depend on them. A client disconnects after 30 s
//! without a message, so a server that pings every 15 s may lose one ping.

use std::time::Duration;

use axum::http::request::Parts;

use crate::{
    key_ring::Key,
    origin::{self, Origin, OriginError},
    transport_kind::TransportKind,
};

/// The longest time of an option that is added to a point of time, so that no sum overflows.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Times and limits of a hub.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), signalr::OriginError> {
/// let mut options = signalr::Options::default().allow_origin("https://chat.example.com")?;
/// options.message_bytes_max = 64 * 1024;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Time without a message to the client after which the server sends a ping. Raw
    /// connections have no pings. Default: 15 s.
    pub keep_alive: Duration,
    /// Maximum silence of a client that has sent a ping. The server then closes the connection.
    /// A raw connection may be silent. Default: 30 s.
    pub client_timeout: Duration,
    /// Maximum time from the open transport to the whole handshake request. Default: 15 s.
    pub handshake_timeout: Duration,
    /// Maximum time from the negotiation to the transport, and between two polls of long polling.
    /// Then the connection ends. Default: 15 s.
    pub disconnect_timeout: Duration,
    /// Maximum time of a long poll without messages: the client then gets an empty response and
    /// polls again. A POST that the server cannot take within this time fails. Default: 90 s.
    pub poll_timeout: Duration,
    /// Maximum time of one write, if the client does not read. A result waits at most as long for
    /// the messages of its method, and bytes of a raw connection for its handler. Default: 10 s.
    pub write_timeout: Duration,
    /// Maximum time for the Close message and the close frames of both sides. A connection that
    /// ends waits at most as long for its running methods, or its raw handler. Default: 5 s.
    pub close_timeout: Duration,
    /// Maximum time that a client may take to return a result. Default: 30 s.
    pub result_timeout: Duration,
    /// Number of methods of one connection that may run at the same time. Further calls wait.
    /// Streams do not count. 0 has the effect of 1. Default: 1.
    pub parallel_calls_max: usize,
    /// Number of items of a client's stream that may wait for the method. While they wait, the
    /// server reads nothing more from the client. 0 has the effect of 1. Default: 10.
    pub upload_items_max: usize,
    /// Time over which closes of all connections are spread, so that clients do not all reconnect
    /// at once. It applies to a shutdown and to messages lost on the backplane. Default: 1 s.
    pub close_window: Duration,
    /// Time for which a [`drain`](crate::Hub::drain) serves all clients at first, so that the load
    /// balancer notices the failing readiness check. Default: 5 s.
    pub readiness_pause: Duration,
    /// Whether clients may continue their connection over another WebSocket, without loss, within
    /// [`disconnect_timeout`](Self::disconnect_timeout). With
    /// [`Builder::server_channel`](backplane::Builder::server_channel), they continue it on any server of
    /// the app. Default: true.
    pub stateful_reconnect: bool,
    /// Size of the messages that a stateful client has not confirmed, after which the server sends
    /// no more of them. Default: 100,000 B.
    pub resume_bytes_max: usize,
    /// Maximum number of groups of one connection that its own methods add it to. Default: 1,000.
    pub groups_max: usize,
    /// Number of connections of this hub on this server, above which new ones are refused with
    /// status 503. Default: no limit.
    pub connections_max: usize,
    /// Whether a connection ends when its [`User`](crate::User) expires. The client may reconnect
    /// with new credentials. It has no effect on clients of SignalR 2. Default: false.
    pub close_on_expiry: bool,
    /// Whether clients may renew their user without a new connection, as those of .NET 11 do.
    ///
    /// The negotiation then contains the lifetime of the user. The client sends new
    /// credentials to `<hub>/refresh` in time, or with its next long poll. The credentials of a poll
    /// are new if the roles or the expiry of its user differ. At `<hub>/refresh`, a user with another id
    /// ends the connection. See [`Hub::on_refreshed`](crate::Hub::on_refreshed). Default: false.
    pub auth_refresh: bool,
    /// Maximum size of a hub message from a client, with its separator. Default: 32 KiB.
    pub message_bytes_max: usize,
    /// Maximum size of a WebSocket message from a client, which may hold many hub messages. A value
    /// below `message_bytes_max` has no effect. Default: 1 MiB.
    pub frame_bytes_max: usize,
    /// Maximum size of the body of a POST, which may hold many hub messages. Default: 30,000,000
    /// bytes.
    pub post_bytes_max: usize,
    /// The transports that clients may choose, in the order that negotiations list. Default: all.
    pub transports: Vec<TransportKind>,
    /// Whether error texts for clients include the cause. For development only. Default: false.
    pub detailed_errors: bool,
    /// Whether `X-Forwarded-Host` replaces `Host` in the check of a page's origin. Set it only
    /// behind a proxy that sets this header itself. Default: false.
    pub trust_forwarded_host: bool,
    /// The lowest version of the negotiation that clients may request, 0 or 1. Clients below get an
    /// error. Default: 0.
    pub negotiate_version_min: u8,
    /// Maximum difference between the clocks of two servers of the app. Other servers accept the token
    /// of a negotiation for that much longer than [`disconnect_timeout`](Self::disconnect_timeout).
    /// Default: 60 s.
    pub clock_skew: Duration,
    /// The current key first.
    pub(crate) token_keys: Vec<Key>,
    pub(crate) origins: Vec<Origin>,
    /// In lower case, without ports. Empty if all hosts are allowed.
    hosts: Vec<String>,
}

impl Options {
    /// Allows pages of another origin (`scheme://host[:port]`) to connect.
    ///
    /// Pages of the server's own origin may always connect. Origins are compared as a whole,
    /// without suffixes or wildcards. A page of a listed origin may send any request header.
    ///
    /// # Errors
    ///
    /// Returns an error if `origin` is not a scheme and a host with an optional port.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::Options;
    ///
    /// let options = Options::default()
    ///     .allow_origin("https://chat.example.com")?
    ///     .allow_origin("http://localhost:3000")?;
    /// # drop(options);
    /// # Ok(()) }
    /// ```
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        self.origins.push(origin.parse()?);
        Ok(self)
    }

    /// Allows requests for a host: a name or an address, without a port.
    ///
    /// As soon as one host is listed, requests for any other host get status 403. That stops pages
    /// whose name an attacker lets point to this server (DNS rebinding): to the browser they have
    /// the server's own origin. Such a list matters on a loopback or private address. Case, a port
    /// and a dot at the end of the request's host are ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::Options;
    ///
    /// let options = Options::default().allow_host("localhost").allow_host("127.0.0.1");
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn allow_host(mut self, name: &str) -> Self {
        self.hosts.push(name.trim_end_matches('.').to_ascii_lowercase());
        self
    }

    /// Sets the secrets that sign the tokens of connections: the current one, then older ones, whose
    /// tokens stay valid.
    ///
    /// All servers of an app use the same secrets. Each is at least 32 random bytes. To change them,
    /// first add the new one behind the current one on all servers, then put it first, and remove the
    /// old one after a day.
    ///
    /// Without secrets, the servers make keys of their own and exchange them over the backplane's
    /// channel of servers, if [`Builder::server_channel`](backplane::Builder::server_channel) is on.
    /// These keys are lost if all servers end, and a program with access to the broker can read them.
    /// Without the channel as well, tokens are valid on the server that has issued them.
    ///
    /// # Errors
    ///
    /// Returns an error if a secret is shorter than 32 bytes, or if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), signalr::TokenKeyError> {
    /// # let (secret, older_secret) = ([1; 32], [2; 32]); // of the configuration
    /// let options = signalr::Options::default().token_keys([secret, older_secret])?;
    /// # drop(options);
    /// # Ok(()) }
    /// ```
    pub fn token_keys<K: AsRef<[u8]>>(
        mut self,
        secrets: impl IntoIterator<Item = K>,
    ) -> Result<Self, TokenKeyError> {
        self.token_keys.clear();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.len() < SECRET_BYTES_MIN {
                return Err(TokenKeyError(secret.len()));
            }
            self.token_keys.push(Key::of(secret));
        }
        if self.token_keys.is_empty() { Err(TokenKeyError(0)) } else { Ok(self) }
    }

    /// Returns whether the host of a request is served.
    pub(crate) fn allow_host_of(&self, parts: &Parts) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let name = origin::host_name(parts, self.trust_forwarded_host);
        name.is_some_and(|name| self.hosts.contains(&name))
    }

    /// Returns whether the page that sent a request may connect.
    pub(crate) fn allow_page(&self, parts: &Parts) -> bool {
        origin::is_allowed(parts, &self.origins, self.trust_forwarded_host)
    }
}

/// A secret of [`Options::token_keys`] is too short.
///
/// # Examples
///
/// ```
/// let error = signalr::Options::default().token_keys(["secret"]).unwrap_err();
/// assert_eq!(error.to_string(), "a token key expects at least 32 random bytes, found 6");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token key expects at least {SECRET_BYTES_MIN} random bytes, found {0}")]
pub struct TokenKeyError(usize);

/// The length of the signatures' hash.
const SECRET_BYTES_MIN: usize = 32;

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            disconnect_timeout: Duration::from_secs(15),
            poll_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            result_timeout: Duration::from_secs(30),
            parallel_calls_max: 1,
            upload_items_max: 10,
            stateful_reconnect: true,
            resume_bytes_max: 100_000,
            groups_max: 1_000,
            connections_max: usize::MAX,
            close_on_expiry: false,
            auth_refresh: false,
            close_window: Duration::from_secs(1),
            readiness_pause: Duration::from_secs(5),
            message_bytes_max: 32 * 1024,
            frame_bytes_max: 1024 * 1024,
            // Kestrel's limit.
            post_bytes_max: 30_000_000,
            transports: TransportKind::ALL.into(),
            detailed_errors: false,
            trust_forwarded_host: false,
            negotiate_version_min: 0,
            clock_skew: Duration::from_secs(60),
            token_keys: Vec::new(),
            origins: Vec::new(),
            hosts: Vec::new(),
        }
    }
}
