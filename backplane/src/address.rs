//! The address of a Redis-compatible server, and its form as a URL.
//!
//! ```text
//! redis://[user[:password]@]host[:port][/database]        rediss:// with TLS
//! unix:/path/to/socket[?db=database]
//! redis-sentinel://[user[:password]@]host[:port],…/name-of-the-master[/database]
//! redis-cluster://[user[:password]@]host[:port],…
//! ```
//!
//! This module does no name resolution.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The address of a Redis-compatible server, with its login.
///
/// An address is made of a host and a port, or parsed from a URL:
///
/// | URL | server |
/// |---|---|
/// | `redis://[user:password@]host[:port][/database]` | one server |
/// | `unix:/path/to/socket` | one server, by its socket file |
/// | `redis-sentinel://host[:port],…/master[/database]` | the master that Sentinels report for this name |
/// | `redis-cluster://host[:port],…` | a cluster; the app uses one of its shard channels |
///
/// - `rediss://`, `rediss-sentinel://` and `rediss-cluster://` use TLS. They take PEM files as the
///   parameters `ca`, `cert` and `key`.
/// - All URLs take `client_name`, the name of the connections in `CLIENT LIST`.
/// - Sentinel URLs take `sentinel_user` and `sentinel_password`.
/// - The default port is 6379, for Sentinels 26379.
///
/// # Permissions
///
/// The app's name is a channel and a key. If the server uses ACLs, the user needs these rules:
/// `~app &app +subscribe +evalsha +eval +script|load +script|exists +publish +incr +incrby +get +set`.
///
/// | with | further rules |
/// |---|---|
/// | a cluster | `+ssubscribe +spublish +cluster\|slots +cluster\|keyslot` |
/// | Sentinels | `+role` |
/// | `client_name` | `+client\|setname` |
/// | a broker with a replay buffer | `+pubsub +multi +exec`, to fetch missed messages |
/// | any server | `+pubsub`, to wait for the other servers after an outage; optional |
/// | [`Builder::server_channel`](crate::Builder::server_channel) | `&app.* +ping`; in a cluster `&{app}.* +ping` |
/// | any server | `+info`, to distinguish a restart from a lost connection; optional |
///
/// # Databases
///
/// Channels have no databases, but keys do. All servers of an app must use the same database. Apps
/// in different databases need different names.
///
/// # Clusters
///
/// While a cluster migrates the app's slot, sends wait as in an outage. The wait starts when the
/// key has moved and ends when the slot has, since subscribers are still on the old node.
///
/// ```
/// use backplane::Address;
///
/// let address: Address = "redis://:secret@host".parse()?;
/// assert_eq!(address, Address::new("host", 6379).with_password("secret"));
/// assert_eq!(address.to_string(), "host:6379");
/// # Ok::<(), backplane::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) database: u32,
    /// `None` without TLS.
    pub(crate) tls: Option<Tls>,
    pub(crate) client_name: Option<String>,
}

