//! The client that calls the commands of scripts.
//!
//! It has the user and the database of the script's caller. It needs no login and no output limit,
//! and it never disconnects: the script takes each reply immediately, into its own memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, info, warn};

use super::errors::OUT_OF_MEMORY;
use super::execute::run_held;
use super::lookup::{Lookup, Parsed};
use super::permissions::{self, incident, permission, record_refusal};
use super::spec::{Flag, Spec};
use super::user_limits::{self, Moment};
use crate::acl::{CallContext, Denied};
use crate::address::Address;
use crate::ids::WorkerId;
use crate::protocol::Protocol;
use crate::protocol::request::Request;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::local::Local;
use crate::pubsub::script_barrier::StopTheWorld;
use crate::script::cache::Script;
use crate::script::engine::{self, Engine, ScriptClient};
use crate::script::lua::{Answered, Commands, Level};
use crate::session::client_info::{ClientInfo, ClientSlot};
use crate::session::context::Context;
use crate::session::script::{
    PendingOutcome, ScriptCaller, ScriptJob, ScriptOutcome, ScriptRunner,
};
use crate::session::server_state::ServerState;
use crate::session::{Caller, Session};

/// Runs the scripts of a worker, and delivers their messages to clients of that worker.
pub(crate) struct CommandRunner {
    engine: Engine<CommandClient>,
    /// The id of the client's inbox.
    inbox: WorkerId,
    lent: Rc<Lent>,
}

/// Calls the commands of all scripts of a worker.
pub(crate) struct CommandClient {
    session: Session,
    context: Context,
    lookup: Lookup,
    settings: u64,
    running: Option<Running>,
    /// The worker that runs the scripts.
    home: WorkerId,
    lent: Rc<Lent>,
    /// The bytes in the inbox of another worker from which on it is to deliver them.
    handed_over_from: usize,
}

/// Where a script leaves its state while the worker delivers messages for it.
type Lent = RefCell<Option<Running>>;

/// From this many bytes in an inbox on, other workers deliver messages while the script runs. Most
/// often they wait for its end, and take up to a millisecond to notice.
const HANDED_OVER_BYTES_MIN: usize = 8 * 1024 * 1024;
/// The bytes of a script's messages that other workers have not delivered. They do not if they are
/// busy for long, and then the script must not publish.
const UNDELIVERED_BYTES_MAX: usize = 256 * 1024 * 1024;
const TOO_MUCH_UNDELIVERED: &[u8] =
    b"ERR the messages of this script to clients of other threads take more than 256 MB";

/// The script that runs.
struct Running {
    world: StopTheWorld,
    outcome: Rc<PendingOutcome>,
    is_read_only: bool,
    lacks_memory: bool,
}

impl CommandClient {
    /// Creates the client with an inbox of its own. The caller must not hold the order.
    fn new(server: Arc<ServerState>, lookup: Lookup, home: WorkerId, lent: Rc<Lent>) -> Self {
        let worker = server.broker.open_inbox();
        let settings = server.settings.generation();
        let config = server.settings.get();
        let context = Context::new(worker, config);
        let nowhere = Address::Unix("".into());
        let handed_over_from = HANDED_OVER_BYTES_MIN;
        let slot = ClientSlot { worker, slot: usize::MAX };
        let info = Arc::new(ClientInfo::new(0, slot, nowhere.clone(), nowhere, -1));
        let session = Session::new(server, Rc::new(ClientOutput::new(0, usize::MAX)), info);
        Self { session, context, lookup, settings, running: None, home, lent, handed_over_from }
    }

    /// Waits until workers have delivered the messages to their clients, if there are many.
    fn make_room(&mut self) {
        // These are messages of this script, with payloads that belong to no other code.
        self.context.local.after_release.drop_payloads(0);
        let home = self.home;
        let Some(running) = &mut self.running else { return };
        if self.context.local.lagging.is_none() {
            return;
        }
        let order = running.world.guard();
        let (is_full, largest) = (order.is_full(home), order.largest(home));
        if largest >= self.handed_over_from {
            let bytes_min = HANDED_OVER_BYTES_MIN / 2;
            if !running.world.hand_over(home, bytes_min, &mut self.context.local) {
                self.handed_over_from = largest + HANDED_OVER_BYTES_MIN;
            }
        }
        if is_full {
            *self.lent.borrow_mut() = self.running.take();
            engine::yield_now();
            self.running = self.lent.borrow_mut().take();
        }
        self.context.local.lagging.take_if(|lagging| *lagging == home);
    }

