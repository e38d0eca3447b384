//! `REPLCONF`, `SYNC` and `PSYNC`: a copy of all keys for `redis-cli --rdb`.
//!
//! A client that wants the copy alone says so with `REPLCONF rdb-only 1`. One that wants to be a replica
//! is refused: the server has no replication, so the replica would never hear of a change.

use bytes::Bytes;

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::spec::Outcome;
use crate::keyspace::empty_dump;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::context::Context;
use crate::session::dump::Dump;

impl Session {
    /// `REPLCONF option value [option value ...]`
    pub(crate) fn replconf(&mut self, request: Request<'_>) -> Answer {
        if request.len().is_multiple_of(2) {
            return Err(SYNTAX_ERROR.to_vec());
        }
        let mut words = request.arguments_from(1);
        while let (Some(option), Some(value)) = (words.next(), words.next()) {
            self.set_replica_option(option, value)?;
        }
        Ok(Reply::ok())
    }

    fn set_replica_option(&mut self, option: &[u8], value: &[u8]) -> Result<(), CommandError> {
        match &*option.to_ascii_lowercase() {
            b"listening-port" => {
                request::integer(value).ok_or(NOT_AN_INTEGER)?;
            }
            b"ip-address" | b"capa" => {}
            b"rdb-only" => {
                self.dump.is_wanted = match request::integer(value).ok_or(NOT_AN_INTEGER)? {
                    number @ 0..=1 => number == 1,
                    _ => {
                        return Err(
                            b"ERR value is out of range, value must between 0 and 1".to_vec()
                        );
                    }
                };
            }
            b"rdb-filter-only" => {
                let mut parts =
                    value.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
                self.dump.leaves_out_keys = parts.clone().next().is_some();
                // There are no functions, so a copy of them alone is empty.
                if let Some(other) = parts.find(|part| !part.eq_ignore_ascii_case(b"functions")) {
                    let start = b"ERR Unsupported rdb-filter-only option: ";
                    return Err([&start[..], other].concat());
                }
            }
            _ => return Err([b"ERR Unrecognized REPLCONF option: ", option].concat()),
        }
        Ok(())
    }

    /// `SYNC` and `PSYNC replicationid offset`
    pub(crate) fn sync(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) -> Outcome {
        let Dump { is_wanted, leaves_out_keys } = self.dump;
        if !is_wanted {
            let text = "ERR this server has no replication; REPLCONF rdb-only 1 before SYNC gets a copy \
                of its keys, as redis-cli --rdb does";
            return Err(text.as_bytes().to_vec()).into();
        }
        let now = order.now();
        let dump = match leaves_out_keys {
            true => empty_dump(now),
            false => order.keyspace().dump(now),
        };
        self.reply_unterminated(context, &Bytes::from(dump));
        Outcome::Replied
    }
}
