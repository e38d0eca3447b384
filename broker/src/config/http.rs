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
    /// The TCP port of the console page, `/metrics`, `/healthz` and `/readyz`; none by default.
    pub port: Port,
    /// The addresses of this port, with a `-` in front of each that may be missing; by default those
    /// of this machine alone.
    pub bind: Vec<String>,
    /// The bearer token that `/metrics` and the console page ask for; none by default.
    pub token: Option<Vec<u8>>,
    /// The user whose rights the console page has with the token. Without one, the token opens the
    /// metrics only.
    pub user: Option<String>,
    /// Whether the port speaks TLS, with the certificate of `tls-cert-file`.
    pub tls: bool,
    /// Names of this machine, beside its addresses and `localhost`, by which the console page may be
    /// opened; none by default.
    pub names: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        let bind = ["127.0.0.1", "-::1"].map(str::to_owned).to_vec();
        Self { port: Port::None, bind, token: None, user: None, tls: false, names: Vec::new() }
    }
}
