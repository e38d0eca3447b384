//! Closes one connection from anywhere in its server.
//!
//! The first reason wins. A hub that shuts down closes each of its connections at a time of its
//! own.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use crate::disconnect::Disconnect;

/// Closes one connection.
#[derive(Debug, Default)]
pub(crate) struct CloseHandle {
    reason: OnceLock<Disconnect>,
    token: CancellationToken,
}

impl CloseHandle {
    /// Closes the connection. A later reason is ignored.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let _ = self.reason.set(disconnect);
        self.token.cancel();
    }

    /// Returns the reason if the connection is to close.
    pub(crate) fn reason(&self) -> Option<Disconnect> {
        self.reason.get().cloned()
    }

    /// Waits until the connection is to close, and returns the reason. Cancel safe.
    pub(crate) async fn closing(&self) -> Disconnect {
        self.token.cancelled().await;
        self.reason.get().cloned().expect("`close` sets the reason first")
    }
}
