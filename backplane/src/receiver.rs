//! What comes over the bus, on its way to the connections here.
//!
//! Anybody may publish on the app's channel, so a payload that is no envelope is counted and
//! skipped, and never an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::debug;

use crate::connections::Connections;
use crate::envelope;

/// Takes what comes over the bus.
#[derive(Debug)]
pub(crate) struct Receiver {
    connections: Arc<Connections>,
    unreadable: AtomicU64,
}

impl Receiver {
    pub(crate) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, unreadable: AtomicU64::new(0) }
    }

    /// Delivers one payload.
    pub(crate) fn receive(&self, payload: &[u8]) {
        match envelope::read(payload) {
            Ok((target, invocation)) => self.connections.deliver(&target, &Arc::new(invocation)),
            Err(error) => {
                let unreadable = self.unreadable.fetch_add(1, Ordering::Relaxed) + 1;
                debug!(%error, unreadable, "skipped a payload that is no invocation");
            }
        }
    }
}
