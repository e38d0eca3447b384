//! Accepts connections, and gives each to the worker with the fewest.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdTcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::config::Config;
use crate::worker::{Worker, WorkerHandle, least_busy};

/// Pauses after a failed accept grow from the first to the second: the usual cause is that there
/// are no file descriptors left, and only time helps.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. If you want to connect from external computers to Redis you may \
adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG \
SET protected-mode no' from the loopback interface by connecting to Redis from the same host the \
server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. \
Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the \
protected mode by editing the Redis configuration file, and setting the protected mode option to \
'no', and then restarting the server. 3) If you started the server manually just for testing, \
restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the \
default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

/// Accepts until the task is aborted. No error ends it.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    listener: StdTcpListener,
    workers: Arc<[WorkerHandle]>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "cannot accept connections"),
    };
    let mut pause = PAUSES.0;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = PAUSES.0;
                if let Err(error) = admit(&worker, stream, peer, &workers) {
                    debug!(client.addr = %peer, %error, "client was gone before it was served");
                }
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Gives a connection to the least busy worker, unless it must be refused.
fn admit(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    workers: &[WorkerHandle],
) -> io::Result<()> {
    let host = &worker.host;
    if host.broker.stats().connected_clients.get() >= host.config.maxclients as u64 {
        return refuse(worker, &stream, TOO_MANY_CLIENTS);
    }
    if host.config.protected_mode && !host.requires_password() && !is_local(peer.ip()) {
        return refuse(worker, &stream, PROTECTED);
    }
    tune(&stream, &host.config)?;
    match least_busy(workers) {
        0 => worker.serve(stream, peer),
        other => workers[other].serve(stream.into_std()?, peer),
    }
    Ok(())
}

fn refuse(worker: &Worker, stream: &TcpStream, text: &[u8]) -> io::Result<()> {
    worker.host.broker.stats().connections_rejected.add(1);
    // A new socket has room for a line; a client that is gone needs none.
    SockRef::from(stream).send(text).map(|_| ())
}

fn tune(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if !config.tcp_keepalive.is_zero() {
        // As Redis: three probes, a third of the time apart.
        let interval = (config.tcp_keepalive / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(config.tcp_keepalive).with_interval(interval);
        SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))?;
    }
    Ok(())
}

/// Redis takes exactly these two for the machine's own.
fn is_local(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}
