//! The watched keys of a client.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::keyspace::Watcher;
use crate::pubsub::order::OrderGuard;

/// Watched keys. `EXEC` fails if one of them has changed.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Each with the number of its database.
    pub(crate) keys: BTreeSet<(u16, Box<[u8]>)>,
    pub(crate) watcher: Arc<Watcher>,
    /// Bytes that the keys take, in the session and in the keyspace.
    pub(crate) bytes: usize,
}

impl Watch {
    /// Ends the watch.
    pub(crate) fn end(&self, order: &mut OrderGuard<'_>) {
        order.keyspace().unwatch(&self.keys, &self.watcher);
    }
}
