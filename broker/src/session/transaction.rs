//! `MULTI`, `EXEC` and `DISCARD`: requests that run together.
//!
//! While they run, the broker's order is held, so that nobody's message comes between theirs.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::script::BUSY;
use super::{Answer, CommandError, Flow, Session};
use crate::audience::Audience;
use crate::card::Mark;
use crate::command::{Command, Entry};
use crate::resp::Protocol;
use crate::resp::reply::{self, Reply};
use crate::resp::request::{OwnedRequest, Request};

/// Requests that wait for `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    queued: Vec<(Entry, OwnedRequest)>,
    pub(super) bytes: usize,
    may_grow: bool,
    has_writes: bool,
    failed: bool,
}

/// A transaction that is being executed.
#[derive(Debug)]
pub(super) struct Executing {
    left: VecDeque<(Entry, OwnedRequest)>,
    /// Whether messages for the client wait for the end.
    defers: bool,
}

impl Transaction {
    /// Makes `EXEC` fail, since a request could not be queued.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    pub(super) fn may_grow(&self) -> bool {
        self.may_grow
    }

    pub(super) fn has_writes(&self) -> bool {
        self.has_writes
    }
}

impl Session {
    /// Whether a command waits for `EXEC`.
    pub(super) fn queues(&self, entry: Entry) -> bool {
        use Command::{Discard, Exec, Multi, Quit, Reset, Watch};
        self.transaction.is_some()
            && !matches!(entry.spec.command, Discard | Exec | Multi | Quit | Reset | Watch)
    }

    pub(super) fn queue(&mut self, entry: Entry, request: Request<'_>, audience: &mut Audience) {
        let bytes_max = audience.config.client_query_buffer_limit;
        let may_grow = entry.may_grow || self.script_may_grow(entry, request);
        let has_writes = self.pauses_with_writes(entry, request);
        if let Some(transaction) = &mut self.transaction {
            transaction.has_writes |= has_writes;
            let request = request.to_owned();
            transaction.may_grow |= may_grow;
            transaction.bytes += request.bytes();
            transaction.queued.push((entry, request));
            if transaction.bytes > bytes_max {
                let reason = crate::disconnect::Disconnect::RequestTooBig;
                return audience.mail().disconnect(&self.member, reason);
            }
        }
        self.note_transaction();
        self.reply(audience, &Reply::Simple("QUEUED".into()));
    }

    /// `MULTI`
    pub(super) fn multi(&mut self) -> Answer {
        if self.transaction.is_some() {
            return Err(b"ERR MULTI calls can not be nested".to_vec());
        }
        self.transaction = Some(Box::default());
        self.note_transaction();
        Ok(Reply::ok())
    }

    /// `DISCARD`
    pub(super) fn discard(&mut self, audience: &mut Audience) -> Answer {
        if self.transaction.take().is_none() {
            return Err(b"ERR DISCARD without MULTI".to_vec());
        }
        self.note_transaction();
        self.unwatch(audience);
        Ok(Reply::ok())
    }

    /// Whether a command must not run, or not be queued, since keys take too much.
    pub(super) fn lacks_memory(&self, entry: Entry, audience: &Audience) -> bool {
        use Command::{Discard, Exec, Quit, Reset};
        let maximum = audience.config.maxmemory;
        let may_grow = match (entry.spec.command, &self.transaction) {
            (Exec, Some(transaction)) => transaction.may_grow(),
            (Discard | Exec | Quit | Reset, _) => false,
            // Queuing takes memory as well.
            (_, Some(_)) => true,
            (_, None) => entry.may_grow,
        };
        maximum != 0 && may_grow && self.host.used_bytes() > maximum
    }

