//! A load balancer without affinity: each connection leads to the next server.
//!
//! It relays bytes and reads none of them. A server that closes its connections after each response
//! thus gets every other request of a client at most.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A relay in front of several servers.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    connections: Arc<Vec<AtomicUsize>>,
    task: JoinHandle<()>,
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
        let task = tokio::spawn(accept(listener, servers, connections.clone()));
        Self { port, connections, task }
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of connections that each server has had.
    pub fn connections(&self) -> Vec<usize> {
        self.connections.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, servers: Vec<u16>, connections: Arc<Vec<AtomicUsize>>) {
    for next in (0..servers.len()).cycle() {
        let Ok((mut client, _)) = listener.accept().await else { return };
        connections[next].fetch_add(1, Ordering::Relaxed);
        let port = servers[next];
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
