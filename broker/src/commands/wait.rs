//! `WAIT`: waits until replicas have what was changed before.

use std::time::Duration;

use super::client::timeout;
use super::errors::{CommandError, NOT_AN_INTEGER};
use super::server::or_without_end;
use super::spec::{Awaited, Outcome};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::order::OrderGuard;
use crate::session::context::Context;
use crate::session::{AwaitedReplicas, Session};

/// A client of a replica cannot wait: its master has the replicas.
const ON_REPLICA: &[u8] = b"ERR WAIT cannot be used with replica instances. Please also note that \
since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to \
replicas are just local and are not propagated.";

/// Of a client that waits while the server becomes a replica.
const ROLE_CHANGED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
    (master -> replica?)";

impl Session {
    /// `WAIT numreplicas timeout` without the order. Returns `None` if there are replicas to ask.
    pub(super) fn wait_without_order(&mut self, request: Request<'_>) -> Option<Outcome> {
        if self.is_of_master() {
            return Some(Reply::Integer(0).into());
        }
        if self.server.replication.is_replica() {
            return Some(Err(ON_REPLICA.to_vec()).into());
        }
        let (count, time) = match replicas_and_time(request) {
            Ok(wanted) => wanted,
            Err(error) => return Some(Err(error).into()),
        };
        if self.server.replication.has_replicas() {
            return None;
        }
        // Without replicas, a client that requires one waits for the whole time.
        self.awaited = AwaitedReplicas { count, offset: 0 };
        Some(match count {
            0 => self.reached(Awaited::Replicas).into(),
            _ => Outcome::Wait(or_without_end(time), Awaited::Replicas),
        })
    }

    /// `WAIT numreplicas timeout`
    pub(super) fn wait(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
        request: Request<'_>,
    ) -> Outcome {
        let (count, time) = match replicas_and_time(request) {
            Ok(wanted) => wanted,
            Err(error) => return Err(error).into(),
        };
        self.awaited = AwaitedReplicas { count, offset: order.stream_offset() };
        let cannot_wait = self.runs_transaction || self.script_caller.is_some();
        if cannot_wait || self.has_reached(Awaited::Replicas) {
            return self.reached(Awaited::Replicas).into();
        }
        order.ask_replicas(&mut context.local);
        Outcome::Wait(or_without_end(time), Awaited::Replicas)
    }

    /// Returns whether there are as many copies as a client waits for. If not, the client is woken when
    /// there may be.
    pub(crate) fn has_reached(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Replicas => {
                let AwaitedReplicas { count, offset } = self.awaited;
                let replication = &self.server.replication;
                let is_over = || replication.is_replica() || replication.acked(offset) >= count;
                if is_over() {
                    return true;
                }
                replication.wake_at_ack(&self.info);
                // Once more, so that no acknowledgement is missed.
                is_over()
            }
            Awaited::AppendOnlyFiles => false,
        }
    }

    /// Returns the reply of a command that has waited: the number of copies.
    pub(crate) fn reached(&self, awaited: Awaited) -> Reply {
        match awaited {
            Awaited::Replicas if self.server.replication.is_replica() => Reply::error(ROLE_CHANGED),
            Awaited::Replicas => {
                self.server.replication.forget_waiting(self.info.id);
                let count = self.server.replication.acked(self.awaited.offset);
                Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
            }
            Awaited::AppendOnlyFiles => Reply::Array(vec![Reply::Integer(0), Reply::Integer(0)]),
        }
    }
}

/// Returns the wanted number of replicas, none for a negative one, and the timeout.
fn replicas_and_time(request: Request<'_>) -> Result<(usize, Duration), CommandError> {
    let replicas = request::integer(request.argument(1)).ok_or(NOT_AN_INTEGER)?;
    let time = timeout(request.argument(2))?;
    Ok((usize::try_from(replicas).unwrap_or(0), time))
}
