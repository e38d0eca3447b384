//! The plane of ASP.NET Core's dialect: a channel for each target, payloads without ids.
//!
//! A signal of a connection is the name of a channel, with the prefix. Received messages get numbers
//! of this server, so the connections keep their order and their marks as on a stream. The numbers
//! have no meaning on other servers.
//!
//! A **barrier** is a message of this server to itself. It follows published messages on the same
//! two connections to the broker, so it arrives after them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dialect::Encoding;
use dialect::aspnetcore::{self, Ack, Action, Channel, Completion, GroupCommand};
use locks::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, trace};

use crate::bus::{ChannelBus, ChannelSink, Publication, SendError};
use crate::connections::Source;
use crate::cursor::Cursor;
use crate::delivered_mark::DeliveredMark;
use crate::dialect::{Change, Envelope};
use crate::event::Event;
use crate::group::GroupError;
use crate::guid::guid;
use crate::interest::Interest;
use crate::invocation::Invocation;
use crate::metrics::Metrics;
use crate::receiver::Receiver;
use crate::target::{Target, To};

/// The channels of one server.
#[derive(Debug)]
pub(crate) struct Channels {
    prefix: String,
    /// The name of this server in payloads and channels.
    server: String,
    /// The channel of this server's probes and barriers. Servers of ASP.NET Core ignore it.
    own: Arc<str>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) bus: ChannelBus,
    interest: Arc<Interest>,
    /// The hubs with subscribed internal channels.
    hubs: Mutex<HashSet<String>>,
    last_command: AtomicI32,
    last_number: AtomicU64,
    barriers: Mutex<Barriers>,
    /// Replies to other servers, for a task that sends them.
    replies: mpsc::UnboundedSender<Reply>,
}

#[derive(Debug, Default)]
struct Barriers {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<()>>,
}

/// A barrier that has not returned.
struct Barrier<'a> {
    number: u64,
    returned: oneshot::Receiver<()>,
    of: &'a Mutex<Barriers>,
}

/// A message to another server, once a channel is confirmed.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The channel of a joined group. Its acknowledgement promises that messages arrive.
    after: Option<String>,
    message: Publication,
}

/// Maximum wait for a barrier. It returns at once unless messages are lost.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);
/// The error for a server that asks one of our clients for a result.
const NO_RESULTS: &str = "This server does not forward results of its clients.";

impl Channels {
    /// Returns the channels of a server, and its replies to others.
    pub(crate) fn new(
        prefix: &str,
        app_name: &str,
        receiver: Arc<Receiver>,
        bus: ChannelBus,
    ) -> (Self, mpsc::UnboundedReceiver<Reply>) {
        let (replies, to_send) = mpsc::unbounded_channel();
        let server = format!("rust_{}", guid().replace('-', ""));
        let interest = Arc::new(Interest::default());
        receiver.connections.follow(interest.clone());
        receiver.connections.use_channels(prefix);
        let own: Arc<str> = format!("{prefix}{app_name}:internal:probe:{server}").into();
        interest.want(&own);
        let channels = Self {
            prefix: prefix.to_owned(),
            server,
            own,
            receiver,
            bus,
            interest,
            hubs: Mutex::default(),
            last_command: AtomicI32::new(0),
            last_number: AtomicU64::new(0),
            barriers: Mutex::default(),
            replies,
        };
        (channels, to_send)
    }

    pub(crate) fn start(self: &Arc<Self>) {
        self.bus.start(self.interest.clone(), self.clone());
    }

    /// Stops receiving and disconnects. Queued sends and sends in flight fail.
    pub(crate) async fn stop(&self) {
        self.bus.stop().await;
        // None returns any more.
        self.barriers.lock().waiting.clear();
    }

    /// Returns the signals of a connection.
    pub(crate) fn signals(&self, hub: &str, id: &str, user: Option<&str>) -> Vec<String> {
        self.enter(hub);
        let user = user.filter(|user| !user.is_empty()).map(Channel::User);
        let channels = [Channel::All, Channel::Connection(id)].into_iter().chain(user);
        channels.map(|channel| self.name(hub, channel)).collect()
    }

    pub(crate) fn group_signal(&self, hub: &str, group: &str) -> String {
        self.name(hub, Channel::Group(group))
    }

    pub(crate) fn all_signal(&self, hub: &str) -> String {
        self.name(hub, Channel::All)
    }

    pub(crate) fn connection_signal(&self, hub: &str, id: &str) -> String {
        self.name(hub, Channel::Connection(id))
    }

    pub(crate) fn user_signal(&self, hub: &str, user: &str) -> String {
        self.name(hub, Channel::User(user))
    }

    /// Subscribes to the internal channels of a hub.
    fn enter(&self, hub: &str) {
        if !self.hubs.lock().insert(hub.to_owned()) {
            return;
        }
        let server = self.server.as_str();
        for channel in [Channel::Groups, Channel::Ack(server), Channel::Return(server)] {
            self.interest.want(&self.name(hub, channel).into());
        }
    }

