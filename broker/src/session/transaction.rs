//! `MULTI`, `EXEC` and `DISCARD`: requests that run together.
//!
//! While they run, the broker's order is held, so that nobody's message comes between theirs.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::{Answer, CommandError, Flow, Session};
use crate::commands::script::BUSY;
use crate::commands::{Command, Entry};
use crate::protocol::Protocol;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::{OwnedRequest, Request};
use crate::pubsub::subscribers::Context;
use crate::session::client_info::Flag;

/// Requests that wait for `EXEC`.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queued: Vec<(Entry, OwnedRequest)>,
    pub(crate) bytes: usize,
    may_grow: bool,
    has_writes: bool,
    failed: bool,
}

/// A transaction that is being executed.
#[derive(Debug)]
pub(crate) struct Executing {
    left: VecDeque<(Entry, OwnedRequest)>,
    /// Whether messages for the client wait for the end.
    defers: bool,
}

impl Transaction {
    /// Makes `EXEC` fail, since a request could not be queued.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    pub(crate) fn may_grow(&self) -> bool {
        self.may_grow
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.has_writes
    }
}

impl Session {
    /// Whether a command waits for `EXEC`.
    pub(crate) fn queues(&self, entry: Entry) -> bool {
        use Command::{Discard, Exec, Multi, Quit, Reset, Watch};
        self.transaction.is_some()
            && !matches!(entry.spec.command, Discard | Exec | Multi | Quit | Reset | Watch)
    }

    pub(crate) fn queue(&mut self, entry: Entry, request: Request<'_>, context: &mut Context) {
        let bytes_max = context.config.client_query_buffer_limit;
        let may_grow = entry.may_grow || self.script_may_grow(entry, request);
        let has_writes = self.pauses_with_writes(entry, request);
        if let Some(transaction) = &mut self.transaction {
            transaction.has_writes |= has_writes;
            let request = request.to_owned();
            transaction.may_grow |= may_grow;
            transaction.bytes += request.bytes();
            transaction.queued.push((entry, request));
            if transaction.bytes > bytes_max {
                let reason = crate::observe::disconnect::Disconnect::RequestTooBig;
                return context.flush_queue().disconnect(&self.output, reason);
            }
        }
        self.record_transaction();
        self.reply(context, &Reply::Simple("QUEUED".into()));
    }

    /// `MULTI`
    pub(crate) fn multi(&mut self) -> Answer {
        if self.transaction.is_some() {
            return Err(b"ERR MULTI calls can not be nested".to_vec());
        }
        self.transaction = Some(Box::default());
        self.record_transaction();
        Ok(Reply::ok())
    }

    /// `DISCARD`
    pub(crate) fn discard(&mut self, context: &mut Context) -> Answer {
        if self.transaction.take().is_none() {
            return Err(b"ERR DISCARD without MULTI".to_vec());
        }
        self.record_transaction();
        self.unwatch(context);
        Ok(Reply::ok())
    }

    /// Whether a command must not run, or not be queued, since keys take too much.
    pub(crate) fn lacks_memory(&self, entry: Entry, context: &Context) -> bool {
        use Command::{Discard, Exec, Quit, Reset};
        let maximum = context.config.maxmemory;
        let may_grow = match (entry.spec.command, &self.transaction) {
            (Exec, Some(transaction)) => transaction.may_grow(),
            (Discard | Exec | Quit | Reset, _) => false,
            // Queuing takes memory as well.
            (_, Some(_)) => true,
            (_, None) => entry.may_grow,
        };
        maximum != 0 && may_grow && self.server.used_bytes() > maximum
    }

    /// `EXEC`
    pub(crate) fn exec(&mut self, entry: Entry, context: &mut Context) -> Flow {
        let Some(transaction) = self.transaction.take() else {
            self.fail(entry, context, b"ERR EXEC without MULTI".to_vec());
            return Flow::Continue;
        };
        self.record_transaction();
        if let Err(error) = self.hold_for(&transaction, context) {
            self.fail(entry, context, error);
            return Flow::Continue;
        }
        let broker = self.server.broker.clone();
        let has_changed = self.has_watched_change(context);
        self.unwatch(context);
        if transaction.failed || has_changed {
            broker.include(context);
        }
        if transaction.failed {
            let error = b"EXECABORT Transaction discarded because of previous errors.";
            self.fail(entry, context, error.to_vec());
            return Flow::Continue;
        }
        if has_changed {
            self.reply(context, &Reply::NullArray);
            return Flow::Continue;
        }
        let limit = self.output_limit(&context.config);
        let count = transaction.queued.len();
        context.flush_queue().reply(&self.output, limit, |out| reply::array_header(out, count));
        // A push must not stand inside a reply.
        let defers = self.output.protocol.get() == Protocol::Resp3;
        if defers {
            self.output.begin_deferring();
        }
        let left = transaction.queued.into();
        self.executing = Some(Box::new(Executing { left, defers }));
        self.go_on_with_transaction(context)
    }

    /// Takes the order, and for scripts the right to run them.
    fn hold_for(
        &self,
        transaction: &Transaction,
        context: &mut Context,
    ) -> Result<(), CommandError> {
        let runs_script = transaction.queued.iter().any(|(entry, _)| entry.runs_script);
        if !runs_script || transaction.failed {
            self.server.broker.hold(context);
            return Ok(());
        }
        #[cfg(feature = "lua")]
        context.engine.start(&self.server)?;
        self.server
            .broker
            .exclude(context)
            .map_err(|_| [b"EXECABORT Transaction discarded because of: ", BUSY].concat())
    }

    /// Whether a transaction is being executed.
    #[cfg(feature = "lua")]
    pub(crate) fn is_executing(&self) -> bool {
        self.executing.is_some()
    }

    /// Runs what is left of a transaction, up to a script that takes long.
    pub(crate) fn go_on_with_transaction(&mut self, context: &mut Context) -> Flow {
        while let Some((entry, request)) =
            self.executing.as_mut().and_then(|executing| executing.left.pop_front())
        {
            // Rights may have changed meanwhile.
            match self.check_permission(entry, request.borrow(), context, true) {
                Ok(()) => match not_in_transaction(entry.spec.command) {
                    Some(error) => self.reply_error(context, error.to_vec()),
                    None => {
                        #[cfg_attr(not(feature = "lua"), expect(unused, reason = "for scripts"))]
                        let flow = self.run(entry, request.borrow(), context);
                        #[cfg(feature = "lua")]
                        if flow == Flow::WaitForScript {
                            return flow;
                        }
                    }
                },
                Err(error) => self.reply_error(context, no_longer(&error)),
            }
        }
        if let Some(executing) = self.executing.take() {
            self.server.broker.include(context);
            if executing.defers {
                context.flush_queue().end_deferring(&self.output);
            }
        }
        Flow::Continue
    }

    /// Keeps the figures that others see.
    pub(crate) fn record_transaction(&self) {
        let queued = self.transaction.as_ref().map(|transaction| transaction.queued.len());
        let queued = queued.map_or(-1, |queued| i32::try_from(queued).unwrap_or(i32::MAX));
        self.info.counts.queued.store(queued, Ordering::Relaxed);
        self.info.set(Flag::InTransaction, self.transaction.is_some());
        self.record_state_bytes();
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
