//! The client as which a script runs commands.
//!
//! It has the user and the database of whoever called the script, and no socket: what it is
//! answered is taken from its outbox at once.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, info, warn};

use crate::acl::{CallContext, Denied, User};
use crate::commands::{self, Entry, Lookup};
use crate::protocol::Protocol;
use crate::protocol::request::Request;
use crate::pubsub::registry::WorkerId;
use crate::pubsub::subscribers::{ClientOutput, Context, Effect};
use crate::pubsub::{Exclusive, ScriptRun};
use crate::script::engine;
use crate::script::lua::{Commands, Level};
use crate::session::client_info::ClientInfo;
use crate::session::permissions::{incident, permission};
use crate::session::server_state::ServerState;
use crate::session::{OUT_OF_MEMORY, ScriptCaller, Session};

/// Who called a script.
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) database: u16,
    /// Whether it is to be told when what the script reads is stale.
    pub(crate) caches_what_it_reads: bool,
    /// Whether the script must not write.
    pub(crate) is_read_only: bool,
    /// Whether keys take too much for the script to add to them.
    pub(crate) lacks_memory: bool,
}

/// The client of all scripts of a server.
pub(crate) struct ScriptClient {
    session: Session,
    context: Context,
    settings: u64,
    run: Option<Arc<ScriptRun>>,
    is_read_only: bool,
    lacks_memory: bool,
}

impl ScriptClient {
    pub(crate) fn new(server: Arc<ServerState>) -> Self {
        let worker = server.broker.open_inbox();
        let settings = server.settings.generation();
        let context =
            Context::new(worker, server.settings.get(), server.broker.entrance(worker.index()));
        let session = Session::of_scripts(server, worker);
        Self { session, context, settings, run: None, is_read_only: false, lacks_memory: false }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.context.worker()
    }

    /// Gets ready for a script.
    pub(crate) fn begin(&mut self, caller: Caller, exclusive: Exclusive) {
        let server = self.session.server.clone();
        let generation = server.settings.generation();
        if std::mem::replace(&mut self.settings, generation) != generation {
            self.context.set_config(server.settings.get());
        }
        self.run = Some(exclusive.run.clone());
        self.context.take_over(exclusive);
        self.is_read_only = caller.is_read_only;
        self.lacks_memory = caller.lacks_memory;
        self.set_protocol(Protocol::Resp2);
        let session = &mut self.session;
        session.users_seen = server.users.generation();
        session.user = caller.user;
        session.info.counts.database.store(caller.database, Ordering::Relaxed);
        session.script_caller = Some(ScriptCaller {
            info: caller.info,
            caches_what_it_reads: caller.caches_what_it_reads,
        });
    }

    /// Gives back what [`ScriptClient::begin`] took.
    pub(crate) fn end(&mut self) -> Option<(Exclusive, Vec<Effect>)> {
        self.run = None;
        self.session.script_caller = None;
        self.session.server.tell(&mut self.context.tally);
        self.context.wake();
        let effects = std::mem::take(&mut self.context.effects);
        self.context.hand_over().map(|exclusive| (exclusive, effects))
    }

    /// Looks whether a command may run, in Redis' order.
    fn permitted(&self, request: Request<'_>) -> Result<Entry, Vec<u8>> {
        let Some(entry) = self.find(request) else {
            return Err(b"ERR Unknown Redis command called from script".to_vec());
        };
        let check = || {
            if !entry.spec.accepts(request.len()) {
                return Err(b"ERR Wrong number of args calling Redis command from script".to_vec());
            }
            if entry.spec.has_flag("noscript") && !self.session.server.scripts.allows_everything() {
                return Err(b"ERR This Redis command is not allowed from script".to_vec());
            }
            if !self.session.user.may_do_everything() && !entry.runs_unauthenticated {
                permission(&self.session.user, entry, request)
                    .map_err(|denied| self.refused(entry, &denied))?;
            }
            if self.is_read_only && entry.pauses_with_writes {
                return Err(b"ERR Write commands are not allowed from read-only scripts.".to_vec());
            }
            let has_written = self.run.as_ref().is_some_and(|run| run.has_written());
            if self.lacks_memory && entry.may_grow && !has_written {
                return Err(OUT_OF_MEMORY.to_vec());
            }
            Ok(entry)
        };
        check().inspect_err(|_| self.session.server.commands.of(entry.number).rejected.add(1))
    }

    fn find(&self, request: Request<'_>) -> Option<Entry> {
        let name = self.session.server.own_name(request.argument(0))?;
        let subcommand = (request.len() > 1).then(|| request.argument(1));
        match commands::find(name, subcommand) {
            Lookup::Found(entry) => Some(entry),
            Lookup::Unknown | Lookup::UnknownSubcommand(_) => None,
        }
    }

    fn refused(&self, entry: Entry, denied: &Denied) -> Vec<u8> {
        let (reason, object) = incident(entry, denied);
        let user = self.session.user.name();
        self.session.record_refusal(reason, object, user, &self.context, CallContext::Lua);
        let what: &[u8] = match denied {
            Denied::Command => b"can't run this command or subcommand",
            Denied::Key(_) => {
                b"can't access at least one of the keys mentioned in the command arguments"
            }
            Denied::Channel(_) => b"can't publish to the channel mentioned in the command",
        };
        [b"ERR The user executing the script ", what].concat()
    }

    /// Takes what the client was answered.
    fn take_reply(&mut self) -> Vec<u8> {
        let flush_queue = self.context.flush_queue();
        flush_queue.end_batch();
        flush_queue.take_dirty(&mut Vec::new());
        let mut outbox = self.session.output.outbox();
        let reply = outbox.to_vec();
        outbox.clear(flush_queue.pool());
        reply
    }
}

impl Commands for ScriptClient {
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        let entry = self.permitted(request).inspect_err(|error| {
            self.session.server.commands.add_error(error);
        })?;
        if entry.spec.has_flag("write")
            && let Some(run) = &self.run
        {
            run.record_write();
        }
        self.session.run(entry, request, &mut self.context);
        Ok(self.take_reply())
    }

    fn may_run(&self, request: Request<'_>) -> Option<bool> {
        let entry = self.find(request)?;
        let user = &self.session.user;
        Some(user.may_do_everything() || permission(user, entry, request).is_ok())
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
        let Some(run) = &self.run else { return true };
        if run.is_late() {
            engine::yield_now();
        }
        !run.is_killed()
    }
}

/// Makes the member that stands for a script among members.
pub(crate) fn output() -> Rc<ClientOutput> {
    Rc::new(ClientOutput::new(0, usize::MAX))
}
