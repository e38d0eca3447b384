//! Accepts connections, and passes each to the worker with the fewest connections.

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::address::Address;
use crate::config::Config;
use crate::server::listen::Listener;
#[cfg(unix)]
use crate::server::listen::SocketFile;
use crate::server::stream::Stream;
use crate::server::tls_stream::TlsStream;
use crate::server::within::StdStream;
use crate::server::worker::{Worker, WorkerHandle, least_busy};
use crate::session::client_info::{Flag, Signal};
use crate::session::server_state::ServerState;

/// The shortest and the longest pause after a failed accept. The usual cause is a lack of file
/// descriptors, and only time helps.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

pub(crate) const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

pub(crate) const PROTECTED: &[u8] =
    b"-DENIED Redis is running in protected mode because protected mode is \
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

/// A connection on its way to another worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    socket: Socket,
    pub(crate) admission: Admission,
    identity: Identity,
}

/// For whom the process connects to itself.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Anybody, who logs in like any other client.
    Unknown,
    /// A user that the process vouches for.
    #[cfg(feature = "http")]
    User(Box<[u8]>),
    /// The master of the server, with the epoch of the link.
    Master(u64),
}

/// A connection in its worker's runtime.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    pub(crate) peer: Address,
    pub(crate) local: Address,
    pub(crate) admission: Admission,
    pub(crate) identity: Identity,
}

/// A socket that belongs to no runtime.
#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpStream),
    /// With its place among the handshakes that may run at once.
    Tls(std::net::TcpStream, OwnedSemaphorePermit),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream, Address, Address),
    /// Of the process with itself, for a client with these addresses.
    #[cfg(all(not(unix), feature = "http"))]
    Within(StdStream, Address, Address),
}

/// A place among `maxclients` and among the connections of one worker. It is taken before the
/// connection is handed over, and given back when the connection is gone.
#[derive(Debug)]
pub(crate) struct Admission {
    server: Arc<ServerState>,
    worker: Arc<AtomicUsize>,
    /// The number of the connection while it is on its way to another worker.
    in_transit: Option<u64>,
    pub(crate) accepted: Instant,
}

/// Why there is no place for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    Full,
    /// Many clients are giving up their places.
    Ending,
}

/// A listener in its worker's runtime.
enum Listening {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerState>),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        path: Arc<str>,
        /// Removed when the server stops listening.
        _file: Option<SocketFile>,
    },
}

/// Accepts until the task is aborted. No error ends it.
pub(crate) async fn accept(worker: Rc<Worker>, listener: Listener, workers: Arc<[WorkerHandle]>) {
    let listener = match Listening::new(listener, &worker.server) {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "cannot accept connections"),
    };
    let mut pause = PAUSES.0;
    // Without a descriptor for a client, this one serves to accept it and to say so.
    let mut reserved = reserve();
    loop {
        match listener.accept().await {
            Ok((stream, peer, local)) => {
                pause = PAUSES.0;
                let place = place(&worker, &workers).await;
                if let Err(error) = admit(&worker, stream, (peer, local), &workers, place) {
                    debug!(%error, "client disconnected before it was served");
                }
            }
            Err(error) => {
                if lacks_descriptors(&error) && reserved.take().is_some() {
                    debug!(%error, "client refused");
                    // The client may be gone by now.
                    if let Ok(Ok((stream, ..))) = timeout(PAUSES.0, listener.accept()).await {
                        let _ = refuse(&worker, &stream, TOO_MANY_CLIENTS);
                        drop(stream);
                    }
                    reserved = reserve();
                    continue;
                }
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Returns whether the process or the system has no descriptor left.
fn lacks_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const WSAEMFILE: i32 = 10024;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | WSAEMFILE))
}

impl Listening {
    fn new(listener: Listener, server: &Arc<ServerState>) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Listener::Tls(listener) => Self::Tls(TcpListener::from_std(listener)?, server.clone()),
            #[cfg(unix)]
            Listener::Unix(listener, path, file) => {
                Self::Unix { listener: UnixListener::from_std(listener)?, path, _file: file }
            }
        })
    }

    async fn accept(&self) -> io::Result<(Stream, Address, Address)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr()?;
                Ok((Stream::Tcp(stream), Address::Tcp(peer), Address::Tcp(local)))
            }
            Self::Tls(listener, server) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr()?;
                // Further clients wait in the backlog.
                let place = place_for_handshake(server).await?;
                let stream = with_tls(server, stream, place)?;
                Ok((stream, Address::Tcp(peer), Address::Tcp(local)))
            }
            #[cfg(unix)]
            Self::Unix { listener, path, .. } => {
                let (stream, _) = listener.accept().await?;
                let address = Address::Unix(path.clone());
                Ok((Stream::Unix(stream), address.clone(), address))
            }
        }
    }
}

