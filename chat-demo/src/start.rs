//! Starts all servers from the options, and returns the text for the user.
//!
//! The listeners open first, so that a taken address fails before any server runs.

use std::{fmt::Write, io, net::SocketAddr};

use backplane::{Address, ConnectError};
use broker::{BindError, Broker, Config, Server};
use signalr::OriginError;
use tokio::net::TcpListener;

use crate::{
    classic::ScriptsError,
    descriptors,
    options::{Options, RedisOptionError},
    site::Site,
};

/// The running demo.
pub(crate) struct Running {
    /// `None` if `--redis` names another broker.
    broker: Option<Server>,
    address: Address,
    /// The channel to watch.
    channel: String,
    sites: Vec<Site>,
}

impl Running {
    /// Starts the broker, unless `--redis` names one, and the web servers.
    ///
    /// # Errors
    ///
    /// Returns an error if an address is taken or an option is invalid.
    pub(crate) async fn start(options: &Options) -> Result<Self, StartError> {
        let mut hub_options = options.hub()?;
        let scripts = options.scripts()?;
        let descriptors = descriptors::raise_limit();
        hub_options.connections_max =
            descriptors::connections_max(descriptors, options.listen.len());
        let listeners = listen(&options.listen).await?;
        let (broker, address) = match options.broker_elsewhere()? {
            Some(address) => (None, address),
            None => {
                let server = embed(options).await?;
                let own = server.local_addr().expect("the embedded broker has a TCP port");
                let address = options.broker_here(own.port());
                (Some(server), address)
            }
        };
        let mut sites = Vec::new();
        for listener in listeners {
            let (hub, builder) = options.backplane();
            let backplane = builder.connect_lazy(address.clone())?;
            let own = listener.local_addr()?.ip();
            let hub_options = options.with_hosts(hub_options.clone(), own);
            sites.push(Site::start(listener, (&hub, backplane), hub_options, scripts.clone())?);
        }
        Ok(Self { broker, address, channel: options.channel(), sites })
    }

    /// Returns the addresses of the pages, and a `redis-cli` line that shows the messages.
    pub(crate) fn invitation(&self) -> String {
        let mut text = String::from("Open these pages in two windows and chat:\n");
        for site in &self.sites {
            let _ = writeln!(text, "  http://{}/", site.address());
        }
        let _ = write!(text, "Watch the messages between the servers:\n  {}", self.watch_line());
        text
    }

    /// Returns the `redis-cli` line for the channel of the app. It asks for the password, since
    /// standard output often ends in a log.
    fn watch_line(&self) -> String {
        let words = without_password(self.address.redis_cli(&self.channel));
        let quoted = shlex::try_join(words.iter().map(String::as_str));
        quoted.unwrap_or_else(|_| words.join(" "))
    }

    /// Stops the web servers, then the broker.
    pub(crate) async fn shutdown(self) {
        let mut stopping = tokio::task::JoinSet::new();
        for site in self.sites {
            stopping.spawn(site.shutdown());
        }
        stopping.join_all().await;
        if let Some(broker) = self.broker {
            broker.shutdown().await;
        }
    }
}

/// Replaces the password in the words of a `redis-cli` line by a prompt for it.
fn without_password(mut words: Vec<String>) -> Vec<String> {
    // The password stands before the command and the channel. Any other word may be `-a`, too.
    if let Some(at) = words.len().checked_sub(4)
        && words[at] == "-a"
    {
        words.splice(at..at + 2, ["--askpass".to_owned()]);
    }
    words
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|source| StartError::Listen { address, source })?);
    }
    Ok(listeners)
}

/// Starts a broker in this process, on the loopback address only.
async fn embed(options: &Options) -> Result<Server, StartError> {
    let config = Config {
        bind: vec!["127.0.0.1".to_owned()],
        port: options.broker_port.into(),
        requirepass: options.requirepass(),
        ..Config::default()
    };
    Ok(Server::bind(Broker::new(), &config).await?)
}

/// The reason why the demo did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {}; choose another address with --listen", cause(source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "{0}; choose another port for the broker with --broker-port, \
         or use the running broker with --redis URL"
    )]
    Broker(#[from] BindError),
    #[error("{0}")]
    Redis(#[from] RedisOptionError),
    #[error("--allow-origin: {0}")]
    Origin(#[from] OriginError),
    #[error("--scripts: {0}")]
    Scripts(#[from] ScriptsError),
    #[error("--redis: {0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watch_line_asks_for_the_password() {
        let address = Address::new("127.0.0.1", 7000).with_password("se cret");
        let shown = without_password(address.redis_cli("-a"));
        assert_eq!(shown, ["redis-cli", "-p", "7000", "--askpass", "SUBSCRIBE", "-a"]);
        let address = Address::new("127.0.0.1", 7000);
        assert!(!without_password(address.redis_cli("App")).contains(&"--askpass".to_owned()));
    }

    #[tokio::test]
    async fn the_error_for_a_taken_address_names_the_option() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = listen(&[address]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: address already in use; \
                 choose another address with --listen"
            )
        );
    }
}
