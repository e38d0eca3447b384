//! `REPLCONF`, `SYNC` and `PSYNC`: a copy of all keys for `redis-cli --rdb`.
//!
//! A client that wants the copy alone says so with `REPLCONF rdb-only 1`. One that wants to be a replica
//! is refused: the server has no replication, so the replica would never hear of a change.

use resp::words;

use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::spec::Outcome;
use crate::keyspace::Dump;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::context::Context;

/// Redis' longest address.
const ADDRESS_BYTES_MAX: usize = 255;

impl Session {
    /// `REPLCONF option value [option value ...]`
    pub(crate) fn replconf(&mut self, request: Request<'_>) -> Outcome {
        if request.len().is_multiple_of(2) {
            return Err(SYNTAX_ERROR.to_vec()).into();
        }
        let mut words = request.arguments_from(1);
        while let (Some(option), Some(value)) = (words.next(), words.next()) {
            // A report of a replica, which has no reply.
            let is_report =
                [&b"ack"[..], b"getack"].iter().any(|name| option.eq_ignore_ascii_case(name));
            if is_report && !self.runs_transaction {
                return Outcome::Replied;
            }
            if let Err(error) = self.set_replica_option(option, value) {
                return Err(error).into();
            }
        }
        Reply::ok().into()
    }

    fn set_replica_option(&mut self, option: &[u8], value: &[u8]) -> Result<(), CommandError> {
        match &*option.to_ascii_lowercase() {
            b"listening-port" => {
                request::integer(value).ok_or(NOT_AN_INTEGER)?;
            }
            b"ip-address" if value.len() > ADDRESS_BYTES_MAX => {
                let text = "ERR REPLCONF ip-address provided by replica instance is too long:";
                return Err(format!("{text} {} bytes", value.len()).into_bytes());
            }
            b"ip-address" => {}
            b"capa" => self.replica.knows_eof |= value.eq_ignore_ascii_case(b"eof"),
            b"rdb-only" => {
                self.replica.wants_dump = match request::integer(value).ok_or(NOT_AN_INTEGER)? {
                    number @ 0..=1 => number == 1,
                    _ => {
                        return Err(
                            b"ERR value is out of range, value must between 0 and 1".to_vec()
                        );
                    }
                };
            }
            b"rdb-filter-only" => {
                let parts = words::split(value)
                    .map_err(|_| b"ERR Missing rdb-filter-only values".to_vec())?;
                // There are no functions, so a copy of them alone is empty.
                if let Some(other) =
                    parts.iter().find(|part| !part.eq_ignore_ascii_case(b"functions"))
                {
                    let start = b"ERR Unsupported rdb-filter-only option: ";
                    return Err([&start[..], other].concat());
                }
                self.replica.leaves_out_keys = !parts.is_empty();
            }
            _ => return Err([b"ERR Unrecognized REPLCONF option: ", option].concat()),
        }
        Ok(())
    }

    /// `SYNC`. As in Redis, the connection ends behind the copy.
    pub(crate) fn sync(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) -> Outcome {
        let options = self.replica;
        if !self.output.outbox().is_empty() {
            return refused("ERR SYNC and PSYNC are invalid with pending output");
        }
        if !options.wants_dump {
            return psync();
        }
        if options.leaves_out_keys && !options.knows_eof {
            return refused("ERR Filtered replica requires EOF capability");
        }
        let now = order.now();
        let dump = match options.leaves_out_keys {
            true => Dump::empty(now),
            false => order.keyspace().dump(now),
        };
        // As in Redis, limits of clients do not hold for a copy.
        self.info.set(Flag::NoEvict, true);
        context.flush_queue().push_dump(&self.output, dump);
        context.flush_queue().disconnect(&self.output, Disconnect::Quit);
        Outcome::Replied
    }
}

/// `PSYNC replicationid offset`
pub(crate) fn psync() -> Outcome {
    refused(
        "ERR this server has no replication; REPLCONF rdb-only 1 before SYNC gets a copy of its keys, as \
        redis-cli --rdb does",
    )
}

fn refused(text: &str) -> Outcome {
    Err(text.as_bytes().to_vec()).into()
}
