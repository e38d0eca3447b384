//! The configuration of the connection to a master.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::files::Files;
use super::{TlsError, suites};
use crate::config::tls::TlsSettings;

/// Reads the files of the settings. The replica shows the certificate for clients, or that of the server, if
/// there is one.
///
/// # Errors
///
/// The first file or setting that cannot be used.
pub(crate) fn link_config(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    if settings.ca_cert_file.is_none() && settings.ca_cert_dir.is_none() {
        return Err(TlsError::NoAuthority);
    }
    let versions = suites::versions(&settings.protocols)?;
    let provider = Arc::new(suites::provider(settings)?);
    let mut files = Files::default();
    let (roots, _) = files.authorities(settings)?;
    let other = |error: &dyn std::error::Error| TlsError::Other(error.to_string());
    let verifier = AnyName::new(roots, provider.clone()).map_err(|error| other(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| other(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let own = (&settings.cert_file, &settings.key_file);
    let shown = match (&settings.client_cert_file, &settings.client_key_file) {
        (None, None) => own,
        (Some(_), None) => return Err(TlsError::NoKey),
        (None, Some(_)) => return Err(TlsError::NoCertificate),
        of_client => of_client,
    };
    match shown {
        (Some(cert), Some(key)) => {
            let (chain, key) = (files.certificates(cert)?, files.key(key)?);
            builder.with_client_auth_cert(chain, key).map_err(|error| other(&error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// Accepts each certificate of the authorities, whatever its name is: as in Redis, `replicaof` may name the
/// master by an address that its certificate does not have.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl AnyName {
    fn new(
        roots: RootCertStore,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Self, rustls::client::VerifierBuilderError> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map(Self)
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last, so all else is as it must be.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
