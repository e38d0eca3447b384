//! The settings of TLS, typed, with their defaults.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Port;

/// The settings of TLS: the directives of redis.conf that begin with `tls-`.
///
/// ```
/// use broker::{ClientCertificates, TlsSettings};
///
/// assert_eq!(TlsSettings::default().auth_clients, ClientCertificates::Required);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TlsSettings {
    /// The TCP port for clients with TLS, beside the plain one; none by default.
    pub port: Port,
    /// The PEM file with the certificate of the server, and those of intermediate authorities.
    pub cert_file: Option<PathBuf>,
    /// The PEM file with the private key of the server, without a password.
    pub key_file: Option<PathBuf>,
    /// The PEM file with the certificate that a replica shows its master; by default that of the server.
    pub client_cert_file: Option<PathBuf>,
    /// The PEM file with the private key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// The PEM file with the authorities that sign the certificates of clients.
    pub ca_cert_file: Option<PathBuf>,
    /// A folder whose PEM files hold further authorities.
    pub ca_cert_dir: Option<PathBuf>,
    /// The PEM file with lists of revoked certificates of clients. Redis lacks this directive.
    pub crl_file: Option<PathBuf>,
    /// Whether clients must have a certificate.
    pub auth_clients: ClientCertificates,
    /// The part of a client's certificate that names its ACL user.
    pub auth_clients_user: CertificateUser,
    /// The versions of the protocol, such as `TLSv1.2 TLSv1.3`; empty for both of these.
    pub protocols: String,
    /// The cipher suites of TLS 1.2 in OpenSSL's syntax; empty for all.
    pub ciphers: String,
    /// The cipher suites of TLS 1.3; empty for all.
    pub ciphersuites: String,
    /// Prefers the order of the server's cipher suites to that of the client's.
    pub prefer_server_ciphers: bool,
    /// Lets clients resume a session, which costs less than a new one.
    pub session_caching: bool,
    /// The time in which a session can be resumed.
    pub session_cache_timeout: Duration,
    /// Interval of the search for changed files; zero is never.
    pub auto_reload_interval: Duration,
}

/// Whether clients must have a certificate of a known authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// They are not asked for one.
    No,
    /// A client without a certificate is refused.
    #[default]
    Required,
    /// A client may have none. One that is not valid is refused.
    Optional,
}

impl ClientCertificates {
    /// The names in redis.conf.
    pub(crate) const NAMES: &[&str] = &["no", "yes", "optional"];
}

impl From<usize> for ClientCertificates {
    /// Converts the index of a name.
    fn from(index: usize) -> Self {
        match index {
            0 => Self::No,
            1 => Self::Required,
            _ => Self::Optional,
        }
    }
}

/// The part of a client's certificate that names its ACL user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateUser {
    /// None; clients log in with a password.
    #[default]
    Off,
    /// The common name of the subject.
    CommonName,
    /// The first URI of the alternative names with an enabled user.
    Uri,
}

impl CertificateUser {
    /// The names in redis.conf.
    pub(crate) const NAMES: &[&str] = &["off", "CN", "URI"];
}

impl From<usize> for CertificateUser {
    /// Converts the index of a name.
    fn from(index: usize) -> Self {
        match index {
            0 => Self::Off,
            1 => Self::CommonName,
            _ => Self::Uri,
        }
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            port: Port::None,
            cert_file: None,
            key_file: None,
            client_cert_file: None,
            client_key_file: None,
            ca_cert_file: None,
            ca_cert_dir: None,
            crl_file: None,
            auth_clients: ClientCertificates::default(),
            auth_clients_user: CertificateUser::default(),
            protocols: String::new(),
            ciphers: String::new(),
            ciphersuites: String::new(),
            prefer_server_ciphers: false,
            session_caching: true,
            session_cache_timeout: Duration::from_secs(300),
            auto_reload_interval: Duration::ZERO,
        }
    }
}
