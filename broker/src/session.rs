//! One client's state, apart from its socket: user, subscriptions, transaction, watched keys,
//! tracking.
//!
//! The layer of commands changes it. A session has no socket and no task. Actions beyond its own
//! client, such as closing others, are left to the worker as [`Effect`](effect::Effect)s.

pub(crate) mod client_info;
pub(crate) mod context;
pub(crate) mod drain;
pub(crate) mod effect;
pub(crate) mod moving;
pub(crate) mod pause;
pub(crate) mod permission_checks;
pub(crate) mod permissions;
mod publisher;
pub(crate) mod replica_options;
pub(crate) mod replication;
#[cfg(feature = "lua")]
pub(crate) mod script;
pub(crate) mod server_state;
pub(crate) mod settings;
pub(crate) mod silence;
pub(crate) mod survey;
pub(crate) mod tracking;
pub(crate) mod transaction;
pub(crate) mod user_rates;
pub(crate) mod watch;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use tracing::warn;

use self::client_info::{ClientInfo, Flag, Signal};
use self::context::Context;
use self::effect::Effect;
use self::moving::Moving;
use self::replica_options::ReplicaOptions;
use self::server_state::ServerState;
use self::silence::Silence;
use self::survey::{Reader, Survey};
use self::tracking::Tracking;
use self::transaction::{Executing, Transaction};
use self::watch::Watch;
use crate::acl::User;
use crate::config::source::ConfigFile;
use crate::config::{Config, OutputLimit};
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::{Limits, ProtocolError};
use crate::pubsub::View;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::message::Name;

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) server: Arc<ServerState>,
    pub(crate) output: Rc<ClientOutput>,
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) channels: Names,
    pub(crate) shards: Names,
    pub(crate) patterns: Names,
    /// Bytes that the names of these subscriptions take.
    pub(crate) subscription_bytes: usize,
    /// The user of the client; the default user until it logs in.
    pub(crate) user: Arc<User>,
    /// The generation of the server's users at the time `user` was read.
    pub(crate) users_seen: u64,
    pub(crate) authenticated: bool,
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) watch: Option<Box<Watch>>,
    pub(crate) silence: Silence,
    pub(crate) replica: ReplicaOptions,
    /// The replicas that the client waits for.
    pub(crate) awaited: AwaitedReplicas,
    /// The role in which the server has connected this client to itself, to carry out the stream of its
    /// master.
    pub(crate) master: Option<MasterStream>,
    pub(crate) tracking: Option<Box<Tracking>>,
    /// Settings that come into force once the server listens on other addresses.
    pub(crate) moving: Option<Box<Moving>>,
    /// The settings that `CONFIG RELOAD` has read and is to put in force.
    pub(crate) read_again: Option<Box<ConfigFile>>,
    /// A `CLIENT KILL` whose clients are not gone yet.
    pub(crate) after_ends: Option<Box<AfterEnds>>,
    /// The question about subscribers that the client waits for.
    pub(crate) survey: Option<Box<PendingSurvey>>,
    /// Whether the client has ended its own user, so that it gets its reply before the end.
    pub(crate) ends_itself: bool,
    /// The late script that the client waits for.
    #[cfg(feature = "lua")]
    pub(crate) script: Option<Box<script::PendingScript>>,
    /// The transaction that is being executed.
    #[cfg_attr(not(feature = "lua"), expect(dead_code, reason = "only scripts interrupt one"))]
    pub(crate) executing: Option<Box<Executing>>,
    /// Whether commands of a transaction run now. They must not wait.
    pub(crate) runs_transaction: bool,
    /// The caller of the script whose commands this session runs.
    pub(crate) script_caller: Option<Caller>,
}

/// So many replicas that have acknowledged the stream up to `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AwaitedReplicas {
    pub(crate) count: usize,
    pub(crate) offset: u64,
}

/// The stream of a master, which its client carries out.
#[derive(Debug)]
pub(crate) struct MasterStream {
    /// The epoch of the link.
    pub(crate) epoch: u64,
    /// Bytes of a transaction that is not complete.
    pub(crate) unapplied: u64,
}

/// A reply that waits until other clients are gone, as they are in Redis when it is sent.
#[derive(Debug)]
pub(crate) struct AfterEnds {
    /// Those that `CLIENT KILL` closes.
    pub(crate) clients: Vec<u64>,
    /// The generation of the users for which all workers have to check their clients.
    pub(crate) users: u64,
    pub(crate) reply: Reply,
}

/// A question about subscribers, and the function that makes the reply from the answers.
#[derive(Debug)]
pub(crate) struct PendingSurvey {
    pub(crate) survey: Arc<Survey>,
    /// The fields of the reply that need no answers.
    pub(crate) known: Fields,
    pub(crate) reply: fn(&[Reader], Fields) -> Reply,
}

/// The fields of a reply.
pub(crate) type Fields = Vec<(Reply, Reply)>;