/// The error for a URL that is not an [`Address`]. Its text contains no password.
///
/// ```
/// let error = "redis://host:99999".parse::<backplane::Address>().unwrap_err();
/// let expected =
///     r#"expected a URL such as redis://user:password@host:6379, found the port "99999""#;
/// assert_eq!(error.to_string(), expected);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a URL such as redis://user:password@host:6379, found {found}")]
pub struct AddressError {
    found: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host(Host),
    Unix(PathBuf),
    /// The master that these Sentinels report for the name.
    Sentinel {
        sentinels: Vec<Host>,
        master: String,
        login: Login,
    },
    /// The owner of the channel's slot; these members report it.
    Cluster(Vec<Host>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// PEM files for connections with TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The authorities that may sign the server's certificate. `None` means the system's list.
    pub(crate) ca: Option<PathBuf>,
    /// Our own certificate.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Address {
    /// Returns the address of one server, without a login and without TLS.
    ///
    /// ```
    /// let address = backplane::Address::new("127.0.0.1", 6379);
    /// assert_eq!(address.to_string(), "127.0.0.1:6379");
    /// ```
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            place: Place::Host(Host { name: host.into(), port }),
            login: Login::default(),
            database: 0,
            tls: None,
            client_name: None,
        }
    }

    /// Replaces the password. An empty password means none.
    ///
    /// ```
    /// let address = backplane::Address::new("127.0.0.1", 6379).with_password("secret");
    /// assert_eq!(address.password(), Some("secret"));
    /// ```
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(password.into()).filter(|password| !password.is_empty());
        self
    }

    /// Returns the password.
    ///
    /// ```
    /// let address: backplane::Address = "redis://ann@host".parse()?;
    /// assert_eq!(address.password(), None);
    /// # Ok::<(), backplane::AddressError>(())
    /// ```
    pub fn password(&self) -> Option<&str> {
        self.login.password.as_deref()
    }

    /// Returns the `redis-cli` command that prints the messages of an app: the program and its
    /// arguments, without quoting.
    ///
    /// The arguments include the password. For Sentinels, the command prints the address of the
    /// master instead.
    ///
    /// ```
    /// let address = backplane::Address::new("10.0.0.1", 6379);
    /// let words = ["redis-cli", "-h", "10.0.0.1", "-p", "6379", "SUBSCRIBE", "ChatApp"];
    /// assert_eq!(address.redis_cli("ChatApp"), words);
    /// ```
    pub fn redis_cli(&self, app_name: &str) -> Vec<String> {
        let mut words = vec!["redis-cli".to_owned()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(ToString::to_string));
        if self.tls.is_some() {
            add(&["--tls"]);
        }
        let (host, command) = match &self.place {
            Place::Unix(path) => {
                add(&["-s", &path.to_string_lossy()]);
                (None, "SUBSCRIBE")
            }
            Place::Host(host) => (Some(host), "SUBSCRIBE"),
            Place::Sentinel { sentinels, .. } => (sentinels.first(), "SUBSCRIBE"),
            Place::Cluster(members) => {
                add(&["-c"]);
                (members.first(), "SSUBSCRIBE")
            }
        };
        if let Some(Host { name, port }) = host {
            if !matches!(name.as_str(), "127.0.0.1" | "localhost") {
                add(&["-h", name]);
            }
            add(&["-p", &port.to_string()]);
        }
        if let Place::Sentinel { master, .. } = &self.place {
            add(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]);
            return words;
        }
        if let Some(user) = &self.login.user {
            add(&["--user", user]);
        }
        if let Some(password) = &self.login.password {
            add(&["-a", password]);
        }
        add(&[command, app_name]);
        words
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        parse(url).map_err(|found| AddressError { found })
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(url: &str) -> Result<Self, AddressError> {
        url.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = AddressError;

    fn try_from(url: &String) -> Result<Self, AddressError> {
        url.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(url: String) -> Result<Self, AddressError> {
        url.parse()
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
    let mut address = Address { tls: is_tls.then(Tls::default), ..Address::new("", DEFAULT_PORT) };
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
        // All servers support RESP2, the only protocol that this crate uses.
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
    fn a_url_contains_the_place_and_the_login() {
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
            let address = url.parse::<Address>().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.login.user.as_deref(), user, "{url}");
            assert_eq!(address.login.password.as_deref(), password, "{url}");
            assert!(address.tls.is_none());
        }
    }

    #[test]
    fn a_url_contains_further_parameters() {
        let url =
            "rediss-sentinel://:pw@a/chat/3?sentinel_password=sp&client_name=web%201&ca=/ca.pem";
        let address: Address = url.parse().unwrap();
        let login = Login { user: None, password: Some("sp".into()) };
        let sentinels = vec![host("a", 26379)];
        assert_eq!(address.place, Place::Sentinel { sentinels, master: "chat".into(), login });
        assert_eq!(address.database, 3);
        assert_eq!(address.client_name.as_deref(), Some("web 1"));
        assert_eq!(address.tls.unwrap().ca, Some("/ca.pem".into()));
        assert_eq!("unix:///s?db=2".parse::<Address>().unwrap().database, 2);
        assert_eq!("redis://host/2".parse::<Address>().unwrap().database, 2);
    }

    #[test]
    fn the_error_of_an_invalid_url_hides_its_password() {
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
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.starts_with("expected a URL such as redis://"), "{error}");
            assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn redis_cli_watches_the_channel_of_an_app() {
        for (url, app_name, expected) in [
            ("redis://127.0.0.1:6379", "ChatApp", "redis-cli|-p|6379|SUBSCRIBE|ChatApp"),
            ("redis://localhost", "ChatApp", "redis-cli|-p|6379|SUBSCRIBE|ChatApp"),
            (
                "redis://:p%40ss@10.0.0.1:7000",
                "my chat",
                "redis-cli|-h|10.0.0.1|-p|7000|-a|p@ss|SUBSCRIBE|my chat",
            ),
            (
                "rediss://ann:it%27s@[::1]",
                "$x",
                "redis-cli|--tls|-h|::1|-p|6379|--user|ann|-a|it's|SUBSCRIBE|$x",
            ),
            ("unix:/run/r.sock?pass=x", "App", "redis-cli|-s|/run/r.sock|-a|x|SUBSCRIBE|App"),
            ("redis-cluster://a:1,b:2", "App", "redis-cli|-c|-h|a|-p|1|SSUBSCRIBE|App"),
            (
                "rediss-sentinel://:x@a,b:2/chat/3",
                "App",
                "redis-cli|--tls|-h|a|-p|26379|SENTINEL|GET-MASTER-ADDR-BY-NAME|chat",
            ),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!(address.redis_cli(app_name).join("|"), expected, "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::new("host", 6379).with_password("secret");
        let shown = format!("{address} {address:?} {:?}", address.login);
        assert_eq!(shown, "host:6379 Address(host:6379) Login(None)");
    }
}