    fn name(&self, hub: &str, channel: Channel<'_>) -> String {
        name(&self.prefix, hub, channel)
    }

    /// Sends an invocation, once for each target. Returns after the connections of this server have
    /// received it.
    pub(crate) async fn send(
        &self,
        hub: &str,
        target: &Target,
        invocation: &Invocation,
    ) -> Result<Cursor, SendError> {
        let mut messages = publications(&self.prefix, hub, target, invocation);
        let is_wanted = |message: &Publication| self.interest.is_wanted(&message.channel);
        let has_receivers = messages.iter().any(is_wanted);
        let barrier = has_receivers.then(|| self.barrier());
        let barrier = barrier.map(|(barrier, message)| {
            messages.push(message);
            barrier
        });
        self.bus.publish(&messages).await?;
        if let Some(mut barrier) = barrier {
            // A lost subscription ends the wait.
            let _ = timeout(BARRIER_TIMEOUT, &mut barrier.returned).await;
        }
        Ok(Cursor::at(self.receiver.connections.last()))
    }

    /// Returns a barrier, and its message.
    fn barrier(&self) -> (Barrier<'_>, Publication) {
        let (sender, returned) = oneshot::channel();
        let mut barriers = self.barriers.lock();
        barriers.last += 1;
        let number = barriers.last;
        barriers.waiting.insert(number, sender);
        (Barrier { number, returned, of: &self.barriers }, self.own_message(BARRIER, number))
    }

    /// Sends a health probe.
    pub(crate) async fn probe(&self, number: u64) -> Result<(), SendError> {
        self.bus.publish(&[self.own_message(PROBE, number)]).await.map(drop)
    }

    fn own_message(&self, kind: char, number: u64) -> Publication {
        Publication { channel: self.own.to_string(), payload: format!("{kind}{number}").into() }
    }

    /// Waits until the broker has confirmed a channel of a connection of this server.
    pub(crate) async fn confirmed(&self, signal: &str) {
        self.interest.confirmed(signal).await;
    }

    /// Changes the groups of a connection of another server, and waits for the acknowledgement.
    pub(crate) async fn change(
        &self,
        hub: &str,
        connection_id: &str,
        change: &Change,
    ) -> Result<(), GroupError> {
        let (signal, action) = match change {
            Change::Join { signal } => (signal, Action::Add),
            Change::Leave { signal } => (signal, Action::Remove),
            Change::Initialize | Change::Abort => {
                return Err(GroupError::Elsewhere { connection_id: connection_id.to_owned() });
            }
        };
        let name = signal.strip_prefix(&self.prefix).and_then(Channel::parse);
        let Some((_, Channel::Group(group))) = name else { return Ok(()) };
        self.enter(hub);
        self.interest.confirmed(&self.name(hub, Channel::Ack(&self.server))).await;
        let id = self.last_command.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut expected = self.receiver.acks.expect(&id.to_string());
        let command = GroupCommand { id, server: &self.server, action, group, connection_id };
        let channel = self.name(hub, Channel::Groups);
        self.bus.publish(&[Publication { channel, payload: command.encode().into() }]).await?;
        expected.acknowledged().await;
        Ok(())
    }

    /// Sends a reply to another server.
    pub(crate) async fn reply(&self, reply: Reply) {
        if let Some(channel) = &reply.after {
            self.interest.confirmed(channel).await;
        }
        if let Err(error) = self.bus.publish(&[reply.message]).await {
            debug!(%error, "could not notify the other servers");
        }
    }

    /// Delivers an invocation to the connections of a channel.
    fn deliver(&self, hub: &str, signal: &str, payload: &[u8]) -> Result<(), String> {
        let read = aspnetcore::Envelope::decode(payload).map_err(|error| error.to_string())?;
        if let Some(reply_to) = read.reply_to {
            self.refuse(reply_to);
            return Ok(());
        }
        let frames = Encoding::ALL
            .map(|encoding| read.frame(encoding.name()).filter(|frame| encoding.is_message(frame)));
        let invocation = Invocation::of_frames(hub, frames).ok_or("no invocation in JSON")?;
        let message = Envelope {
            signal: signal.to_owned(),
            except: read.excluded.iter().copied().collect(),
            source: None,
            invocation: Arc::new(invocation),
            bytes: payload.len(),
        };
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let Receiver { connections, metrics, .. } = &*self.receiver;
        connections
            .arrive(number, payload, Source::Live, vec![message], |_| DeliveredMark::default());
        connections.release();
        metrics.received.inc();
        trace!(id = number, "message received");
        Ok(())
    }

    /// Replies to a server that asks a client for a result. Otherwise it would wait for good.
    fn refuse(&self, reply_to: aspnetcore::ReplyTo<'_>) {
        let frame = dialect::json::completion(reply_to.invocation_id, Err(NO_RESULTS));
        let completion = Completion { encoding: Encoding::Json.name(), frame: &frame };
        let channel = [&self.prefix, reply_to.channel].concat();
        let message = Publication { channel, payload: completion.encode().into() };
        let _ = self.replies.send(Reply { after: None, message });
    }

