//! A network that can fail, in front of a server on the loopback interface.
//!
//! Cluster nodes and Sentinels announce the ports of servers, so clients would bypass a relay on
//! another port. A relay in front of them therefore listens on the server's port of another
//! address, [`FAR`]. On Linux every address of the loopback network can be used without set-up.

use std::net::{Ipv4Addr, SocketAddr};

use broker::faults::Relay;

pub use broker::faults::Fault;

/// A relay in front of a server.
#[derive(Debug)]
pub struct Proxy(Relay);

/// The address of relays that have the same port as their server. The server listens on 127.0.0.1.
pub const FAR: &str = "127.0.0.2";

impl Proxy {
    /// Starts a relay to a port on the loopback interface.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn to(port: u16) -> Self {
        Self(Relay::to(local(port)).await.expect("a free port"))
    }

    /// Starts a relay to a port of 127.0.0.1 on the same port of [`FAR`].
    ///
    /// # Panics
    ///
    /// When the port is in use.
    pub async fn before(port: u16) -> Self {
        let far: Ipv4Addr = FAR.parse().expect("an address");
        let relay = Relay::between((far, port).into(), local(port)).await;
        Self(relay.unwrap_or_else(|error| panic!("cannot listen on {FAR}:{port}: {error}")))
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.0.address().port()
    }

    /// Makes the network fail, or heals it with [`Fault::None`].
    pub fn set(&self, fault: Fault) {
        self.0.set(fault);
    }

    /// Closes all connections once.
    pub fn cut(&self) {
        self.0.cut();
    }

    /// Relays new connections to another server, as an address that moves with the master.
    pub fn lead_to(&self, port: u16) {
        self.0.lead_to(local(port));
    }

    /// Returns the number of connections accepted so far.
    pub fn made(&self) -> usize {
        self.0.accepted()
    }

    /// Returns how many times a chunk of bytes was dropped so far.
    pub fn swallowed(&self) -> usize {
        self.0.lost()
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
