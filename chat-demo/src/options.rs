//! The command line, with the address and password of the broker.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use backplane::{Address, AddressError, Backplane, Builder};
use clap::Parser;
use signalr::{CallLimit, OriginError};

use crate::{
    classic::{Scripts, ScriptsError},
    descriptors,
    hub::{self, HUB},
};

/// The tutorial's chat: a broker and two web servers in one process.
///
/// Open both printed addresses in two windows. A message at one server appears at the other.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Use an existing Redis or broker, and start none: redis://:PASSWORD@HOST:PORT, or another
    /// address for the backplane, such as Sentinels or a cluster
    #[arg(long, value_name = "URL", conflicts_with = "broker_port")]
    redis: Option<String>,

    /// Address of a web server; repeat the option for more servers
    #[arg(long, value_name = "ADDR", default_values = ["127.0.0.1:5001", "127.0.0.1:5002"])]
    pub(crate) listen: Vec<SocketAddr>,

    /// Address of a load balancer without sticky sessions, in front of the web servers
    #[arg(long, value_name = "ADDR")]
    pub(crate) load_balancer: Option<SocketAddr>,

    /// Address of a web server of another process, behind the load balancer; repeat the option for more
    /// servers. The process is then a load balancer only
    #[arg(long, value_name = "ADDR", requires = "load_balancer", conflicts_with = "listen")]
    pub(crate) behind: Vec<SocketAddr>,

    /// Origin of another site whose pages may connect, such as `https://chat.example.com`; repeat the
    /// option for more origins
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Name of a host that browsers may request besides the loopback names and those of
    /// `--allow-origin`, such as `chat.example.com`; repeat the option for more hosts. Servers on other than loopback
    /// addresses accept every host unless the option is given
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,

    /// Directory with jQuery 3 and the client of SignalR 2, for the page at `/classic`. Without it
    /// the page shows how to fetch them
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,

    /// Seconds over which a shutdown by SIGTERM spreads the closes of its clients, at most 3600.
    /// Ctrl-C closes them at once
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    drain: u64,

    /// Messages that a person with a name may send within five seconds
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    message_limit: u32,

    /// Name of the app and of its channel on the broker
    #[arg(long, value_name = "NAME", default_value = "ChatApp")]
    pub(crate) app_name: String,

    /// Servers with which the app shares its messages: those of SignalR 2, or those of ASP.NET Core
    /// with the hub type `ChatHub` in a namespace of the app's name
    #[arg(long, value_enum, default_value_t = Dialect::Signalr2)]
    dialect: Dialect,

    /// Password of the broker
    #[arg(long, default_value = "", hide_default_value = true)]
    password: String,

    /// Port of the embedded broker
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    pub(crate) broker_port: u16,
}

/// The values of `--dialect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Dialect {
    Signalr2,
    Aspnetcore,
}

impl Options {
    /// Returns the name of the hub, and the backplane of the server at an address.
    pub(crate) fn backplane(&self, own: SocketAddr) -> (String, Builder) {
        // The name stands in the list of clients of the broker, and beside the people of a room.
        let builder = Backplane::builder(&self.app_name).client_name(own.to_string());
        let builder = builder.presence([hub::ROOMS]);
        match self.dialect {
            Dialect::Signalr2 => (HUB.to_owned(), builder),
            Dialect::Aspnetcore => {
                let dialect = backplane::Dialect::AspNetCore { channel_prefix: String::new() };
                (format!("{}.{HUB}", self.app_name), builder.dialect(dialect))
            }
        }
    }

    /// Returns the channel of messages to all clients.
    pub(crate) fn channel(&self) -> String {
        match self.dialect {
            Dialect::Signalr2 => self.app_name.clone(),
            Dialect::Aspnetcore => format!("{}.{HUB}:all", self.app_name),
        }
    }

    /// Returns the options that all hubs share.
    ///
    /// # Errors
    ///
    /// If a value of `--allow-origin` is not an origin.
    pub(crate) fn hub(&self) -> Result<signalr::Options, OriginError> {
        let mut options = signalr::Options::default();
        options.readiness_pause = NOTICE;
        options.groups_max = hub::ROOMS_MAX;
        self.allow_origin.iter().try_fold(options, |options, origin| options.allow_origin(origin))
    }

    /// Returns the time over which a shutdown spreads the closes of its clients.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }

    /// Returns the limit of the messages of each person.
    pub(crate) fn messages(&self) -> CallLimit {
        CallLimit::per_user(self.message_limit, Duration::from_secs(5))
    }

    /// Returns the maximum number of hub connections of each web server.
    pub(crate) fn connections_max(&self, descriptors: usize) -> usize {
        // The load balancer uses two descriptors for each connection.
        let ends = if self.load_balancer.is_some() { 3 } else { 1 };
        descriptors::connections_max(descriptors, ends * self.listen.len())
    }

    /// Returns the options with the hosts of the server at an address.
    ///
    /// A page of another name that points to a loopback address is an attack (DNS rebinding).
    pub(crate) fn with_hosts(&self, options: signalr::Options, own: IpAddr) -> signalr::Options {
        self.hosts(own).iter().fold(options, |options, host| options.allow_host(host))
    }

    /// Returns the hosts to serve. An empty list stands for all.
    fn hosts(&self, own: IpAddr) -> Vec<String> {
        let mut hosts = self.allow_host.clone();
        if own.is_loopback() || !hosts.is_empty() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
            hosts.push(match own {
                IpAddr::V4(own) => own.to_string(),
                IpAddr::V6(own) => format!("[{own}]"),
            });
            hosts.extend(self.allow_origin.iter().filter_map(|origin| host(origin)));
        }
        hosts
    }

    /// Reads the scripts for the page at `/classic`, if the option names their directory.
    ///
    /// # Errors
    ///
    /// If a script is missing or cannot be read.
    pub(crate) fn scripts(&self) -> Result<Option<Scripts>, ScriptsError> {
        self.scripts.as_deref().map(Scripts::read).transpose()
    }

    /// Returns the password of the embedded broker.
    pub(crate) fn requirepass(&self) -> Option<Vec<u8>> {
        (!self.password.is_empty()).then(|| self.password.clone().into_bytes())
    }

    /// Returns the address given by `--redis`, with the password of either option.
    ///
    /// # Errors
    ///
    /// If the address is invalid, or if both options have a password.
    pub(crate) fn broker_elsewhere(&self) -> Result<Option<Address>, RedisOptionError> {
        // Parsed here, since clap would print the URL with its password.
        let Some(url) = &self.redis else { return Ok(None) };
        let address: Address = url.parse()?;
        match (address.password(), self.password.as_str()) {
            (_, "") => Ok(Some(address)),
            (None, password) => Ok(Some(address.with_password(password))),
            (Some(_), _) => Err(RedisOptionError::PasswordTwice),
        }
    }

    /// Returns the address of the embedded broker on this port.
    pub(crate) fn broker_here(&self, port: u16) -> Address {
        Address::new("127.0.0.1", port).with_password(&self.password)
    }
}

/// The error for an unusable `--redis`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedisOptionError {
    #[error("--redis: {0}")]
    Address(#[from] AddressError),
    #[error("both --redis and --password have a password, expected one of them")]
    PasswordTwice,
}

/// Returns the host of an origin such as `http://chat.example.com:8080`.
fn host(origin: &str) -> Option<String> {
    let (_, authority) = origin.split_once("://")?;
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    let port = authority[end..].find(':').map_or(authority.len(), |port| end + port);
    Some(authority[..port].to_owned())
}

