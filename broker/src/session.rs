//! One client's state and rules.
//!
//! A session takes whole requests and queues replies; it knows no socket and no task. What it
//! cannot do itself (closing others, stopping the server) it leaves as an effect for its worker.
//!
//! Checks come in Redis' order: does the command exist, is the number of arguments right, may it
//! run before authentication, may it run while subscribed, is a transaction open.

mod acl;
mod auth;
mod client;
mod config;
mod counters;
mod debug;
mod expiry;
mod info;
mod info_fields;
mod keys;
mod latency;
mod list;
mod monitor;
mod pubsub;
mod replay;
mod rights;
mod scan;
mod script;
#[cfg(feature = "lua")]
mod script_client;
mod server;
mod slowlog;
mod strings;
mod table;
mod tracking;
mod transaction;
mod watch;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use self::client::Silence;
use self::pubsub::Kind;
use self::tracking::Tracking;
use self::transaction::{Executing, Transaction};
use self::watch::Watch;
use crate::acl::User;
#[cfg(feature = "lua")]
use crate::address::Address;
use crate::audience::{Audience, Effect, Member};
#[cfg(feature = "lua")]
use crate::card::Home;
use crate::card::{Card, Mark, Wish};
use crate::command::{self, Command, Entry, Lookup, Spec};
use crate::config::{Config, OutputLimit};
use crate::disconnect::Disconnect;
use crate::host::Host;
use crate::message::{Name, Space};
#[cfg(feature = "lua")]
use crate::registry::WorkerId;
use crate::resp::Protocol;
use crate::resp::reply::Reply;
use crate::resp::request::{Limits, ProtocolError, Request};

#[cfg(feature = "lua")]
pub(crate) use self::script_client::{Caller, ScriptClient};

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    host: Arc<Host>,
    member: Rc<Member>,
    card: Arc<Card>,
    channels: Names,
    shards: Names,
    patterns: Names,
    /// What these take.
    subscription_bytes: usize,
    /// Who the client is; the default user until it logs in.
    user: Arc<User>,
    /// The state of the users that `user` is from.
    users_seen: u64,
    authenticated: bool,
    transaction: Option<Box<Transaction>>,
    watch: Option<Box<Watch>>,
    silence: Silence,
    tracking: Option<Box<Tracking>>,
    /// Settings that come into force when the server listens elsewhere.
    moving: Option<Box<config::Moving>>,
    /// The script that the client waits for.
    #[cfg(feature = "lua")]
    script: Option<Box<script::Pending>>,
    /// What is left of the transaction that is being executed.
    executing: Option<Box<Executing>>,
    /// Who called the script whose commands this session runs.
    script_caller: Option<ScriptCaller>,
}

/// Who called a script.
#[derive(Debug)]
struct ScriptCaller {
    card: Arc<Card>,
    /// Whether it is to be told when what the script reads is stale.
    caches_what_it_reads: bool,
}

type Names = HashSet<Name, RandomState>;

/// What is smaller is not worth a look at what a client takes.
pub(crate) const EVICTED_BYTES_MIN: usize = 32 * 1024;

/// About what a name takes that a client holds, beside its letters.
const NAME_BYTES: usize = 64;

/// What a connection does after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Goes on with the next one.
    Continue,
    /// Waits, and then calls [`Session::resume`].
    Wait(Duration),
    /// Waits until [`Session::has_moved`], and then calls [`Session::end_move`].
    WaitForMove,
    /// Waits until [`Session::is_script_done`], and then calls [`Session::resume_after_script`].
    #[cfg(feature = "lua")]
    WaitForScript,
}

/// Why a request is refused. The text is the reply, in Redis' words.
type CommandError = Vec<u8>;

/// What a command answers, where one value is the whole answer.
type Answer = Result<Reply, CommandError>;

/// A higher limit of `slowlog-log-slower-than` needs no clock for commands that are sent all day.
const UNTIMED_MICROS: i64 = 10_000;

const OUT_OF_MEMORY: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";
const SYNTAX_ERROR: &[u8] = b"ERR syntax error";
const NOT_AN_INTEGER: &[u8] = b"ERR value is not an integer or out of range";

impl Session {
    pub(crate) fn new(host: Arc<Host>, member: Rc<Member>, card: Arc<Card>) -> Self {
        let names = || HashSet::with_hasher(RandomState::default());
        let users_seen = host.users.generation();
        let user = host.users.default_user();
        card.words.lock().user = user.name().to_vec();
        let authenticated = user.is_open();
        Self {
            host,
            member,
            card,
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
            tracking: None,
            moving: None,
            #[cfg(feature = "lua")]
            script: None,
            executing: None,
            script_caller: None,
        }
    }