impl Accepted {
    /// Registers the connection with the worker's runtime.
    pub(crate) fn arrive(self) -> io::Result<Arrival> {
        let (stream, peer, local) = self.socket.into_stream(&self.admission.server)?;
        Ok(Arrival { stream, peer, local, admission: self.admission, identity: self.identity })
    }

    /// Returns a connection of the process with itself.
    pub(crate) fn within(
        stream: StdStream,
        peer: Address,
        local: Address,
        identity: Identity,
        mut admission: Admission,
    ) -> Self {
        admission.depart();
        #[cfg(unix)]
        let socket = Socket::Unix(stream, peer, local);
        #[cfg(not(unix))]
        let socket = Socket::Within(stream, peer, local);
        Self { socket, admission, identity }
    }
}

/// Takes a place among the handshakes. If all are taken, the oldest handshake gives up its place, unless it
/// has just begun.
async fn place_for_handshake(server: &ServerState) -> io::Result<OwnedSemaphorePermit> {
    /// Time that each handshake has. On a busy server the signatures of others come first.
    const AGE_MIN: Duration = Duration::from_secs(1);

    let places = &server.handshakes;
    loop {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let all = server.clients.all();
        let oldest = all.iter().filter(|info| info.is(Flag::Handshake));
        let oldest = oldest.min_by_key(|info| info.connected);
        let age = oldest.map_or(Duration::ZERO, |info| info.connected.elapsed());
        let wait = AGE_MIN.saturating_sub(age);
        if let Some(oldest) = oldest.filter(|_| wait.is_zero()) {
            debug!(client.id = oldest.id, "client closed: its handshake takes too long");
            oldest.ask(Signal::Close);
            return places.clone().acquire_owned().await.map_err(io::Error::other);
        }
        if let Ok(place) = timeout(wait, places.clone().acquire_owned()).await {
            return place.map_err(io::Error::other);
        }
    }
}

/// Begins TLS with the material in force.
fn with_tls(
    server: &ServerState,
    stream: TcpStream,
    place: OwnedSemaphorePermit,
) -> io::Result<Stream> {
    // The listener opens after TLS is configured.
    let material = server.tls.material().ok_or(io::ErrorKind::Unsupported)?;
    Ok(Stream::Tls(Box::new(TlsStream::new(stream, material, place)?)))
}

impl Socket {
    fn into_stream(self, server: &ServerState) -> io::Result<(Stream, Address, Address)> {
        match self {
            Self::Tls(stream, place) => {
                let stream = TcpStream::from_std(stream)?;
                let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
                let stream = with_tls(server, stream, place)?;
                Ok((stream, Address::Tcp(peer), Address::Tcp(local)))
            }
            Self::Tcp(stream) => {
                let stream = TcpStream::from_std(stream)?;
                let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
                Ok((Stream::Tcp(stream), Address::Tcp(peer), Address::Tcp(local)))
            }
            #[cfg(unix)]
            Self::Unix(stream, peer, local) => {
                Ok((Stream::Unix(UnixStream::from_std(stream)?), peer, local))
            }
            #[cfg(all(not(unix), feature = "http"))]
            Self::Within(stream, peer, local) => {
                Ok((Stream::Tcp(TcpStream::from_std(stream)?), peer, local))
            }
        }
    }
}

/// Takes a place on the least busy worker. Further clients stay in the backlog while many others are giving
/// up their places.
async fn place(worker: &Worker, workers: &[WorkerHandle]) -> Option<(usize, Admission)> {
    /// The end of a task takes a moment.
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSES_MAX: usize = 1000;
    /// Clients that give up their places keep their descriptors until their tasks have ended.
    const ENDING_MAX: usize = 32;

    for _ in 0..PAUSES_MAX {
        let index = least_busy(workers);
        let clients_max = worker.server.settings.get().maxclients;
        match Admission::take(&worker.server, &workers[index], clients_max, ENDING_MAX) {
            Ok(admission) => return Some((index, admission)),
            Err(NoPlace::Full) => return None,
            Err(NoPlace::Ending) => tokio::time::sleep(PAUSE).await,
        }
    }
    None
}

