//! Reads PEM files, and keeps a digest of all that it has read.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::certificate::Certificate;
use super::{Digest, Sha256, TlsError, shown};
use crate::config::tls::TlsSettings;

#[derive(Default)]
pub(super) struct Files {
    digest: Sha256,
}

impl Files {
    /// Returns the digest of all files so far.
    pub(super) fn digest(self) -> [u8; 32] {
        self.digest.finalize().into()
    }

    /// Returns the certificate of the server, followed by those of the authorities between it and
    /// one that clients know.
    pub(super) fn certificates(
        &mut self,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.items(path).map_err(|reason| TlsError::Certificate(shown(path), reason))
    }

    pub(super) fn key(&mut self, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        let failed = |reason: String| TlsError::Key(shown(path), reason);
        let text = self.read(path).map_err(|error| failed(error.to_string()))?;
        let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
        if has(b"ENCRYPTED") {
            let remedy =
                "it has a password; write it without one by 'openssl pkey -in OLD -out NEW'";
            return Err(failed(remedy.to_owned()));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| failed(reason(&error)))
    }

    /// Returns the authorities that sign certificates of clients, and the one that ends first.
    pub(super) fn authorities(
        &mut self,
        settings: &TlsSettings,
    ) -> Result<(RootCertStore, Option<Certificate>), TlsError> {
        let mut roots = RootCertStore::empty();
        let mut first: Option<Certificate> = None;
        let mut add = |path: &Path, certificate: CertificateDer<'static>| {
            let failed = |reason: String| TlsError::Authority(shown(path), reason);
            let parsed = Certificate::parse(&certificate).map_err(failed)?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            if first.as_ref().is_none_or(|first| parsed.ends < first.ends) {
                first = Some(parsed);
            }
            Ok(())
        };
        if let Some(path) = &settings.ca_cert_file {
            let items: Vec<CertificateDer<'_>> =
                self.items(path).map_err(|reason| TlsError::Authority(shown(path), reason))?;
            items.into_iter().try_for_each(|item| add(path, item))?;
        }
        if let Some(folder) = &settings.ca_cert_dir {
            let failed = |error: io::Error| TlsError::Authority(shown(folder), error.to_string());
            let mut paths = std::fs::read_dir(folder)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .map_err(failed)?;
            let paths: &mut Vec<PathBuf> = &mut paths;
            paths.sort();
            // Such a folder has other files as well.
            for path in paths.iter().filter(|path| path.is_file()) {
                let items: Vec<CertificateDer<'_>> = self.items(path).unwrap_or_default();
                items.into_iter().try_for_each(|item| add(path, item))?;
            }
        }
        if roots.is_empty()
            && let Some(path) = settings.ca_cert_dir.as_ref().or(settings.ca_cert_file.as_ref())
        {
            return Err(TlsError::Authority(shown(path), "no certificate found".to_owned()));
        }
        Ok((roots, first))
    }

    pub(super) fn revocation_lists(
        &mut self,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        self.items(path).map_err(|reason| TlsError::RevocationList(shown(path), reason))
    }

    /// Returns all items of one kind in a file, at least one.
    fn items<T: PemObject>(&mut self, path: &Path) -> Result<Vec<T>, String> {
        let text = self.read(path).map_err(|error| error.to_string())?;
        let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&text).collect();
        match items {
            Ok(items) if items.is_empty() => Err(reason(&pem::Error::NoItemsFound)),
            items => items.map_err(|error| reason(&error)),
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let text = std::fs::read(path)?;
        self.digest.update((text.len() as u64).to_be_bytes());
        self.digest.update(&text);
        Ok(text)
    }
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "no such item in PEM form found".to_owned(),
        error => error.to_string(),
    }
}
