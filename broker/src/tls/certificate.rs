//! Facts of certificates: serial numbers, times of validity, and the names of clients.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::tls::CertificateUser;

/// The facts of one certificate that operators need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The serial number, in hexadecimal.
    pub(crate) serial: String,
    /// Seconds since 1970.
    begins: i64,
    /// Seconds since 1970.
    pub(crate) ends: i64,
    /// The public key with its algorithm, in DER.
    pub(super) public_key: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// A description of the mistake in its encoding.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let serial = parsed.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect();
        let validity = parsed.validity();
        let (begins, ends) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { serial, begins, ends, public_key: parsed.public_key().raw.to_vec() })
    }

    pub(super) fn is_valid_now(&self) -> bool {
        (self.begins..=self.ends).contains(&seconds_since_1970())
    }

    /// Returns the seconds until the end of its validity; negative after it.
    pub(crate) fn seconds_left(&self) -> i64 {
        self.ends - seconds_since_1970()
    }
}

/// Returns the names in a client's certificate that may be those of a user, in their order.
pub(crate) fn user_names(der: &CertificateDer<'_>, wanted: CertificateUser) -> Vec<Vec<u8>> {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return Vec::new() };
    match wanted {
        CertificateUser::Off => Vec::new(),
        CertificateUser::CommonName => {
            // One name alone is beyond doubt.
            let mut names = parsed.subject().iter_common_name();
            match (names.next().and_then(|name| name.as_str().ok()), names.next()) {
                (Some(name), None) => vec![name.as_bytes().to_vec()],
                _ => Vec::new(),
            }
        }
        CertificateUser::Uri => {
            let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
            let uri = |name: &GeneralName<'_>| match name {
                GeneralName::URI(uri) => Some(uri.as_bytes().to_vec()),
                _ => None,
            };
            names.value.general_names.iter().filter_map(uri).collect()
        }
    }
}

fn seconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
