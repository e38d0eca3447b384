//! Hands a new WebSocket to a session that has lost its old one.
//!
//! A stateful client opens another WebSocket with the same token. The request finds the handoff in
//! the table of connections.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc::{self, OwnedPermit};

use crate::socket::Socket;

/// The way of a new WebSocket to its session.
#[derive(Debug)]
pub(crate) struct Handoff {
    sockets: mpsc::Sender<Box<Socket>>,
    /// Whether client and server have agreed on the stateful reconnect.
    is_agreed: AtomicBool,
    /// The user of the connection, once its first WebSocket has been accepted.
    user_id: OnceLock<Option<Arc<str>>>,
}

impl Handoff {
    /// Returns a handoff and its other end, for the session.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Box<Socket>>) {
        let (sockets, receiver) = mpsc::channel(1);
        (Self { sockets, is_agreed: AtomicBool::new(false), user_id: OnceLock::new() }, receiver)
    }

    /// Sets the user of the connection. No other one may hand over a WebSocket.
    pub(crate) fn set_user(&self, user_id: Option<Arc<str>>) {
        let _ = self.user_id.set(user_id);
    }

    /// Returns whether the connection belongs to a user.
    pub(crate) fn belongs_to(&self, user_id: Option<&str>) -> bool {
        self.user_id.get().is_some_and(|own| own.as_deref() == user_id)
    }

    pub(crate) fn agree(&self) {
        self.is_agreed.store(true, Ordering::Relaxed);
    }

    /// Returns whether the session takes no other WebSocket any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.sockets.is_closed()
    }

    /// Returns the permit to hand over a WebSocket, or `None` if the session takes none.
    pub(crate) fn reserve(&self) -> Option<OwnedPermit<Box<Socket>>> {
        let is_agreed = self.is_agreed.load(Ordering::Relaxed);
        if is_agreed { self.sockets.clone().try_reserve_owned().ok() } else { None }
    }
}
