//! One client's state and rules.
//!
//! A session takes whole requests and queues replies; it knows no socket and no task. What it
//! cannot do itself (closing others, stopping the server) it leaves as an effect for its worker.
//!
//! Checks come in Redis' order: does the command exist, is the number of arguments right, may it
//! run before authentication, may it run while subscribed, is a transaction open.

pub(crate) mod client_info;
pub(crate) mod permissions;
pub(crate) mod server_state;
pub(crate) mod settings;
pub(crate) mod tracking;
pub(crate) mod transaction;
pub(crate) mod watch;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use self::tracking::Tracking;
use self::transaction::{Executing, Transaction};
use self::watch::Watch;
use crate::acl::User;
#[cfg(feature = "lua")]
use crate::address::Address;
use crate::commands::client::Silence;
use crate::commands::pubsub::SubscriptionKind;
#[cfg(feature = "lua")]
use crate::commands::script_client;
use crate::commands::{self, Command, Entry, Lookup, Spec};
use crate::commands::{acl, command as table, config, debug, keys, script, server};
use crate::config::{Config, OutputLimit};
use crate::observe::disconnect::Disconnect;
use crate::protocol::Protocol;
use crate::protocol::reply::Reply;
use crate::protocol::request::{Limits, ProtocolError, Request};
use crate::pubsub::message::{ChannelKind, Name};
#[cfg(feature = "lua")]
use crate::pubsub::registry::WorkerId;
use crate::pubsub::subscribers::{ClientOutput, Context, Effect};
#[cfg(feature = "lua")]
use crate::session::client_info::ClientSlot;
use crate::session::client_info::{ClientInfo, Flag, Signal};
use crate::session::server_state::ServerState;

#[cfg(feature = "lua")]
pub(crate) use crate::commands::script_client::{Caller, ScriptClient};

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) server: Arc<ServerState>,
    pub(crate) output: Rc<ClientOutput>,
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) channels: Names,
    pub(crate) shards: Names,
    pub(crate) patterns: Names,
    /// What these take.
    pub(crate) subscription_bytes: usize,
    /// Who the client is; the default user until it logs in.
    pub(crate) user: Arc<User>,
    /// The state of the users that `user` is from.
    pub(crate) users_seen: u64,
    pub(crate) authenticated: bool,
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) watch: Option<Box<Watch>>,
    pub(crate) silence: Silence,
    pub(crate) tracking: Option<Box<Tracking>>,
    /// Settings that come into force when the server listens elsewhere.
    pub(crate) moving: Option<Box<config::Moving>>,
    /// The script that the client waits for.
    #[cfg(feature = "lua")]
    pub(crate) script: Option<Box<script::Pending>>,
    /// What is left of the transaction that is being executed.
    pub(crate) executing: Option<Box<Executing>>,
    /// Who called the script whose commands this session runs.
    pub(crate) script_caller: Option<ScriptCaller>,
}

/// Who called a script.
#[derive(Debug)]
pub(crate) struct ScriptCaller {
    pub(crate) info: Arc<ClientInfo>,
    /// Whether it is to be told when what the script reads is stale.
    pub(crate) caches_what_it_reads: bool,
}

pub(crate) type Names = HashSet<Name, RandomState>;

/// What is smaller is not worth a look at what a client takes.
pub(crate) const EVICTED_BYTES_MIN: usize = 32 * 1024;

/// About what a name takes that a client holds, beside its letters.
pub(crate) const NAME_BYTES: usize = 64;

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
pub(crate) type CommandError = Vec<u8>;

/// What a command answers, where one value is the whole answer.
pub(crate) type Answer = Result<Reply, CommandError>;

/// A higher limit of `slowlog-log-slower-than` needs no clock for commands that are sent all day.
pub(crate) const UNTIMED_MICROS: i64 = 10_000;

pub(crate) const OUT_OF_MEMORY: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";
pub(crate) const SYNTAX_ERROR: &[u8] = b"ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &[u8] = b"ERR value is not an integer or out of range";

