//! The WebSockets transport: frames to the client, calls from it.
//!
//! The end of a WebSocket does not end the connection. A running method goes on, and its result is
//! dropped, as are those of the calls that were read behind it. While a method runs, messages of the client
//! are read ahead up to the limit of one, so its end is noticed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

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
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    place::{Answer, Opening, Place, Recipient, Resume},
    send::{self, Replied, Sender},
    transport::{Form, Transport},
};
use crate::{backlog::Backlog, hub::Hub, protocol::classic::CallError};

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
    let options = place.service.hubs().first().map(Hub::options);
    let (write_timeout, close_timeout) =
        options.map_or((Duration::ZERO, Duration::ZERO), |it| (it.write_timeout, it.close_timeout));
    let (mut sink, mut stream) = socket.split();
    let (over, stopped) = (CancellationToken::new(), OnceLock::new());
    let reading = async {
        let stop = read(place, &mut stream, &over).await;
        let _ = stopped.set(stop);
        over.cancel();
        stop
    };
    let writing = async {
        select! {
            () = over.cancelled() => {}
            written = write(to_write, &mut sink, write_timeout) => {
                if written == Written::Failed {
                    // The client is gone. Calls that it has sent before are still read, up to the end.
                    over.cancelled().await;
                }
            }
        }
        over.cancel();
        let code = match stopped.get() {
            // The close below answers the frame of the client.
            Some(Stop::Closed) => None,
            Some(Stop::Failed(code)) => Some(*code),
            Some(Stop::Over) | None => Some(close_code::NORMAL),
        };
        let closing = async {
            if let Some(code) = code {
                let frame = CloseFrame { code, reason: Utf8Bytes::default() };
                sink.send(Message::Close(Some(frame))).await?;
            }
            sink.close().await
        };
        let _ = time::timeout(write_timeout, closing).await;
    };
    let (stop, ()) = tokio::join!(reading, writing);
    if stop == Stop::Over {
        // A close with unread bytes would make the network drop the last frame.
        let rest = async { while let Some(Ok(_)) = stream.next().await {} };
        let _ = time::timeout(close_timeout, rest).await;
    }
}

/// Why a WebSocket is read no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// This side has ended it. The client can still send.
    Over,
    /// The client has closed it, or it is lost.
    Closed,
    /// The client has sent invalid frames, and gets this code.
    Failed(u16),
}

/// Runs calls until the client closes the WebSocket, or `over`.
async fn read(
    place: &Arc<Place>,
    stream: &mut SplitStream<WebSocket>,
    over: &CancellationToken,
) -> Stop {
    let bytes_max = place.service.settings.message_bytes_max;
    let mut ahead = Backlog::default();
    loop {
        let text = match ahead.pop() {
            Some(text) => text,
            None => select! {
                () = over.cancelled() => return Stop::Over,
                text = receive(stream) => match text {
                    Ok(text) => text,
                    Err(stop) => return stop,
                },
            },
        };
        let mut calling = Box::pin(call(Arc::clone(place), text));
        let replied = loop {
            let stop = select! {
                biased;
                replied = &mut calling => break replied,
                () = over.cancelled() => Stop::Over,
                text = receive(stream), if ahead.bytes() < bytes_max => match text {
                    Ok(text) => {
                        ahead.push(text);
                        continue;
                    }
                    Err(stop) => stop,
                },
            };
            // A client that closes has sent these calls, so they run without it. One that opens and closes one
            // WebSocket after the other has them run for one at a time.
            let finishing = match stop {
                Stop::Closed => Arc::clone(&place.finishing).try_acquire_owned().ok(),
                Stop::Over | Stop::Failed(_) => None,
            };
            let place = Arc::clone(place);
            tokio::spawn(async move {
                let _ = calling.await;
                while finishing.is_some()
                    && let Some(text) = ahead.pop()
                {
                    let _ = call(Arc::clone(&place), text).await;
                }
            });
            return stop;
        };
        match replied {
            Some(Ok(Replied { text, after })) => {
                place.answer(Answer { to: Recipient::WebSocket(text), after }).await;
            }
            // As with SignalR 2, the client gets no answer and stays connected.
            Some(Err(error)) => debug!(%error, "a call is malformed"),
            None => return Stop::Over,
        }
    }
}

/// Runs a call after those before it. Returns `None` if the connection has ended.
async fn call(place: Arc<Place>, text: String) -> Option<Result<Replied, CallError>> {
    let permit = Arc::clone(&place.calls).acquire_owned().await.ok()?;
    Some(send::call(Sender::Here(place), permit, text).await)
}

/// Waits for the next call. Cancel safe.
async fn receive(stream: &mut SplitStream<WebSocket>) -> Result<String, Stop> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Stop::Over),
            Some(Ok(Message::Close(_))) | None => return Err(Stop::Closed),
            Some(Err(error)) => {
                debug!(%error, "the WebSocket failed");
                return Err(failure_of(error));
            }
        }
    }
}

/// Returns what the client gets for frames that the WebSocket refuses, with the codes of RFC 6455.
fn failure_of(error: axum::Error) -> Stop {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Stop::Failed(close_code::SIZE),
        Some(tungstenite::Error::Utf8(_)) => Stop::Failed(close_code::INVALID),
        // The client has ended it without a close frame, and receives none.
        Some(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            Stop::Closed
        }
        Some(tungstenite::Error::Protocol(_)) => Stop::Failed(close_code::PROTOCOL),
        _ => Stop::Closed,
    }
}

/// Why no further frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// The connection has ended the transport, or the client does not read.
    Over,
    /// The client does not receive any more.
    Failed,
}

/// Writes frames until the connection ends the transport, or the client does not read.
async fn write(
    mut to_write: mpsc::Receiver<Bytes>,
    sink: &mut SplitSink<WebSocket, Message>,
    write_timeout: Duration,
) -> Written {
    while let Some(frame) = to_write.recv().await {
        let text = Utf8Bytes::try_from(frame).expect("JSON is UTF-8");
        match time::timeout(write_timeout, sink.send(Message::Text(text))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Written::Failed,
            Err(_) => return Written::Over,
        }
    }
    Written::Over
}

/// Buffer of an idle WebSocket.
const BUFFER_BYTES: usize = 4 * 1024;
