//! The versions of TLS and the cipher suites, by OpenSSL's names.

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite as suites, default_provider};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use tracing::warn;

use super::TlsError;
use crate::config::tls::TlsSettings;

/// Of TLS 1.2, in the order of preference.
static TLS12_SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Of TLS 1.3, in the order of preference.
static TLS13_SUITES: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suites::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suites::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", suites::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Names for all suites that are left.
const ALL: [&str; 3] = ["DEFAULT", "ALL", "HIGH"];

/// Returns the versions that `tls-protocols` names, as words in any case.
pub(super) fn versions(
    protocols: &str,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let names: Vec<String> = protocols.split_whitespace().map(str::to_lowercase).collect();
    if names.is_empty() {
        return Ok(vec![&TLS13, &TLS12]);
    }
    let known = ["tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
    if !names.iter().all(|name| known.contains(&name.as_str())) {
        return Err(TlsError::Protocols);
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let versions = [("tlsv1.3", &TLS13), ("tlsv1.2", &TLS12)];
    let versions: Vec<_> =
        versions.into_iter().filter(|(name, _)| has(name)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        return Err(TlsError::OldProtocols);
    }
    if has("tlsv1") || has("tlsv1.1") {
        warn!("TLS below 1.2 is not offered, whatever tls-protocols has");
    }
    Ok(versions)
}

/// Returns ring's provider with the cipher suites of the settings.
pub(super) fn provider(settings: &TlsSettings) -> Result<CryptoProvider, TlsError> {
    let TlsSettings { ciphers, ciphersuites, .. } = settings;
    let newer = match ciphersuites.as_str() {
        "" => TLS13_SUITES.to_vec(),
        list => selected(list, &TLS13_SUITES),
    };
    if newer.is_empty() {
        return Err(TlsError::CipherSuites(ciphersuites.clone()));
    }
    let older = match ciphers.as_str() {
        "" => TLS12_SUITES.to_vec(),
        list => selected(list, &TLS12_SUITES),
    };
    if older.is_empty() {
        return Err(TlsError::Ciphers(ciphers.clone()));
    }
    let cipher_suites = newer.into_iter().chain(older).map(|(_, suite)| suite).collect();
    Ok(CryptoProvider { cipher_suites, ..default_provider() })
}

/// Reads a list of OpenSSL: names add suites, `-` removes them, and `!` does so for good. Names of
/// other suites are left out, as OpenSSL does, with a warning.
fn selected<T: Clone>(list: &str, known: &[(&'static str, T)]) -> Vec<(&'static str, T)> {
    let mut left = known.to_vec();
    let mut chosen: Vec<(&'static str, T)> = Vec::new();
    let mut unknown = Vec::new();
    for term in list.split([':', ',', ' ']).filter(|term| !term.is_empty()) {
        if let Some(removed) = term.strip_prefix(['!', '-']) {
            chosen.retain(|(name, _)| !is_meant(name, removed));
            if term.starts_with('!') {
                left.retain(|(name, _)| !is_meant(name, removed));
            }
            continue;
        }
        let meant: Vec<_> = left.iter().filter(|(name, _)| is_meant(name, term)).cloned().collect();
        if meant.is_empty() && !term.starts_with('@') {
            unknown.push(term);
        }
        for suite in meant {
            if chosen.iter().all(|(name, _)| *name != suite.0) {
                chosen.push(suite);
            }
        }
    }
    if !unknown.is_empty() {
        let offered = TLS12_SUITES.iter().chain(&TLS13_SUITES).map(|(name, _)| *name);
        let offered = offered.collect::<Vec<_>>().join(" ");
        warn!("cipher suites left out: {}; offered are {offered}", unknown.join(" "));
    }
    chosen
}

/// Returns whether a term names a suite: by its full name, by parts of it such as `ECDHE+AESGCM`, or
/// with all others.
fn is_meant(name: &str, term: &str) -> bool {
    let has = |part: &str| name.split('-').any(|own| own == part);
    let is_part = |part: &str| match part {
        "AES" | "AESGCM" => name.contains("AES"),
        "kECDHE" | "EECDH" | "ECDH" => has("ECDHE"),
        "aRSA" => has("RSA"),
        "aECDSA" => has("ECDSA"),
        part => has(part),
    };
    term == name || ALL.contains(&term) || term.split('+').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        selected(list, &TLS12_SUITES).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_list_selects_suites_in_its_order() {
        let [first, second, third, ..] = TLS12_SUITES.map(|(name, _)| name);
        assert_eq!(names(&format!("{third}:{first}")), [third, first]);
        assert_eq!(names("HIGH:!aNULL:!MD5:@STRENGTH").len(), 6);
        assert_eq!(names("ALL:!aRSA:-CHACHA20"), [first, second]);
        assert_eq!(names(&format!("!{first}:ECDSA")), [second, third]);
        assert_eq!(names("ECDHE+AESGCM:!RSA"), [first, second]);
        assert_eq!(names(&format!("AES128-SHA:{second}")), [second]);
        for nothing in ["AES128-SHA", "!ALL:ALL", ":", "EDH+AESGCM"] {
            assert!(names(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn versions_are_words_in_any_case() {
        let count = |protocols| versions(protocols).map(|versions| versions.len());
        assert_eq!(count("").unwrap(), 2);
        assert_eq!(count("tlsv1.2 TLSv1.3").unwrap(), 2);
        assert_eq!(count("TLSv1.1 TLSV1.2").unwrap(), 1);
        assert!(matches!(count("TLSv1 TLSv1.1"), Err(TlsError::OldProtocols)));
        for wrong in ["TLSv1.4", "TLSv1.2,TLSv1.3", "SSLv3 TLSv1.2"] {
            assert!(matches!(count(wrong), Err(TlsError::Protocols)), "{wrong}");
        }
    }
}
