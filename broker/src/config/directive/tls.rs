//! TLS: the port, the files, and the clients' certificates.

use super::{Directive, Kind};
use crate::config::ignored::Change;
use crate::config::parse::{port, seconds, seconds_of};
use crate::config::tls::{CertificateUser, ClientCertificates};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "tls-port",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 0 to 65535, or 'any'",
        kind: Kind::Text {
            get: |config| config.tls.port.to_string().into_bytes(),
            set: |config, value| {
                config.tls.port = port(value)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "tls-cert-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with certificates, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.cert_file,
            get: |config| config.tls.cert_file.clone(),
        },
    },
    Directive {
        name: "tls-key-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with a private key, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.key_file,
            get: |config| config.tls.key_file.clone(),
        },
    },
    Directive {
        name: "tls-client-cert-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with certificates, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.client_cert_file,
            get: |config| config.tls.client_cert_file.clone(),
        },
    },
    Directive {
        name: "tls-client-key-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with a private key, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.client_key_file,
            get: |config| config.tls.client_key_file.clone(),
        },
    },
    Directive {
        name: "tls-ca-cert-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with certificates, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.ca_cert_file,
            get: |config| config.tls.ca_cert_file.clone(),
        },
    },
    Directive {
        name: "tls-ca-cert-dir",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a folder with PEM files, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.ca_cert_dir,
            get: |config| config.tls.ca_cert_dir.clone(),
        },
    },
    Directive {
        name: "tls-crl-file",
        change: Change::Free,
        is_shown: true,
        expects: "the path of a PEM file with revocation lists, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.tls.crl_file,
            get: |config| config.tls.crl_file.clone(),
        },
    },
    Directive {
        name: "tls-auth-clients",
        change: Change::Free,
        is_shown: true,
        expects: "no, yes or optional",
        kind: Kind::Choice {
            names: ClientCertificates::NAMES,
            get: |config| config.tls.auth_clients as usize,
            set: |config, index| config.tls.auth_clients = index.into(),
        },
    },
    Directive {
        name: "tls-auth-clients-user",
        change: Change::Free,
        is_shown: true,
        expects: "off, CN or URI",
        kind: Kind::Choice {
            names: CertificateUser::NAMES,
            get: |config| config.tls.auth_clients_user as usize,
            set: |config, index| config.tls.auth_clients_user = index.into(),
        },
    },
    Directive {
        name: "tls-protocols",
        change: Change::Free,
        is_shown: true,
        expects: "TLSv1.2, TLSv1.3 or both",
        kind: Kind::Text {
            get: |config| config.tls.protocols.clone().into_bytes(),
            set: |config, value| {
                config.tls.protocols = String::from_utf8_lossy(value).into_owned();
                Ok(())
            },
        },
    },
    Directive {
        name: "tls-ciphers",
        change: Change::Free,
        is_shown: true,
        expects: "cipher suites of TLS 1.2, as for OpenSSL",
        kind: Kind::Text {
            get: |config| config.tls.ciphers.clone().into_bytes(),
            set: |config, value| {
                config.tls.ciphers = String::from_utf8_lossy(value).into_owned();
                Ok(())
            },
        },
    },
    Directive {
        name: "tls-ciphersuites",
        change: Change::Free,
        is_shown: true,
        expects: "cipher suites of TLS 1.3, as for OpenSSL",
        kind: Kind::Text {
            get: |config| config.tls.ciphersuites.clone().into_bytes(),
            set: |config, value| {
                config.tls.ciphersuites = String::from_utf8_lossy(value).into_owned();
                Ok(())
            },
        },
    },
    Directive {
        name: "tls-prefer-server-ciphers",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.tls.prefer_server_ciphers,
            get: |config| config.tls.prefer_server_ciphers,
        },
    },
    Directive {
        name: "tls-session-caching",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.tls.session_caching,
            get: |config| config.tls.session_caching,
        },
    },
    Directive {
        name: "tls-session-cache-timeout",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.tls.session_cache_timeout),
            set: |config, value| config.tls.session_cache_timeout = seconds(value),
        },
    },
    Directive {
        name: "tls-auto-reload-interval",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for never",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.tls.auto_reload_interval),
            set: |config, value| config.tls.auto_reload_interval = seconds(value),
        },
    },
];
