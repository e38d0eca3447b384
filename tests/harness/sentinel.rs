//! A master, a replica, and a Sentinel that watches both.
//!
//! With a faulty network, the servers announce the addresses of their relays. So the Sentinel and
//! the replica connect through the relays, as clients do, and the Sentinel sends clients there.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::port::free_port;
use crate::process::Process;
use crate::proxy::{FAR, Proxy};
use crate::reply::ok;
use crate::server::{Kind, Server};
use crate::wait::{SLOW_DEADLINE, eventually_within};

/// A master and its replica with the Sentinel that watches them.
#[derive(Debug)]
pub struct Sentinel {
    servers: Vec<Server>,
    network: Vec<Proxy>,
    port: u16,
    _process: Process,
    _dir: TempDir,
}

const MASTER: &str = "chat";
/// Long, since a busy machine must not cause a failover. [`Sentinel::kill_master`] shortens it.
const DOWN_AFTER: Duration = Duration::from_secs(10);

impl Sentinel {
    /// Starts two servers of the installed `redis-server` and a Sentinel.
    ///
    /// # Panics
    ///
    /// When the Sentinel has not found the replica within the deadline.
    pub async fn start() -> Self {
        Self::start_with(Kind::Redis).await
    }

    /// Starts two servers of this kind and a Sentinel.
    ///
    /// # Panics
    ///
    /// When the Sentinel has not found the replica within the deadline.
    pub async fn start_with(kind: Kind) -> Self {
        Self::watching(kind, "127.0.0.1", DOWN_AFTER).await
    }

    /// Starts two servers of this kind, with a relay in front of both, and a Sentinel. It starts a
    /// failover when it has not reached the master for `down_after`.
    ///
    /// # Panics
    ///
    /// When the Sentinel has not found the replica within the deadline, or a relay cannot listen.
    pub async fn behind_network(kind: Kind, down_after: Duration) -> Self {
        Self::watching(kind, FAR, down_after).await
    }

    /// Starts servers that announce this address.
    async fn watching(kind: Kind, address: &str, down_after: Duration) -> Self {
        let is_far = address == FAR;
        let near = ["--bind", "127.0.0.1", "--replica-announce-ip", address];
        let arguments: &[&str] = if is_far { &near } else { &[] };
        let master = Server::start(kind, arguments).await;
        let mut network = Vec::new();
        if is_far {
            network.push(Proxy::before(master.port()).await);
        }
        let of = ["--replicaof", &format!("{address} {}", master.port())];
        let replica = Server::start(kind, &[arguments, &of].concat()).await;
        if is_far {
            network.push(Proxy::before(replica.port()).await);
        }
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a temporary directory"));
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nsentinel monitor {MASTER} {address} {} 1\n\
             sentinel down-after-milliseconds {MASTER} {}\n\
             sentinel failover-timeout {MASTER} 2000\n",
            master.port(),
            down_after.as_millis(),
        );
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(dir.path());
        let process = Process::start(&mut command);
        let servers = vec![master, replica];
        let sentinel = Self { servers, network, port, _process: process, _dir: dir };
        eventually_within(SLOW_DEADLINE, async || sentinel.has_replica().await).await;
        sentinel
    }

    /// Returns the URL with which a backplane connects by this Sentinel.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}/{MASTER}", self.port)
    }

    /// Connects a client to the Sentinel itself.
    ///
    /// # Panics
    ///
    /// When it cannot connect.
    pub async fn client(&self) -> Client {
        Client::connect(self.port).await
    }

    /// Returns the port of the master, as the Sentinel reports it.
    pub async fn master(&self) -> u16 {
        let mut client = Client::connect(self.port).await;
        let reply = client.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await;
        reply.items()[1].text().parse().expect("a port")
    }

    /// Returns the master, as the Sentinel reports it.
    ///
    /// # Panics
    ///
    /// When it is neither of the two servers.
    pub async fn master_server(&self) -> &Server {
        let port = self.master().await;
        let master = self.servers.iter().find(|server| server.port() == port);
        master.expect("the master is one of ours")
    }

    /// Returns the same URL with the port of another Sentinel before ours.
    pub fn url_after(&self, port: u16) -> String {
        format!("redis-sentinel://127.0.0.1:{port},127.0.0.1:{}/{MASTER}", self.port)
    }

    /// Kills the master, and returns when the other server is the master.
    ///
    /// # Panics
    ///
    /// When it does not become master within the deadline.
    pub async fn kill_master(&mut self) {
        let port = self.master().await;
        let soon = ["SENTINEL", "SET", MASTER, "down-after-milliseconds", "500"];
        assert_eq!(self.client().await.command(&soon).await, ok());
        let master = self.servers.iter_mut().find(|server| server.port() == port);
        master.expect("the master is one of ours").kill();
        self.has_left(port).await;
    }

    /// Kills the master and starts it again, and returns when it replies.
    ///
    /// # Panics
    ///
    /// When it does not reply within the deadline.
    pub async fn restart_master(&mut self) {
        let port = self.master().await;
        let master = self.servers.iter_mut().find(|server| server.port() == port);
        master.expect("the master is one of ours").restart().await;
    }

    /// Waits until the server that is not on this port is the master.
    ///
    /// # Panics
    ///
    /// When it does not become master within the deadline.
    pub async fn has_left(&self, port: u16) {
        let other = self.servers.iter().find(|server| server.port() != port).expect("two servers");
        eventually_within(SLOW_DEADLINE, async || {
            // A server closes all connections when its role changes.
            let mut client = other.client().await;
            client.send(&["ROLE"]).await;
            let Some(role) = client.next_reply().await else { return false };
            role.items()[0].text() == "master" && self.master().await == other.port()
        })
        .await;
    }

    /// Returns the relays, one for each server.
    pub fn network(&self) -> &[Proxy] {
        &self.network
    }

    /// Returns the relay in front of the server on this port.
    ///
    /// # Panics
    ///
    /// When there is no such relay.
    pub fn network_before(&self, port: u16) -> &Proxy {
        let network = self.network.iter().find(|network| network.port() == port);
        network.expect("the server has a relay")
    }

    async fn has_replica(&self) -> bool {
        if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            return false;
        }
        let mut client = Client::connect(self.port).await;
        let replicas = client.command(&["SENTINEL", "REPLICAS", MASTER]).await;
        let Some(replica) = (!replicas.is_error()).then(|| replicas.items()).and_then(<[_]>::first)
        else {
            return false;
        };
        let text: Vec<_> = replica.items().iter().map(|item| item.text().to_owned()).collect();
        let field =
            |name: &str| text.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
        field("master-link-status").as_deref() == Some("ok")
            && field("flags").as_deref() == Some("slave")
    }
}
