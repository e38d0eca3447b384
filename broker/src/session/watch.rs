//! `WATCH` and `UNWATCH`, and what concerns whole databases.

use std::sync::Arc;

use super::{Answer, NAME_BYTES, SYNTAX_ERROR, Session};
use crate::commands::keys::small_integer;
use crate::commands::{info, server};
use crate::keyspace::{Report, Watcher};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::pubsub::subscribers::Context;

/// The keys whose change makes `EXEC` fail.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// With the numbers of their databases.
    keys: Vec<(u16, Box<[u8]>)>,
    watcher: Arc<Watcher>,
    /// What the keys take, here and in the keyspace.
    pub(crate) bytes: usize,
}

impl Session {
    /// `WATCH key [key ...]`
    pub(crate) fn watch(&mut self, request: Request<'_>, context: &mut Context) -> Answer {
        if self.transaction.is_some() {
            return Err(b"ERR WATCH inside MULTI is not allowed".to_vec());
        }
        let view = self.view();
        let watch = self.watch.get_or_insert_default();
        if watch.watcher.has_changed() {
            return Ok(Reply::ok());
        }
        let is_new = |key: &&[u8]| {
            !watch.keys.iter().any(|(at, known)| *at == view.database && **known == **key)
        };
        let mut new: Vec<Box<[u8]>> =
            request.arguments_from(1).filter(is_new).map(Box::from).collect();
        new.sort_unstable();
        new.dedup();
        self.server.broker.with_keys(context, view, |keys| {
            new.iter().for_each(|key| keys.watch(key, &watch.watcher));
        });
        watch.bytes += new.iter().map(|key| key.len() + NAME_BYTES).sum::<usize>();
        watch.keys.extend(new.into_iter().map(|key| (view.database, key)));
        self.record_state_bytes();
        Ok(Reply::ok())
    }

    /// `UNWATCH`
    pub(crate) fn unwatch(&mut self, context: &mut Context) -> Reply {
        if let Some(watch) = self.watch.take() {
            self.server.broker.with_keyspace(context, |keyspace, _| {
                keyspace.unwatch(&watch.keys, &watch.watcher);
            });
            self.record_state_bytes();
        }
        Reply::ok()
    }

    /// Whether a watched key has changed or expired. The order is held.
    pub(crate) fn has_watched_change(&self, context: &mut Context) -> bool {
        let Some(watch) = &self.watch else { return false };
        watch.watcher.has_changed()
            || self.server.broker.with_keyspace(context, |keyspace, now| {
                keyspace.has_expired_watched(&watch.keys, &watch.watcher, now)
            })
    }

    /// `INFO [section [section ...]]`
    pub(crate) fn info(&self, request: Request<'_>, context: &mut Context) -> Reply {
        let report = self.report(context);
        info::info(&self.server, &context.config, &report, request.arguments_from(1))
    }

    /// `MEMORY STATS`
    pub(crate) fn memory_stats(&self, context: &mut Context) -> Reply {
        info::memory_stats(&self.server, &self.report(context))
    }

    fn report(&self, context: &mut Context) -> Report {
        self.server.broker.with_keyspace(context, |keyspace, now| keyspace.report(now))
    }

    /// `FLUSHALL [ASYNC | SYNC]` and `FLUSHDB [ASYNC | SYNC]`
    pub(crate) fn flush(
        &mut self,
        database: Option<u16>,
        request: Request<'_>,
        context: &mut Context,
    ) -> Answer {
        if request.len() > 2 || request.len() == 2 && !server::is_flush_mode(request.argument(1)) {
            return Err(SYNTAX_ERROR.to_vec());
        }
        let flushed = self
            .server
            .broker
            .with_keyspace(context, |keyspace, now| keyspace.flush(database, now));
        drop(flushed);
        Ok(Reply::ok())
    }

    /// `SWAPDB index1 index2`
    pub(crate) fn swapdb(&mut self, request: Request<'_>, context: &mut Context) -> Answer {
        let first =
            small_integer(request.argument(1)).map_err(|_| b"ERR invalid first DB index")?;
        let second =
            small_integer(request.argument(2)).map_err(|_| b"ERR invalid second DB index")?;
        let number = |index: i32| {
            u16::try_from(index).ok().filter(|&index| index < context.config.databases)
        };
        let (Some(first), Some(second)) = (number(first), number(second)) else {
            return Err(b"ERR DB index is out of range".to_vec());
        };
        self.server
            .broker
            .with_keyspace(context, |keyspace, now| keyspace.swap(first, second, now));
        Ok(Reply::ok())
    }
}
