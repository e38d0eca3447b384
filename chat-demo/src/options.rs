//! The command line, and what it says about the broker.

use std::net::SocketAddr;

use backplane::{Address, AddressError};
use clap::Parser;

/// The tutorial's chat: a broker and two web servers in one process.
///
/// Open the two addresses that it prints, in two windows, and talk: what is said at one server is seen
/// at the other.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Use this Redis, or this broker, and embed none: redis://:PASSWORD@HOST:PORT, or whatever
    /// address the backplane takes, Sentinels and clusters included
    #[arg(long, value_name = "URL", conflicts_with = "broker_port")]
    redis: Option<String>,

    /// Serve the page at this address; repeat it for more web servers
    #[arg(long, value_name = "ADDR", default_values = ["127.0.0.1:5001", "127.0.0.1:5002"])]
    pub(crate) listen: Vec<SocketAddr>,

    /// The name of the app, which is also its channel on the broker
    #[arg(long, value_name = "NAME", default_value = "ChatApp")]
    pub(crate) app_name: String,

    /// The password of the broker
    #[arg(long, default_value = "", hide_default_value = true)]
    password: String,

    /// The port of the embedded broker
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    pub(crate) broker_port: u16,
}

impl Options {
    /// The password that the embedded broker asks for.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_tutorials() {
        let options = parse("").unwrap();
        let listen: Vec<_> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:5001", "127.0.0.1:5002"]);
        assert_eq!((options.app_name.as_str(), options.broker_port), ("ChatApp", 6379));
        assert_eq!(options.requirepass(), None);
        assert_eq!(options.broker_elsewhere(), Ok(None));
    }

    #[test]
    fn listen_replaces_the_defaults_and_repeats() {
        let options = parse("--listen 127.0.0.1:1 --listen [::1]:2 --listen 0.0.0.0:3").unwrap();
        assert_eq!(options.listen.len(), 3);
        assert!(parse("--listen 5001").is_err());
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
    fn a_broker_elsewhere_has_one_password_and_no_port_here() {
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
