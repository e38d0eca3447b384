//! A load balancer without sticky sessions, in front of the web servers.
//!
//! It relays TCP connections and reads none of their bytes. Each connection goes to the next ready
//! server, whichever one had the last connection of the same browser. Real farms use nginx, Envoy or
//! a balancer of their cloud; this one shows that the chat needs nothing but a relay.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{self, MissedTickBehavior, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// A running balancer. It ends when it is dropped, with its connections.
#[derive(Debug)]
pub(crate) struct Balancer {
    address: SocketAddr,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Servers {
    servers: Vec<Server>,
    /// Number of connections so far.
    connections: AtomicUsize,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    is_ready: AtomicBool,
}

impl Balancer {
    /// Balances the connections of a listener among servers.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener has no local address.
    pub(crate) fn start(listener: TcpListener, servers: Vec<SocketAddr>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let servers = Arc::new(Servers::new(servers));
        let checks = (0..servers.servers.len()).map(|index| {
            let servers = Arc::clone(&servers);
            async move { servers.servers[index].check().await }
        });
        let mut tasks: Vec<_> = checks.map(spawn).collect();
        tasks.push(spawn(accept(listener, servers)));
        info!(%address, "load balancer ready");
        Ok(Self { address, _tasks: tasks })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future))
}

async fn accept(listener: TcpListener, servers: Arc<Servers>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let servers = Arc::clone(&servers);
                connections.spawn(async move { servers.relay(client).await });
                while connections.try_join_next().is_some() {}
            }
            Err(error) => {
                // Such as no free descriptor. An end of a connection frees one.
                warn!(%error, "the load balancer cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Servers {
    fn new(addresses: Vec<SocketAddr>) -> Self {
        let server = |address| Server { address, is_ready: AtomicBool::new(true) };
        Self {
            servers: addresses.into_iter().map(server).collect(),
            connections: AtomicUsize::new(0),
        }
    }

    async fn relay(&self, mut client: TcpStream) {
        // Without a server, the browser finds a closed connection and tries again.
        let Some(mut server) = self.connect().await else { return };
        let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
        // An error is the end of one side.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }

    /// Connects to the next ready server, or else to any that accepts the connection.
    async fn connect(&self) -> Option<TcpStream> {
        for server in self.candidates() {
            match timeout(TIMEOUT, TcpStream::connect(server.address)).await {
                Ok(Ok(stream)) => return Some(stream),
                _ => server.report(false),
            }
        }
        None
    }

    /// Returns all servers in the order to try: the ready ones first, each time from the next on.
    fn candidates(&self) -> Vec<&Server> {
        let mut servers: Vec<_> = self.servers.iter().collect();
        let first = self.connections.fetch_add(1, Ordering::Relaxed) % servers.len().max(1);
        servers.rotate_left(first);
        servers.sort_by_key(|server| !server.is_ready.load(Ordering::Relaxed));
        servers
    }
}

impl Server {
    /// Asks the server each second whether it is ready.
    async fn check(&self) {
        let mut ticks = time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let is_ready = timeout(TIMEOUT, ready(self.address)).await;
            self.report(matches!(is_ready, Ok(Ok(true))));
        }
    }

    fn report(&self, is_ready: bool) {
        if self.is_ready.swap(is_ready, Ordering::Relaxed) != is_ready {
            info!(server = %self.address, is_ready, "the readiness of a server changed");
        }
    }
}

/// Returns whether the server at an address answers `/readyz` with status 200.
async fn ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; READY.len()];
    stream.read_exact(&mut status).await?;
    Ok(status == *READY)
}

const READY: &[u8; 12] = b"HTTP/1.1 200";
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time of a connect and of a check.
const TIMEOUT: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_servers_come_first_and_take_turns() {
        let addresses = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let servers = Servers::new(addresses.into());
        let ports = || -> Vec<u16> {
            servers.candidates().iter().map(|server| server.address.port()).collect()
        };
        assert_eq!([ports(), ports(), ports()], [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
        servers.servers[0].report(false);
        assert_eq!([ports(), ports(), ports()], [[2, 3, 1], [2, 3, 1], [3, 2, 1]]);
    }

    #[tokio::test]
    async fn a_connection_goes_to_another_server_if_one_does_not_accept_it() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = [gone.local_addr().unwrap(), here.local_addr().unwrap()];
        drop(gone);
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let balancer = Balancer::start(front, servers.into()).unwrap();
        for _ in 0..3 {
            let mut client = TcpStream::connect(balancer.address()).await.unwrap();
            client.write_all(b"ping").await.unwrap();
            loop {
                let (mut server, _) = here.accept().await.unwrap();
                let mut found = [0; 4];
                server.read_exact(&mut found).await.unwrap();
                // A check begins with a GET.
                if &found == b"ping" {
                    server.write_all(b"pong").await.unwrap();
                    break;
                }
            }
            let mut found = [0; 4];
            client.read_exact(&mut found).await.unwrap();
            assert_eq!(&found, b"pong");
        }
    }
}
