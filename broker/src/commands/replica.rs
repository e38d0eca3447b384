//! `REPLCONF`, `SYNC` and `PSYNC`: replicas, and copies of all keys for `redis-cli --rdb`.
//!
//! A replica gets a copy of all keys and then the stream of changes and messages. Both begin at the same
//! point of the order, so nothing is missing and nothing comes twice.

use resp::words;
use tracing::info;

use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::spec::Outcome;
use crate::address::Address;
use crate::config::OutputLimit;
use crate::keyspace::Dump;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::context::Context;
use crate::session::replication::Replica;
use crate::session::silence::Silence;

/// The capability of a replica that continues above the numbers of counted keys. Redis ignores it.
pub(crate) const COUNTERS_CAPABILITY: &[u8] = b"broker-counters";

/// Redis' longest address.
const ADDRESS_BYTES_MAX: usize = 255;

/// A client that becomes a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follower {
    /// With a copy of all keys.
    New,
    /// With the rest of a stream that it knows.
    Returned,
    /// With a copy, and without acknowledgements.
    Silent,
}

impl Session {
    /// `REPLCONF option value [option value ...]`
    pub(crate) fn replconf(&mut self, context: &mut Context, request: Request<'_>) -> Outcome {
        if request.len().is_multiple_of(2) {
            return Err(SYNTAX_ERROR.to_vec()).into();
        }
        let mut words = request.arguments_from(1);
        while let (Some(option), Some(value)) = (words.next(), words.next()) {
            // Neither has a reply.
            if option.eq_ignore_ascii_case(b"ack") && !self.runs_transaction {
                if let Some(Ok(offset)) = request::integer(value).map(u64::try_from) {
                    self.server.replication.record_ack(self.info.id, offset);
                }
                return Outcome::Replied;
            }
            if option.eq_ignore_ascii_case(b"getack")
                && (self.master.is_some() || !self.runs_transaction)
            {
                if self.master.is_some() {
                    self.acknowledge(context);
                }
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
                let port = request::integer(value).ok_or(NOT_AN_INTEGER)?;
                self.replica.port = u16::try_from(port).unwrap_or(0);
            }
            b"ip-address" if value.len() > ADDRESS_BYTES_MAX => {
                let text = "ERR REPLCONF ip-address provided by replica instance is too long:";
                return Err(format!("{text} {} bytes", value.len()).into_bytes());
            }
            b"ip-address" => {
                // A line of INFO holds it.
                let ip = String::from_utf8_lossy(value);
                self.replica.ip = Some(ip.chars().filter(|each| !each.is_control()).collect());
            }
            b"capa" => {
                self.replica.knows_eof |= value.eq_ignore_ascii_case(b"eof");
                self.replica.knows_counters |= value.eq_ignore_ascii_case(COUNTERS_CAPABILITY);
            }
            b"version" => {}
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

    /// `SYNC`: a copy of all keys. The connection then ends after `rdb-only 1`, and else becomes one of a
    /// replica that acknowledges nothing, as `redis-cli --replica` does.
    pub(crate) fn sync(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) -> Outcome {
        let options = self.replica.clone();
        if let Some(refusal) = self.refuses_sync() {
            return refusal;
        }
        if options.leaves_out_keys && !options.knows_eof {
            return refused("ERR Filtered replica requires EOF capability");
        }
        if !options.wants_dump {
            self.open_stream(context, order);
            self.push_copy(context, order, &[]);
            return self.replicate(context, order, Follower::Silent);
        }
        let now = order.now();
        let dump = match options.leaves_out_keys {
            true => Dump::empty(now),
            false => order.keyspace().dump(now, false),
        };
        // As in Redis, limits of clients do not hold for a copy.
        self.info.set(Flag::NoEvict, true);
        context.flush_queue().push_dump(&self.output, dump);
        context.flush_queue().disconnect(&self.output, Disconnect::Quit);
        Outcome::Replied
    }

    /// `PSYNC replicationid offset`: the rest of the stream for a replica that has its beginning, or a
    /// copy of all keys with the stream behind it.
    pub(crate) fn psync(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
        request: Request<'_>,
    ) -> Outcome {
        if let Some(refusal) = self.refuses_sync() {
            return refusal;
        }
        let Some(from) = request::integer(request.argument(2)) else {
            return Err(NOT_AN_INTEGER.to_vec()).into();
        };
        self.open_stream(context, order);
        let id = order.stream_id().to_owned();
        // A replica asks for the byte behind those that it has.
        let known = from.checked_sub(1).and_then(|offset| u64::try_from(offset).ok());
        let rest = known.and_then(|offset| order.stream_since(request.argument(1), offset));
        let syncs = &self.server.replication.syncs;
        match rest {
            Some(rest) => {
                syncs.partial.add(1);
                let line = format!("+CONTINUE {id}\r\n");
                let limit = OutputLimit::default();
                context.flush_queue().push(&self.output, limit, |out| {
                    out.extend_from_slice(line.as_bytes());
                    out.extend_from_slice(&rest);
                });
                self.replicate(context, order, Follower::Returned)
            }
            None => {
                if known.is_some() {
                    syncs.denied.add(1);
                }
                let line = format!("+FULLRESYNC {id} {}\r\n", order.stream_offset());
                self.push_copy(context, order, line.as_bytes());
                self.replicate(context, order, Follower::New)
            }
        }
    }

    fn open_stream(&self, context: &Context, order: &mut OrderGuard<'_>) {
        order.open_stream(self.server.replication.is_replica());
        order.limit_backlog(context.config.replication.backlog_bytes);
    }

    /// Returns the reply to a client that may not become a replica now.
    fn refuses_sync(&self) -> Option<Outcome> {
        if self.info.is(Flag::Replica) {
            return Some(Outcome::Replied);
        }
        if self.server.replication.lacks_master() {
            return Some(refused("NOMASTERLINK Can't SYNC while not connected with my master"));
        }
        let has_output = !self.output.outbox().is_empty();
        has_output.then(|| refused("ERR SYNC and PSYNC are invalid with pending output"))
    }

    /// Queues a line and a copy of all keys, behind which the stream begins.
    fn push_copy(&self, context: &mut Context, order: &mut OrderGuard<'_>, line: &[u8]) {
        self.server.replication.syncs.full.add(1);
        let now = order.now();
        let dump = order.keyspace().dump(now, self.replica.knows_counters);
        let limit = OutputLimit::default();
        context.flush_queue().push(&self.output, limit, |out| out.extend_from_slice(line));
        context.flush_queue().push_dump(&self.output, dump);
    }

    /// Makes the client a replica.
    fn replicate(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
        follower: Follower,
    ) -> Outcome {
        let ip = match (&self.replica.ip, &self.info.peer) {
            (Some(ip), _) => ip.clone(),
            (None, Address::Tcp(peer)) => peer.ip().to_string(),
            (None, Address::Unix(_)) => "127.0.0.1".to_owned(),
        };
        // The stream has no place for other messages.
        self.leave_all(context, order);
        self.stop_monitoring(context, order);
        self.info.set(Flag::Replica, true);
        self.output.replicates.set(true);
        self.silence = Silence::off(&self.output);
        self.server.replication.add_replica(Replica {
            info: self.info.clone(),
            ip,
            port: self.replica.port,
            acked: 0,
            acked_at: None,
            sends_acks: follower != Follower::Silent,
        });
        order.join_stream(&mut context.local, &self.output, follower != Follower::Returned);
        let (id, peer) = (self.info.id, &self.info.peer);
        info!(client.id = id, client.addr = %peer, ?follower, "replica connected");
        Outcome::Replied
    }

    /// Ends the part of a client as a replica.
    pub(super) fn stop_replicating(&self, context: &mut Context, order: &mut OrderGuard<'_>) {
        if self.info.is(Flag::Replica) {
            self.info.set(Flag::Replica, false);
            self.server.replication.remove_replica(self.info.id);
            order.leave_stream(&mut context.local, &self.output);
        }
    }

    /// Answers the question of the master how far this server is. Past [`Silence`], since the client of
    /// the stream gets no other reply.
    fn acknowledge(&self, context: &mut Context) {
        let acknowledgement = self.server.replication.acknowledgement();
        context.flush_queue().push(&self.output, OutputLimit::default(), |out| {
            out.extend_from_slice(&acknowledgement);
        });
    }
}

fn refused(text: &str) -> Outcome {
    Err(text.as_bytes().to_vec()).into()
}
