//! `WATCH` and `UNWATCH`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Answer;
use super::spec::Outcome;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::pubsub::order::OrderGuard;
use crate::session::context::Context;
use crate::session::watch::Watch;
use crate::session::{NAME_BYTES, Session};

impl Session {
    /// `WATCH` without the order: refuses it inside `MULTI`, else returns `None`.
    pub(super) fn watch_without_order(&self) -> Option<Outcome> {
        let error = b"ERR WATCH inside MULTI is not allowed";
        self.transaction.is_some().then(|| Err(error.to_vec()).into())
    }

    /// `WATCH key [key ...]`
    pub(super) fn watch(
        &mut self,
        request: Request<'_>,
        context: &Context,
        order: &mut OrderGuard<'_>,
    ) -> Answer {
        let view = self.view();
        let info = &self.info;
        let watch = self.watch.get_or_insert_with(|| {
            let watch = Box::<Watch>::default();
            *info.watcher.lock() = Arc::downgrade(&watch.watcher);
            watch
        });
        if watch.watcher.has_changed() {
            return Ok(Reply::ok());
        }
        let all = request.arguments_from(1).map(|key| (view.database, Box::from(key)));
        let new: BTreeSet<(u16, Box<[u8]>)> = all.filter(|key| !watch.keys.contains(key)).collect();
        let mut keys = order.keys(view, &context.config);
        new.iter().for_each(|(_, key)| keys.watch(key, &watch.watcher));
        watch.bytes += new.iter().map(|(_, key)| key.len() + NAME_BYTES).sum::<usize>();
        watch.keys.extend(new);
        self.record_state_bytes();
        Ok(Reply::ok())
    }

    /// `UNWATCH` without the order. Returns `None` if the client watches keys.
    pub(super) fn unwatch_without_order(&self) -> Option<Outcome> {
        self.watch.is_none().then(|| Reply::ok().into())
    }

    /// `UNWATCH`
    pub(super) fn unwatch(&mut self, order: &mut OrderGuard<'_>) -> Reply {
        if let Some(watch) = self.watch.take() {
            watch.end(order);
            self.record_state_bytes();
        }
        Reply::ok()
    }

    /// Returns whether a watched key has changed or expired.
    pub(super) fn has_watched_change(&self, order: &mut OrderGuard<'_>) -> bool {
        let Some(watch) = &self.watch else { return false };
        let now = order.now();
        watch.watcher.has_changed()
            || order.keyspace().has_expired_watched(&watch.keys, &watch.watcher, now)
    }
}