/// The caller of a script, for the commands of that script.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) info: Arc<ClientInfo>,
    /// Whether the caller is to get invalidations of the keys that the script reads.
    pub(crate) caches_what_it_reads: bool,
}

/// Names of channels or patterns.
pub(crate) type Names = HashSet<Name, RandomState>;

/// The approximate memory of a name that a client holds, without its bytes.
pub(crate) const NAME_BYTES: usize = 64;

impl Session {
    pub(crate) fn new(
        server: Arc<ServerState>,
        output: Rc<ClientOutput>,
        info: Arc<ClientInfo>,
    ) -> Self {
        let names = || HashSet::with_hasher(RandomState::default());
        let users_seen = server.users.generation();
        let user = server.users.default_user();
        info.names.lock().user = user.name().to_vec();
        let authenticated = user.is_open();
        info.set(Flag::Stranger, !authenticated && !server.users.is_open());
        Self {
            server,
            output,
            info,
            channels: names(),
            shards: names(),
            subscription_bytes: 0,
            patterns: names(),
            user,
            users_seen,
            authenticated,
            transaction: None,
            watch: None,
            silence: Silence::default(),
            replica: ReplicaOptions::default(),
            awaited: AwaitedReplicas::default(),
            master: None,
            tracking: None,
            moving: None,
            read_again: None,
            after_ends: None,
            survey: None,
            ends_itself: false,
            #[cfg(feature = "lua")]
            script: None,
            executing: None,
            runs_transaction: false,
            script_caller: None,
        }
    }

    /// Returns the limits of requests that the client may send now.
    pub(crate) fn limits(&self, config: &Config) -> Limits {
        let bulk_bytes_max = match self.master {
            Some(_) => usize::MAX,
            None => config.proto_max_bulk_len,
        };
        Limits { bulk_bytes_max, authenticated: !self.must_log_in() }
    }

