//! TLS: reads certificates and keys, and keeps the configuration for new connections.
//!
//! [`Tls`] holds one [`Material`], which each new connection takes. A reload builds another one and
//! replaces it; connections that exist keep theirs. A material that cannot be built leaves the old
//! one in place.

pub(crate) mod certificate;
mod files;
pub(crate) mod link;
mod suites;
mod tickets;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use locks::RwLock;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tracing::warn;

use crate::address::Port;
use crate::config::tls::{CertificateUser, ClientCertificates, TlsSettings};
use certificate::Certificate;
use files::Files;

/// The TLS state of a server.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    current: RwLock<Option<Arc<Material>>>,
    has_failed: AtomicBool,
}

/// The configuration for new connections, built from the settings and their files.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) config: Arc<ServerConfig>,
    /// The configuration of the HTTP port: its callers have tokens, not certificates.
    #[cfg(feature = "http")]
    pub(crate) http: Arc<ServerConfig>,
    /// The part of a client's certificate that names its user.
    pub(crate) user: CertificateUser,
    /// The certificate of the server.
    pub(crate) server: Certificate,
    /// The authority whose certificate ends first.
    pub(crate) authority: Option<Certificate>,
    /// A digest of all files.
    digest: [u8; 32],
}

/// The reason why TLS cannot be configured, in the words of Redis where it has some.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error("No tls-cert-file configured!")]
    NoCertificate,
    #[error("No tls-key-file configured!")]
    NoKey,
    #[error(
        "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, \
         tls-replication or tls-auth-clients are enabled!"
    )]
    NoAuthority,
    #[error("Failed to load certificate: {0}: {1}")]
    Certificate(String, String),
    #[error("Failed to load private key: {0}: {1}")]
    Key(String, String),
    #[error("Failed to load private key: {0}: it is not the key of the certificate")]
    Mismatch(String),
    #[error("Failed to configure CA certificate(s) file/directory: {0}: {1}")]
    Authority(String, String),
    #[error("Failed to load certificate revocation list: {0}: {1}")]
    RevocationList(String, String),
    #[error("Server TLS certificate is invalid. Aborting TLS configuration.")]
    NotValidNow,
    #[error(
        "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and \
         'TLSv1.3'."
    )]
    Protocols,
    #[error("TLS below 1.2 is not offered: add TLSv1.2 or TLSv1.3 to tls-protocols")]
    OldProtocols,
    #[error("Failed to configure ciphers: {0}")]
    Ciphers(String),
    #[error("Failed to configure ciphersuites: {0}")]
    CipherSuites(String),
    #[error("Failed to configure TLS: {0}")]
    Other(String),
}

/// The result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    Unchanged,
    Changed,
    Failed,
}

/// A new certificate takes days where people are involved.
const WARNED_DAYS: i64 = 14;

/// A certificate and its key are two files. If they do not match, the second one may be about to be
/// written.
const MISMATCH_PAUSE: Duration = Duration::from_secs(1);

impl Tls {
    /// Returns the material for new connections; `None` without TLS.
    pub(crate) fn material(&self) -> Option<Arc<Material>> {
        self.current.read().clone()
    }

