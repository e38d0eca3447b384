//! `REPLICAOF` and `ROLE`: the role of the server.

use std::time::Instant;

use tracing::info;

use super::Answer;
use crate::config::replication::MasterAddress;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::View;
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::context::Context;
use crate::session::replication::Replica;

/// A promoted replica continues so far above the last numbers of counted keys that it has. A lost master
/// may have given out more than it has sent: by default at most what `client-output-buffer-limit` allows
/// of a stream that counts by one, which is less.
const LEAP: i64 = 10_000_000;
/// And so much further for each millisecond since the replica was known to have all: no server counts
/// faster by one.
const LEAP_OF_MILLISECOND: i64 = 10_000;

impl Session {
    /// `REPLICAOF host port` or `REPLICAOF NO ONE`
    pub(super) fn replicaof(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
        request: Request<'_>,
    ) -> Answer {
        let (host, port) = (request.argument(1), request.argument(2));
        let replication = &self.server.replication;
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            if replication.is_replica() {
                self.set_master(None);
                self.promote(context, order);
            }
            return Ok(Reply::ok());
        }
        if self.info.is(Flag::Replica) {
            return Err(b"ERR Command is not valid when client is a replica.".to_vec());
        }
        let Some(Ok(port)) = request::integer(port).map(u16::try_from) else {
            return Err(b"ERR Invalid master port".to_vec());
        };
        let master = MasterAddress { host: String::from_utf8_lossy(host).into_owned(), port };
        if replication.master().as_ref() == Some(&master) {
            return Ok(Reply::Simple("OK Already connected to specified master".into()));
        }
        info!(host = master.host, port, "this server becomes a replica");
        self.set_master(Some(master.clone()));
        self.server.broker.set_read_only(true);
        self.server.replication.follow(master);
        // They get what the new master has, once it is here.
        order.close_stream();
        self.server.replication.close_replicas();
        Ok(Reply::ok())
    }

    /// Changes the setting, for `CONFIG GET` and `CONFIG REWRITE`.
    fn set_master(&self, master: Option<MasterAddress>) {
        let mut config = (*self.server.settings.get()).clone();
        config.replication.master = master;
        self.server.settings.set(config);
    }

    /// Makes the server a master.
    fn promote(&self, context: &mut Context, order: &mut OrderGuard<'_>) {
        let replication = &self.server.replication;
        let known_at = replication.promote();
        self.server.broker.set_read_only(false);
        order.raise_stream_offset(replication.applied());
        order.rename_stream(false);
        replication.close_replicas();
        let counted = order.keyspace().counted();
        let distance = leap(known_at, Instant::now());
        info!(counters = counted.len(), distance, "this server becomes a master");
        for (database, key) in counted {
            let view = View { database, ..self.view() };
            // A number at the end of its range stays.
            let _ = order.keys(view, &context.config).add_number(&key, distance);
        }
    }

    /// `ROLE`
    pub(super) fn role(&self) -> Reply {
        let replication = &self.server.replication;
        let Some(master) = replication.master() else {
            let online = replication.replicas().into_iter().filter(Replica::is_online);
            let replicas = online.map(|replica| {
                let words = [replica.ip, replica.port.to_string(), replica.acked.to_string()];
                Reply::Array(words.iter().map(Reply::bulk).collect())
            });
            let offset = Reply::Integer(self.server.broker.stream_offset().cast_signed());
            return Reply::Array(vec![
                Reply::bulk("master"),
                offset,
                Reply::Array(replicas.collect()),
            ]);
        };
        let link = replication.link();
        let offset = match link.stream {
            Some(_) => replication.applied().cast_signed(),
            None => -1,
        };
        Reply::Array(vec![
            Reply::bulk("slave"),
            Reply::bulk(&master.host),
            Reply::Integer(master.port.into()),
            Reply::bulk(link.phase.name()),
            Reply::Integer(offset),
        ])
    }
}

/// Returns how far counted keys leap at a promotion.
fn leap(known_at: Instant, now: Instant) -> i64 {
    let since = now.saturating_duration_since(known_at).as_millis();
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    since.saturating_mul(LEAP_OF_MILLISECOND).saturating_add(LEAP)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_long_silence_makes_a_long_leap() {
        let known_at = Instant::now();
        assert_eq!(leap(known_at, known_at), 10_000_000);
        assert_eq!(leap(known_at, known_at + Duration::from_secs(2)), 30_000_000);
    }
}