    /// Returns whether the clients of another worker have too many messages to wait for.
    fn leaves_too_much(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        self.context.local.lagging.is_some()
            && running.world.guard().largest(self.home) > UNDELIVERED_BYTES_MAX
    }

    /// Returns the command of a request if the script may call it, in Redis' order of checks.
    fn permitted(&mut self, request: Request<'_>) -> Result<&'static Spec, Vec<u8>> {
        let Parsed { found, .. } = self.lookup.parse(request);
        let Some(spec) = found.command() else {
            return Err(b"ERR Unknown Redis command called from script".to_vec());
        };
        self.check(spec, request).inspect_err(|_| {
            self.session.server.commands.of(spec.id).rejected.add(1);
        })?;
        Ok(spec)
    }

    fn check(&self, spec: &'static Spec, request: Request<'_>) -> Result<(), Vec<u8>> {
        if !spec.accepts(request.len()) {
            return Err(b"ERR Wrong number of args calling Redis command from script".to_vec());
        }
        if spec.has(Flag::Noscript) && !self.session.server.scripts.allows_everything() {
            return Err(b"ERR This Redis command is not allowed from script".to_vec());
        }
        let is_free = self.session.is_of_master() || self.session.user.may_do_everything();
        if !is_free && !spec.has(Flag::NoAuth) {
            permission(&self.session.user, spec, request)
                .map_err(|denied| self.refused(spec, &denied))?;
        }
        let config = &self.context.config;
        user_limits::check(&self.session, config, spec, request, Moment::Run)?;
        let Some(running) = &self.running else { return Ok(()) };
        if running.is_read_only && spec.pauses_with_writes() {
            return Err(b"ERR Write commands are not allowed from read-only scripts.".to_vec());
        }
        if spec.has(Flag::Write) {
            self.session.check_change(config)?;
        }
        let has_written = running.world.run().has_written();
        if running.lacks_memory && spec.has(Flag::Denyoom) && !has_written {
            return Err(OUT_OF_MEMORY.to_vec());
        }
        Ok(())
    }

    fn refused(&self, spec: &Spec, denied: &Denied) -> Vec<u8> {
        let (reason, object) = incident(spec, denied);
        let user = self.session.user.name();
        record_refusal(&self.session, &self.context, reason, object, user, CallContext::Lua);
        let reason = permissions::refused(&self.session.user, spec, denied);
        [b"ERR ACL failure in script: ", &reason[..]].concat()
    }

    /// Takes the reply of a command.
    fn take_reply(&mut self) -> Vec<u8> {
        let queue = self.context.flush_queue();
        queue.end_batch();
        queue.take_dirty(&mut Vec::new(), usize::MAX);
        let mut outbox = self.session.output.outbox();
        let reply = outbox.to_vec();
        outbox.clear(queue.pool());
        reply
    }
}

impl ScriptClient for CommandClient {
    type Caller = ScriptCaller;

    fn begin(&mut self, caller: ScriptCaller) {
        let server = self.session.server.clone();
        let generation = server.settings.generation();
        if std::mem::replace(&mut self.settings, generation) != generation {
            self.context.set_config(server.settings.get());
        }
        self.set_protocol(Protocol::Resp2);
        self.handed_over_from = HANDED_OVER_BYTES_MIN;
        let session = &mut self.session;
        session.users_seen = server.users.generation();
        session.user = caller.user;
        session.info.counts.database.store(caller.database, Ordering::Relaxed);
        session.script_caller =
            Some(Caller { info: caller.info, caches_what_it_reads: caller.caches_what_it_reads });
        self.running = Some(Running {
            world: caller.world,
            outcome: caller.outcome,
            is_read_only: caller.is_read_only,
            lacks_memory: caller.lacks_memory,
        });
    }

