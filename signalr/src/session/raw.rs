//! A session without a hub protocol: bytes between the transport and the application's handler.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use tokio::{select, task, time};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, error, warn};

use super::{end, expired};
use crate::{
    disconnect::Disconnect,
    hub::Hub,
    peer::Peer,
    raw::{RawConnection, RawHandler, RawMessage, RawSession},
    transport::{Incoming, Input, Outgoing},
};

/// Serves one client until its connection ends, or the handler has.
pub(super) async fn serve<I: Incoming, O: Outgoing>(
    hub: Arc<Hub>,
    handler: RawHandler,
    peer: Arc<Peer>,
    (mut incoming, mut outgoing): (I, O),
) {
    let active = hub.metrics().connected(peer.transport.metric_name(), "core");
    let (connection, session) = RawConnection::new(Arc::clone(&peer), outgoing.carries_binary());
    // A task of its own: a panic ends this connection only.
    let handling = AbortOnDropHandle::new(tokio::spawn(handler(connection).in_current_span()));
    let disconnect = move_bytes(&hub, &peer, session, &mut incoming, &mut outgoing).await;
    end(Arc::clone(&hub), disconnect, None, active, (incoming, Some(outgoing))).await;
    match time::timeout(hub.options().close_timeout, handling).await {
        Ok(Ok(())) => {}
        Ok(Err(failed)) => error!(error = %failed, "the handler of a raw connection panicked"),
        // The timeout drops it.
        Err(_) => warn!("the handler of a raw connection outlived it, and is dropped"),
    }
}

/// Moves bytes until either side ends, and returns the reason.
async fn move_bytes(
    hub: &Hub,
    peer: &Peer,
    mut session: RawSession,
    incoming: &mut impl Incoming,
    outgoing: &mut impl Outgoing,
) -> Disconnect {
    let write_timeout = hub.options().write_timeout;
    let to_app = Arc::clone(&session.to_app);
    // Whether a write has begun or ended. Both parts run in this task.
    let has_written = AtomicBool::new(false);
    let reading = async {
        loop {
            match incoming.read().await {
                Ok(Input::Bytes(bytes)) => {
                    // Behind a full queue, not even a close of the client is noticed. A handler
                    // that sends may wait for its client, which has limits of its own.
                    let mut pushing = pin!(to_app.push(bytes));
                    while time::timeout(write_timeout, &mut pushing).await.is_err() {
                        if !has_written.swap(false, Ordering::Relaxed) {
                            return Disconnect::Unread;
                        }
                    }
                    // Polled first, it would keep a client that never pauses from its messages.
                    task::yield_now().await;
                }
                Ok(Input::Lost | Input::Resumed | Input::Leave(_)) => {}
                Err(disconnect) => return disconnect,
            }
        }
    };
    let writing = async {
        loop {
            let next = poll_fn(|cx| {
                if outgoing.urgent().is_some() {
                    return Poll::Ready(Next::Urgent);
                }
                session
                    .from_app
                    .poll_recv(cx)
                    .map(|message| message.map_or(Next::End, Next::Message))
            });
            let message = match next.await {
                Next::Message(message) => Some(message),
                Next::Urgent => None,
                Next::End => return Disconnect::Finished,
            };
            let written = async {
                if let Some(message) = message {
                    outgoing.set_binary(message.is_binary());
                    outgoing.queue(message.into_bytes()).await?;
                }
                outgoing.flush().await
            };
            has_written.store(true, Ordering::Relaxed);
            match time::timeout(write_timeout, written).await {
                Ok(Ok(())) => has_written.store(true, Ordering::Relaxed),
                Ok(Err(disconnect)) => return disconnect,
                Err(_) => return Disconnect::WriteTimeout,
            }
        }
    };
    select! {
        // The reader first: the writer then sees in the same turn that a ping has arrived, and no
        // interrupt has to wake it.
        biased;
        disconnect = reading => disconnect,
        disconnect = writing => disconnect,
        () = hub.turn_to_end() => Disconnect::Shutdown,
        () = expired(peer, hub.options()) => Disconnect::Expired,
    }
}

/// What the writer does next.
enum Next {
    Message(RawMessage),
    /// The transport has bytes of its own.
    Urgent,
    /// The handler has ended.
    End,
}
