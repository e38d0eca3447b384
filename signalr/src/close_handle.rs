//! Closes one connection from anywhere in its server.
//!
//! The first reason wins. A hub that shuts down closes each of its connections at a time of its
//! own.

use std::{
    future::poll_fn,
    sync::OnceLock,
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use crate::disconnect::Disconnect;

/// Closes one connection.
#[derive(Debug, Default)]
pub(crate) struct CloseHandle {
    /// In a box, since most connections have none yet.
    reason: OnceLock<Box<Disconnect>>,
    waiter: AtomicWaker,
}

impl CloseHandle {
    /// Closes the connection. A later reason is ignored.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let _ = self.reason.set(Box::new(disconnect));
        self.waiter.wake();
    }

    /// Returns the reason if the connection is to close.
    pub(crate) fn reason(&self) -> Option<Disconnect> {
        self.reason.get().map(|reason| Disconnect::clone(reason))
    }

    /// Returns the reason if the connection is to close, or registers the task.
    pub(crate) fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        if self.reason.get().is_none() {
            self.waiter.register(cx.waker());
        }
        self.reason().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the connection is to close, and returns the reason. Cancel safe. One task waits
    /// at a time.
    pub(crate) async fn closing(&self) -> Disconnect {
        poll_fn(|cx| self.poll_closing(cx)).await
    }
}
