//! A Redis Cluster of three masters on the loopback interface.
//!
//! A cluster with a faulty network has a relay in front of each node. Its nodes announce no
//! address, so clients keep the address that they connected to, with or without a relay.

use crate::client::Client;
use crate::port::free_port;
use crate::proxy::{FAR, Proxy};
use crate::server::{Kind, Server};
use crate::wait::{SLOW_DEADLINE, eventually_within};

/// Three masters that share all slots.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    network: Vec<Proxy>,
}

/// A slot that is being moved from one node to another.
#[derive(Debug)]
pub struct MovingSlot {
    slot: String,
    from: usize,
    to: usize,
}

const SLOTS: usize = 16_384;
const NODES: usize = 3;

impl Cluster {
    /// Starts three servers of the installed `redis-server` and forms a cluster of them.
    ///
    /// # Panics
    ///
    /// When the cluster is not formed within the deadline.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a cluster with a relay in front of every node.
    ///
    /// # Panics
    ///
    /// When the cluster is not formed within the deadline, or a relay cannot listen.
    pub async fn behind_network() -> Self {
        let unnamed = ["--bind", "127.0.0.1", "--cluster-preferred-endpoint-type"];
        let mut cluster = Self::start_with(&[&unnamed[..], &["unknown-endpoint"]].concat()).await;
        for node in &cluster.nodes {
            cluster.network.push(Proxy::before(node.port()).await);
        }
        cluster
    }

    async fn start_with(more: &[&str]) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let bus_port = free_port().to_string();
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus_port,
                "--cluster-node-timeout",
                "5000",
            ];
            let arguments = [&arguments[..], more].concat();
            nodes.push((Server::start(Kind::Redis, &arguments).await, bus_port));
        }
        let (first, first_bus) = (nodes[0].0.port().to_string(), nodes[0].1.clone());
        for (index, (node, _)) in nodes.iter().enumerate() {
            let mut client = node.client().await;
            let start = (index * SLOTS / NODES).to_string();
            let end = ((index + 1) * SLOTS / NODES - 1).to_string();
            done(&mut client, &["CLUSTER", "ADDSLOTSRANGE", &start, &end]).await;
            // Nodes that start with equal epochs resolve them later, each on its own. A slot that
            // moves meanwhile can end with no owner.
            let epoch = (index + 1).to_string();
            done(&mut client, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            done(&mut client, &["CLUSTER", "MEET", "127.0.0.1", &first, &first_bus]).await;
        }
        let nodes = nodes.into_iter().map(|(node, _)| node).collect();
        let cluster = Self { nodes, network: Vec::new() };
        for node in &cluster.nodes {
            let mut client = node.client().await;
            eventually_within(SLOW_DEADLINE, async || {
                let info = client.command(&["CLUSTER", "INFO"]).await.text().to_owned();
                let is_complete = info.contains("cluster_known_nodes:3");
                is_complete && info.contains("cluster_state:ok")
            })
            .await;
        }
        cluster
    }

    /// Returns the URL with which a backplane connects to this cluster.
    pub fn url(&self) -> String {
        self.url_on("127.0.0.1")
    }

    /// Returns the URL with which a backplane connects through the relays.
    pub fn far_url(&self) -> String {
        self.url_on(FAR)
    }

    fn url_on(&self, address: &str) -> String {
        let hosts = self.nodes.iter().map(|node| format!("{address}:{}", node.port()));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Returns the relays, one for each node.
    pub fn network(&self) -> &[Proxy] {
        &self.network
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Returns the index of the node that owns a channel's slot.
    ///
    /// # Panics
    ///
    /// When no node owns it.
    pub async fn owner(&self, channel: &str) -> usize {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut client = node.client().await;
            let reply = client.command(&["GET", channel]).await;
            if !reply.is_error() {
                return index;
            }
        }
        panic!("no node has the slot of {channel}");
    }

    /// Kills a node and starts it again, and returns when the cluster state is ok again.
    ///
    /// # Panics
    ///
    /// When the state is not ok within the deadline.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].restart().await;
        for node in &self.nodes {
            let mut client = node.client().await;
            eventually_within(SLOW_DEADLINE, async || {
                let info = client.command(&["CLUSTER", "INFO"]).await;
                info.text().contains("cluster_state:ok")
            })
            .await;
        }
    }

    /// Moves the slot of a channel, and the key in it, to another node, as an operator does.
    ///
    /// # Panics
    ///
    /// When a node refuses.
    pub async fn move_slot(&self, channel: &str) {
        let slot = self.begin_to_move_slot(channel).await;
        self.finish_moving(channel, slot).await;
    }

    /// Moves the key but not the slot: requests for the key are redirected with `ASK`.
    ///
    /// # Panics
    ///
    /// When a node refuses.
    pub async fn begin_to_move_slot(&self, channel: &str) -> MovingSlot {
        let from = self.owner(channel).await;
        let to = (from + 1) % NODES;
        let (mut source, mut target) =
            (self.nodes[from].client().await, self.nodes[to].client().await);
        let slot = source.command(&["CLUSTER", "KEYSLOT", channel]).await;
        let slot = slot.integer().to_string();
        let (source_id, target_id) = (id(&mut source).await, id(&mut target).await);
        done(&mut target, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
        done(&mut source, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
        let port = self.nodes[to].port().to_string();
        done(&mut source, &["MIGRATE", "127.0.0.1", &port, channel, "0", "5000"]).await;
        MovingSlot { slot, from, to }
    }

    /// Assigns the slot to the node that has the key.
    ///
    /// # Panics
    ///
    /// When a node refuses.
    pub async fn finish_moving(&self, channel: &str, moving: MovingSlot) {
        let MovingSlot { slot, from, to } = moving;
        let target_id = id(&mut self.nodes[to].client().await).await;
        let third = (from + 2) % NODES;
        for node in [to, from, third] {
            let mut client = self.nodes[node].client().await;
            done(&mut client, &["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
        // A message sent before the move can take the third node's assignment back until the next
        // one arrives.
        let port = self.nodes[to].port().to_string();
        let mut third = self.nodes[third].client().await;
        eventually_within(SLOW_DEADLINE, async || {
            let reply = third.command(&["GET", channel]).await;
            reply.is_error() && reply.text().ends_with(&port)
        })
        .await;
    }
}

async fn id(client: &mut Client) -> String {
    client.command(&["CLUSTER", "MYID"]).await.text().to_owned()
}

async fn done(client: &mut Client, command: &[&str]) {
    let reply = client.command(command).await;
    assert!(!reply.is_error(), "{command:?}: {reply:?}");
}
