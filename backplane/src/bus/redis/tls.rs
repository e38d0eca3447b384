//! TLS with rustls and ring: trusted authorities, and our own certificate.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::address::Tls;
use crate::bus::error::ConnectError;

/// Reads the PEM files, and returns a connector that uses them.
pub(super) fn connector(tls: &Tls) -> Result<TlsConnector, ConnectError> {
    // Named explicitly, since a process may contain several providers.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&"the protocol versions", &error))?
        .with_root_certificates(roots(tls)?);
    let config = match (&tls.certificate, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| fault(&certificate.display(), &error))?,
        (Some(certificate), None) => {
            return Err(fault(&certificate.display(), &"expected its key, found none"));
        }
        (None, Some(key)) => {
            return Err(fault(&key.display(), &"expected its certificate, found none"));
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(tls: &Tls) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &tls.ca else {
        // rustls may reject some certificates of the system's list; use the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| fault(&ca.display(), &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&path.display(), &error))?;
    match certificates.is_empty() {
        true => Err(fault(&path.display(), &"expected a certificate, found none")),
        false => Ok(certificates),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConnectError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| fault(&path.display(), &error))
}

fn fault(file: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Tls { file: file.to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let missing = dir.path().join("missing.pem");
        for tls in [
            Tls { ca: Some(empty.clone()), ..Tls::default() },
            Tls { ca: Some(missing.clone()), ..Tls::default() },
            Tls { certificate: Some(empty.clone()), ..Tls::default() },
            Tls { key: Some(empty.clone()), ..Tls::default() },
        ] {
            let Err(error) = connector(&tls) else { panic!("{tls:?} was taken") };
            let error = error.to_string();
            assert!(error.starts_with("cannot use ") && error.contains(".pem for TLS"), "{error}");
        }
    }

    #[test]
    fn nothing_is_needed_but_the_systems_list() {
        assert!(connector(&Tls::default()).is_ok());
    }
}