/// Passes a connection to its worker, unless it must be refused.
fn admit(
    worker: &Rc<Worker>,
    stream: Stream,
    (peer, local): (Address, Address),
    workers: &[WorkerHandle],
    place: Option<(usize, Admission)>,
) -> io::Result<()> {
    let server = &worker.server;
    let config = server.settings.get();
    let Some((index, mut admission)) = place else {
        return refuse(worker, &stream, TOO_MANY_CLIENTS);
    };
    // With TLS, the text follows the handshake.
    if !matches!(stream, Stream::Tls(_)) && is_protected(server, &config, &peer) {
        return refuse(worker, &stream, PROTECTED);
    }
    let socket = match &stream {
        Stream::Tcp(stream) => Some(stream),
        Stream::Tls(stream) => Some(stream.socket()),
        _ => None,
    };
    // The client is served without these options as well.
    if let Some(Err(error)) = socket.map(|socket| tune(socket, &config)) {
        debug!(client.addr = %peer, %error, "cannot set socket options");
    }
    let socket = match (index, stream) {
        (0, stream) => {
            let identity = Identity::Unknown;
            worker.serve(Arrival { stream, peer, local, admission, identity });
            return Ok(());
        }
        (_, Stream::Closed) => return Ok(()),
        (_, Stream::Tcp(stream)) => Socket::Tcp(stream.into_std()?),
        (_, Stream::Tls(stream)) => match stream.into_parts() {
            Some((stream, place)) => Socket::Tls(stream.into_std()?, place),
            None => return Ok(()),
        },
        #[cfg(unix)]
        (_, Stream::Unix(stream)) => Socket::Unix(stream.into_std()?, peer, local),
    };
    admission.depart();
    workers[index].serve(Accepted { socket, admission, identity: Identity::Unknown });
    Ok(())
}

impl Admission {
    /// Takes a place. If a password is required, the client that has waited longest without a login gives
    /// its place to the new one, unless `ending_max` clients are giving up theirs.
    pub(crate) fn take(
        server: &Arc<ServerState>,
        worker: &WorkerHandle,
        clients_max: usize,
        ending_max: usize,
    ) -> Result<Self, NoPlace> {
        let clients = &server.broker.stats().connected_clients;
        if !clients.add_below(clients_max as u64) {
            if server.users.is_open() {
                return Err(NoPlace::Full);
            }
            // A client that arrives between the two look-ups would be found by none of them.
            let mut in_transit = server.clients.in_transit.lock();
            if server.clients.ending() >= ending_max {
                return Err(NoPlace::Ending);
            }
            let all = server.clients.all();
            let strangers = all.iter().filter(|info| info.is(Flag::Stranger));
            let oldest = strangers.min_by_key(|info| info.connected);
            // A client on its way to another worker has not logged in either.
            if !in_transit.give_up_oldest(oldest.map(|info| info.connected)) {
                let oldest = oldest.ok_or(NoPlace::Full)?;
                debug!(client.id = oldest.id, "client closed: its place goes to a new one");
                oldest.ask(Signal::Close);
            }
            clients.add(1);
        }
        let worker = worker.take_place();
        Ok(Self { server: server.clone(), worker, in_transit: None, accepted: Instant::now() })
    }

    /// Notes that the connection is on its way to another worker.
    fn depart(&mut self) {
        self.in_transit = Some(self.server.clients.in_transit.lock().depart(self.accepted));
    }

    /// Notes that the connection is with its worker, and registered. Returns whether it must give its
    /// place to a new client.
    pub(crate) fn arrive(&mut self) -> bool {
        let number = self.in_transit.take();
        number.is_some_and(|number| self.server.clients.in_transit.lock().arrive(number))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.arrive();
        self.server.broker.stats().connected_clients.subtract(1);
        self.server.drain.client_ended();
        self.worker.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns whether protected mode refuses the client.
pub(crate) fn is_protected(server: &ServerState, config: &Config, peer: &Address) -> bool {
    config.protected_mode && server.users.is_open() && !peer.is_local()
}

fn refuse(worker: &Worker, stream: &Stream, text: &[u8]) -> io::Result<()> {
    worker.server.broker.stats().connections_rejected.add(1);
    // The buffer of a new socket has room for a line. A client that is gone needs none.
    match stream {
        Stream::Tcp(stream) => SockRef::from(stream).send(text),
        // As in Redis, a client without TLS yet gets no text.
        Stream::Tls(_) => return Ok(()),
        #[cfg(unix)]
        Stream::Unix(stream) => SockRef::from(stream).send(text),
        Stream::Closed => return Ok(()),
    }
    .map(|_| ())
}

/// Sets the options of a client's socket.
pub(crate) fn tune(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if !config.tcp_keepalive.is_zero() {
        // As Redis: three probes, a third of the time apart.
        let interval = (config.tcp_keepalive / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(config.tcp_keepalive).with_interval(interval);
        // A system without these options must not cost the client.
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3));
    }
    Ok(())
}
