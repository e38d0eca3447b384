//! The HTTP port of metrics and checks.

use super::network::addresses;
use super::{Directive, Kind};
use crate::config::ignored::Change;
use crate::config::parse::{port, texts};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "http-port",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number from 0 to 65535, or 'any'",
        kind: Kind::Text {
            get: |config| config.http.port.to_string().into_bytes(),
            set: |config, value| {
                config.http.port = port(value)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "http-bind",
        change: Change::Immutable,
        is_shown: true,
        expects: "up to 16 addresses of this machine, a '-' in front of each that may be missing",
        kind: Kind::List {
            get: |config| texts(&config.http.bind),
            set: |config, values| {
                config.http.bind = addresses(values)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "http-token",
        change: Change::Free,
        is_shown: true,
        expects: "a token, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.http.token.clone().unwrap_or_default(),
            set: |config, token| {
                config.http.token = (!token.is_empty()).then(|| token.to_vec());
                Ok(())
            },
        },
    },
];