    fn end(&mut self, answered: Answered) {
        let Some(Running { world, outcome, .. }) = self.running.take() else { return };
        self.session.flush_stats(&mut self.context);
        let effects = std::mem::take(&mut self.context.effects);
        let lagging = self.context.local.lagging.take();
        let after_release = std::mem::take(&mut self.context.local.after_release);
        *outcome.borrow_mut() =
            Some(ScriptOutcome { answered, effects, world, lagging, after_release });
        // If the caller has disconnected, this drops the outcome, and other scripts may run.
        drop(outcome);
        if let Some(caller) = self.session.script_caller.take() {
            caller.info.wake();
        }
    }
}

impl Commands for CommandClient {
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        let spec = self.permitted(request).inspect_err(|error| {
            self.session.server.commands.add_error(error);
        })?;
        if self.leaves_too_much() && (spec.has(Flag::Write) || spec.pauses_with_writes()) {
            return Err(TOO_MUCH_UNDELIVERED.to_vec());
        }
        let Some(running) = &mut self.running else {
            return Err(b"ERR no script runs".to_vec());
        };
        if spec.has(Flag::Write) {
            running.world.run().record_write();
        }
        let mut order = running.world.guard();
        run_held(&mut self.session, &mut self.context, &mut order, spec, request);
        let reply = self.take_reply();
        self.make_room();
        Ok(reply)
    }

    fn may_run(&self, request: Request<'_>) -> Option<bool> {
        let spec = self.lookup.find(request).command()?;
        let user = &self.session.user;
        Some(user.may_do_everything() || permission(user, spec, request).is_ok())
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.session.output.protocol.set(protocol);
        self.session.info.counts.protocol.store(protocol.number(), Ordering::Relaxed);
    }

    fn protocol(&self) -> Protocol {
        self.session.output.protocol.get()
    }

    fn log(&self, level: Level, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        match level {
            Level::Debug | Level::Verbose => debug!("{text}"),
            Level::Notice => info!("{text}"),
            Level::Warning => warn!("{text}"),
        }
    }

    fn may_go_on(&self) -> bool {
        let Some(running) = &self.running else { return true };
        let run = running.world.run();
        if run.is_late() {
            engine::yield_now();
        }
        !run.is_killed()
    }
}

impl CommandRunner {
    /// Creates the runner of the worker `home`. The caller must not hold the order.
    pub(crate) fn new(server: Arc<ServerState>, lookup: Lookup, home: WorkerId) -> Self {
        let lent = Rc::new(Lent::default());
        let (broker, scripts) = (server.broker.clone(), server.scripts.clone());
        let client = CommandClient::new(server, lookup, home, lent.clone());
        let inbox = client.context.worker();
        Self { engine: Engine::new(broker, scripts, client), inbox, lent }
    }

    /// Returns the id of the inbox that the scripts have.
    pub(crate) fn worker(&self) -> WorkerId {
        self.inbox
    }

    /// Delivers messages while a script waits for that. Returns whether the script has ended.
    fn deliver(&self, local: &mut Local, mut has_ended: bool) -> bool {
        loop {
            let Some(mut running) = self.lent.borrow_mut().take() else { return has_ended };
            let before = local.after_release.payload_count();
            running.world.guard().catch_up(local);
            // These are messages of the script, with payloads that belong to no other code.
            local.after_release.drop_payloads(before);
            *self.lent.borrow_mut() = Some(running);
            has_ended = self.engine.resume_script();
        }
    }
}

impl ScriptRunner for CommandRunner {
    fn compile(&self, script: Arc<Script>) -> Result<(), Vec<u8>> {
        self.engine.compile(script)
    }

    fn run(&self, job: ScriptJob, local: &mut Local) {
        let ScriptJob { script, given, protocol, mut caller } = job;
        caller.world.guard().catch_up(local);
        local.after_release.wake_workers();
        self.engine.run(engine::ScriptJob { script, given, protocol, caller });
        self.deliver(local, true);
    }

    fn resume(&self, local: &mut Local) -> bool {
        let has_ended = self.engine.resume_script();
        self.deliver(local, has_ended)
    }

    fn reset(&self) {
        self.engine.reset();
    }
}
