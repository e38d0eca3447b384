//! Hands a new WebSocket to a session that has lost its old one.
//!
//! A stateful client opens another WebSocket with the same token. The request finds the handoff in
//! the table of connections.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ws::WebSocket;
use tokio::sync::mpsc::{self, OwnedPermit};

/// The way of a new WebSocket to its session.
#[derive(Debug)]
pub(crate) struct Handoff {
    sockets: mpsc::Sender<WebSocket>,
    /// Whether client and server have agreed on the stateful reconnect.
    is_agreed: AtomicBool,
}

impl Handoff {
    /// Returns a handoff and its other end, for the session.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<WebSocket>) {
        let (sockets, receiver) = mpsc::channel(1);
        (Self { sockets, is_agreed: AtomicBool::new(false) }, receiver)
    }

    pub(crate) fn agree(&self) {
        self.is_agreed.store(true, Ordering::Relaxed);
    }

    /// Returns whether the session takes no other WebSocket any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.sockets.is_closed()
    }

    /// Returns the permit to hand over a WebSocket, or `None` if the session takes none.
    pub(crate) fn reserve(&self) -> Option<OwnedPermit<WebSocket>> {
        let is_agreed = self.is_agreed.load(Ordering::Relaxed);
        if is_agreed { self.sockets.clone().try_reserve_owned().ok() } else { None }
    }
}
