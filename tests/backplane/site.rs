//! A bus with a network in front of it that can fail.
//!
//! Most claims about faults apply to every kind of bus except the embedded one, which has no
//! network. A site has the URLs of its servers, and methods that cause faults. Servers that use the
//! URL [`near`](Site::near) bypass the faulty network.

use std::time::Duration;

use harness::{Client, Cluster, Fault, Kind, Proxy, Sentinel, Server};

use crate::observer::Observer;

/// A bus, and the network in front of it.
pub(crate) enum Site {
    Single(Server, [Proxy; 1]),
    Sentinel(Sentinel),
    Cluster(Cluster),
}

/// Too long for any fault to start a failover.
const PATIENT: Duration = Duration::from_secs(600);

impl Site {
    pub(crate) async fn single(server: Server) -> Self {
        let network = [Proxy::to(server.port()).await];
        Self::Single(server, network)
    }

    /// A Sentinel whose master does not change.
    pub(crate) async fn sentinel() -> Self {
        Self::Sentinel(Sentinel::behind_network(Kind::Redis, PATIENT).await)
    }

    pub(crate) async fn cluster() -> Self {
        Self::Cluster(Cluster::behind_network().await)
    }

    /// Returns the URL for an application.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Single(server, _) => server.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Returns a URL that leads through the network.
    pub(crate) fn far(&self) -> String {
        match self {
            Self::Single(_, [network]) => format!("redis://127.0.0.1:{}", network.port()),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.far_url(),
        }
    }

    /// Returns a URL that bypasses the network.
    pub(crate) async fn near(&self) -> String {
        match self {
            Self::Single(server, _) => server.url(),
            // A Sentinel's URL always leads through the network.
            Self::Sentinel(sentinel) => sentinel.master_server().await.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Sets or clears a fault of the network.
    pub(crate) fn set(&self, fault: Fault) {
        self.network().iter().for_each(|network| network.set(fault));
    }

    /// Closes all connections through the network, once.
    pub(crate) fn cut(&self) {
        self.network().iter().for_each(Proxy::cut);
    }

    /// Returns the number of connections made through the network.
    pub(crate) fn made(&self) -> usize {
        self.network().iter().map(Proxy::made).sum()
    }

    fn network(&self) -> &[Proxy] {
        match self {
            Self::Single(_, network) => network,
            Self::Sentinel(sentinel) => sentinel.network(),
            Self::Cluster(cluster) => cluster.network(),
        }
    }

    /// Returns the server that has the channel of an app.
    pub(crate) async fn server(&self, channel: &str) -> &Server {
        match self {
            Self::Single(server, _) => server,
            Self::Sentinel(sentinel) => sentinel.master_server().await,
            Self::Cluster(cluster) => &cluster.nodes()[cluster.owner(channel).await],
        }
    }

    /// Connects a client to that server.
    pub(crate) async fn client(&self, channel: &str) -> Client {
        self.server(channel).await.client().await
    }

    /// Returns an observer of the channel.
    pub(crate) async fn observer(&self, channel: &str) -> Observer {
        let mut observer = Observer::default();
        self.listen(&mut observer, channel).await;
        observer
    }

    /// Subscribes an observer again, after an outage.
    pub(crate) async fn listen(&self, observer: &mut Observer, channel: &str) {
        let server = self.server(channel).await;
        match self {
            Self::Cluster(_) => observer.listen_to_shard(server, channel).await,
            Self::Single(..) | Self::Sentinel(_) => observer.listen(server, channel).await,
        }
    }

    /// Kills and restarts the server that has the channel.
    pub(crate) async fn restart(&mut self, channel: &str) {
        match self {
            Self::Single(server, _) => server.restart().await,
            Self::Sentinel(sentinel) => sentinel.restart_master().await,
            Self::Cluster(cluster) => {
                let owner = cluster.owner(channel).await;
                cluster.restart(owner).await;
            }
        }
    }
}
