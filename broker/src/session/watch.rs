//! The watched keys of a client.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::keyspace::Watcher;
use crate::pubsub::order::OrderGuard;

/// The keys whose change makes `EXEC` fail.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// With the numbers of their databases.
    pub(crate) keys: BTreeSet<(u16, Box<[u8]>)>,
    pub(crate) watcher: Arc<Watcher>,
    /// What the keys take, here and in the keyspace.
    pub(crate) bytes: usize,
}

impl Watch {
    /// Ends the watch.
    pub(crate) fn end(&self, order: &mut OrderGuard<'_>) {
        order.keyspace().unwatch(&self.keys, &self.watcher);
    }
}
