//! The other servers of the app: who is there, and messages and questions to them.
//!
//! Each server subscribes to a channel of all servers and to one of its own, on connections of
//! their own. So a broker that forbids these channels, or a flood on them, does not affect the
//! messages of clients. Servers of SignalR 2 and of ASP.NET Core do not subscribe to them.
//!
//! A **lease** is a sign of life. A server renews its lease at every interval, and is gone when the
//! lease ends, or when it says so. While this server itself hears nothing, no lease ends.

mod handlers;
mod member;
mod outgoing;
mod packet;
mod presence;
mod questions;
mod roster;
mod snapshot;
mod watcher;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use locks::Mutex;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

pub(crate) use self::handlers::Answering;
use self::handlers::Handlers;
pub use self::member::{LeftReason, Member, PresenceChange};
use self::outgoing::{Names, Outgoing, ReplyTo, publish};
use self::packet::{Content, Packet};
pub(crate) use self::presence::Replica;
use self::questions::Questions;
pub use self::questions::{Answers, AskError};
pub use self::roster::Server;
use self::roster::{LEASE, Roster};
use self::snapshot::{Part, split};
pub(crate) use self::watcher::{Next, Watcher};
use crate::bus::{ChannelBus, ChannelSink, ConnectError, Publication, SendError};
use crate::guid::guid;
use crate::interest::Interest;
use crate::metrics::Metrics;
use crate::state::State;

/// The servers that a message or a question is for.
///
/// ```
/// use backplane::Servers;
/// assert_ne!(Servers::all(), Servers::others());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers(To);

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    All,
    Others,
    One(String),
}

/// The channel between the servers of an app.
#[derive(Debug)]
pub(crate) struct ServerChannel {
    names: Arc<Names>,
    /// The name of this server in lists.
    name: Option<String>,
    started: Instant,
    bus: ChannelBus,
    roster: Mutex<Roster>,
    handlers: Handlers,
    questions: Questions,
    presence: Option<Replica>,
    outgoing: Outgoing,
    /// Not in the registry, which has the figures of the messages of clients.
    metrics: Metrics,
}

/// The channel, and messages for [`ServerChannel::run`] to send.
pub(crate) type StartServers = (Arc<ServerChannel>, mpsc::Receiver<Publication>);

/// Interval between two signs of life.
const LEASE_INTERVAL: Duration = Duration::from_secs(5);
/// Interval between two looks for leases that have ended.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum wait at a shutdown for the message that this server leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

impl Servers {
    /// Addresses all servers of the app, including this one.
    ///
    /// ```
    /// assert_eq!(backplane::Servers::all(), backplane::Servers::all());
    /// ```
    pub fn all() -> Self {
        Self(To::All)
    }

    /// Addresses all servers but this one.
    ///
    /// ```
    /// assert_eq!(backplane::Servers::others(), backplane::Servers::others());
    /// ```
    pub fn others() -> Self {
        Self(To::Others)
    }

    /// Addresses the server with this [`Server::id`].
    ///
    /// ```
    /// assert_ne!(backplane::Servers::one("a"), backplane::Servers::one("b"));
    /// ```
    pub fn one(id: impl Into<String>) -> Self {
        Self(To::One(id.into()))
    }
}

impl ServerChannel {
    /// Returns the channel, and messages for [`run`](Self::run) to send. `connect` returns a bus for
    /// the channels of a name.
    pub(crate) fn new(
        names: ServerNames<'_>,
        connect: impl FnOnce(&str) -> Result<ChannelBus, ConnectError>,
    ) -> Result<StartServers, ConnectError> {
        let ServerNames { app, name, is_cluster, presence } = names;
        let names = Arc::new(Names::new(guid(), app, is_cluster));
        let bus = connect(&names.all)?;
        let (outgoing, to_send) = Outgoing::new(names.clone());
        let roster = Roster::new(&names.id, name.as_deref(), Instant::now());
        let channel = Self {
            names,
            name,
            started: Instant::now(),
            bus,
            roster: Mutex::new(roster),
            handlers: Handlers::default(),
            questions: Questions::default(),
            presence,
            outgoing,
            metrics: Metrics::default(),
        };
        Ok((Arc::new(channel), to_send))
    }

