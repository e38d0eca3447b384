//! Connections of the process with itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::accept::{Accepted, Admission, Identity, TOO_MANY_CLIENTS};
use super::worker::{WorkerHandle, least_busy};
use crate::address::Address;
use crate::session::server_state::ServerState;

/// The client's end of such a connection.
#[cfg(unix)]
pub(super) type LocalStream = tokio::net::UnixStream;
#[cfg(not(unix))]
pub(super) type LocalStream = tokio::net::TcpStream;

#[cfg(unix)]
pub(super) type StdStream = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
pub(super) type StdStream = std::net::TcpStream;

/// The one for whom the process connects.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The address that `CLIENT LIST` shows.
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) identity: Identity,
}

/// Connects a client to the least busy worker. Returns the text of the refusal if there is no place for
/// it. Protected mode is not asked.
pub(super) fn connect(
    server: &Arc<ServerState>,
    workers: &[WorkerHandle],
    origin: Origin,
) -> io::Result<Result<LocalStream, &'static [u8]>> {
    let config = server.settings.get();
    let (peer, local) = (Address::Tcp(origin.peer), Address::Tcp(origin.local));
    let worker = &workers[least_busy(workers)];
    // As in Redis, the link to a master takes no place of a client.
    let clients_max = match origin.identity {
        Identity::Master(_) => usize::MAX,
        _ => config.maxclients,
    };
    let Ok(admission) = Admission::take(server, worker, clients_max, usize::MAX) else {
        return Ok(Err(refuse(server, TOO_MANY_CLIENTS)));
    };
    let (ours, theirs) = pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let ours = LocalStream::from_std(ours)?;
    worker.serve(Accepted::within(theirs, peer, local, origin.identity, admission));
    Ok(Ok(ours))
}

/// Counts a refusal, and returns its text.
pub(super) fn refuse(server: &ServerState, text: &'static [u8]) -> &'static [u8] {
    server.broker.stats().connections_rejected.add(1);
    text
}

/// Returns the text of a refusal, without the marks of the protocol.
pub(super) fn reason(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim_matches(['-', '\r', '\n']).to_owned()
}

#[cfg(unix)]
fn pair() -> io::Result<(StdStream, StdStream)> {
    StdStream::pair()
}

#[cfg(not(unix))]
fn pair() -> io::Result<(StdStream, StdStream)> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let ours = StdStream::connect(listener.local_addr()?)?;
    let (theirs, peer) = listener.accept()?;
    // Another program may have been faster.
    if peer != ours.local_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok((ours, theirs))
}
