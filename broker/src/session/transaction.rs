//! `MULTI`, `EXEC` and `DISCARD`: requests that run together.
//!
//! While they run, the broker's order is held, so that nobody's message comes between theirs.

use std::sync::atomic::Ordering;

use super::{Answer, Session};
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
    bytes: usize,
    failed: bool,
}

impl Transaction {
    /// Makes `EXEC` fail, since a request could not be queued.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    pub(super) fn may_grow(&self) -> bool {
        self.queued.iter().any(|(entry, _)| entry.may_grow)
    }

    pub(super) fn has_writes(&self) -> bool {
        self.queued.iter().any(|(entry, _)| entry.pauses_with_writes)
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
        if let Some(transaction) = &mut self.transaction {
            let request = request.to_owned();
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
    pub(super) fn exec(&mut self, audience: &mut Audience) {
        let Some(transaction) = self.transaction.take() else {
            return self.reply_error(audience, b"ERR EXEC without MULTI".to_vec());
        };
        self.note_transaction();
        let broker = self.host.broker.clone();
        broker.hold(audience);
        let has_changed = self.has_watched_change(audience);
        self.unwatch(audience);
        if transaction.failed || has_changed {
            broker.release(audience);
        }
        if transaction.failed {
            let error = b"EXECABORT Transaction discarded because of previous errors.";
            return self.reply_error(audience, error.to_vec());
        }
        if has_changed {
            return self.reply(audience, &Reply::NullArray);
        }
        let limit = self.output_limit(&audience.config);
        let count = transaction.queued.len();
        audience.mail().reply(&self.member, limit, |out| reply::array_header(out, count));
        // A push must not stand inside a reply.
        let defers = self.member.protocol.get() == Protocol::Resp3;
        if defers {
            self.member.begin_deferring();
        }
        for (entry, request) in &transaction.queued {
            // Rights may have changed meanwhile.
            match self.check_permission(*entry, request.borrow(), audience, true) {
                Ok(()) => match not_in_transaction(entry.spec.command) {
                    Some(error) => self.reply_error(audience, error.to_vec()),
                    None => {
                        self.run(*entry, request.borrow(), audience);
                    }
                },
                Err(error) => self.reply_error(audience, no_longer(&error)),
            }
        }
        broker.release(audience);
        if defers {
            audience.mail().end_deferring(&self.member);
        }
    }

    /// Keeps the figures that others see.
    pub(super) fn note_transaction(&self) {
        let queued = self.transaction.as_ref().map(|transaction| transaction.queued.len());
        let queued = queued.map_or(-1, |queued| i32::try_from(queued).unwrap_or(i32::MAX));
        self.card.counts.queued.store(queued, Ordering::Relaxed);
        self.card.set(Mark::InTransaction, self.transaction.is_some());
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
