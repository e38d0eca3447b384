//! The settings of the HTTP port, typed, with their defaults.

use crate::address::Port;

/// The settings of the HTTP port: the directives of redis.conf that begin with `http-`. Redis lacks
/// them. Without the cargo feature `http`, a server with an HTTP port does not start.
///
/// ```
/// use broker::{HttpSettings, Port};
///
/// assert_eq!(HttpSettings::default().port, Port::None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// The TCP port of `/metrics`, `/healthz` and `/readyz`; none by default.
    pub port: Port,
    /// The addresses of this port, with a `-` in front of each that may be missing; by default those
    /// of this machine alone.
    pub bind: Vec<String>,
    /// The bearer token that `/metrics` asks for; none by default.
    pub token: Option<Vec<u8>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        let bind = ["127.0.0.1", "-::1"].map(str::to_owned).to_vec();
        Self { port: Port::None, bind, token: None }
    }
}
