//! A load balancer without affinity: each connection leads to the next server that accepts it.
//!
//! It relays bytes and reads none of them. A server that closes its connections after each response
//! thus gets every other request of a client at most.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// A relay in front of several servers.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    connections: Arc<Vec<AtomicUsize>>,
    relays: Arc<Relays>,
    task: JoinHandle<()>,
}

/// The end of a connection in the middle of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides notice it.
    Whole,
    /// The client notices it, and the server does not.
    Silent,
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Relays {
    /// In the order of their begin.
    open: Mutex<BTreeMap<usize, Relay>>,
    /// Notified when a client has received bytes.
    has_received: Notify,
}

/// One connection of a client.
#[derive(Debug)]
struct Relay {
    /// Number of bytes that the client has received.
    received: Arc<AtomicUsize>,
    cut: oneshot::Sender<Cut>,
}

impl Balancer {
    /// Starts a relay to ports on the loopback interface.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn before(servers: Vec<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("there is a free port");
        let port = listener.local_addr().expect("the listener is bound").port();
        let connections: Arc<Vec<_>> =
            Arc::new(servers.iter().map(|_| AtomicUsize::new(0)).collect());
        let relays = Arc::<Relays>::default();
        let task = tokio::spawn(accept(listener, servers, connections.clone(), relays.clone()));
        Self { port, connections, relays, task }
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of connections that each server has had.
    pub fn connections(&self) -> Vec<usize> {
        self.connections.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Waits until a client has received so many bytes on one connection, and cuts the oldest such
    /// connection.
    pub async fn cut(&self, cut: Cut, received_min: usize) {
        loop {
            // Before the look, so that no change is missed.
            let has_received = self.relays.has_received.notified();
            if let Some(relay) = self.relays.take_oldest(received_min) {
                // Fails if the connection has just ended by itself.
                if relay.cut.send(cut).is_ok() {
                    return;
                }
                continue;
            }
            has_received.await;
        }
    }
}

impl Relays {
    fn open(&self) -> MutexGuard<'_, BTreeMap<usize, Relay>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_oldest(&self, received_min: usize) -> Option<Relay> {
        let mut open = self.open();
        let mut all = open.iter();
        let oldest = all.find(|(_, relay)| relay.received.load(Ordering::Relaxed) >= received_min);
        let number = *oldest?.0;
        open.remove(&number)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    servers: Vec<u16>,
    connections: Arc<Vec<AtomicUsize>>,
    relays: Arc<Relays>,
) {
    for number in 0.. {
        let Ok((client, _)) = listener.accept().await else { return };
        let (servers, connections, relays) = (servers.clone(), connections.clone(), relays.clone());
        tokio::spawn(async move {
            for turn in 0..servers.len() {
                let next = (number + turn) % servers.len();
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, servers[next])).await {
                    connections[next].fetch_add(1, Ordering::Relaxed);
                    return relay(number, client, server, &relays).await;
                }
            }
        });
    }
}

/// Relays bytes until either side ends, or the connection is cut.
async fn relay(number: usize, client: TcpStream, server: TcpStream, relays: &Relays) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (received, (cut, is_cut)) = (Arc::<AtomicUsize>::default(), oneshot::channel());
    relays.open().insert(number, Relay { received: received.clone(), cut });
    let sending = copy(&mut from_client, &mut to_server, |_| {});
    let receiving = copy(&mut from_server, &mut to_client, |bytes| {
        received.fetch_add(bytes, Ordering::Relaxed);
        relays.has_received.notify_waiters();
    });
    let cut = tokio::select! {
        _ = async { tokio::join!(sending, receiving) } => Cut::Whole,
        Ok(cut) = is_cut => cut,
    };
    relays.open().remove(&number);
    drop((from_client, to_client));
    if cut == Cut::Silent {
        // The server's side stays until the end of the test.
        std::future::pending::<()>().await;
    }
    drop((from_server, to_server));
}

/// Copies bytes to their end, and passes the end on.
async fn copy(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, copied: impl Fn(usize)) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
        copied(count);
    }
    let _ = to.shutdown().await;
}
