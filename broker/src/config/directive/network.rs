//! Addresses, sockets and connections.

use super::{Directive, Kind};
use crate::config::Config;
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, port, seconds, seconds_of, signed, texts, unsigned};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "bind",
        change: Change::Free,
        is_shown: true,
        expects: "up to 16 addresses of this machine, a '-' in front of each that may be missing",
        kind: Kind::List { get: |config| texts(&config.bind), set: set_bind },
    },
    Directive {
        name: "port",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 0 to 65535, or 'any'",
        kind: Kind::Text {
            get: |config| config.port.to_string().into_bytes(),
            set: |config, value| {
                config.port = port(value)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "unixsocket",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a socket, or \"\" for none",
        kind: Kind::Path {
            at: |config| &mut config.unixsocket,
            get: |config| config.unixsocket.clone(),
        },
    },
    Directive {
        name: "unixsocketperm",
        change: Change::Immutable,
        is_shown: true,
        expects: "permissions such as 700",
        kind: Kind::Text {
            get: |config| format!("{:o}", config.unixsocketperm).into_bytes(),
            set: |config, value| {
                let text = std::str::from_utf8(value).map_err(|_| Invalid::NotOctal)?;
                let mode = u32::from_str_radix(text, 8).map_err(|_| Invalid::NotOctal)?;
                config.unixsocketperm =
                    if mode <= 0o777 { mode } else { return Err(Invalid::NotOctal) };
                Ok(())
            },
        },
    },
    Directive {
        name: "protected-mode",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.protected_mode,
            get: |config| config.protected_mode,
        },
    },
    Directive {
        name: "tcp-backlog",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number of connections",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| config.tcp_backlog.into(),
            set: |config, backlog| config.tcp_backlog = u32::try_from(backlog).unwrap_or(u32::MAX),
        },
    },
    Directive {
        name: "tcp-keepalive",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for never",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.tcp_keepalive),
            set: |config, value| config.tcp_keepalive = seconds(value),
        },
    },
    Directive {
        name: "timeout",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for never",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.timeout),
            set: |config, value| config.timeout = seconds(value),
        },
    },
    Directive {
        name: "shutdown-drain",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for none",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.shutdown_drain),
            set: |config, value| config.shutdown_drain = seconds(value),
        },
    },
    Directive {
        name: "maxclients",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 1 to 4294967295",
        kind: Kind::Integer {
            min: 1,
            max: u32::MAX as i64,
            get: |config| signed(config.maxclients),
            set: |config, clients| config.maxclients = unsigned(clients),
        },
    },
];

/// Redis' `CONFIG_BINDADDR_MAX`.
const BIND_ADDRESSES_MAX: usize = 16;

fn set_bind(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    config.bind = addresses(values)?;
    Ok(())
}

/// Reads the addresses of a listener.
pub(super) fn addresses(values: &[Vec<u8>]) -> Result<Vec<String>, Invalid> {
    if values.len() > BIND_ADDRESSES_MAX {
        return Err(Invalid::TooManyAddresses);
    }
    if values.is_empty() {
        return Err(Invalid::ArgumentCount);
    }
    let addresses = values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(addresses.filter(|address| !address.is_empty()).collect())
}
