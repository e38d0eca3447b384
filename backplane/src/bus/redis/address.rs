//! Where a server is, and what it takes to get in, as a URL says it.
//!
//! ```text
//! redis://[user[:password]@]host[:port][/database]        rediss:// with TLS
//! unix:/path/to/socket[?db=database]
//! redis-sentinel://[user[:password]@]host[:port],…/name-of-the-master[/database]
//! redis-cluster://[user[:password]@]host[:port],…
//! ```
//!
//! Nothing is looked up here.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::bus::error::ConnectError;
use crate::options::Tls;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) login: Login,
    pub(super) database: u32,
    /// With what certificates, if with TLS at all.
    pub(super) tls: Option<Tls>,
    pub(super) client_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Host(Host),
    Unix(PathBuf),
    /// Whoever these say is the master of that name.
    Sentinel {
        sentinels: Vec<Host>,
        master: String,
        login: Login,
    },
    /// Whoever has the channel's slot; these know the others.
    Cluster(Vec<Host>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Address {
    /// An empty password is none.
    pub(super) fn new(host: &str, port: u16, password: &str) -> Self {
        let password = (!password.is_empty()).then(|| password.to_owned());
        Self {
            place: Place::Host(Host { name: host.to_owned(), port }),
            login: Login { user: None, password },
            database: 0,
            tls: None,
            client_name: None,
        }
    }

    pub(super) fn from_url(url: &str) -> Result<Self, ConnectError> {
        parse(url).map_err(|found| ConnectError::Url { found })
    }
}

fn parse(url: &str) -> Result<Address, String> {
    let (scheme, rest) = url.split_once(':').ok_or("no scheme")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, is_tls) = match scheme {
        "redis" | "redis-sentinel" | "redis-cluster" | "unix" | "redis+unix" => (scheme, false),
        "rediss" => ("redis", true),
        "rediss-sentinel" => ("redis-sentinel", true),
        "rediss-cluster" => ("redis-cluster", true),
        _ if rest.starts_with("//") => return Err(format!("the scheme {scheme}://")),
        _ => return Err("no scheme".to_owned()),
    };
    let mut address =
        Address { tls: is_tls.then(Tls::default), ..Address::new("", DEFAULT_PORT, "") };
    let mut sentinel_login = Login::default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        set(&mut address, &mut sentinel_login, parameter)?;
    }
    if kind.ends_with("unix") {
        let path = decoded(rest.strip_prefix("//").unwrap_or(rest))?;
        if path.is_empty() {
            return Err("no path of a socket".to_owned());
        }
        address.place = Place::Unix(path.into());
        return Ok(address);
    }
    let rest = rest.strip_prefix("//").ok_or("no // after the scheme")?;
    let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    if !login.is_empty() {
        address.login = parse_login(login)?;
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts =
        |port| hosts.split(',').map(|host| parse_host(host, port)).collect::<Result<_, _>>();
    let database = match kind {
        "redis-sentinel" => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            if master.is_empty() {
                return Err("no name of a master after the sentinels".to_owned());
            }
            let (sentinels, master) = (hosts(DEFAULT_SENTINEL_PORT)?, decoded(master)?);
            address.place = Place::Sentinel { sentinels, master, login: sentinel_login };
            database
        }
        "redis-cluster" => {
            address.place = Place::Cluster(hosts(DEFAULT_PORT)?);
            match path {
                "" | "0" => "",
                _ => return Err("a database, which a cluster does not have".to_owned()),
            }
        }
        _ => {
            let hosts: Vec<Host> = hosts(DEFAULT_PORT)?;
            let [host] = <[Host; 1]>::try_from(hosts).map_err(|_| "more than one host")?;
            address.place = Place::Host(host);
            path
        }
    };
    if !database.is_empty() {
        address.database = parse_database(database)?;
    }
    Ok(address)
}

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;

fn set(address: &mut Address, sentinel: &mut Login, parameter: &str) -> Result<(), String> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = decoded(value)?;
    let tls = |address: &mut Address, set: fn(&mut Tls, PathBuf)| match &mut address.tls {
        Some(tls) => {
            set(tls, value.clone().into());
            Ok(())
        }
        None => Err(format!("the parameter {name:?}, which needs rediss://")),
    };
    match name {
        "db" => address.database = parse_database(&value)?,
        "user" => address.login.user = Some(value),
        "pass" | "password" => address.login.password = Some(value),
        "client_name" => address.client_name = Some(value),
        "sentinel_user" => sentinel.user = Some(value),
        "sentinel_password" => sentinel.password = Some(value),
        "ca" => tls(address, |tls, path| tls.ca = Some(path))?,
        "cert" => tls(address, |tls, path| tls.certificate = Some(path))?,
        "key" => tls(address, |tls, path| tls.key = Some(path))?,
        // All servers know RESP2, which is what is spoken.
        "protocol" => {}
        _ => return Err(format!("the unknown parameter {name:?}")),
    }
    Ok(())
}

