//! The HTTP port of the console page, metrics and checks.

use super::network::addresses;
use super::{Directive, Kind};
use crate::config::http::HttpSettings;
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, port, texts};

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
        expects: "a token, then a user if it is to open the console page, or \"\" for none",
        kind: Kind::List {
            get: |config| {
                let HttpSettings { token, user, .. } = &config.http;
                let token = token.clone().unwrap_or_default();
                [Some(token), user.clone().map(String::into_bytes)].into_iter().flatten().collect()
            },
            set: |config, values| {
                let (token, user) = match values {
                    [token] => (token, None),
                    [token, user] => (token, Some(text(user))),
                    _ => return Err(Invalid::ArgumentCount),
                };
                config.http.token = (!token.is_empty()).then(|| token.clone());
                config.http.user = user;
                Ok(())
            },
        },
    },
    Directive {
        name: "http-tls",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag { at: |config| &mut config.http.tls, get: |config| config.http.tls },
    },
    Directive {
        name: "http-names",
        change: Change::Free,
        is_shown: true,
        expects: "names of hosts, or \"\" for none",
        kind: Kind::List {
            get: |config| match &config.http.names[..] {
                [] => vec![Vec::new()],
                names => texts(names),
            },
            set: |config, values| {
                let names = values.iter().filter(|name| !name.is_empty());
                config.http.names = names.map(|name| text(name)).collect();
                Ok(())
            },
        },
    },
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