impl Session {
    pub(crate) fn new(
        server: Arc<ServerState>,
        output: Rc<ClientOutput>,
        info: Arc<ClientInfo>,
    ) -> Self {
        let names = || HashSet::with_hasher(RandomState::default());
        let users_seen = server.users.generation();
        let user = server.users.default_user();
        info.words.lock().user = user.name().to_vec();
        let authenticated = user.is_open();
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
    pub(crate) fn of_scripts(server: Arc<ServerState>, worker: WorkerId) -> Self {
        let nowhere = Address::Unix("".into());
        let info = Arc::new(ClientInfo::new(
            0,
            ClientSlot { worker, place: usize::MAX },
            nowhere.clone(),
            nowhere,
            -1,
        ));
        Self::new(server, script_client::output(), info)
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
    pub(crate) fn evict_at(&self, bytes: usize, context: &mut Context) -> bool {
        let Config { maxmemory_clients, maxmemory, .. } = *context.config;
        let is_evicted = bytes >= EVICTED_BYTES_MIN
            && maxmemory_clients.bytes(maxmemory).is_some_and(|most| self.info.bytes() > most)
            && !self.info.is(Flag::NoEvict)
            && self.output.disconnect().is_none();
        if is_evicted {
            self.server.record_eviction(&self.info);
            // What it has still to read is what it is closed for.
            self.info.ask(Signal::Close);
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
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
        let until = self.server.pause.holds_back(is_write)?;
        if entry.as_ref().is_ok_and(|entry| self.is_refused(*entry, request)) {
            return None;
        }
        // It is what the client waits for.
        self.info.set_last_command(entry.map_or(u16::MAX, |entry| entry.number));
        Some(until)
    }

    /// Whether a request is refused at once, whoever is paused.
    pub(crate) fn is_refused(&self, entry: Entry, request: Request<'_>) -> bool {
        !entry.spec.accepts(request.len())
            || !entry.runs_unauthenticated
                && (self.must_log_in()
                    || permissions::permission(&self.user, entry, request).is_err())
    }

    /// Whether a request that may run while a script takes long needs what the script has.
    pub(crate) fn needs_end_of_script(&self, request: Request<'_>, context: &Context) -> bool {
        use Command::{Discard, Exec, Reset, Unwatch, Watch};
        context.entrance.is_busy
            && match self.look_up(request).map(|entry| entry.spec.command) {
                Ok(Watch) => self.transaction.is_none(),
                Ok(Discard | Exec | Unwatch) => self.watch.is_some(),
                Ok(Reset) => {
                    self.watch.is_some() || self.is_subscribed() || self.info.is(Flag::Monitor)
                }
                _ => false,
            }
    }

    /// Returns once no script runs.
    pub(crate) fn poll_idle(&self, cx: &task::Context<'_>) -> Poll<()> {
        self.server.broker.poll_idle(cx)
    }

    /// Whether requests are being held back at all.
    pub(crate) fn is_paused(&self) -> bool {
        self.server.pause.is_active()
    }

    /// Runs one request, and queues its reply.
    pub(crate) fn execute(&mut self, request: Request<'_>, context: &mut Context) -> Flow {
        context.tally.commands += 1;
        if !self.refresh_user(context) {
            return Flow::Continue;
        }
        let flow = match self.permitted(request, context) {
            Ok(entry) if self.queues(entry) => {
                self.queue(entry, request, context);
                Flow::Continue
            }
            Ok(entry) => self.run(entry, request, context),
            Err(error) => {
                self.reject(request, error, context);
                Flow::Continue
            }
        };
        self.silence.after_command(&self.output);
        flow
    }

    /// Answers a request that must not run.
    pub(crate) fn reject(
        &mut self,
        request: Request<'_>,
        error: CommandError,
        context: &mut Context,
    ) {
        let is = |name: &[u8]| request.argument(0).eq_ignore_ascii_case(name);
        if is(b"host:") || is(b"post") {
            // A browser that was made to send a form to us, commands and all.
            tracing::warn!(client.addr = %self.info.peer, "client closed: it speaks HTTP");
            return context.flush_queue().disconnect(&self.output, Disconnect::Closed);
        }
        if is(b"exec") {
            self.transaction = None;
            self.record_transaction();
            self.unwatch(context);
            let reason = error.strip_prefix(b"ERR ").unwrap_or(&error);
            let start = b"EXECABORT Transaction discarded because of: ";
            return self.reply_error(context, [&start[..], reason].concat());
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.fail();
        }
        self.reply_error(context, error);
    }

    /// Goes on after [`Flow::Wait`].
    pub(crate) fn resume(&mut self, context: &mut Context, with_error: bool) {
        let reply = match with_error {
            true => Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            false => Reply::Integer(0),
        };
        self.reply(context, &reply);
    }

    /// Answers bytes that are no request, and ends the session.
    pub(crate) fn refuse(&self, error: ProtocolError, context: &mut Context) {
        self.reply(context, &Reply::error(error.message()));
        context.flush_queue().disconnect(&self.output, Disconnect::Protocol);
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&mut self, context: &mut Context) {
        self.leave_all(context);
        self.stop_monitoring(context);
        self.unwatch(context);
        self.leave_tracking(context);
    }

    /// Finds the command that a request names.
    pub(crate) fn look_up(&self, request: Request<'_>) -> Result<Entry, CommandError> {
        let Some(name) = self.server.own_name(request.argument(0)) else {
            return Err(unknown_command(request));
        };
        let subcommand = (request.len() > 1).then(|| request.argument(1));
        match commands::find(name, subcommand) {
            Lookup::Found(entry) => Ok(entry),
            Lookup::Unknown => Err(unknown_command(request)),
            Lookup::UnknownSubcommand(container) => {
                Err(unknown_subcommand(container, request.argument(1)))
            }
        }
    }

    /// Finds out which command is asked for, and whether it may run now.
    pub(crate) fn permitted(
        &self,
        request: Request<'_>,
        context: &mut Context,
    ) -> Result<Entry, CommandError> {
        let name = request.argument(0);
        let entry = match context.recent.find(name) {
            Some(entry) => Ok(entry),
            None => self.look_up(request).inspect(|entry| context.recent.remember(name, *entry)),
        };
        self.info.set_last_command(entry.as_ref().map_or(u16::MAX, |entry| entry.number));
        let entry = entry?;
        self.check(entry, request, context).inspect_err(|_| {
            self.server.commands.of(entry.number).rejected.add(1);
        })?;
        Ok(entry)
    }

    pub(crate) fn check(
        &self,
        entry: Entry,
        request: Request<'_>,
        context: &Context,
    ) -> Result<(), CommandError> {
        let spec = entry.spec;
        if !spec.accepts(request.len()) {
            return Err(wrong_number_of_arguments(spec));
        }
        if spec.command == Command::Debug {
            debug::check_allowed(&context.config, &self.info.peer)?;
        }
        if !entry.runs_unauthenticated && self.must_log_in() {
            return Err(b"NOAUTH Authentication required.".to_vec());
        }
        if self.transaction.is_some() && spec.has_flag("no_multi") {
            return Err(b"ERR Command not allowed inside a transaction".to_vec());
        }
        self.check_permission(entry, request, context, self.transaction.is_some())?;
        if (entry.may_grow || self.transaction.is_some()) && self.lacks_memory(entry, context) {
            return Err(OUT_OF_MEMORY.to_vec());
        }
        if self.output.protocol.get() == Protocol::Resp2
            && self.is_subscribed()
            && !entry.runs_while_subscribed
        {
            return Err(not_while_subscribed(spec));
        }
        if context.entrance.is_busy && !entry.runs_while_busy {
            return Err(script::BUSY.to_vec());
        }
        Ok(())
    }

    /// Runs a command, whether it was sent now or queued in a transaction.
    pub(crate) fn run(
        &mut self,
        entry: Entry,
        request: Request<'_>,
        context: &mut Context,
    ) -> Flow {
        if !entry.is_hot && !entry.runs_script {
            self.settle_counts(context);
        }
        let config = &context.config;
        let is_timed = !entry.is_hot
            || config.slowlog_log_slower_than < UNTIMED_MICROS
            || config.latency_monitor_threshold != 0
            || context.tally.samples(entry.number);
        let start = is_timed.then(Instant::now);
        let flow = self.dispatch(entry, request, context);
        // As in Redis, it does not see itself.
        context.tally.call(entry.number, &self.server.commands);
        if let Some(start) = start {
            self.record_time(entry, request, start.elapsed(), &context.config);
        }
        if entry.is_monitored && self.server.has_monitors() && !context.entrance.is_busy {
            self.show_to_monitors(entry, request, context);
        }
        flow
    }

    /// Before what may ask for counts, or change what messages look like.
    pub(crate) fn settle_counts(&self, context: &mut Context) {
        self.server.tell(&mut context.tally);
        context.flush_queue().end_batch();
    }

    pub(crate) fn dispatch(
        &mut self,
        entry: Entry,
        request: Request<'_>,
        context: &mut Context,
    ) -> Flow {
        let mut flow = Flow::Continue;
        match entry.spec.command {
            Command::Publish => self.publish(ChannelKind::Channels, request, context),
            Command::SPublish => self.publish(ChannelKind::Shards, request, context),
            Command::Subscribe => self.subscribe(SubscriptionKind::Channel, request, context),
            Command::SSubscribe => self.subscribe(SubscriptionKind::Shard, request, context),
            Command::PSubscribe => self.subscribe(SubscriptionKind::Pattern, request, context),
            Command::Unsubscribe => self.unsubscribe(SubscriptionKind::Channel, request, context),
            Command::SUnsubscribe => self.unsubscribe(SubscriptionKind::Shard, request, context),
            Command::PUnsubscribe => self.unsubscribe(SubscriptionKind::Pattern, request, context),
            Command::Exec => {
                flow = self.exec(entry, context);
                self.end_caching(entry.spec);
            }
            Command::Eval | Command::EvalRo | Command::EvalSha | Command::EvalShaRo => {
                flow = self.eval(entry, request, context);
                if context.held.is_none() {
                    self.end_caching(entry.spec);
                }
            }
            Command::Quit => {
                self.reply(context, &Reply::ok());
                context.flush_queue().disconnect(&self.output, Disconnect::Quit);
            }
            Command::Reset => self.reset(context),
            Command::ClientReply => self.client_reply(request, context),
            Command::ClientKill => self.client_kill(request, context),
            Command::Monitor => self.monitor(context),
            Command::Wait => match server::wait(request) {
                Ok(Some(time)) if self.transaction.is_none() => flow = Flow::Wait(time),
                Ok(_) => self.reply(context, &Reply::Integer(0)),
                Err(error) => self.fail(entry, context, error),
            },
            Command::ConfigSet => match self.config_set(request, context) {
                Ok(true) => self.reply(context, &Reply::ok()),
                Ok(false) => flow = Flow::WaitForMove,
                Err(error) => self.fail(entry, context, error),
            },
            Command::Shutdown => match server::shutdown(request, context.entrance.is_busy) {
                Ok(()) => context.effects.push(Effect::ShutDown),
                Err(error) => self.fail(entry, context, error),
            },
            command => {
                let has_waited = self.begin_answer();
                match self.answer(command, request, context) {
                    Ok(reply) => self.reply(context, &reply),
                    Err(error) => self.fail(entry, context, error),
                }
                if has_waited {
                    context.flush_queue().end_deferring(&self.output);
                }
                if context.held.is_none() {
                    self.end_caching(entry.spec);
                }
            }
        }
        flow
    }

    pub(crate) fn fail(&self, entry: Entry, context: &mut Context, error: CommandError) {
        self.server.commands.of(entry.number).failed.add(1);
        self.reply_error(context, error);
    }

    pub(crate) fn reply_error(&self, context: &mut Context, error: CommandError) {
        self.server.commands.add_error(&error);
        self.reply(context, &Reply::Error(error));
    }

    /// Runs a command whose answer is one value.
    pub(crate) fn answer(
        &mut self,
        command: Command,
        request: Request<'_>,
        context: &mut Context,
    ) -> Answer {
        let config = &context.config;
        match command {
            Command::AclCat => acl::cat(request),
            Command::AclDelUser => self.acl_deluser(request, context),
            Command::AclDryRun => self.acl_dryrun(request),
            Command::AclGenPass => acl::genpass(request),
            Command::AclGetUser => Ok(self.acl_getuser(request.argument(2))),
            Command::AclList => Ok(self.acl_list()),
            Command::AclLoad => self.acl_load(context),
            Command::AclLog => self.acl_log(request),
            Command::AclSave => self.acl_save(),
            Command::AclSetUser => self.acl_setuser(request, context),
            Command::AclUsers => Ok(self.acl_users()),
            Command::AclWhoAmI => Ok(self.acl_whoami()),
            Command::Auth => self.auth(request, context),
            Command::ClientCaching => self.client_caching(request.argument(2)),
            Command::ClientGetName => Ok(self.client_getname()),
            Command::ClientGetRedir => Ok(self.client_getredir()),
            Command::ClientId => Ok(Reply::Integer(self.info.id.cast_signed())),
            Command::ClientInfo => Ok(self.client_info(request)),
            Command::ClientList => self.client_list(request),
            Command::ClientNoEvict => self.client_mark(Flag::NoEvict, request.argument(2)),
            Command::ClientNoTouch => self.client_mark(Flag::NoTouch, request.argument(2)),
            Command::ClientPause => self.client_pause(request),
            Command::ClientSetInfo => self.client_setinfo(request),
            Command::ClientSetName => self.client_setname(request.argument(2)),
            Command::ClientTracking => self.client_tracking(request, context),
            Command::ClientTrackingInfo => Ok(self.client_trackinginfo(context)),
            Command::ClientUnblock => self.client_unblock(request),
            Command::ClientUnpause => Ok(self.client_unpause(context)),
            Command::Cluster => Err(b"ERR This instance has cluster support disabled".to_vec()),
            Command::ConfigGet => Ok(config::get(&self.server, config, request.arguments_from(2))),
            Command::ConfigResetStat => Ok(self.config_resetstat(context)),
            Command::ConfigRewrite => config::rewrite(&self.server, config),
            Command::Debug => self.debug(request, context),
            Command::Discard => self.discard(context),
            Command::Echo => Ok(Reply::bulk(request.argument(1))),
            Command::Failover => server::failover(request),
            Command::FlushAll => self.flush(None, request, context),
            Command::FlushDb => self.flush(Some(self.view().database), request, context),
            Command::Hello => self.hello(request, context),
            Command::Info => Ok(self.info(request, context)),
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
            Command::MemoryStats => Ok(self.memory_stats(context)),
            Command::Multi => self.multi(),
            Command::Ping => self.ping(request),
            Command::PubSubChannels => self.pubsub_channels(ChannelKind::Channels, request),
            Command::PubSubNumPat => Ok(Reply::integer(self.server.broker.pattern_count())),
            Command::PubSubNumSub => Ok(self.pubsub_numsub(ChannelKind::Channels, request)),
            Command::PubSubOffset => self.pubsub_offset(request.argument(2), context),
            Command::PubSubReplay => self.pubsub_replay(request, context),
            Command::PubSubShardChannels => self.pubsub_channels(ChannelKind::Shards, request),
            Command::PubSubShardNumSub => Ok(self.pubsub_numsub(ChannelKind::Shards, request)),
            Command::ReplicaOf => server::replicaof(request),
            Command::Role => Ok(server::role()),
            Command::ScriptDebug => server::script_debug(request),
            Command::ScriptExists => Ok(self.script_exists(request)),
            Command::ScriptFlush => self.script_flush(request, context),
            Command::ScriptKill => self.script_kill(),
            Command::ScriptLoad => self.script_load(request, context),
            Command::Select => self.select(request.argument(1), config),
            Command::SlowlogGet => self.slowlog_get(request),
            Command::SlowlogLen => Ok(self.slowlog_len()),
            Command::SlowlogReset => Ok(self.slowlog_reset()),
            Command::SwapDb => self.swapdb(request, context),
            Command::Table => Ok(table::all()),
            Command::TableCount => Ok(table::count()),
            Command::TableDocs => Ok(table::docs(request.arguments_from(2))),
            Command::TableGetKeys => table::getkeys(request),
            Command::TableGetKeysAndFlags => table::getkeys_and_flags(request),
            Command::TableInfo => Ok(table::info(request.arguments_from(2))),
            Command::TableList => table::list(request),
            Command::Time => Ok(server::time()),
            Command::Unwatch => Ok(self.unwatch(context)),
            Command::Watch => self.watch(request, context),
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
                Some(run) => self.on_keys(run, request, context),
                None => unreachable!("{other:?} answers by itself, or needs a subcommand"),
            },
        }
    }

    /// Queues a reply.
    pub(crate) fn reply(&self, context: &mut Context, reply: &Reply) {
        if let Reply::Shared(bytes) = reply {
            let limit = self.output_limit(&context.config);
            return context.flush_queue().reply_shared(&self.output, limit, bytes);
        }
        let mut bytes = BytesMut::new();
        reply.encode(self.output.protocol.get(), &mut bytes);
        let limit = self.output_limit(&context.config);
        context.flush_queue().reply(&self.output, limit, |out| out.extend_from_slice(&bytes));
    }

    /// Keeps the figures that others see.
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
        self.record_state_bytes();
    }

    /// Keeps what the client takes beside its buffers.
    pub(crate) fn record_state_bytes(&self) {
        let watched = self.watch.as_ref().map_or(0, |watch| watch.bytes);
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        let bytes = self.subscription_bytes + watched + queued + self.prefix_bytes();
        self.info.counts.state_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Redis shows 128 bytes of the name, and arguments until 128 bytes are shown in all.
pub(crate) const SHOWN_BYTES_MAX: usize = 128;

pub(crate) fn unknown_command(request: Request<'_>) -> CommandError {
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
pub(crate) fn shown(text: &[u8], bytes_max: usize) -> &[u8] {
    let text = &text[..text.len().min(bytes_max)];
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

pub(crate) fn unknown_subcommand(container: &Spec, subcommand: &[u8]) -> CommandError {
    let subcommand = shown(subcommand, SHOWN_BYTES_MAX);
    let container = container.name.to_ascii_uppercase();
    [b"ERR unknown subcommand '", subcommand, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}

/// Redis' answer to a subcommand that it knows with arguments that it does not.
pub(crate) fn help_wanted(container: &str, subcommand: &[u8]) -> CommandError {
    let start = b"ERR unknown subcommand or wrong number of arguments for '";
    [start, shown(subcommand, SHOWN_BYTES_MAX), b"'. Try ", container.as_bytes(), b" HELP."]
        .concat()
}

pub(crate) fn wrong_number_of_arguments(spec: &Spec) -> CommandError {
    format!("ERR wrong number of arguments for '{}' command", spec.name).into_bytes()
}

pub(crate) fn not_while_subscribed(spec: &Spec) -> CommandError {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        spec.name
    )
    .into_bytes()
}
