//! A network that can fail: a relay on a port of its own in front of a server.
//!
//! A fault affects all connections, existing and new, until the test lifts it.
//!
//! Cluster nodes and Sentinels announce the ports of servers, so clients would bypass a relay on
//! another port. A relay in front of them therefore listens on the server's port of another
//! address, [`FAR`]. On Linux every address of the loopback network can be used without set-up.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A relay in front of a server.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// Counters of one relay.
#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    swallowed: AtomicUsize,
}

/// A fault of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Existing connections are closed, and new ones as soon as they are accepted.
    Closed,
    /// Connections stay open and lose all bytes. They carry none after the fault is lifted, either.
    BlackHole,
    /// Bytes of clients arrive, bytes of the server do not.
    Half,
    /// Replies arrive, messages do not: as from a server that lost a subscription.
    Deaf,
    /// Requests for a replay of missed messages get no reply.
    Forgetful,
    /// All bytes arrive later.
    Delay(Duration),
}

/// The state of the network. A cut is counted, so each connection ends even when the cut was short.
#[derive(Clone, Copy, Debug)]
struct Network {
    fault: Fault,
    cuts: usize,
    /// The port to which new connections are relayed.
    server: u16,
}

/// The address of relays that have the same port as their server. The server listens on 127.0.0.1.
pub const FAR: &str = "127.0.0.2";

/// The type of a message, and that of a message of a shard channel, as sent by the server.
const MESSAGES: [&[u8]; 2] = [b"\r\nmessage\r\n", b"\r\nsmessage\r\n"];
/// The subcommand that requests missed messages.
const REPLAY: &[u8] = b"\r\nREPLAY\r\n";

impl Proxy {
    /// Starts a relay to a port on the loopback interface.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn to(port: u16) -> Self {
        Self::on(&format!("{}:0", Ipv4Addr::LOCALHOST), port).await
    }

    /// Starts a relay to a port of 127.0.0.1 on the same port of [`FAR`].
    ///
    /// # Panics
    ///
    /// When the port is in use.
    pub async fn before(port: u16) -> Self {
        Self::on(&format!("{FAR}:{port}"), port).await
    }

    async fn on(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let own_port = listener.local_addr().expect("the listener is bound").port();
        let network = watch::Sender::new(Network { fault: Fault::None, cuts: 0, server: port });
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn(accept(listener, network.clone(), counts.clone()));
        Self { port: own_port, network, counts, task }
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes the network fail, or heals it with [`Fault::None`].
    pub fn set(&self, fault: Fault) {
        self.network.send_modify(|network| network.fault = fault);
    }

    /// Closes all connections once.
    pub fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Relays new connections to another server, as an address that moves with the master.
    pub fn lead_to(&self, port: u16) {
        self.network.send_modify(|network| network.server = port);
    }

    /// Returns the number of connections accepted so far.
    pub fn made(&self) -> usize {
        self.counts.made.load(Ordering::Relaxed)
    }

    /// Returns how many times a chunk of bytes was dropped so far.
    pub fn swallowed(&self) -> usize {
        self.counts.swallowed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, network: watch::Sender<Network>, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        counts.made.fetch_add(1, Ordering::Relaxed);
        let (network, counts) = (network.subscribe(), counts.clone());
        tokio::spawn(async move {
            let port = network.borrow().server;
            // If the server is down, the connection is closed at once.
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            relay(client, server, network, &counts).await;
        });
    }
}

/// Relays until one side closes, or a fault closes the connection.
async fn relay(
    client: TcpStream,
    server: TcpStream,
    network: watch::Receiver<Network>,
    counts: &Counts,
) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let mut changes = network.clone();
    let cuts = changes.borrow().cuts;
    let closed = changes.wait_for(|network| network.fault == Fault::Closed || network.cuts != cuts);
    let upwards = carry(&mut from_client, &mut to_server, network.clone(), false, counts);
    let downwards = carry(&mut from_server, &mut to_client, network, true, counts);
    tokio::select! {
        _ = closed => {}
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
            counts.swallowed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let has = |words: &[u8]| chunk[..count].windows(words.len()).any(|at| at == words);
        let is_swallowed = match fault {
            Fault::Deaf => MESSAGES.into_iter().any(has),
            Fault::Forgetful => has(REPLAY),
            _ => false,
        };
        if is_swallowed {
            counts.swallowed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if let Fault::Delay(delay) = fault {
            sleep(delay).await;
        }
        to.write_all(&chunk[..count]).await?;
    }
}
