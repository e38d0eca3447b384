//! The link of a replica to its master, kept by the first worker.
//!
//! A replica copies all keys, and then carries out the master's stream. For this the process connects a
//! client to itself ([`Identity::Master`]), and passes the stream on to it. So all commands run as those
//! of any client, and messages reach the subscribers here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::accept::Identity;
use super::master_socket::{Answer, LinkError, MasterSocket};
use super::within::{self, LocalStream, Origin};
use super::worker::Worker;
use crate::config::replication::{MasterAddress, ReplicationSettings};
use crate::keyspace::{LoadError, load};
use crate::observe::clock::since_1970;
use crate::pubsub::order::OrderGuard;
use crate::session::client_info::Flag;
use crate::session::context::Context;
use crate::session::replication::{Phase, Role};

/// The pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before another attempt to copy keys that cannot be used.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The interval of acknowledgements, as in Redis.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 64 * 1024;

/// Shows the master once a second that this server is busy with the copy.
async fn show_life(socket: &mut MasterSocket) -> Result<Infallible, LinkError> {
    loop {
        sleep(PAUSE).await;
        socket.show_life().await?;
    }
}

impl Worker {
    /// Keeps the link to the master while the server is a replica.
    pub(super) async fn follow_master(self: Rc<Self>) {
        if !self.is_first {
            return;
        }
        let mut roles = self.server.replication.roles();
        loop {
            let Role { master, had_replicas, .. } = roles.borrow_and_update().clone();
            let Some(master) = master else {
                if roles.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                // First, so that a link that was left takes no further step.
                biased;
                changed = roles.changed() => if changed.is_err() { return },
                _ = self.keep_link(&master, had_replicas) => {}
            }
        }
    }

    async fn keep_link(&self, master: &MasterAddress, had_replicas: bool) -> Infallible {
        let (replication, host, port) = (&self.server.replication, &*master.host, master.port);
        // Two servers that follow each other refuse each other, as in Redis. For this a replica of this
        // server must know that it has lost its master.
        let mut pause = if had_replicas { PAUSE } else { Duration::ZERO };
        loop {
            sleep(pause).await;
            info!(host, port, "connecting to the master");
            let epoch = replication.begin_link();
            let Err(error) = self.link(master, epoch).await;
            warn!(%error, host, port, "no link to the master");
            replication.set_phase(epoch, Phase::Connect);
            pause = match error {
                // Each attempt costs the master a copy of its keys.
                LinkError::Copy(_) | LinkError::TooLarge(_) => (pause * 2).clamp(PAUSE, PAUSE_MAX),
                _ => PAUSE,
            };
        }
    }

    /// Links until an error.
    async fn link(&self, master: &MasterAddress, epoch: u64) -> Result<Infallible, LinkError> {
        let config = self.server.settings.get();
        let (settings, replication) = (&config.replication, &self.server.replication);
        let mut socket = MasterSocket::connect(master, &config).await?;
        let (peer, local) = socket.addresses;
        socket.introduce(settings, self.announced_port(settings)).await?;
        // What it carries out must be over before the offset is read.
        self.former_client_gone().await;
        let known = replication.link().stream;
        let known = known.as_deref().map(|stream| (stream, replication.applied()));
        let asked = Instant::now();
        match socket.ask_for_stream(known).await? {
            Answer::Full { stream, offset } => {
                replication.set_phase(epoch, Phase::Sync);
                let is_unlimited = config.maxmemory == 0 || settings.ignores_maxmemory;
                let bytes_max = if is_unlimited { usize::MAX } else { config.maxmemory };
                let copy = socket.read_copy(bytes_max).await?;
                let bytes = copy.len();
                let reading = self.take_over(copy, &stream, offset, asked, epoch);
                let showing = show_life(&mut socket);
                let keys = tokio::select! {
                    keys = reading => keys?,
                    ended = showing => match ended? {},
                };
                info!(keys, bytes, "the keys of the master are copied");
            }
            Answer::Continue { stream } => {
                known.ok_or(LinkError::Closed)?;
                replication.continue_stream(epoch, stream);
                info!("the stream of the master goes on");
            }
        }
        let origin = Origin { peer, local, identity: Identity::Master(epoch) };
        let client = within::connect(&self.server, &self.all(), origin)?;
        let client = client.map_err(|text| LinkError::NoPlace(within::reason(text)))?;
        replication.set_phase(epoch, Phase::Connected);
        self.relay(socket, client, epoch).await
    }

