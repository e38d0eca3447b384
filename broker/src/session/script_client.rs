//! The client as which a script runs commands.
//!
//! It has the user and the database of whoever called the script, and no socket: what it is
//! answered is taken from its outbox at once.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, info, warn};

use super::rights::{incident, permission};
use super::{OUT_OF_MEMORY, ScriptCaller, Session};
use crate::acl::{Context, Denied, User};
use crate::audience::{Audience, Effect, Member};
use crate::broker::{Exclusive, ScriptRun};
use crate::card::Card;
use crate::command::{self, Entry, Lookup};
use crate::host::Host;
use crate::registry::WorkerId;
use crate::resp::Protocol;
use crate::resp::request::Request;
use crate::script::engine;
use crate::script::lua::{Commands, Level};

/// Who called a script.
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    pub(crate) card: Arc<Card>,
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
    audience: Audience,
    settings: u64,
    run: Option<Arc<ScriptRun>>,
    is_read_only: bool,
    lacks_memory: bool,
}

impl ScriptClient {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let worker = host.broker.open_inbox();
        let settings = host.settings.generation();
        let audience =
            Audience::new(worker, host.settings.get(), host.broker.entrance(worker.index()));
        let session = Session::of_scripts(host, worker);
        Self { session, audience, settings, run: None, is_read_only: false, lacks_memory: false }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.audience.worker()
    }

    /// Gets ready for a script.
    pub(crate) fn begin(&mut self, caller: Caller, exclusive: Exclusive) {
        let host = self.session.host.clone();
        let generation = host.settings.generation();
        if std::mem::replace(&mut self.settings, generation) != generation {
            self.audience.set_config(host.settings.get());
        }
        self.run = Some(exclusive.run.clone());
        self.audience.take_over(exclusive);
        self.is_read_only = caller.is_read_only;
        self.lacks_memory = caller.lacks_memory;
        self.set_protocol(Protocol::Resp2);
        let session = &mut self.session;
        session.users_seen = host.users.generation();
        session.user = caller.user;
        session.card.counts.database.store(caller.database, Ordering::Relaxed);
        session.script_caller = Some(ScriptCaller {
            card: caller.card,
            caches_what_it_reads: caller.caches_what_it_reads,
        });
    }

    /// Gives back what [`ScriptClient::begin`] took.
    pub(crate) fn end(&mut self) -> Option<(Exclusive, Vec<Effect>)> {
        self.run = None;
        self.session.script_caller = None;
        self.session.host.tell(&mut self.audience.tally);
        self.audience.wake();
        let effects = std::mem::take(&mut self.audience.effects);
        self.audience.hand_over().map(|exclusive| (exclusive, effects))
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
            if entry.spec.has_flag("noscript") && !self.session.host.scripts.allows_everything() {
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
        check().inspect_err(|_| self.session.host.commands.of(entry.number).rejected.add(1))
    }

    fn find(&self, request: Request<'_>) -> Option<Entry> {
        let name = self.session.host.own_name(request.argument(0))?;
        let subcommand = (request.len() > 1).then(|| request.argument(1));
        match command::find(name, subcommand) {
            Lookup::Found(entry) => Some(entry),
            Lookup::Unknown | Lookup::UnknownSubcommand(_) => None,
        }
    }

    fn refused(&self, entry: Entry, denied: &Denied) -> Vec<u8> {
        let (reason, object) = incident(entry, denied);
        let user = self.session.user.name();
        self.session.note_refusal(reason, object, user, &self.audience, Context::Lua);
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
        let mail = self.audience.mail();
        mail.end_run();
        mail.take_dirty(&mut Vec::new());
        let mut outbox = self.session.member.outbox();
        let reply = outbox.to_vec();
        outbox.clear(mail.pool());
        reply
    }
}

impl Commands for ScriptClient {
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        let entry = self.permitted(request).inspect_err(|error| {
            self.session.host.commands.add_error(error);
        })?;
        if entry.spec.has_flag("write")
            && let Some(run) = &self.run
        {
            run.note_write();
        }
        self.session.run(entry, request, &mut self.audience);
        Ok(self.take_reply())
    }

    fn may_run(&self, request: Request<'_>) -> Option<bool> {
        let entry = self.find(request)?;
        let user = &self.session.user;
        Some(user.may_do_everything() || permission(user, entry, request).is_ok())
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.session.member.protocol.set(protocol);
        self.session.card.counts.protocol.store(protocol.number(), Ordering::Relaxed);
    }

    fn protocol(&self) -> Protocol {
        self.session.member.protocol.get()
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
            engine::put_aside();
        }
        !run.is_killed()
    }
}

/// Makes the member that stands for a script among members.
pub(super) fn member() -> Rc<Member> {
    Rc::new(Member::new(0, usize::MAX))
}
