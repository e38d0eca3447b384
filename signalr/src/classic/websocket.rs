//! The WebSockets transport: frames to the client, calls from it.
//!
//! The end of a WebSocket does not end the connection. A running method goes on, and its result is
//! dropped.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    },
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{select, sync::mpsc, time};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    place::{Answer, Opening, Place, Recipient, Resume},
    send::{self, Replied, Sender},
    transport::{Form, Transport},
};

/// Accepts a WebSocket for a client.
pub(super) fn accept(
    upgrade: WebSocketUpgrade,
    place: Arc<Place>,
    resume: Option<Resume>,
) -> Response {
    let bytes_max = place.service.settings.message_bytes_max;
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_frame_size(bytes_max)
        .max_message_size(bytes_max)
        .on_upgrade(async move |socket| {
            let (transport, to_write) = Transport::new(Form::WebSocket);
            // A client whose connection has just ended opens another WebSocket.
            if place.open(Opening { transport, resume }).await.is_ok() {
                serve(&place, socket, to_write).await;
            }
        })
}

/// Serves a WebSocket until either side ends it.
async fn serve(place: &Arc<Place>, socket: WebSocket, to_write: mpsc::Receiver<Bytes>) {
    let options = place.service.hubs().first().map(|hub| hub.options());
    let (write_timeout, close_timeout) =
        options.map_or((Duration::ZERO, Duration::ZERO), |it| (it.write_timeout, it.close_timeout));
    let (mut sink, mut stream) = socket.split();
    let over = CancellationToken::new();
    let reading = async {
        let is_open = read(place, &mut stream, &over).await;
        over.cancel();
        is_open
    };
    let writing = async {
        select! {
            () = over.cancelled() => {}
            () = write(to_write, &mut sink, write_timeout) => {}
        }
        over.cancel();
        let frame = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
        let _ = time::timeout(write_timeout, sink.send(Message::Close(Some(frame)))).await;
    };
    let (is_open, ()) = tokio::join!(reading, writing);
    if is_open {
        // A close with unread bytes would make the network drop the last frame.
        let rest = async { while let Some(Ok(_)) = stream.next().await {} };
        let _ = time::timeout(close_timeout, rest).await;
    }
}

/// Runs calls until the client closes the WebSocket, or `over`. Returns whether the client can
/// still send.
async fn read(
    place: &Arc<Place>,
    stream: &mut SplitStream<WebSocket>,
    over: &CancellationToken,
) -> bool {
    loop {
        let message = select! {
            () = over.cancelled() => return true,
            message = stream.next() => message,
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text.to_string(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Binary(_))) => return true,
            Some(Ok(Message::Close(_))) | None => return false,
            Some(Err(error)) => {
                debug!(%error, "the WebSocket failed");
                return false;
            }
        };
        let sender = Sender::Here(Arc::clone(place));
        let Ok(permit) = Arc::clone(sender.calls()).acquire_owned().await else { return true };
        match send::call(sender, permit, text).await {
            Ok(Replied { text, after }) => {
                place.answer(Answer { to: Recipient::WebSocket(text), after }).await;
            }
            Err(error) => {
                debug!(%error, "a call is malformed");
                return true;
            }
        }
    }
}

/// Writes frames until the connection ends the transport, or the client does not read.
async fn write(
    mut to_write: mpsc::Receiver<Bytes>,
    sink: &mut SplitSink<WebSocket, Message>,
    write_timeout: Duration,
) {
    while let Some(frame) = to_write.recv().await {
        let text = Utf8Bytes::try_from(frame).expect("JSON is UTF-8");
        let sent = time::timeout(write_timeout, sink.send(Message::Text(text))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Buffer of an idle WebSocket.
const BUFFER_BYTES: usize = 4 * 1024;