    /// Ends the client that has carried out the stream of a former link.
    async fn former_client_gone(&self) {
        let clients = &self.server.clients;
        let former = clients.close_all(Flag::Master);
        poll_fn(|cx| clients.poll_gone(&former, cx)).await;
    }

    /// Returns the port by which the master is to know this server.
    fn announced_port(&self, settings: &ReplicationSettings) -> u16 {
        let [plain, tls] =
            [&self.server.port, &self.server.tls_port].map(|port| port.load(Ordering::Relaxed));
        let own = if settings.tls { [tls, plain] } else { [plain, tls] };
        let ports = [settings.announced_port, own[0], own[1]];
        ports.into_iter().find(|port| *port != 0).unwrap_or(0)
    }

    /// Reads a copy, and replaces all keys by it. Returns the number of keys.
    async fn take_over(
        &self,
        copy: BytesMut,
        stream: &str,
        offset: u64,
        asked: Instant,
        epoch: u64,
    ) -> Result<usize, LinkError> {
        let replication = &self.server.replication;
        let databases = self.server.settings.get().databases;
        let now = u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX);
        let build = self.when_idle(|_, order| order.keyspace().builder()).await;
        // On another thread, since it may be large.
        let read = spawn_blocking(move || {
            let loaded = load(&copy, now, databases, true)?;
            drop(copy);
            let keys = loaded.len();
            Ok::<_, LoadError>((build(loaded), keys))
        });
        let (loading, keys) = read.await.map_err(io::Error::other)??;
        let mut loading = Some(loading);
        let former = self
            .when_idle(|context, order| {
                let loading = loading.take().filter(|_| replication.is_current(epoch))?;
                // Replicas of this one have other keys now.
                order.close_stream();
                replication.close_replicas();
                let now = order.now();
                let former = order.keyspace().replace(loading, now);
                order.end_command(&mut context.local, context.config.notify_keyspace_events);
                replication.begin_stream(stream.to_owned(), offset, asked);
                Some(former)
            })
            .await;
        drop(spawn_blocking(move || drop(former)));
        Ok(keys)
    }

    /// Calls `act` with the order, once no script is late.
    async fn when_idle<R>(&self, mut act: impl FnMut(&mut Context, &mut OrderGuard<'_>) -> R) -> R {
        loop {
            self.idle().await;
            if let Some(result) = self.with_order(&mut act) {
                return result;
            }
        }
    }

    /// Passes the stream on to the client that carries it out, and its acknowledgements back.
    async fn relay(
        &self,
        socket: MasterSocket,
        client: LocalStream,
        epoch: u64,
    ) -> Result<Infallible, LinkError> {
        let replication = &self.server.replication;
        let MasterSocket { stream, mut buffer, .. } = socket;
        replication.record_read(epoch, buffer.len());
        let (mut from_master, mut to_master) = tokio::io::split(stream);
        let (mut from_client, mut to_client) = client.into_split();
        let forward = async {
            loop {
                // Too many requests before the client has caught up wait in the sockets.
                to_client.write_all(&buffer).await.map_err(|_| LinkError::Ended)?;
                buffer.clear();
                buffer.reserve(READ_BYTES);
                let time = self.server.settings.get().replication.timeout;
                let read = timeout(time, from_master.read_buf(&mut buffer)).await??;
                if read == 0 {
                    return Err::<Infallible, _>(LinkError::Closed);
                }
                replication.record_read(epoch, read);
            }
        };
        let back = async {
            let mut ticks = interval(ACK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut bytes = vec![0; 1024];
            loop {
                let answer = tokio::select! {
                    _ = ticks.tick() => replication.acknowledgement(),
                    read = from_client.read(&mut bytes) => match read {
                        Ok(0) | Err(_) => return Err::<Infallible, _>(LinkError::Ended),
                        Ok(read) => bytes[..read].to_vec(),
                    },
                };
                to_master.write_all(&answer).await?;
                to_master.flush().await?;
            }
        };
        tokio::select! {
            ended = forward => ended,
            ended = back => ended,
        }
    }
}