    /// Applies the command of another server, and acknowledges it.
    fn command(&self, hub: &str, payload: &[u8]) -> Result<(), String> {
        let command = GroupCommand::decode(payload).map_err(|error| error.to_string())?;
        let signal = self.group_signal(hub, command.group);
        let change = match command.action {
            Action::Add => Change::Join { signal: signal.clone() },
            Action::Remove => Change::Leave { signal: signal.clone() },
            // A server of ASP.NET Core acknowledges it as well.
            Action::Other(_) => Change::Initialize,
        };
        if self.receiver.change(command.connection_id, &change) {
            let channel = self.name(hub, Channel::Ack(command.server));
            let payload = Ack { id: command.id }.encode().into();
            let after = (command.action == Action::Add).then_some(signal);
            // The task ends only with the backplane.
            let _ = self.replies.send(Reply { after, message: Publication { channel, payload } });
        }
        Ok(())
    }

    fn acknowledged(&self, payload: &[u8]) -> Result<(), String> {
        let Ack { id } = Ack::decode(payload).map_err(|error| error.to_string())?;
        self.receiver.acks.acknowledge(&id.to_string());
        Ok(())
    }

    /// Takes a message of this server to itself.
    fn returned(&self, payload: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let (kind, number) = text.split_at_checked(1).unwrap_or_default();
        let number: u64 = number.parse().map_err(|_| "expected a probe".to_owned())?;
        let Receiver { health_probe, metrics, .. } = &*self.receiver;
        if kind.starts_with(PROBE)
            && let Some((_, round_trip)) = health_probe.returned(number)
        {
            metrics.round_trips.observe(round_trip.as_secs_f64());
        }
        if kind.starts_with(BARRIER) {
            // The sender may have stopped waiting.
            let _ = self.barriers.lock().waiting.remove(&number).map(|sender| sender.send(()));
        }
        Ok(())
    }
}

impl ChannelSink for Channels {
    fn receive(&self, channel: &[u8], payload: &[u8]) {
        let Ok(signal) = std::str::from_utf8(channel) else { return };
        let taken = if signal == &*self.own {
            self.returned(payload)
        } else {
            match signal.strip_prefix(&self.prefix).and_then(Channel::parse) {
                Some((hub, Channel::Groups)) => self.command(hub, payload),
                Some((_, Channel::Ack(server))) if server == self.server => {
                    self.acknowledged(payload)
                }
                // No invocation of this server waits for a result.
                Some((_, Channel::Ack(_) | Channel::Return(_))) | None => Ok(()),
                Some((hub, _)) => self.deliver(hub, signal, payload),
            }
        };
        if let Err(error) = taken {
            self.receiver.metrics.unreadable.inc();
            debug!(error, bytes = payload.len(), "skipped a malformed payload");
        }
    }

    fn resubscribed(&self) {
        // Barriers may be lost with the messages before them.
        self.barriers.lock().waiting.clear();
        self.receiver.report(Event::Interrupted);
    }

    fn metrics(&self) -> &Metrics {
        &self.receiver.metrics
    }
}

fn name(prefix: &str, hub: &str, channel: Channel<'_>) -> String {
    [prefix, &*channel.name(hub)].concat()
}

/// Returns whether a signal is that of a user, or of a group that `is_wanted` accepts.
pub(crate) fn has_members(prefix: &str, signal: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    match signal.strip_prefix(prefix).and_then(Channel::parse) {
        Some((_, Channel::User(_))) => true,
        Some((_, Channel::Group(group))) => is_wanted(group),
        _ => false,
    }
}

/// Returns the messages of an invocation, one for each target.
pub(crate) fn publications(
    prefix: &str,
    hub: &str,
    target: &Target,
    invocation: &Invocation,
) -> Vec<Publication> {
    let frames = Encoding::ALL.map(|encoding| (encoding.name(), invocation.frame(encoding)));
    let envelope = aspnetcore::Envelope {
        excluded: target.except.iter().map(String::as_str).collect(),
        frames: frames.iter().map(|(name, frame)| (*name, &frame[..])).collect(),
        reply_to: None,
    };
    let payload = Bytes::from(envelope.encode());
    let channels: Vec<_> = match &target.to {
        To::All => vec![Channel::All],
        To::Groups(names) => filled(names).map(Channel::Group).collect(),
        To::Users(users) => filled(users).map(Channel::User).collect(),
        To::Connections(ids) => filled(ids).map(Channel::Connection).collect(),
    };
    let publication =
        |channel| Publication { channel: name(prefix, hub, channel), payload: payload.clone() };
    channels.into_iter().map(publication).collect()
}

/// Returns the names of targets. As in ASP.NET Core, an empty name addresses no connection.
fn filled(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| !name.is_empty())
}

impl Drop for Barrier<'_> {
    fn drop(&mut self) {
        self.of.lock().waiting.remove(&self.number);
    }
}

// The kinds of messages of a server to itself.
const PROBE: char = 'p';
const BARRIER: char = 'b';