    /// Puts a material in force for new connections.
    pub(crate) fn set(&self, material: Arc<Material>) {
        *self.current.write() = Some(material);
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// Returns whether the last reload failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Reads the files again, and puts them in force if one has changed. Blocks the thread, for
    /// about a second if certificate and key do not match.
    pub(crate) fn reload(&self, settings: &TlsSettings) -> Reload {
        let material = match Material::load(settings) {
            Err(TlsError::Mismatch(_)) => {
                std::thread::sleep(MISMATCH_PAUSE);
                Material::load(settings)
            }
            material => material,
        };
        match material {
            Ok(material) => {
                let is_known = |known: Arc<Material>| known.digest == material.digest;
                if self.material().is_some_and(is_known) {
                    self.has_failed.store(false, Ordering::Relaxed);
                    return Reload::Unchanged;
                }
                self.set(Arc::new(material));
                Reload::Changed
            }
            Err(error) => {
                warn!("{error}");
                self.has_failed.store(true, Ordering::Relaxed);
                Reload::Failed
            }
        }
    }
}

impl Material {
    /// Reads the files of the settings.
    ///
    /// # Errors
    ///
    /// The first file or setting that cannot be used.
    pub(crate) fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let cert_file = settings.cert_file.as_deref().ok_or(TlsError::NoCertificate)?;
        let key_file = settings.key_file.as_deref().ok_or(TlsError::NoKey)?;
        let has_authority = settings.ca_cert_file.is_some() || settings.ca_cert_dir.is_some();
        // Without the port there are no clients to ask.
        let auth_clients = match settings.port {
            Port::None => ClientCertificates::No,
            _ => settings.auth_clients,
        };
        if auth_clients != ClientCertificates::No && !has_authority {
            return Err(TlsError::NoAuthority);
        }
        let versions = suites::versions(&settings.protocols)?;
        let provider = Arc::new(suites::provider(settings)?);

        let mut files = Files::default();
        let chain = files.certificates(cert_file)?;
        let server = Certificate::parse(&chain[0])
            .map_err(|reason| TlsError::Certificate(shown(cert_file), reason))?;
        if !server.is_valid_now() {
            return Err(TlsError::NotValidNow);
        }
        let key = files.key(key_file)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::Key(shown(key_file), error.to_string()))?;
        // `CertifiedKey::keys_match` refuses certificates of version 1, which OpenSSL makes of a
        // request without extensions. The key may not reveal its public part.
        if key.public_key().is_some_and(|public| *public != *server.public_key) {
            return Err(TlsError::Mismatch(shown(key_file)));
        }
        let certified = CertifiedKey::new(chain, key);

        let (roots, authority) = files.authorities(settings)?;
        let other = |error: &dyn std::error::Error| TlsError::Other(error.to_string());
        let verifier = match auth_clients {
            ClientCertificates::No => WebPkiClientVerifier::no_client_auth(),
            wanted => {
                let roots = Arc::new(roots);
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                if let Some(path) = &settings.crl_file {
                    verifier = verifier
                        .with_crls(files.revocation_lists(path)?)
                        .only_check_end_entity_revocation();
                }
                if wanted == ClientCertificates::Optional {
                    verifier = verifier.allow_unauthenticated();
                }
                verifier.build().map_err(|error| other(&error))?
            }
        };
        let certified = Arc::new(SingleCertAndKey::from(certified));
        #[cfg(feature = "http")]
        let http = {
            let mut http = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&versions)
                .map_err(|error| other(&error))?
                .with_no_client_auth()
                .with_cert_resolver(certified.clone());
            http.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(http)
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| other(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certified);
        config.ignore_client_order = settings.prefer_server_ciphers;
        // Tickets keep sessions at the clients, so that they cost the server no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        if settings.session_caching {
            let timeout = settings.session_cache_timeout;
            config.ticketer = tickets::ticketer(timeout).map_err(|error| other(&error))?;
            config.send_tls13_tickets = 1;
        }
        Ok(Self {
            config: Arc::new(config),
            #[cfg(feature = "http")]
            http,
            user: settings.auth_clients_user,
            server,
            authority,
            digest: files.digest(),
        })
    }
}

impl Material {
    /// Warns of certificates that end within two weeks.
    pub(crate) fn warn_of_end(&self) {
        let authority = self.authority.as_ref().map(|authority| ("a CA", authority));
        for (whose, certificate) in [("the server", &self.server)].into_iter().chain(authority) {
            let days = certificate.seconds_left() / (24 * 60 * 60);
            if days < WARNED_DAYS {
                let serial = &certificate.serial;
                warn!(serial, "the TLS certificate of {whose} ends in {days} days");
            }
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
