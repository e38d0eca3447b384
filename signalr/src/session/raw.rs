//! A session without a hub protocol: bytes between the transport and the application's handler.

use std::sync::Arc;

use tokio::{select, time};
use tracing::{Instrument, error};

use super::{end, part_of_close_window};
use crate::{
    disconnect::Disconnect,
    hub::Hub,
    peer::Peer,
    protocol::Encoding,
    raw::{RawConnection, RawHandler, RawSession},
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
    let (connection, session) = RawConnection::new(peer, outgoing.carries_binary());
    // A task of its own: a panic ends this connection only.
    let handling = tokio::spawn(handler(connection).in_current_span());
    let disconnect = move_bytes(&hub, session, &mut incoming, &mut outgoing).await;
    end(Arc::clone(&hub), disconnect, Encoding::Json, active, (incoming, Some(outgoing))).await;
    if let Ok(Err(failed)) = time::timeout(hub.options().close_timeout, handling).await {
        error!(error = %failed, "the handler of a raw connection panicked");
    }
}

/// Moves bytes until either side ends, and returns the reason.
async fn move_bytes(
    hub: &Hub,
    RawSession { to_app, mut from_app }: RawSession,
    incoming: &mut impl Incoming,
    outgoing: &mut impl Outgoing,
) -> Disconnect {
    let reading = async {
        loop {
            match incoming.read().await {
                // A handler that reads no more may still send.
                Ok(Input::Bytes(bytes)) => _ = to_app.send(bytes).await,
                Ok(Input::Lost | Input::Resumed) => {}
                Err(disconnect) => return disconnect,
            }
        }
    };
    let writing = async {
        while let Some(message) = from_app.recv().await {
            outgoing.set_binary(message.is_binary());
            let written = async {
                outgoing.queue(message.into_bytes()).await?;
                outgoing.flush().await
            };
            match time::timeout(hub.options().write_timeout, written).await {
                Ok(Ok(())) => {}
                Ok(Err(disconnect)) => return disconnect,
                Err(_) => return Disconnect::WriteTimeout,
            }
        }
        Disconnect::Finished
    };
    let stopping = async {
        hub.stopping().cancelled().await;
        part_of_close_window(hub.options()).await;
    };
    select! {
        disconnect = reading => disconnect,
        disconnect = writing => disconnect,
        () = stopping => Disconnect::Finished,
    }
}
