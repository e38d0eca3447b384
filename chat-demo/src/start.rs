//! Starts all servers from the options, and returns the text for the user.
//!
//! The listeners open first, so that a taken address fails before any server runs. With `--behind`,
//! only the load balancer starts.

use std::{fmt::Write, io, net::SocketAddr};

use backplane::{Address, ConnectError};
use broker::{BindError, Broker, Config, Server};
use signalr::OriginError;
use tokio::net::TcpListener;

use crate::{
    balancer::Balancer,
    classic::ScriptsError,
    descriptors, hub,
    options::{Options, RedisOptionError},
    site::{Ending, Site},
};

/// The running demo.
pub(crate) struct Running {
    balancer: Option<Balancer>,
    /// `None` if the process is a load balancer only.
    chat: Option<Chat>,
}

/// The web servers and their broker.
struct Chat {
    /// `None` if `--redis` names another broker.
    broker: Option<Server>,
    address: Address,
    /// The channel to watch.
    channel: String,
    sites: Vec<Site>,
}

impl Running {
    /// Starts the load balancer that the options ask for. Unless it stands before servers elsewhere,
    /// starts the web servers, and the broker unless `--redis` names one.
    ///
    /// # Errors
    ///
    /// Returns an error if an address is taken or an option is invalid.
    pub(crate) async fn start(options: &Options) -> Result<Self, StartError> {
        let front = match options.load_balancer {
            Some(address) => Some(listen(address, "--load-balancer").await?),
            None => None,
        };
        let chat = match options.behind.is_empty() {
            true => Some(Chat::start(options).await?),
            false => None,
        };
        let balancer = front.map(|listener| {
            let servers = chat.as_ref().map_or_else(|| options.behind.clone(), Chat::addresses);
            Balancer::start(listener, servers)
        });
        Ok(Self { balancer: balancer.transpose()?, chat })
    }

    /// Returns the addresses of the pages, and a `redis-cli` line that shows the messages.
    pub(crate) fn invitation(&self) -> String {
        let mut text = String::new();
        if let Some(balancer) = &self.balancer {
            text += "Open this page of the load balancer in two windows and chat:\n";
            let _ = write!(text, "  http://{}/", balancer.address());
        }
        if let Some(chat) = &self.chat {
            text += match self.balancer {
                Some(_) => "\nThe pages of its servers:\n",
                None => "Open these pages in two windows and chat:\n",
            };
            text += &chat.invitation();
        }
        text
    }

    /// Stops the web servers, then the broker and the load balancer.
    pub(crate) async fn shutdown(self, ending: Ending) {
        if let Some(chat) = self.chat {
            chat.shutdown(ending).await;
        }
    }
}

impl Chat {
    async fn start(options: &Options) -> Result<Self, StartError> {
        let mut hub_options = options.hub()?;
        let scripts = options.scripts()?;
        hub_options.connections_max = options.connections_max(descriptors::raise_limit());
        let mut listeners = Vec::new();
        for &address in &options.listen {
            listeners.push(listen(address, "--listen").await?);
        }
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
            let own = listener.local_addr()?;
            let (hub, builder) = options.backplane(own);
            let backplane = builder.connect_lazy(address.clone())?;
            let hub_options = options.with_hosts(hub_options.clone(), own.ip());
            let hub = hub::chat(&hub, own.to_string(), &backplane, options.messages())
                .with_options(hub_options);
            sites.push(Site::start(listener, hub, backplane, scripts.clone(), options.drain())?);
        }
        Ok(Self { broker, address, channel: options.channel(), sites })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.sites.iter().map(Site::address).collect()
    }

    /// Returns the addresses of the web servers, and the `redis-cli` line.
    fn invitation(&self) -> String {
        let mut text = String::new();
        for address in self.addresses() {
            let _ = writeln!(text, "  http://{address}/");
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

    async fn shutdown(self, ending: Ending) {
        let mut stopping = tokio::task::JoinSet::new();
        for site in self.sites {
            stopping.spawn(site.shutdown(ending));
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

/// Listens on an address of an option.
async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| StartError::Listen { address, option, source })
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
    #[error("cannot listen on {address}: {}; choose another address with {option}", cause(source))]
    Listen { address: SocketAddr, option: &'static str, source: io::Error },
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
        let error = listen(address, "--listen").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: address already in use; \
                 choose another address with --listen"
            )
        );
    }
}
