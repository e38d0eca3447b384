//! What an application may set on a hub: times, limits, and who may connect from where.
//!
//! The defaults are those of ASP.NET Core SignalR, because clients are tuned to them: a client that hears
//! nothing for 30 s gives up, so a server that pings every 15 s may lose one ping.

use std::time::Duration;

use crate::origin::{Origin, OriginError};

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
    /// A ping is sent when nothing else was sent for this long.
    pub keep_alive: Duration,
    /// A client that has sent a ping, and then nothing for this long, is disconnected.
    pub client_timeout: Duration,
    /// How long a client may take from the open transport to its whole handshake.
    pub handshake_timeout: Duration,
    /// How long a negotiated connection may stay without a transport.
    pub disconnect_timeout: Duration,
    /// How long one write may wait for a client that does not read.
    pub write_timeout: Duration,
    /// How long the server waits for the client's half of a close.
    pub close_timeout: Duration,
    /// The longest hub message a client may send, its separator included.
    pub message_bytes_max: usize,
    /// How many negotiated connections may wait for their transport at once.
    pub negotiated_max: usize,
    /// Whether clients are told the causes of the server's errors; for development only.
    pub detailed_errors: bool,
    pub(crate) origins: Vec<Origin>,
}

impl Options {
    /// Lets pages of this origin (`scheme://host[:port]`) connect, beside those of the server's own.
    ///
    /// Origins are compared whole: neither suffixes nor wildcards match.
    ///
    /// # Errors
    ///
    /// When `origin` is not a scheme and a host with an optional port.
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            disconnect_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            message_bytes_max: 32 * 1024,
            negotiated_max: 10_000,
            detailed_errors: false,
            origins: Vec::new(),
        }
    }
}