    /// Subscribes.
    pub(crate) fn start(self: &Arc<Self>) {
        let interest = Arc::new(Interest::default());
        interest.want(&self.names.all.as_str().into());
        interest.want(&self.names.channel_of(&self.names.id).into());
        self.bus.start(interest, self.clone());
    }

    /// Keeps the leases, and sends messages that nobody waits for, until the task ends.
    pub(crate) async fn run(self: Arc<Self>, to_send: mpsc::Receiver<Publication>) {
        tokio::join!(publish(&self.bus, to_send), self.keep_leases());
    }

    /// Announces this server, and removes those whose leases have ended.
    async fn keep_leases(&self) {
        let (mut leases, mut sweeps) = (interval(LEASE_INTERVAL), interval(SWEEP_INTERVAL));
        leases.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = self.bus.state_changes();
        // It may be connected by now.
        state.mark_changed();
        let mut swept = Instant::now();
        loop {
            tokio::select! {
                _ = leases.tick() => if self.is_connected() {
                    self.announce(false);
                    // Our own leases pass the broker as well.
                    let silence = self.roster.lock().silence(&self.names.id, Instant::now());
                    if silence >= LEASE {
                        warn!(?silence, "the announcements of this server do not return");
                        self.bus.force_reconnect();
                    }
                },
                _ = sweeps.tick() => self.sweep(&mut swept),
                () = self.members_changed() => self.publish_members(),
                changed = state.changed() => match changed {
                    // Everyone has missed the leases of the meantime.
                    Ok(()) if *state.borrow_and_update() == State::Connected => {
                        self.roster.lock().was_deaf(Instant::now());
                        self.announce(true);
                    }
                    Ok(()) => {}
                    Err(_) => return,
                },
            }
        }
    }

    fn sweep(&self, swept: &mut Instant) {
        let now = Instant::now();
        // A process that stood still has not read what the others sent meanwhile.
        let is_late = now.duration_since(std::mem::replace(swept, now)) > LEASE_INTERVAL;
        if is_late || !self.is_connected() {
            self.roster.lock().was_deaf(now);
            return;
        }
        let expired = self.roster.lock().expire(now);
        for id in expired {
            debug!(server = id, "the lease of a server has ended");
            self.gone(&id, LeftReason::ServerGone);
        }
    }

    fn gone(&self, server: &str, reason: LeftReason) {
        self.questions.gone(server);
        if let Some(presence) = &self.presence {
            presence.gone(server, reason);
        }
    }

