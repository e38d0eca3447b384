//! A connection in memory: bytes to the server, and all bytes that it has sent.

use std::sync::Arc;

use locks::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    select,
    sync::mpsc,
};

use crate::websocket;

/// The client's end of a connection. Dropping it cuts the connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    to_send: mpsc::UnboundedSender<Vec<u8>>,
    received: Arc<Mutex<Received>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_at_end: bool,
}

impl Pipe {
    pub(crate) fn new(stream: DuplexStream) -> Self {
        let (to_send, queued) = mpsc::unbounded_channel();
        let received = Arc::default();
        tokio::spawn(carry(stream, queued, Arc::clone(&received)));
        Self { to_send, received }
    }

    pub(crate) fn send(&self, bytes: Vec<u8>) {
        // Fails if the server has closed the connection, which the result shows.
        let _ = self.to_send.send(bytes);
    }

    pub(crate) fn received(&self) -> Received {
        self.received.lock().clone()
    }
}

/// Carries bytes both ways. As the recorded client, it answers a close frame with a close frame.
async fn carry(
    mut stream: DuplexStream,
    mut queued: mpsc::UnboundedReceiver<Vec<u8>>,
    received: Arc<Mutex<Received>>,
) {
    let mut has_answered = false;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        select! {
            bytes = queued.recv() => {
                let Some(bytes) = bytes else { return };
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            count = stream.read(&mut chunk) => {
                let Ok(count @ 1..) = count else { break };
                received.lock().bytes.extend_from_slice(&chunk[..count]);
                let close = websocket::close_frame(&received.lock().bytes);
                if let Some(payload) = close.filter(|_| !has_answered) {
                    has_answered = true;
                    let _ = stream.write_all(&websocket::frame(websocket::CLOSE, &payload)).await;
                }
            }
        }
    }
    received.lock().is_at_end = true;
}