fn parse_login(text: &str) -> Result<Login, String> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (text, None),
    };
    let user = decoded(user)?;
    Ok(Login {
        user: (!user.is_empty()).then_some(user),
        password: password.filter(|password| !password.is_empty()),
    })
}

fn parse_host(text: &str, default_port: u16) -> Result<Host, String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or("a [ without a ]")?;
            (name, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if name.is_empty() {
        return Err("no host".to_owned());
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| format!("the port {port:?}"))?,
        None => default_port,
    };
    Ok(Host { name: decoded(name)?, port })
}

fn parse_database(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("the database {text:?}"))
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| "a % that stands for no text")?.into_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |hosts: &[Host]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match &self.place {
            Place::Host(host) => host.fmt(f),
            Place::Unix(path) => write!(f, "{}", path.display()),
            Place::Sentinel { sentinels, master, .. } => {
                write!(f, "{master} of the sentinels {}", list(sentinels))
            }
            Place::Cluster(hosts) => write!(f, "the cluster of {}", list(hosts)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.into(), port }
    }

    #[test]
    fn a_url_says_where_the_server_is_and_who_we_are() {
        for (url, shown, user, password) in [
            ("redis://host", "host:6379", None, None),
            ("redis://127.0.0.1:7000/0", "127.0.0.1:7000", None, None),
            ("redis://[::1]:7000", "[::1]:7000", None, None),
            ("redis://:pw@host:7000", "host:7000", None, Some("pw")),
            ("redis://ann:p%40%2F@host?protocol=resp3", "host:6379", Some("ann"), Some("p@/")),
            ("unix:/run/redis.sock?user=ann&pass=x", "/run/redis.sock", Some("ann"), Some("x")),
            ("redis-cluster://:pw@a:1,b", "the cluster of a:1,b:6379", None, Some("pw")),
            ("redis-sentinel://a,b:2/chat", "chat of the sentinels a:26379,b:2", None, None),
        ] {
            let address = Address::from_url(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.login.user.as_deref(), user, "{url}");
            assert_eq!(address.login.password.as_deref(), password, "{url}");
            assert!(address.tls.is_none());
        }
    }

    #[test]
    fn a_url_says_the_rest_too() {
        let address = Address::from_url(
            "rediss-sentinel://:pw@a/chat/3?sentinel_password=sp&client_name=web%201&ca=/ca.pem",
        )
        .unwrap();
        let login = Login { user: None, password: Some("sp".into()) };
        let sentinels = vec![host("a", 26379)];
        assert_eq!(address.place, Place::Sentinel { sentinels, master: "chat".into(), login });
        assert_eq!(address.database, 3);
        assert_eq!(address.client_name.as_deref(), Some("web 1"));
        assert_eq!(address.tls.unwrap().ca, Some("/ca.pem".into()));
        assert_eq!(Address::from_url("unix:///s?db=2").unwrap().database, 2);
        assert_eq!(Address::from_url("redis://host/2").unwrap().database, 2);
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why_and_keeps_its_password() {
        for (url, expected) in [
            ("host:6379", "found no scheme"),
            ("", "found no scheme"),
            ("http://host", "found the scheme http://"),
            ("redis://", "found no host"),
            ("redis:host", "found no // after the scheme"),
            ("redis://:secret@host:99999", r#"found the port "99999""#),
            ("redis://:secret@host/chat", r#"found the database "chat""#),
            ("redis://:secret@a,b", "found more than one host"),
            ("redis://host?ca=/x", r#"found the parameter "ca", which needs rediss://"#),
            ("redis://host?color=red", r#"found the unknown parameter "color""#),
            ("redis-sentinel://:secret@host", "found no name of a master after the sentinels"),
            ("redis-cluster://:secret@host/1", "found a database, which a cluster does not have"),
            ("unix:", "found no path of a socket"),
        ] {
            let error = Address::from_url(url).unwrap_err().to_string();
            assert!(error.starts_with("expected a URL such as redis://"), "{error}");
            assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::new("host", 6379, "secret");
        let shown = format!("{address} {address:?} {:?}", address.login);
        assert_eq!(shown, "host:6379 Address(host:6379) Login(None)");
    }
}