    /// `EXEC`
    pub(super) fn exec(&mut self, entry: Entry, audience: &mut Audience) -> Flow {
        let Some(transaction) = self.transaction.take() else {
            self.fail(entry, audience, b"ERR EXEC without MULTI".to_vec());
            return Flow::Continue;
        };
        self.note_transaction();
        if let Err(error) = self.hold_for(&transaction, audience) {
            self.fail(entry, audience, error);
            return Flow::Continue;
        }
        let broker = self.host.broker.clone();
        let has_changed = self.has_watched_change(audience);
        self.unwatch(audience);
        if transaction.failed || has_changed {
            broker.include(audience);
        }
        if transaction.failed {
            let error = b"EXECABORT Transaction discarded because of previous errors.";
            self.fail(entry, audience, error.to_vec());
            return Flow::Continue;
        }
        if has_changed {
            self.reply(audience, &Reply::NullArray);
            return Flow::Continue;
        }
        let limit = self.output_limit(&audience.config);
        let count = transaction.queued.len();
        audience.mail().reply(&self.member, limit, |out| reply::array_header(out, count));
        // A push must not stand inside a reply.
        let defers = self.member.protocol.get() == Protocol::Resp3;
        if defers {
            self.member.begin_deferring();
        }
        let left = transaction.queued.into();
        self.executing = Some(Box::new(Executing { left, defers }));
        self.go_on_with_transaction(audience)
    }

    /// Takes the order, and for scripts the right to run them.
    fn hold_for(
        &self,
        transaction: &Transaction,
        audience: &mut Audience,
    ) -> Result<(), CommandError> {
        let runs_script = transaction.queued.iter().any(|(entry, _)| entry.runs_script);
        if !runs_script || transaction.failed {
            self.host.broker.hold(audience);
            return Ok(());
        }
        #[cfg(feature = "lua")]
        audience.engine.start(&self.host)?;
        self.host
            .broker
            .exclude(audience)
            .map_err(|_| [b"EXECABORT Transaction discarded because of: ", BUSY].concat())
    }

    /// Whether a transaction is being executed.
    #[cfg(feature = "lua")]
    pub(super) fn is_executing(&self) -> bool {
        self.executing.is_some()
    }

    /// Runs what is left of a transaction, up to a script that takes long.
    pub(super) fn go_on_with_transaction(&mut self, audience: &mut Audience) -> Flow {
        while let Some((entry, request)) =
            self.executing.as_mut().and_then(|executing| executing.left.pop_front())
        {
            // Rights may have changed meanwhile.
            match self.check_permission(entry, request.borrow(), audience, true) {
                Ok(()) => match not_in_transaction(entry.spec.command) {
                    Some(error) => self.reply_error(audience, error.to_vec()),
                    None => {
                        #[cfg_attr(not(feature = "lua"), expect(unused, reason = "for scripts"))]
                        let flow = self.run(entry, request.borrow(), audience);
                        #[cfg(feature = "lua")]
                        if flow == Flow::WaitForScript {
                            return flow;
                        }
                    }
                },
                Err(error) => self.reply_error(audience, no_longer(&error)),
            }
        }
        if let Some(executing) = self.executing.take() {
            self.host.broker.include(audience);
            if executing.defers {
                audience.mail().end_deferring(&self.member);
            }
        }
        Flow::Continue
    }

    /// Keeps the figures that others see.
    pub(super) fn note_transaction(&self) {
        let queued = self.transaction.as_ref().map(|transaction| transaction.queued.len());
        let queued = queued.map_or(-1, |queued| i32::try_from(queued).unwrap_or(i32::MAX));
        self.card.counts.queued.store(queued, Ordering::Relaxed);
        self.card.set(Mark::InTransaction, self.transaction.is_some());
        self.note_state_bytes();
    }
}

/// Redis' words for what would make a transaction's reply something else than one array.
fn not_in_transaction(command: Command) -> Option<&'static [u8]> {
    match command {
        Command::SSubscribe => Some(b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"),
        Command::Monitor => Some(b"ERR MONITOR isn't allowed for DENY BLOCKING client"),
        _ => None,
    }
}

/// Redis' words for what was allowed when it was queued.
fn no_longer(error: &[u8]) -> Vec<u8> {
    let reason: &[u8] = match error {
        error if error.ends_with(b"command") => {
            b"no permission to execute the command or subcommand"
        }
        error if error.ends_with(b"keys used as arguments") => {
            b"no permission to touch the specified keys"
        }
        _ => b"no permission to access one of the channels used as arguments",
    };
    let start =
        b"NOPERM ACLs rules changed between the moment the transaction was accumulated and \
        the EXEC call. This command is no longer allowed for the following reason: ";
    [&start[..], reason].concat()
}