    /// Waits until members of this server change. Cancel safe.
    async fn members_changed(&self) {
        match &self.presence {
            Some(presence) => presence.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Publishes the changes of this server's members.
    fn publish_members(&self) {
        if let Some(presence) = &self.presence {
            presence.publish_own(&self.names.id, |version, changes| {
                self.outgoing.send(self.outgoing.to_all(Content::Changes { version, changes }));
            });
        }
    }

    /// Returns the members of all servers, if presence is on. Those of this server are up to date.
    pub(crate) fn presence(&self) -> Option<&Replica> {
        self.publish_members();
        self.presence.as_ref()
    }

    fn is_connected(&self) -> bool {
        *self.bus.state_changes().borrow() == State::Connected
    }

    fn announce(&self, wants_reply: bool) {
        let lease = self.lease(wants_reply);
        self.outgoing.send(self.outgoing.to_all(lease));
    }

    fn lease(&self, wants_reply: bool) -> Content<'_> {
        let age = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let presence = self.presence.as_ref().map(Replica::version);
        Content::Lease { name: self.name.as_deref().map(Cow::Borrowed), age, wants_reply, presence }
    }

    /// Returns the id of this server.
    pub(crate) fn id(&self) -> &str {
        &self.names.id
    }

    /// Returns the servers that are there, including this one.
    pub(crate) fn list(&self) -> Vec<Server> {
        self.roster.lock().all(Instant::now())
    }

    /// Adds a function for messages and questions with this name. One at a time keeps their order.
    pub(crate) fn handle(&self, name: &str, handler: Answering, at_once_max: usize) {
        self.handlers.add(name, handler, at_once_max, self.outgoing.clone());
    }

    /// Sends a message. Returns when the broker has accepted it.
    pub(crate) async fn send(
        &self,
        servers: &Servers,
        name: &str,
        value: &RawValue,
    ) -> Result<(), SendError> {
        let is_for_others = *servers == Servers::others();
        let content = Content::Message { name: Cow::Borrowed(name), value, is_for_others };
        self.publish(servers, content).await.map(drop)
    }

    /// Asks servers, and collects the answers until all of them have answered or are gone, or until
    /// the time is over.
    pub(crate) async fn ask(
        &self,
        servers: &Servers,
        name: &str,
        value: &RawValue,
        within: Duration,
    ) -> Result<Answers<Box<RawValue>>, SendError> {
        self.ask_until(servers, name, value, within, |_| false).await
    }

    /// Asks servers as [`ask`](Self::ask) does, and returns early with an answer that is enough.
    pub(crate) async fn ask_until(
        &self,
        servers: &Servers,
        name: &str,
        value: &RawValue,
        within: Duration,
        is_enough: fn(&RawValue) -> bool,
    ) -> Result<Answers<Box<RawValue>>, SendError> {
        let mut asked_servers = self.list();
        asked_servers.retain(|server| match &servers.0 {
            To::All => true,
            To::Others => server.id != self.names.id,
            To::One(id) => server.id == *id,
        });
        let asked = self.questions.begin(&asked_servers, is_enough);
        let number = asked.number;
        let is_for_others = *servers == Servers::others();
        let content = Content::Question { number, name: Cow::Borrowed(name), value, is_for_others };
        let asking = async {
            let receivers = self.publish(servers, content).await?;
            // A server that has ended without a word has a lease, and no subscription any more.
            if receivers > 0 || !matches!(servers.0, To::One(_)) {
                asked.complete().await;
            }
            Ok(())
        };
        // After the time, the servers without an answer are silent.
        timeout(within, asking).await.unwrap_or(Ok(()))?;
        let mut answers = Answers { received: Vec::new(), silent: Vec::new(), refused: Vec::new() };
        let mut replies = asked.replies();
        for server in asked_servers {
            let found = replies.iter().position(|(from, _)| *from == server.id);
            match found.map(|index| replies.swap_remove(index).1) {
                Some(Ok(answer)) => answers.received.push((server, answer)),
                Some(Err(reason)) => answers.refused.push((server, reason)),
                None => answers.silent.push(server),
            }
        }
        Ok(answers)
    }

    /// Publishes a message, and returns the number of servers that get it.
    async fn publish(&self, servers: &Servers, content: Content<'_>) -> Result<u64, SendError> {
        let publication = match &servers.0 {
            To::All | To::Others => self.outgoing.to_all(content),
            To::One(id) => self.outgoing.to_one(id, content),
        };
        self.bus.publish(&[publication]).await
    }

    /// Announces the departure, and disconnects. Functions of the application end.
    pub(crate) async fn leave(&self) {
        if self.is_connected() {
            let leave = self.outgoing.to_all(Content::Leave {});
            // The others notice it by the lease otherwise.
            let _ = timeout(LEAVE_TIMEOUT, self.bus.publish(&[leave])).await;
        }
        self.bus.stop().await;
        self.end();
    }

    /// Ends the tasks of the bus, which hold this channel.
    pub(crate) fn abort(&self) {
        self.bus.abort();
        self.end();
    }

    /// Ends functions and watchers, and empties the list of servers.
    fn end(&self) {
        self.roster.lock().clear();
        self.handlers.clear();
        if let Some(presence) = &self.presence {
            presence.end();
        }
    }

    fn take(&self, packet: &Packet<'_>) {
        let from = &*packet.from;
        match &packet.content {
            Content::Lease { name, age, wants_reply, presence } => {
                let age = Duration::from_millis(*age);
                self.roster.lock().heard(from, name.as_deref(), age, Instant::now());
                if from == self.names.id {
                    return;
                }
                if *wants_reply {
                    self.outgoing.send(self.outgoing.to_one(from, self.lease(false)));
                }
                self.take_members(from, |replica| {
                    presence.is_some_and(|version| replica.leased(from, version))
                });
            }
            // The members of this server are known without a message.
            Content::Changes { .. } | Content::WantsMembers {} | Content::Members { .. }
                if from == self.names.id => {}
            Content::Changes { version, changes } => {
                self.take_members(from, |replica| replica.changed_at(from, *version, changes));
            }
            Content::WantsMembers {} => {
                let has_lease = self.roster.lock().has(from);
                if let Some(presence) = self.presence.as_ref().filter(|_| has_lease) {
                    let (version, members) = presence.all_own();
                    for (part, members) in split(version, members) {
                        let Part { version, number: part, has_more } = part;
                        let content = Content::Members { version, part, has_more, members };
                        self.outgoing.send(self.outgoing.to_one(from, content));
                    }
                }
            }
            Content::Members { version, part, has_more, members } => {
                let part = Part { version: *version, number: *part, has_more: *has_more };
                self.take_members(from, |replica| {
                    replica.replaced(from, part, members);
                    false
                });
            }
            Content::Leave {} => {
                if from != self.names.id && self.roster.lock().left(from, Instant::now()) {
                    self.gone(from, LeftReason::ServerShutdown);
                }
            }
            Content::Message { is_for_others: true, .. }
            | Content::Question { is_for_others: true, .. }
                if from == self.names.id => {}
            Content::Message { name, value, .. } => {
                if let Err(reason) = self.deliver(from, name, value, None) {
                    debug!(name = &**name, reason, "skipped a message of another server");
                }
            }
            Content::Question { number, name, value, .. } => {
                let reply_to = ReplyTo { server: from.to_owned(), number: *number };
                if let Err(reason) = self.deliver(from, name, value, Some(reply_to.clone())) {
                    self.outgoing.reply(&reply_to, &Err(reason));
                }
            }
            Content::Answer { number, value } => {
                let answer: &RawValue = value;
                self.questions.replied(*number, from, Ok(answer.to_owned()));
            }
            Content::Refusal { number, reason } => {
                self.questions.replied(*number, from, Err(reason.clone().into_owned()));
            }
        }
    }

    /// Applies members of a server, and asks it for all of them if that is needed.
    fn take_members(&self, server: &str, is_needed: impl FnOnce(&Replica) -> bool) {
        // Without a lease, nothing would remove the members again.
        let has_lease = self.roster.lock().has(server);
        if has_lease && self.presence.as_ref().is_some_and(is_needed) {
            self.outgoing.send(self.outgoing.to_one(server, Content::WantsMembers {}));
        }
    }

    fn deliver(
        &self,
        from: &str,
        name: &str,
        value: &RawValue,
        reply_to: Option<ReplyTo>,
    ) -> Result<(), String> {
        let known = self.roster.lock().get(from, Instant::now());
        let server = known.unwrap_or_else(|| Server::unknown(from));
        self.handlers.deliver(name, server, value, reply_to)
    }
}

/// What a channel between servers needs to know.
#[derive(Debug)]
pub(crate) struct ServerNames<'a> {
    /// The name of the app, behind the prefix of its channels.
    pub(crate) app: &'a str,
    pub(crate) name: Option<String>,
    pub(crate) is_cluster: bool,
    pub(crate) presence: Option<Replica>,
}

impl ChannelSink for ServerChannel {
    fn receive(&self, _channel: &[u8], payload: &[u8]) {
        match Packet::read(payload) {
            Ok(packet) => self.take(&packet),
            Err(error) => {
                debug!(%error, bytes = payload.len(), "skipped a malformed payload");
            }
        }
    }

    fn resubscribed(&self) {}

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
