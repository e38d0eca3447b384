//! The way to the session of a stateful client: a new WebSocket for it, or the order to leave.
//!
//! A stateful client opens another WebSocket with the same token. The request finds the handoff in
//! the table of connections. If it has reached another server, that one asks for the session.

use std::{
    future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{
        mpsc::{self, OwnedPermit},
        oneshot,
    },
    time::{self, Instant},
};

use crate::socket::Socket;

/// The way to a session.
#[derive(Debug)]
pub(crate) struct Handoff {
    handed: mpsc::Sender<Handed>,
    /// Whether client and server have agreed on the stateful reconnect.
    is_agreed: AtomicBool,
    /// The user of the connection, once its first WebSocket has been accepted.
    user_id: OnceLock<Option<Arc<str>>>,
    /// How often the connection has left a server.
    pub(crate) moves: u32,
}

/// A message to a session.
#[derive(Debug)]
pub(crate) enum Handed {
    /// The client has opened this WebSocket.
    Socket(Box<Socket>),
    /// Another server goes on with the client.
    Leave(Leave),
}

/// The order to leave. A session that cannot leave in time drops it.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(crate) until: Instant,
    /// Is sent when the state of the session waits for the other server.
    pub(crate) left: oneshot::Sender<()>,
}

impl Handoff {
    /// Returns a handoff and its other end, for the session. `moves` counts the servers that the
    /// connection has left.
    pub(crate) fn channel(moves: u32) -> (Self, mpsc::Receiver<Handed>) {
        let (handed, receiver) = mpsc::channel(1);
        let (is_agreed, user_id) = (AtomicBool::new(false), OnceLock::new());
        (Self { handed, is_agreed, user_id, moves }, receiver)
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

    fn is_agreed(&self) -> bool {
        self.is_agreed.load(Ordering::Relaxed)
    }

    /// Returns whether the session takes no other WebSocket any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.handed.is_closed()
    }

    /// Returns the permit to hand over a WebSocket, or `None` if the session takes none.
    pub(crate) fn reserve(&self) -> Option<OwnedPermit<Handed>> {
        if self.is_agreed() { self.handed.clone().try_reserve_owned().ok() } else { None }
    }

    /// Asks the session to leave at its next quiet moment. Returns whether its state waits then.
    pub(crate) async fn leave(&self, until: Instant) -> bool {
        if !self.is_agreed() {
            return false;
        }
        let (left, has_left) = oneshot::channel();
        let handing = self.handed.send(Handed::Leave(Leave { until, left }));
        match time::timeout_at(until, handing).await {
            Ok(Ok(())) => has_left.await.is_ok(),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// Waits for the next message. Pending once the table has forgotten the session.
pub(crate) async fn next(handed: &mut mpsc::Receiver<Handed>) -> Handed {
    match handed.recv().await {
        Some(handed) => handed,
        None => future::pending().await,
    }
}
