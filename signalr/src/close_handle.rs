//! Closes one connection from anywhere in its server.
//!
//! The first reason wins. A hub that shuts down closes all its connections through their handles.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use crate::disconnect::Disconnect;

/// Closes one connection.
#[derive(Debug)]
pub(crate) struct CloseHandle {
    reason: OnceLock<Disconnect>,
    token: CancellationToken,
}

impl CloseHandle {
    /// Creates the handle of a connection that closes as well when `stopping` is cancelled.
    pub(crate) fn new(stopping: &CancellationToken) -> Self {
        Self { reason: OnceLock::new(), token: stopping.child_token() }
    }

    /// Closes the connection. A later reason is ignored.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let _ = self.reason.set(disconnect);
        self.token.cancel();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the connection is to close. Cancel safe.
    pub(crate) async fn closing(&self) {
        self.token.cancelled().await;
    }

    /// Returns the reason of the close: the hub's shutdown unless `close` gave another one.
    pub(crate) fn reason(&self) -> Disconnect {
        self.reason.get().cloned().unwrap_or(Disconnect::Shutdown)
    }
}
