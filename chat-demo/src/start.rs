//! From options to running servers, and to what the user is told then.

use std::{fmt::Write, io, net::SocketAddr};

use backplane::{Backplane, ConnectError};
use broker::{BindError, Broker, Config, Server};
use tokio::net::TcpListener;

use crate::{
    address::{Address, PasswordTwice},
    options::Options,
    site::Site,
};

/// The tutorial's class, which servers of SignalR 2 in the same app know it by.
const HUB: &str = "ChatHub";

/// The whole demo.
pub(crate) struct Running {
    /// None when the user has one elsewhere.
    broker: Option<Server>,
    address: Address,
    app_name: String,
    sites: Vec<Site>,
}

impl Running {
    /// Starts everything, or nothing.
    ///
    /// # Errors
    ///
    /// When an address is taken or an option makes no sense.
    pub(crate) async fn start(options: &Options) -> Result<Self, StartError> {
        let listeners = listen(&options.listen).await?;
        let (broker, address) = match options.broker_elsewhere()? {
            Some(address) => (None, address),
            None => {
                let server = embed(options).await?;
                let address = options.broker_here(server.local_addr().port());
                (Some(server), address)
            }
        };
        let app_name = options.app_name.clone();
        let mut sites = Vec::new();
        for listener in listeners {
            let mut options = backplane::Options::default();
            options.hub = HUB.to_owned();
            let backplane = Backplane::connecting_with(address.as_str(), &app_name, options)?;
            sites.push(Site::start(listener, backplane)?);
        }
        Ok(Self { broker, address, app_name, sites })
    }

    /// Returns what the user can do now: pages to open, and a line that watches them.
    pub(crate) fn invitation(&self) -> String {
        let mut text = String::from("Open these pages, in two windows, and talk:\n");
        for site in &self.sites {
            let _ = writeln!(text, "  http://{}/", site.address());
        }
        let _ = write!(text, "Watch what the servers tell each other:\n  {}", self.watch_line());
        text
    }

    /// The `redis-cli` line for the channel of the app.
    fn watch_line(&self) -> String {
        self.address.watch_line(&self.app_name).expect("the backplane has understood it")
    }

    /// Ends everything, the servers before the broker that they talk through.
    pub(crate) async fn shutdown(self) {
        let mut ending = tokio::task::JoinSet::new();
        for site in self.sites {
            ending.spawn(site.shutdown());
        }
        ending.join_all().await;
        if let Some(broker) = self.broker {
            broker.shutdown().await;
        }
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|source| StartError::Listen { address, source })?);
    }
    Ok(listeners)
}

/// Starts a broker in this process that serves TCP on the loopback address only.
async fn embed(options: &Options) -> Result<Server, StartError> {
    let config = Config {
        bind: vec!["127.0.0.1".to_owned()],
        port: options.broker_port.into(),
        requirepass: options.requirepass(),
        ..Config::default()
    };
    Ok(Server::bind(Broker::new(), &config).await?)
}

/// Why the demo did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {}; choose another address with --listen", cause(source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "{0}; choose another port for the broker with --broker-port, \
         or use the broker that is there with --redis URL"
    )]
    Broker(#[from] BindError),
    #[error("{0}")]
    Password(#[from] PasswordTwice),
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

    #[tokio::test]
    async fn a_taken_address_names_the_option() {
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
