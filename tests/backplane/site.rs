//! Where servers of an app meet, and the network before it, which can fail.
//!
//! Most claims about faults are put to every kind of bus but the embedded one, which has no network.
//! A site says of each how its servers are reached and what there is to be broken; whoever comes by
//! [`near`](Site::near) does not notice a fault of the network.

use std::time::Duration;

use harness::{Client, Cluster, Fault, Proxy, Sentinel, Server};

use crate::observer::Observer;

/// A bus, and the network before it.
pub(crate) enum Site {
    Single(Server, [Proxy; 1]),
    Sentinel(Sentinel),
    Cluster(Cluster),
}

/// So long that no fault makes the Sentinel choose another master.
const PATIENT: Duration = Duration::from_secs(600);

impl Site {
    pub(crate) async fn single(server: Server) -> Self {
        let network = [Proxy::to(server.port()).await];
        Self::Single(server, network)
    }

    /// Its master stays the same.
    pub(crate) async fn sentinel() -> Self {
        Self::Sentinel(Sentinel::behind_network(PATIENT).await)
    }

    pub(crate) async fn cluster() -> Self {
        Self::Cluster(Cluster::behind_network().await)
    }

    /// Returns the URL that an application has.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Single(server, _) => server.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Returns the URL by which the network is in between.
    pub(crate) fn far(&self) -> String {
        match self {
            Self::Single(_, [network]) => format!("redis://127.0.0.1:{}", network.port()),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.far_url(),
        }
    }

    /// Returns the URL of the same without the network.
    pub(crate) async fn near(&self) -> String {
        match self {
            Self::Single(server, _) => server.url(),
            // A Sentinel leads everybody through the network.
            Self::Sentinel(sentinel) => sentinel.master_server().await.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Makes the network fail, or heals it.
    pub(crate) fn set(&self, fault: Fault) {
        self.network().iter().for_each(|network| network.set(fault));
    }

    /// Closes all connections that go through the network, once.
    pub(crate) fn cut(&self) {
        self.network().iter().for_each(Proxy::cut);
    }

    /// Returns how many connections went through the network so far.
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

    /// Returns the server that the channel of an app is on.
    async fn server(&self, channel: &str) -> &Server {
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

    /// Returns somebody who overhears what is said on a channel.
    pub(crate) async fn observer(&self, channel: &str) -> Observer {
        let mut observer = Observer::default();
        self.listen(&mut observer, channel).await;
        observer
    }

    /// Lets a observer listen again, after the server has been away.
    pub(crate) async fn listen(&self, observer: &mut Observer, channel: &str) {
        let server = self.server(channel).await;
        match self {
            Self::Cluster(_) => observer.listen_to_shard(server, channel).await,
            Self::Single(..) | Self::Sentinel(_) => observer.listen(server, channel).await,
        }
    }

    /// Kills the server that the channel is on, and starts it again.
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
