//! Where the broker is, as the text that the backplane takes, and how to watch it there.
//!
//! Whether an address makes sense is for the backplane to say. Here it is only taken apart as far as
//! a password is to be put into it, or a line for `redis-cli` to be made of it.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Such as `redis://:password@host:port`, or with several hosts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

/// What an address says, without its escapes.
struct Parts<'a> {
    scheme: &'a str,
    user: String,
    password: Option<String>,
    /// Of several the first.
    host: &'a str,
    port: Option<&'a str>,
    /// After the hosts, or of the socket file.
    path: String,
}

/// Both the address and `--password` have one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("both --redis and --password have a password, expected one of them")]
pub(crate) struct PasswordTwice;

impl Address {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The address of a broker on this machine.
    pub(crate) fn here(port: u16) -> Self {
        Self(format!("redis://127.0.0.1:{port}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Adds a password, if it is one. All kinds of addresses take it as a parameter.
    ///
    /// # Errors
    ///
    /// When there is one already.
    pub(crate) fn with_password(self, password: &str) -> Result<Self, PasswordTwice> {
        if password.is_empty() {
            return Ok(self);
        }
        if self.parts().is_some_and(|parts| parts.password.is_some()) {
            return Err(PasswordTwice);
        }
        let separator = if self.0.contains('?') { '&' } else { '?' };
        let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
        Ok(Self(format!("{}{separator}password={password}", self.0)))
    }

    /// The `redis-cli` line that shows the channel of an app. Of a master that Sentinels know, the
    /// one that tells where it is.
    pub(crate) fn watch_line(&self, app_name: &str) -> Option<String> {
        let parts = self.parts()?;
        let mut line = String::from("redis-cli");
        if parts.scheme.starts_with("rediss") {
            line += " --tls";
        }
        let kind = parts.scheme.split_once('-').map(|(_, kind)| kind);
        if kind == Some("cluster") {
            line += " -c";
        }
        if parts.is_socket_file() {
            let _ = write!(line, " -s {}", shell_word(&parts.path));
        } else {
            if !matches!(parts.host, "127.0.0.1" | "localhost") {
                let _ = write!(line, " -h {}", parts.host);
            }
            let default = if kind == Some("sentinel") { "26379" } else { "6379" };
            let _ = write!(line, " -p {}", parts.port.unwrap_or(default));
        }
        if kind == Some("sentinel") {
            let master = parts.path.split('/').next().unwrap_or_default();
            let _ = write!(line, " SENTINEL GET-MASTER-ADDR-BY-NAME {}", shell_word(master));
            return Some(line);
        }
        if !parts.user.is_empty() {
            let _ = write!(line, " --user {}", shell_word(&parts.user));
        }
        if let Some(password) = &parts.password {
            let _ = write!(line, " -a {}", shell_word(password));
        }
        let command = if kind == Some("cluster") { "SSUBSCRIBE" } else { "SUBSCRIBE" };
        let _ = write!(line, " {command} {}", shell_word(app_name));
        Some(line)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let (scheme, rest) = self.0.split_once(':')?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let mut parts = Parts {
            scheme,
            user: String::new(),
            password: None,
            host: "",
            port: None,
            path: decoded(rest),
        };
        if !parts.is_socket_file() {
            let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            parts.user = decoded(user);
            parts.password = (!password.is_empty()).then(|| decoded(password));
            let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
            (parts.host, parts.port) = host_and_port(hosts.split(',').next().unwrap_or_default());
            parts.path = decoded(path);
        }
        for (name, value) in query.split('&').filter_map(|parameter| parameter.split_once('=')) {
            match name {
                "user" => parts.user = decoded(value),
                "pass" | "password" => parts.password = Some(decoded(value)),
                _ => {}
            }
        }
        Some(parts)
    }
}

impl Parts<'_> {
    fn is_socket_file(&self) -> bool {
        self.scheme.ends_with("unix")
    }
}

/// Addresses may hold a password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.0.split(':').next().unwrap_or_default();
        write!(f, "Address({scheme}:…)")
    }
}

fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    }
}

/// What stands in an address with its escapes, without them.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The text as one word of a shell's line.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watch_line_can_be_pasted_into_a_shell() {
        for (address, app_name, expected) in [
            ("redis://127.0.0.1:6379", "ChatApp", "redis-cli -p 6379 SUBSCRIBE ChatApp"),
            ("redis://localhost", "ChatApp", "redis-cli -p 6379 SUBSCRIBE ChatApp"),
            (
                "redis://:p%40ss@10.0.0.1:7000",
                "my chat",
                "redis-cli -h 10.0.0.1 -p 7000 -a p@ss SUBSCRIBE 'my chat'",
            ),
            (
                "rediss://ann:it%27s@[::1]",
                "$x",
                r"redis-cli --tls -h ::1 -p 6379 --user ann -a 'it'\''s' SUBSCRIBE '$x'",
            ),
            ("unix:/run/r.sock?pass=x", "App", "redis-cli -s /run/r.sock -a x SUBSCRIBE App"),
            ("redis-cluster://a:1,b:2", "App", "redis-cli -c -h a -p 1 SSUBSCRIBE App"),
            (
                "rediss-sentinel://:x@a,b:2/chat/3",
                "App",
                "redis-cli --tls -h a -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME chat",
            ),
        ] {
            let line = Address::new(address).watch_line(app_name);
            assert_eq!(line.as_deref(), Some(expected), "{address}");
        }
        assert_eq!(Address::new("nonsense").watch_line("App"), None);
    }

    #[test]
    fn a_password_is_added_to_any_address() {
        for (address, expected) in [
            ("redis://127.0.0.1:7000", "redis://127.0.0.1:7000?password=p%40s%26s"),
            ("redis://ann@host", "redis://ann@host?password=p%40s%26s"),
            ("redis-sentinel://a,b/chat", "redis-sentinel://a,b/chat?password=p%40s%26s"),
            ("unix:/s?db=2", "unix:/s?db=2&password=p%40s%26s"),
        ] {
            let added = Address::new(address).with_password("p@s&s").expect("it has none");
            assert_eq!(added.as_str(), expected);
        }
        for address in ["redis://:y@host", "unix:/s?pass=y", "redis-cluster://ann:y@a,b"] {
            assert_eq!(Address::new(address).with_password("x"), Err(PasswordTwice), "{address}");
            let same = Address::new(address);
            assert_eq!(same.clone().with_password(""), Ok(same));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(format!("{:?}", Address::new("redis://:secret@host")), "Address(redis:…)");
    }
}