    /// Returns whether the client has a subscription. It then has the output limit of subscribers.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty() || !self.shards.is_empty()
    }

    /// Returns the output limit of the client's class. A script's client has none: its replies
    /// count for the memory of the script.
    pub(crate) fn output_limit(&self, config: &Config) -> OutputLimit {
        if self.script_caller.is_some() {
            return OutputLimit::default();
        }
        let limits = &config.client_output_buffer_limit;
        if self.must_log_in() {
            return OutputLimit::BEFORE_LOGIN;
        }
        if self.is_subscribed() { limits.pubsub } else { limits.normal }
    }

    /// Returns the limit of what the client has not read. A replica gets no replies, and has a class of
    /// its own.
    pub(crate) fn unread_limit(&self, config: &Config) -> OutputLimit {
        match self.info.is(Flag::Replica) {
            true => config.client_output_buffer_limit.replica,
            false => self.output_limit(config),
        }
    }

    /// Closes the client if it alone exceeds `maxmemory-clients`. Returns whether it did. If all
    /// clients together exceed it, leaves an effect that closes the largest ones. Call it after one
    /// of the client's counts has changed. A check once a second finds small changes.
    pub(crate) fn evict(&self, context: &mut Context) -> bool {
        let Config { maxmemory_clients, maxmemory, .. } = *context.config;
        let Some(bytes_max) = maxmemory_clients.bytes(maxmemory) else { return false };
        let sum = self.server.clients.sum_bytes(&self.info);
        let is_evicted = self.info.bytes() > bytes_max
            && !self.info.is_exempt()
            && self.output.disconnect().is_none();
        if !is_evicted && sum.is_some_and(|bytes| bytes > bytes_max) {
            context.effects.push(Effect::Evict);
        }
        if is_evicted {
            self.server.record_eviction(&self.info);
            // Its unread replies are the reason to close it, so they are not sent.
            self.info.ask(Signal::Close);
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
        is_evicted
    }

    /// Returns whether `CLIENT PAUSE` is in effect.
    pub(crate) fn is_paused(&self) -> bool {
        self.server.pause.is_active() && self.master.is_none()
    }

    /// Becomes the client that carries out the stream of the server's master.
    pub(crate) fn carry_out(&mut self, epoch: u64) {
        self.master = Some(MasterStream { epoch, unapplied: 0 });
        self.info.set(Flag::Master, true);
        self.info.set(Flag::Stranger, false);
        self.authenticated = true;
        let database = self.server.replication.database();
        self.info.counts.database.store(database, Ordering::Relaxed);
        self.silence = Silence::off(&self.output);
    }

    /// Returns whether this client carries out the stream of a master that the server has left.
    #[inline]
    pub(crate) fn is_outdated(&self) -> bool {
        let master = self.master.as_ref();
        master.is_some_and(|master| !self.server.replication.is_current(master.epoch))
    }

    /// Records that a request of the master's stream has been carried out.
    #[inline]
    pub(crate) fn record_request(&mut self, bytes: usize) {
        if self.master.is_some() {
            self.record_applied(bytes);
        }
    }

    #[cold]
    fn record_applied(&mut self, bytes: usize) {
        let Some(master) = &mut self.master else { return };
        let is_complete = self.transaction.is_none();
        master.unapplied += bytes as u64;
        let goes_on = self.output.disconnect().is_none();
        if is_complete && goes_on && self.server.replication.is_current(master.epoch) {
            let database = self.info.counts.database.load(Ordering::Relaxed);
            self.server.replication.apply(std::mem::take(&mut master.unapplied), database);
        }
    }

    /// Returns whether changes of keys are refused, since they are the master's.
    pub(crate) fn is_read_only(&self, config: &Config) -> bool {
        config.replication.is_read_only
            && !self.is_of_master()
            && self.server.replication.is_replica()
    }

    /// Returns whether the client carries out the stream of the server's master, or is a script of it.
    pub(crate) fn is_of_master(&self) -> bool {
        let caller = self.script_caller.as_ref();
        self.master.is_some() || caller.is_some_and(|caller| caller.info.is(Flag::Master))
    }

    /// Replies with a protocol error, and ends the session.
    pub(crate) fn refuse(&self, error: ProtocolError, context: &mut Context) {
        self.reply(context, &Reply::error(error.message()));
        context.flush_queue().disconnect(&self.output, Disconnect::Protocol);
    }

    /// Queues a reply.
    pub(crate) fn reply(&self, context: &mut Context, reply: &Reply) {
        let limit = self.output_limit(&context.config);
        match reply {
            Reply::Shared(bytes) => {
                context.flush_queue().reply_shared(&self.output, limit, bytes);
            }
            // Queued item by item, so that a client over its limit is closed before the whole reply
            // takes memory.
            Reply::Array(items) if items.len() > 1 => {
                let header = |out: &mut Vec<u8>| reply::array_header(out, items.len());
                context.flush_queue().reply(&self.output, limit, header);
                let mut left = items.iter();
                while self.output.disconnect().is_none()
                    && let Some(item) = left.next()
                {
                    self.reply(context, item);
                }
            }
            // The most frequent parts of long replies need no buffer of their own.
            Reply::Bulk(data) => {
                context.flush_queue().reply(&self.output, limit, |out| reply::bulk(out, data));
            }
            reply => {
                let mut bytes = BytesMut::new();
                reply.encode(self.output.protocol.get(), &mut bytes);
                let queue = context.flush_queue();
                queue.reply(&self.output, limit, |out| out.extend_from_slice(&bytes));
            }
        }
    }

    /// Queues an error reply and counts it.
    pub(crate) fn reply_error(&self, context: &mut Context, error: Vec<u8>) {
        if self.master.is_some() {
            // The keys are not those of the master, so they are copied again.
            warn!(error = %error.escape_ascii(), "a command of the master has failed");
            self.server.replication.forget_stream();
            context.flush_queue().disconnect(&self.output, Disconnect::Protocol);
        }
        self.server.commands.add_error(&error);
        self.reply(context, &Reply::Error(error));
    }

    /// Adds pending counts to those of the server, and ends the current batch. Call it before
    /// commands that read statistics or change the protocol version.
    pub(crate) fn flush_stats(&self, context: &mut Context) {
        self.server.flush_stats(&mut context.local.tally);
        context.flush_queue().end_batch();
    }

    /// Returns the client that the commands belong to: a script acts for its caller.
    pub(crate) fn caller(&self) -> &ClientInfo {
        self.script_caller.as_ref().map_or(&self.info, |caller| &caller.info)
    }

    /// Returns the database and the client for commands on keys.
    pub(crate) fn view(&self) -> View {
        let database = self.info.counts.database.load(Ordering::Relaxed);
        let info = self.caller();
        let is_replica = self.server.replication.is_replica();
        // A replica removes a key when its master does.
        let keeps_expired = is_replica || self.server.pause.holds_back(true).is_some();
        let finds_expired = is_replica && self.is_of_master();
        let touches = !info.is(Flag::NoTouch);
        View { database, touches, client: info.id, keeps_expired, finds_expired }
    }

    /// Updates the figures of subscriptions that other threads see.
    pub(crate) fn record_subscriptions(&self) {
        self.output.listens.set(self.is_subscribed());
        let counts = &self.info.counts;
        for (count, names) in [
            (&counts.channels, &self.channels),
            (&counts.patterns, &self.patterns),
            (&counts.shards, &self.shards),
        ] {
            count.store(u32::try_from(names.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        self.server.clients.count_states(&self.info);
        self.record_state_bytes();
    }

    /// Updates the bytes that the client takes beside its buffers.
    pub(crate) fn record_state_bytes(&self) {
        let watched = self.watch.as_ref().map_or(0, |watch| watch.bytes);
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        self.info.counts.queued_bytes.store(queued, Ordering::Relaxed);
        let bytes = self.subscription_bytes + watched + queued + self.prefix_bytes();
        self.info.counts.state_bytes.store(bytes, Ordering::Relaxed);
    }
}
