//! The link of a replica to its master, kept by the first worker.
//!
//! A replica copies all keys, and then carries out the master's stream. For this the process connects a
//! client to itself ([`Identity::Master`]), and passes the stream on to it. So all commands run as those
//! of any client, and messages reach the subscribers here.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::accept::Identity;
use super::master_socket::{Answer, LinkError, MasterSocket};
use super::within::{self, LocalStream, Origin};
use super::worker::Worker;
use crate::config::replication::MasterAddress;
use crate::ids::WorkerId;
use crate::keyspace::{Loaded, load};
use crate::observe::clock::since_1970;
use crate::protocol::request::encode;
use crate::session::replication::{Phase, Role};

/// The pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// The interval of acknowledgements, as in Redis.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 64 * 1024;

impl Worker {
    /// Keeps the link to the master while the server is a replica.
    pub(super) async fn follow_master(self: Rc<Self>) {
        if self.id() != WorkerId(0) {
            return;
        }
        let mut roles = self.server.replication.roles();
        loop {
            let Role { generation, master } = roles.borrow_and_update().clone();
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
                _ = self.keep_link(&master, generation) => {}
            }
        }
    }

    async fn keep_link(&self, master: &MasterAddress, generation: u64) -> Infallible {
        let replication = &self.server.replication;
        loop {
            info!("connecting to the master {}:{}", master.host, master.port);
            replication.set_phase(Phase::Connecting);
            let Err(error) = self.link(master, generation).await;
            warn!(%error, "no link to the master {}:{}", master.host, master.port);
            replication.set_phase(Phase::Connect);
            sleep(PAUSE).await;
        }
    }

    /// Links until an error.
    async fn link(&self, master: &MasterAddress, generation: u64) -> Result<Infallible, LinkError> {
        let config = self.server.settings.get();
        let (settings, replication) = (&config.replication, &self.server.replication);
        let mut socket = MasterSocket::connect(master, settings.timeout).await?;
        let (peer, local) = socket.addresses()?;
        socket.introduce(settings, self.announced_port(settings.announced_port)).await?;
        let known = replication.link().stream;
        let known = known.as_deref().map(|stream| (stream, replication.applied()));
        match socket.ask_for_stream(known).await? {
            Answer::Full { stream, offset } => {
                replication.set_phase(Phase::Sync);
                let copy = socket.read_copy().await?;
                let bytes = copy.len();
                let loaded = self.read_copy(copy).await?;
                let keys = loaded.len();
                self.take_over(loaded, &stream, offset, generation).await;
                info!(keys, bytes, "the keys of the master are copied");
            }
            Answer::Continue { stream } => {
                let (before, offset) = known.ok_or(LinkError::Closed)?;
                replication.set_stream(stream.unwrap_or_else(|| before.to_owned()), offset);
                info!("the stream of the master goes on");
            }
        }
        let origin = Origin { peer, local, identity: Identity::Master(generation) };
        let client = within::connect(&self.server, &self.all(), origin)?;
        let client = client.map_err(|text| LinkError::NoPlace(within::reason(text)))?;
        replication.set_phase(Phase::Connected);
        self.relay(socket, client, settings.timeout).await
    }

    /// Returns the port by which the master is to know this server.
    fn announced_port(&self, announced: u16) -> u16 {
        use std::sync::atomic::Ordering::Relaxed;

        let ports = [announced, self.server.port.load(Relaxed), self.server.tls_port.load(Relaxed)];
        ports.into_iter().find(|port| *port != 0).unwrap_or(0)
    }

    /// Reads a copy on another thread, since it may be large.
    async fn read_copy(&self, copy: Vec<u8>) -> Result<Vec<Loaded>, LinkError> {
        let databases = self.server.settings.get().databases;
        let now = u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX);
        let read = spawn_blocking(move || load(&copy, now, databases, true)).await;
        Ok(read.map_err(std::io::Error::other)??)
    }

    /// Replaces all keys by those of the master.
    async fn take_over(&self, loaded: Vec<Loaded>, stream: &str, offset: u64, generation: u64) {
        let replication = &self.server.replication;
        let mut loaded = Some(loaded);
        loop {
            self.idle().await;
            let former = self.with_order(|context, order| {
                let loaded = loaded.take().filter(|_| replication.is_current(generation))?;
                // Replicas of this one have other keys now.
                replication.close_replicas();
                order.close_stream();
                let now = order.now();
                let former = order.keyspace().replace(loaded, now);
                order.end_command(&mut context.local, context.config.notify_keyspace_events);
                replication.begin_stream(stream.to_owned(), offset);
                Some(former)
            });
            // Dropped here, since it takes time and the order is free.
            if former.is_some() {
                return;
            }
        }
    }

    /// Passes the stream on to the client that carries it out, and its acknowledgements back.
    async fn relay(
        &self,
        socket: MasterSocket,
        client: LocalStream,
        time: Duration,
    ) -> Result<Infallible, LinkError> {
        let replication = &self.server.replication;
        let MasterSocket { stream, mut buffer, .. } = socket;
        let (mut from_master, mut to_master) = stream.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let forward = async {
            loop {
                // Too many requests before the client has caught up wait in the sockets.
                to_client.write_all(&buffer).await.map_err(|_| LinkError::Ended)?;
                buffer.clear();
                buffer.reserve(READ_BYTES);
                if timeout(time, from_master.read_buf(&mut buffer)).await?? == 0 {
                    return Err::<Infallible, _>(LinkError::Closed);
                }
                replication.record_read();
            }
        };
        let back = async {
            let mut ticks = interval(ACK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut bytes = vec![0; 1024];
            let mut request = Vec::new();
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        request.clear();
                        let offset = replication.applied().to_string();
                        encode(&mut request, &["REPLCONF", "ACK", &offset]);
                        to_master.write_all(&request).await?;
                    }
                    read = from_client.read(&mut bytes) => match read {
                        Ok(0) | Err(_) => return Err::<Infallible, _>(LinkError::Ended),
                        Ok(read) => to_master.write_all(&bytes[..read]).await?,
                    },
                }
            }
        };
        tokio::select! {
            ended = forward => ended,
            ended = back => ended,
        }
    }
}
