//! The command line, with the address and password of the broker.

use std::net::SocketAddr;

use clap::Parser;

use crate::address::{Address, PasswordTwice};

/// The tutorial's chat: a broker and two web servers in one process.
///
/// Open both printed addresses in two windows. A message at one server appears at the other.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Use an existing Redis or broker, and start none: redis://:PASSWORD@HOST:PORT, or another
    /// address for the backplane, such as Sentinels or a cluster
    #[arg(long, value_name = "URL", conflicts_with = "broker_port", value_parser = address)]
    redis: Option<Address>,

    /// Address of a web server; repeat the option for more servers
    #[arg(long, value_name = "ADDR", default_values = ["127.0.0.1:5001", "127.0.0.1:5002"])]
    pub(crate) listen: Vec<SocketAddr>,

    /// Name of the app and of its channel on the broker
    #[arg(long, value_name = "NAME", default_value = "ChatApp")]
    pub(crate) app_name: String,

    /// Password of the broker
    #[arg(long, default_value = "", hide_default_value = true)]
    password: String,

    /// Port of the embedded broker
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    pub(crate) broker_port: u16,
}

impl Options {
    /// Returns the password of the embedded broker.
    pub(crate) fn requirepass(&self) -> Option<Vec<u8>> {
        (!self.password.is_empty()).then(|| self.password.clone().into_bytes())
    }

    /// Returns the address from `--redis`, with the password of either option.
    ///
    /// # Errors
    ///
    /// Returns an error if both options have a password.
    pub(crate) fn broker_elsewhere(&self) -> Result<Option<Address>, PasswordTwice> {
        self.redis.clone().map(|address| address.with_password(&self.password)).transpose()
    }

    /// Returns the address of the embedded broker at its actual port.
    pub(crate) fn broker_here(&self, port: u16) -> Address {
        let address = Address::here(port);
        address.with_password(&self.password).expect("it has no password yet")
    }
}

/// Accepts any text. The backplane checks the address.
fn address(text: &str) -> Result<Address, std::convert::Infallible> {
    Ok(Address::new(text))
}

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
    }

    #[test]
    fn listen_replaces_the_defaults_and_repeats() {
        let options = parse("--listen 127.0.0.1:1 --listen [::1]:2 --listen 0.0.0.0:3").unwrap();
        assert_eq!(options.listen.len(), 3);
        assert!(parse("--listen 5001").is_err());
    }

    #[test]
    fn a_password_is_escaped_for_a_url() {
        let options = parse("--password p@ss:w/rd").unwrap();
        let address = options.broker_here(7000);
        assert_eq!(address.as_str(), "redis://127.0.0.1:7000?password=p%40ss%3Aw%2Frd");
        assert_eq!(options.requirepass(), Some(b"p@ss:w/rd".to_vec()));
    }

    #[test]
    fn an_external_broker_has_one_password_and_no_port_option() {
        let url = "redis://10.0.0.1:7000";
        let options = parse(&format!("--redis {url} --password x")).unwrap();
        let elsewhere = options.broker_elsewhere().unwrap().unwrap();
        assert_eq!(elsewhere.as_str(), "redis://10.0.0.1:7000?password=x");

        let options = parse("--redis redis://:y@10.0.0.1:7000 --password x").unwrap();
        assert_eq!(options.broker_elsewhere(), Err(PasswordTwice));
        assert!(parse(&format!("--redis {url} --broker-port 7001")).is_err());
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("chat-demo").chain(line.split_whitespace()))
    }
}