/// Time for a load balancer to notice that a server is not ready. The one of this program checks it
/// each second, and waits a second for the answer.
const NOTICE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_match_the_tutorial() {
        let options = parse("").unwrap();
        let listen: Vec<_> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:5001", "127.0.0.1:5002"]);
        assert_eq!((options.app_name.as_str(), options.broker_port), ("ChatApp", 6379));
        assert_eq!(options.requirepass(), None);
        assert_eq!(options.broker_elsewhere(), Ok(None));
        assert_eq!(options.drain(), Duration::from_secs(30));
    }

    #[test]
    fn the_dialect_decides_the_names_of_hub_and_channel() {
        for (line, hub, channel) in [
            ("", "ChatHub", "Demo"),
            ("--dialect signalr2", "ChatHub", "Demo"),
            ("--dialect aspnetcore", "Demo.ChatHub", "Demo.ChatHub:all"),
        ] {
            let options = parse(&format!("--app-name Demo {line}")).unwrap();
            let own = options.listen[0];
            assert_eq!((&*options.backplane(own).0, &*options.channel()), (hub, channel));
        }
        assert!(parse("--dialect signalr").is_err());
    }

    #[test]
    fn allowed_origins_repeat_and_the_drain_is_in_seconds() {
        let options = parse("--allow-origin https://a.test --allow-origin http://b.test:8080");
        let options = options.unwrap();
        assert_eq!(options.allow_origin, ["https://a.test", "http://b.test:8080"]);
        assert!(options.hub().is_ok());
        let error = parse("--allow-origin a.test").unwrap().hub().unwrap_err();
        assert!(error.to_string().ends_with("found \"a.test\""), "{error}");

        let options = parse("--drain 20").unwrap();
        assert_eq!(options.drain(), Duration::from_secs(20));
        assert!(parse("--drain 3601").is_err());
        assert!(parse("--drain -1").is_err());
    }

    #[test]
    fn a_loopback_address_serves_loopback_names_only() {
        let check = |line: &str, own: &str, host: &str, expected: bool| {
            let hosts = parse(line).unwrap().hosts(own.parse().unwrap());
            let is_served = hosts.is_empty() || hosts.iter().any(|own| own == host);
            assert_eq!(is_served, expected, "{line:?} {own} {host}");
        };
        check("", "127.0.0.1", "localhost", true);
        check("", "127.0.0.1", "[::1]", true);
        check("", "127.0.0.2", "127.0.0.2", true);
        check("", "127.0.0.1", "chat.test", false);
        check("", "10.0.0.1", "chat.test", true);
        check("--allow-host chat.test", "127.0.0.1", "chat.test", true);
        check("--allow-origin http://chat.test:8080", "127.0.0.1", "chat.test", true);
        check("--allow-origin http://chat.test", "127.0.0.1", "chat.test", true);
        check("--allow-origin http://[fd00::1]:8080", "127.0.0.1", "[fd00::1]", true);
        check("--allow-origin http://chat.test", "127.0.0.1", "evil.test", false);
        check("--allow-origin http://chat.test", "10.0.0.1", "evil.test", true);
        check("--allow-host chat.test", "10.0.0.1", "chat.test", true);
        check("--allow-host chat.test", "10.0.0.1", "10.0.0.1", true);
        check("--allow-host chat.test", "10.0.0.1", "evil.test", false);
    }

    #[test]
    fn listen_replaces_the_defaults_and_repeats() {
        let options = parse("--listen 127.0.0.1:1 --listen [::1]:2 --listen 0.0.0.0:3").unwrap();
        assert_eq!(options.listen.len(), 3);
        assert!(parse("--listen 5001").is_err());
    }

    #[test]
    fn a_load_balancer_stands_before_own_servers_or_servers_elsewhere() {
        let options = parse("--load-balancer 127.0.0.1:1").unwrap();
        assert_eq!((options.listen.len(), options.behind.len()), (2, 0));
        assert_eq!(options.connections_max(1200), 150);
        let options =
            parse("--load-balancer 127.0.0.1:1 --behind 127.0.0.1:2 --behind 127.0.0.1:3");
        assert_eq!(options.unwrap().behind.len(), 2);
        assert!(parse("--behind 127.0.0.1:2").is_err());
        assert!(
            parse("--load-balancer 127.0.0.1:1 --behind 127.0.0.1:2 --listen [::1]:3").is_err()
        );
    }

    #[test]
    fn the_embedded_broker_takes_any_password() {
        let options = parse("--password p@ss:w/rd").unwrap();
        let address = options.broker_here(7000);
        assert_eq!(address.to_string(), "127.0.0.1:7000");
        assert_eq!(address.password(), Some("p@ss:w/rd"));
        assert_eq!(options.requirepass(), Some(b"p@ss:w/rd".to_vec()));
    }

    #[test]
    fn an_external_broker_has_one_password_and_no_port_option() {
        let url = "redis://10.0.0.1:7000";
        let options = parse(&format!("--redis {url} --password x")).unwrap();
        let elsewhere = options.broker_elsewhere().unwrap().unwrap();
        assert_eq!(elsewhere, Address::new("10.0.0.1", 7000).with_password("x"));

        let options = parse("--redis redis://:y@10.0.0.1:7000 --password x").unwrap();
        assert_eq!(options.broker_elsewhere(), Err(RedisOptionError::PasswordTwice));
        assert!(parse(&format!("--redis {url} --broker-port 7001")).is_err());
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("chat-demo").chain(line.split_whitespace()))
    }
}
