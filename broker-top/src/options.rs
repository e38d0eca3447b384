//! The command line, with the names of redis-cli.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

/// Shows the busiest channels and the slowest clients of a server, once a second.
///
/// Keys: Tab changes between channels and clients, q ends.
#[derive(Debug, Parser)]
#[command(name = "broker top", bin_name = "broker top", disable_help_flag = true)]
pub(crate) struct Options {
    /// The host of the server
    #[arg(short = 'h', value_name = "HOST", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port of the server
    #[arg(short = 'p', value_name = "PORT", default_value_t = 6379)]
    pub(crate) port: u16,
    /// The password; the variable REDISCLI_AUTH keeps it out of the list of processes
    #[arg(short = 'a', value_name = "PASSWORD")]
    password: Option<String>,
    /// The user; by default the default user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Seconds between two looks
    #[arg(short = 'i', value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Prints the figures once, and ends
    #[arg(long)]
    pub(crate) once: bool,
    /// Connects with TLS
    #[arg(long)]
    pub(crate) tls: bool,
    /// The certificates of the authorities that are trusted; by default those of the system
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) cacert: Option<PathBuf>,
    /// The certificate of this client
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    pub(crate) cert: Option<PathBuf>,
    /// The key of this client
    #[arg(long, value_name = "FILE", requires_all = ["tls", "cert"])]
    pub(crate) key: Option<PathBuf>,
    /// Prints this text
    #[arg(long = "help", action = ArgAction::Help)]
    _help: Option<bool>,
}

impl Options {
    pub(crate) fn password(&self) -> Option<String> {
        self.password.clone().or_else(|| std::env::var("REDISCLI_AUTH").ok())
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }
}

/// Reads a number of seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "expected seconds from 0.1 to 3600".to_owned())
}