    /// Makes the session in which scripts run commands.
    #[cfg(feature = "lua")]
    fn of_scripts(host: Arc<Host>, worker: WorkerId) -> Self {
        let nowhere = Address::Unix("".into());
        let card = Arc::new(Card::new(
            0,
            Home { worker, place: usize::MAX },
            nowhere.clone(),
            nowhere,
            -1,
        ));
        Self::new(host, script_client::member(), card)
    }

    /// Returns what the client may send now.
    pub(crate) fn limits(&self, config: &Config) -> Limits {
        Limits { bulk_bytes_max: config.proto_max_bulk_len, authenticated: !self.must_log_in() }
    }

    /// Whether the client has a subscription, which makes it one of another class.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty() || !self.shards.is_empty()
    }

    /// Returns the limit of the client's class.
    pub(crate) fn output_limit(&self, config: &Config) -> OutputLimit {
        let limits = &config.client_output_buffer_limit;
        if self.must_log_in() {
            return OutputLimit::BEFORE_LOGIN;
        }
        if self.is_subscribed() { limits.pubsub } else { limits.normal }
    }

    /// Closes a client that takes more than all may (`maxmemory-clients`), after a count of it has
    /// changed to `bytes`. Returns whether it did. Those that take too much together are found within
    /// a second.
    pub(crate) fn evict_at(&self, bytes: usize, audience: &mut Audience) -> bool {
        let Config { maxmemory_clients, maxmemory, .. } = *audience.config;
        let is_evicted = bytes >= EVICTED_BYTES_MIN
            && maxmemory_clients.bytes(maxmemory).is_some_and(|most| self.card.bytes() > most)
            && !self.card.is(Mark::NoEvict)
            && self.member.disconnect().is_none();
        if is_evicted {
            self.host.note_eviction(&self.card);
            // What it has still to read is what it is closed for.
            self.card.ask(Wish::Close);
            audience.mail().disconnect(&self.member, Disconnect::Killed);
        }
        is_evicted
    }

    /// Returns until when a request has to wait (`CLIENT PAUSE`).
    pub(crate) fn held_back_until(&self, request: Request<'_>) -> Option<Instant> {
        if !self.is_paused() {
            return None;
        }
        let entry = self.look_up(request);
        let is_write = match &entry {
            Ok(entry) if entry.spec.command == Command::Exec => {
                self.transaction.as_deref().is_some_and(Transaction::has_writes)
            }
            Ok(entry) => self.pauses_with_writes(*entry, request),
            Err(_) => false,
        };
        let until = self.host.pause.holds_back(is_write)?;
        if entry.as_ref().is_ok_and(|entry| self.is_refused(*entry, request)) {
            return None;
        }
        // It is what the client waits for.
        self.card.set_last_command(entry.map_or(u16::MAX, |entry| entry.number));
        Some(until)
    }

    /// Whether a request is refused at once, whoever is paused.
    fn is_refused(&self, entry: Entry, request: Request<'_>) -> bool {
        !entry.spec.accepts(request.len())
            || !entry.runs_unauthenticated
                && (self.must_log_in() || rights::permission(&self.user, entry, request).is_err())
    }

    /// Whether a request that may run while a script takes long needs what the script has.
    pub(crate) fn needs_end_of_script(&self, request: Request<'_>, audience: &Audience) -> bool {
        use Command::{Discard, Exec, Reset, Unwatch, Watch};
        audience.entrance.is_busy
            && match self.look_up(request).map(|entry| entry.spec.command) {
                Ok(Watch) => self.transaction.is_none(),
                Ok(Discard | Exec | Unwatch) => self.watch.is_some(),
                Ok(Reset) => {
                    self.watch.is_some() || self.is_subscribed() || self.card.is(Mark::Monitor)
                }
                _ => false,
            }
    }

    /// Returns once no script runs.
    pub(crate) fn poll_idle(&self, cx: &Context<'_>) -> Poll<()> {
        self.host.broker.poll_idle(cx)
    }

    /// Whether requests are being held back at all.
    pub(crate) fn is_paused(&self) -> bool {
        self.host.pause.is_active()
    }

    /// Runs one request, and queues its reply.
    pub(crate) fn execute(&mut self, request: Request<'_>, audience: &mut Audience) -> Flow {
        audience.tally.commands += 1;
        if !self.refresh_user(audience) {
            return Flow::Continue;
        }
        let flow = match self.permitted(request, audience) {
            Ok(entry) if self.queues(entry) => {
                self.queue(entry, request, audience);
                Flow::Continue
            }
            Ok(entry) => self.run(entry, request, audience),
            Err(error) => {
                self.reject(request, error, audience);
                Flow::Continue
            }
        };
        self.silence.after_command(&self.member);
        flow
    }

    /// Answers a request that must not run.
    fn reject(&mut self, request: Request<'_>, error: CommandError, audience: &mut Audience) {
        let is = |name: &[u8]| request.argument(0).eq_ignore_ascii_case(name);
        if is(b"host:") || is(b"post") {
            // A browser that was made to send a form to us, commands and all.
            tracing::warn!(client.addr = %self.card.peer, "client closed: it speaks HTTP");
            return audience.mail().disconnect(&self.member, Disconnect::Closed);
        }
        if is(b"exec") {
            self.transaction = None;
            self.note_transaction();
            self.unwatch(audience);
            let reason = error.strip_prefix(b"ERR ").unwrap_or(&error);
            let start = b"EXECABORT Transaction discarded because of: ";
            return self.reply_error(audience, [&start[..], reason].concat());
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.fail();
        }
        self.reply_error(audience, error);
    }

    /// Goes on after [`Flow::Wait`].
    pub(crate) fn resume(&mut self, audience: &mut Audience, with_error: bool) {
        let reply = match with_error {
            true => Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            false => Reply::Integer(0),
        };
        self.reply(audience, &reply);
    }

    /// Answers bytes that are no request, and ends the session.
    pub(crate) fn refuse(&self, error: ProtocolError, audience: &mut Audience) {
        self.reply(audience, &Reply::error(error.message()));
        audience.mail().disconnect(&self.member, Disconnect::Protocol);
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&mut self, audience: &mut Audience) {
        self.leave_all(audience);
        self.stop_monitoring(audience);
        self.unwatch(audience);
        self.leave_tracking(audience);
    }

    /// Finds the command that a request names.
    fn look_up(&self, request: Request<'_>) -> Result<Entry, CommandError> {
        let Some(name) = self.host.own_name(request.argument(0)) else {
            return Err(unknown_command(request));
        };
        let subcommand = (request.len() > 1).then(|| request.argument(1));
        match command::find(name, subcommand) {
            Lookup::Found(entry) => Ok(entry),
            Lookup::Unknown => Err(unknown_command(request)),
            Lookup::UnknownSubcommand(container) => {
                Err(unknown_subcommand(container, request.argument(1)))
            }
        }
    }

    /// Finds out which command is asked for, and whether it may run now.
    fn permitted(
        &self,
        request: Request<'_>,
        audience: &mut Audience,
    ) -> Result<Entry, CommandError> {
        let name = request.argument(0);
        let entry = match audience.recent.find(name) {
            Some(entry) => Ok(entry),
            None => self.look_up(request).inspect(|entry| audience.recent.remember(name, *entry)),
        };
        self.card.set_last_command(entry.as_ref().map_or(u16::MAX, |entry| entry.number));
        let entry = entry?;
        self.check(entry, request, audience).inspect_err(|_| {
            self.host.commands.of(entry.number).rejected.add(1);
        })?;
        Ok(entry)
    }

    fn check(
        &self,
        entry: Entry,
        request: Request<'_>,
        audience: &Audience,
    ) -> Result<(), CommandError> {
        let spec = entry.spec;
        if !spec.accepts(request.len()) {
            return Err(wrong_number_of_arguments(spec));
        }
        if spec.command == Command::Debug {
            debug::check_allowed(&audience.config, &self.card.peer)?;
        }
        if !entry.runs_unauthenticated && self.must_log_in() {
            return Err(b"NOAUTH Authentication required.".to_vec());
        }
        if self.transaction.is_some() && spec.has_flag("no_multi") {
            return Err(b"ERR Command not allowed inside a transaction".to_vec());
        }
        self.check_permission(entry, request, audience, self.transaction.is_some())?;
        if (entry.may_grow || self.transaction.is_some()) && self.lacks_memory(entry, audience) {
            return Err(OUT_OF_MEMORY.to_vec());
        }
        if self.member.protocol.get() == Protocol::Resp2
            && self.is_subscribed()
            && !entry.runs_while_subscribed
        {
            return Err(not_while_subscribed(spec));
        }
        if audience.entrance.is_busy && !entry.runs_while_busy {
            return Err(script::BUSY.to_vec());
        }
        Ok(())
    }

    /// Runs a command, whether it was sent now or queued in a transaction.
    fn run(&mut self, entry: Entry, request: Request<'_>, audience: &mut Audience) -> Flow {
        if !entry.is_hot && !entry.runs_script {
            self.settle_counts(audience);
        }
        let config = &audience.config;
        let is_timed = !entry.is_hot
            || config.slowlog_log_slower_than < UNTIMED_MICROS
            || config.latency_monitor_threshold != 0
            || audience.tally.samples(entry.number);
        let start = is_timed.then(Instant::now);
        let flow = self.dispatch(entry, request, audience);
        // As in Redis, it does not see itself.
        audience.tally.call(entry.number, &self.host.commands);
        if let Some(start) = start {
            self.note_time(entry, request, start.elapsed(), &audience.config);
        }
        if entry.is_monitored && self.host.has_monitors() && !audience.entrance.is_busy {
            self.show_to_monitors(entry, request, audience);
        }
        flow
    }

    /// Before what may ask for counts, or change what messages look like.
    fn settle_counts(&self, audience: &mut Audience) {
        self.host.tell(&mut audience.tally);
        audience.mail().end_run();
    }

    fn dispatch(&mut self, entry: Entry, request: Request<'_>, audience: &mut Audience) -> Flow {
        let mut flow = Flow::Continue;
        match entry.spec.command {
            Command::Publish => self.publish(Space::Channels, request, audience),
            Command::SPublish => self.publish(Space::Shards, request, audience),
            Command::Subscribe => self.subscribe(Kind::Channel, request, audience),
            Command::SSubscribe => self.subscribe(Kind::Shard, request, audience),
            Command::PSubscribe => self.subscribe(Kind::Pattern, request, audience),
            Command::Unsubscribe => self.unsubscribe(Kind::Channel, request, audience),
            Command::SUnsubscribe => self.unsubscribe(Kind::Shard, request, audience),
            Command::PUnsubscribe => self.unsubscribe(Kind::Pattern, request, audience),
            Command::Exec => {
                flow = self.exec(entry, audience);
                self.end_caching(entry.spec);
            }
            Command::Eval | Command::EvalRo | Command::EvalSha | Command::EvalShaRo => {
                flow = self.eval(entry, request, audience);
                if audience.held.is_none() {
                    self.end_caching(entry.spec);
                }
            }
            Command::Quit => {
                self.reply(audience, &Reply::ok());
                audience.mail().disconnect(&self.member, Disconnect::Quit);
            }
            Command::Reset => self.reset(audience),
            Command::ClientReply => self.client_reply(request, audience),
            Command::ClientKill => self.client_kill(request, audience),
            Command::Monitor => self.monitor(audience),
            Command::Wait => match server::wait(request) {
                Ok(Some(time)) if self.transaction.is_none() => flow = Flow::Wait(time),
                Ok(_) => self.reply(audience, &Reply::Integer(0)),
                Err(error) => self.fail(entry, audience, error),
            },
            Command::ConfigSet => match self.config_set(request, audience) {
                Ok(true) => self.reply(audience, &Reply::ok()),
                Ok(false) => flow = Flow::WaitForMove,
                Err(error) => self.fail(entry, audience, error),
            },
            Command::Shutdown => match server::shutdown(request, audience.entrance.is_busy) {
                Ok(()) => audience.effects.push(Effect::ShutDown),
                Err(error) => self.fail(entry, audience, error),
            },
            command => {
                let has_waited = self.begin_answer();
                match self.answer(command, request, audience) {
                    Ok(reply) => self.reply(audience, &reply),
                    Err(error) => self.fail(entry, audience, error),
                }
                if has_waited {
                    audience.mail().end_deferring(&self.member);
                }
                if audience.held.is_none() {
                    self.end_caching(entry.spec);
                }
            }
        }
        flow
    }

    fn fail(&self, entry: Entry, audience: &mut Audience, error: CommandError) {
        self.host.commands.of(entry.number).failed.add(1);
        self.reply_error(audience, error);
    }

    fn reply_error(&self, audience: &mut Audience, error: CommandError) {
        self.host.commands.add_error(&error);
        self.reply(audience, &Reply::Error(error));
    }

    /// Runs a command whose answer is one value.
    fn answer(
        &mut self,
        command: Command,
        request: Request<'_>,
        audience: &mut Audience,
    ) -> Answer {
        let config = &audience.config;
        match command {
            Command::AclCat => acl::cat(request),
            Command::AclDelUser => self.acl_deluser(request, audience),
            Command::AclDryRun => self.acl_dryrun(request),
            Command::AclGenPass => acl::genpass(request),
            Command::AclGetUser => Ok(self.acl_getuser(request.argument(2))),
            Command::AclList => Ok(self.acl_list()),
            Command::AclLoad => self.acl_load(audience),
            Command::AclLog => self.acl_log(request),
            Command::AclSave => self.acl_save(),
            Command::AclSetUser => self.acl_setuser(request, audience),
            Command::AclUsers => Ok(self.acl_users()),
            Command::AclWhoAmI => Ok(self.acl_whoami()),
            Command::Auth => self.auth(request, audience),
            Command::ClientCaching => self.client_caching(request.argument(2)),
            Command::ClientGetName => Ok(self.client_getname()),
            Command::ClientGetRedir => Ok(self.client_getredir()),
            Command::ClientId => Ok(Reply::Integer(self.card.id.cast_signed())),
            Command::ClientInfo => Ok(self.client_info(request)),
            Command::ClientList => self.client_list(request),
            Command::ClientNoEvict => self.client_mark(Mark::NoEvict, request.argument(2)),
            Command::ClientNoTouch => self.client_mark(Mark::NoTouch, request.argument(2)),
            Command::ClientPause => self.client_pause(request),
            Command::ClientSetInfo => self.client_setinfo(request),
            Command::ClientSetName => self.client_setname(request.argument(2)),
            Command::ClientTracking => self.client_tracking(request, audience),
            Command::ClientTrackingInfo => Ok(self.client_trackinginfo(audience)),
            Command::ClientUnblock => self.client_unblock(request),
            Command::ClientUnpause => Ok(self.client_unpause(audience)),
            Command::Cluster => Err(b"ERR This instance has cluster support disabled".to_vec()),
            Command::ConfigGet => Ok(config::get(&self.host, config, request.arguments_from(2))),
            Command::ConfigResetStat => Ok(self.config_resetstat(audience)),
            Command::ConfigRewrite => config::rewrite(&self.host, config),
            Command::Debug => self.debug(request, audience),
            Command::Discard => self.discard(audience),
            Command::Echo => Ok(Reply::bulk(request.argument(1))),
            Command::Failover => server::failover(request),
            Command::FlushAll => self.flush(None, request, audience),
            Command::FlushDb => self.flush(Some(self.view().database), request, audience),
            Command::Hello => self.hello(request, audience),
            Command::Info => Ok(self.info(request, audience)),
            Command::LatencyDoctor => Ok(self.latency_doctor(config.latency_monitor_threshold)),
            Command::LatencyGraph => self.latency_graph(request.argument(2)),
            Command::LatencyHistogram => Ok(self.latency_histogram(request)),
            Command::LatencyHistory => Ok(self.latency_history(request.argument(2))),
            Command::LatencyLatest => Ok(self.latency_latest()),
            Command::LatencyReset => Ok(self.latency_reset(request)),
            Command::Lolwut => server::lolwut(request),
            Command::MemoryDoctor => Ok(server::memory_doctor()),
            Command::MemoryMallocStats => Ok(server::memory_malloc_stats()),
            Command::MemoryPurge => Ok(Reply::ok()),
            Command::MemoryStats => Ok(self.memory_stats(audience)),
            Command::Multi => self.multi(),
            Command::Ping => self.ping(request),
            Command::PubSubChannels => self.pubsub_channels(Space::Channels, request),
            Command::PubSubNumPat => Ok(Reply::integer(self.host.broker.pattern_count())),
            Command::PubSubNumSub => Ok(self.pubsub_numsub(Space::Channels, request)),
            Command::PubSubOffset => self.pubsub_offset(request.argument(2), audience),
            Command::PubSubReplay => self.pubsub_replay(request, audience),
            Command::PubSubShardChannels => self.pubsub_channels(Space::Shards, request),
            Command::PubSubShardNumSub => Ok(self.pubsub_numsub(Space::Shards, request)),
            Command::ReplicaOf => server::replicaof(request),
            Command::Role => Ok(server::role()),
            Command::ScriptDebug => server::script_debug(request),
            Command::ScriptExists => Ok(self.script_exists(request)),
            Command::ScriptFlush => self.script_flush(request, audience),
            Command::ScriptKill => self.script_kill(),
            Command::ScriptLoad => self.script_load(request, audience),
            Command::Select => self.select(request.argument(1), config),
            Command::SlowlogGet => self.slowlog_get(request),
            Command::SlowlogLen => Ok(self.slowlog_len()),
            Command::SlowlogReset => Ok(self.slowlog_reset()),
            Command::SwapDb => self.swapdb(request, audience),
            Command::Table => Ok(table::all()),
            Command::TableCount => Ok(table::count()),
            Command::TableDocs => Ok(table::docs(request.arguments_from(2))),
            Command::TableGetKeys => table::getkeys(request),
            Command::TableGetKeysAndFlags => table::getkeys_and_flags(request),
            Command::TableInfo => Ok(table::info(request.arguments_from(2))),
            Command::TableList => table::list(request),
            Command::Time => Ok(server::time()),
            Command::Unwatch => Ok(self.unwatch(audience)),
            Command::Watch => self.watch(request, audience),
            Command::AclHelp
            | Command::ClientHelp
            | Command::ConfigHelp
            | Command::LatencyHelp
            | Command::MemoryHelp
            | Command::ObjectHelp
            | Command::PubSubHelp
            | Command::ScriptHelp
            | Command::SlowlogHelp
            | Command::TableHelp => Ok(server::help(request.argument(0))),
            other => match keys::run_of(other) {
                Some(run) => self.on_keys(run, request, audience),
                None => unreachable!("{other:?} answers by itself, or needs a subcommand"),
            },
        }
    }

    /// Queues a reply.
    fn reply(&self, audience: &mut Audience, reply: &Reply) {
        if let Reply::Shared(bytes) = reply {
            let limit = self.output_limit(&audience.config);
            return audience.mail().reply_shared(&self.member, limit, bytes);
        }
        let mut bytes = BytesMut::new();
        reply.encode(self.member.protocol.get(), &mut bytes);
        let limit = self.output_limit(&audience.config);
        audience.mail().reply(&self.member, limit, |out| out.extend_from_slice(&bytes));
    }

    /// Keeps the figures that others see.
    fn note_subscriptions(&self) {
        self.member.listens.set(self.is_subscribed());
        let counts = &self.card.counts;
        for (count, names) in [
            (&counts.channels, &self.channels),
            (&counts.patterns, &self.patterns),
            (&counts.shards, &self.shards),
        ] {
            count.store(u32::try_from(names.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        self.note_state_bytes();
    }

    /// Keeps what the client takes beside its buffers.
    fn note_state_bytes(&self) {
        let watched = self.watch.as_ref().map_or(0, |watch| watch.bytes);
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        let bytes = self.subscription_bytes + watched + queued + self.prefix_bytes();
        self.card.counts.state_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Redis shows 128 bytes of the name, and arguments until 128 bytes are shown in all.
const SHOWN_BYTES_MAX: usize = 128;

fn unknown_command(request: Request<'_>) -> CommandError {
    let mut arguments = Vec::new();
    for argument in request.arguments_from(1) {
        if arguments.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - arguments.len();
        arguments.push(b'\'');
        arguments.extend_from_slice(shown(argument, room));
        arguments.extend_from_slice(b"' ");
    }
    let name = shown(request.argument(0), SHOWN_BYTES_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &arguments].concat()
}

/// Returns what a message shows of `text`: its beginning, up to a NUL.
fn shown(text: &[u8], bytes_max: usize) -> &[u8] {
    let text = &text[..text.len().min(bytes_max)];
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

fn unknown_subcommand(container: &Spec, subcommand: &[u8]) -> CommandError {
    let subcommand = shown(subcommand, SHOWN_BYTES_MAX);
    let container = container.name.to_ascii_uppercase();
    [b"ERR unknown subcommand '", subcommand, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}

/// Redis' answer to a subcommand that it knows with arguments that it does not.
fn help_wanted(container: &str, subcommand: &[u8]) -> CommandError {
    let start = b"ERR unknown subcommand or wrong number of arguments for '";
    [start, shown(subcommand, SHOWN_BYTES_MAX), b"'. Try ", container.as_bytes(), b" HELP."]
        .concat()
}

fn wrong_number_of_arguments(spec: &Spec) -> CommandError {
    format!("ERR wrong number of arguments for '{}' command", spec.name).into_bytes()
}

fn not_while_subscribed(spec: &Spec) -> CommandError {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        spec.name
    )
    .into_bytes()
}
