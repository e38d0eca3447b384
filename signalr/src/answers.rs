//! Messages of this server for one of its connections, on their way to the writer.
//!
//! These are results, items of streams and invocations that expect a result. They do not pass the
//! backplane, so each names the message of the backplane that it follows.

use backplane::Cursor;
use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};

/// One step of the writer.
#[derive(Debug)]
pub(crate) enum ToWrite {
    Answer(Answer),
    /// No answer follows. The connection ends after those before.
    End,
}

/// A message for the client.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Empty if the client expects nothing. The end of the connection still waits for the messages
    /// of the method.
    pub(crate) message: Bytes,
    /// The last message that the connection's methods had sent.
    pub(crate) after: Option<Cursor>,
    pub(crate) queued: Instant,
}

/// Queues messages for the writer.
#[derive(Clone, Debug)]
pub(crate) struct Answers(mpsc::Sender<ToWrite>);

impl Answers {
    /// Returns an empty queue.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<ToWrite>) {
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        (Self(sender), receiver)
    }

    /// Queues a message, and waits for room. Returns whether the writer is still there.
    pub(crate) async fn send(&self, message: Bytes, after: Option<Cursor>) -> bool {
        if message.is_empty() && after.is_none() {
            return true;
        }
        let answer = Answer { message, after, queued: Instant::now() };
        self.0.send(ToWrite::Answer(answer)).await.is_ok()
    }

    /// Tells the writer that no answer follows.
    pub(crate) async fn end(&self) {
        // Fails if the writer has ended. It has closed the connection then.
        let _ = self.0.send(ToWrite::End).await;
    }
}

/// Maximum number of queued messages. A stream waits while its client reads too slowly.
const ANSWERS_MAX: usize = 4;
