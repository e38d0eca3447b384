//! A network that fails, for tests of programs that use a broker: connections that are cut, slow, half open
//! or silent.
//!
//! A [`Relay`] listens on a port of its own and passes bytes to a server: this one, embedded or not, or
//! any other server of Redis' protocol. A program under test connects to the relay. A [`Fault`] affects
//! all connections, existing and new, until the test lifts it.
//!
//! This test of a client sees its connection end, and another one work:
//!
//! ```
//! use broker::faults::{Fault, Relay};
//! use broker::{Broker, Config, Port, Server};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { port: Port::Any, ..Config::default() };
//! let server = Server::bind(Broker::new(), &config).await?;
//! let relay = Relay::to(server.local_addr().expect("a TCP port")).await?;
//!
//! let mut first = TcpStream::connect(relay.address()).await?;
//! relay.set(Fault::Closed);
//! assert_eq!(first.read(&mut [0; 16]).await?, 0);
//!
//! relay.set(Fault::None);
//! let mut second = TcpStream::connect(relay.address()).await?;
//! second.write_all(b"PING\r\n").await?;
//! let mut reply = [0; 7];
//! second.read_exact(&mut reply).await?;
//! assert_eq!(&reply, b"+PONG\r\n");
//! assert_eq!(relay.accepted(), 2);
//! # Ok(()) }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A relay in front of a server. Dropping it closes its port; open connections stay until either side
/// closes them.
///
/// See the [module](self) for an example.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    network: watch::Sender<Network>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// Counters of one relay.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    lost: AtomicUsize,
}

/// A fault of the network.
///
/// ```
/// assert_eq!(broker::faults::Fault::default(), broker::faults::Fault::None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Existing connections are closed, and new ones as soon as they are accepted.
    Closed,
    /// Connections stay open and lose all bytes. They carry none after the fault is lifted, either.
    BlackHole,
    /// Bytes of clients arrive, bytes of the server do not.
    Half,
    /// Messages do not arrive: as from a server that lost a subscription. Replies that the server sends
    /// together with a message do not arrive, either.
    Deaf,
    /// Requests for a replay of missed messages (`PUBSUB REPLAY`) get no reply.
    Forgetful,
    /// All bytes arrive later.
    Delay(Duration),
}

/// The state of the network. A cut is counted, so each connection ends even when the cut was short.
#[derive(Clone, Copy, Debug)]
struct Network {
    fault: Fault,
    cuts: usize,
    /// Where new connections lead.
    server: SocketAddr,
}

/// The types of messages, as sent by the server.
const MESSAGES: [&[u8]; 3] = [b"\r\nmessage\r\n", b"\r\npmessage\r\n", b"\r\nsmessage\r\n"];
/// The subcommand that requests missed messages.
const REPLAY: &[u8] = b"\r\nREPLAY\r\n";

impl Relay {
    /// Starts a relay to a server, on a free port of the loopback interface. Call it in a runtime of tokio.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        Self::between((Ipv4Addr::LOCALHOST, 0).into(), server).await
    }

    /// Starts a relay from an address to a server. Servers that announce their own port, such as nodes of a
    /// cluster, need one on the same port of another address.
    ///
    /// # Errors
    ///
    /// When the address is in use.
    pub async fn between(address: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let network = watch::Sender::new(Network { fault: Fault::None, cuts: 0, server });
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn(accept(listener, network.clone(), counts.clone()));
        Ok(Self { address, network, counts, task })
    }

    /// Returns the address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the network fail, or heals it with [`Fault::None`].
    pub fn set(&self, fault: Fault) {
        self.network.send_modify(|network| network.fault = fault);
    }

    /// Closes all connections that are [`accepted`](Self::accepted), once. New ones work.
    pub fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Leads new connections to another server, as an address does that moves with the master.
    pub fn lead_to(&self, server: SocketAddr) {
        self.network.send_modify(|network| network.server = server);
    }

    /// Returns the number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many times bytes were lost so far. A test waits for it to know that a fault has had an
    /// effect.
    pub fn lost(&self) -> usize {
        self.counts.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, network: watch::Sender<Network>, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        counts.accepted.fetch_add(1, Ordering::Relaxed);
        let (network, counts) = (network.subscribe(), counts.clone());
        // A cut from now on affects this connection.
        let Network { cuts, server: address, .. } = *network.borrow();
        tokio::spawn(async move {
            // If the server is down, the connection is closed at once.
            let Ok(server) = TcpStream::connect(address).await else { return };
            relay(client, server, (network, cuts), &counts).await;
        });
    }
}

/// Relays until one side closes, or a fault closes the connection.
async fn relay(
    client: TcpStream,
    server: TcpStream,
    (network, cuts): (watch::Receiver<Network>, usize),
    counts: &Counts,
) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let mut changes = network.clone();
    let closed = changes.wait_for(|network| network.fault == Fault::Closed || network.cuts != cuts);
    let upwards = carry(&mut from_client, &mut to_server, network.clone(), false, counts);
    let downwards = carry(&mut from_server, &mut to_client, network, true, counts);
    tokio::select! {
        Ok(_) = closed => {}
        _ = upwards => {}
        _ = downwards => {}
    }
}

async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    network: watch::Receiver<Network>,
    is_from_server: bool,
    counts: &Counts,
) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    // A TCP stream has no holes: after the first lost byte it carries no more.
    let mut is_dead = false;
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        let fault = network.borrow().fault;
        is_dead |= fault == Fault::BlackHole || fault == Fault::Half && is_from_server;
        if is_dead {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let has = |words: &[u8]| chunk[..count].windows(words.len()).any(|at| at == words);
        let is_lost = match fault {
            Fault::Deaf => MESSAGES.into_iter().any(has),
            Fault::Forgetful => has(REPLAY),
            _ => false,
        };
        if is_lost {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if let Fault::Delay(delay) = fault {
            sleep(delay).await;
        }
        to.write_all(&chunk[..count]).await?;
    }
}
