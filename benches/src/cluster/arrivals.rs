//! Counts the messages of all connections and waits for the expected number.
//!
//! Each receiver checks its own messages with `frames`; this module only counts them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backplane::{Connection, Received};
use broker::Subscriber;
use tokio::sync::Notify;

use crate::Failure;
use crate::frames::{self, Frames, TAG_BYTES};
use crate::scenario::PAYLOAD_BYTES;
use crate::wire;

/// The arrivals of all connections together.
#[derive(Default)]
pub(super) struct Arrivals {
    received: AtomicU64,
    expected: AtomicU64,
    /// The time of the last message, or the failure that ended a receiver.
    outcome: Mutex<Option<Result<Instant, Failure>>>,
    changed: Notify,
}

/// The receiving end of one connection or subscriber.
pub(super) struct Listener {
    frames: Frames,
    arrivals: Arc<Arrivals>,
}

/// The expected message of a group. All its connections share one copy, since a comparison with cold
/// memory would cost more than the delivery.
pub(super) struct Group(Arc<[u8]>);

/// How long the last message may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Arrivals {
    /// Raises the number of expected messages.
    pub(super) fn expect(&self, more: u64) {
        self.expected.fetch_add(more, Ordering::SeqCst);
    }

    /// Waits for all expected messages and returns the time of the last one.
    pub(super) async fn all(&self) -> Result<Instant, Failure> {
        let outcome = async {
            loop {
                if let Some(outcome) =
                    self.outcome.lock().expect("no thread panics while it holds the lock").take()
                {
                    return outcome;
                }
                if self.received.load(Ordering::SeqCst) == self.expected.load(Ordering::SeqCst) {
                    return Ok(Instant::now());
                }
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, outcome).await.unwrap_or_else(|_| {
            let received = self.received.load(Ordering::SeqCst);
            Err(Failure::Lost { expected: self.expected.load(Ordering::SeqCst), received })
        })
    }

    fn count(&self) {
        let received = self.received.fetch_add(1, Ordering::SeqCst) + 1;
        if received == self.expected.load(Ordering::SeqCst) {
            self.end(Ok(Instant::now()));
        }
    }

    fn end(&self, outcome: Result<Instant, Failure>) {
        *self.outcome.lock().expect("no thread panics while it holds the lock") = Some(outcome);
        self.changed.notify_one();
    }
}

impl Group {
    pub(super) fn new(number: usize) -> Self {
        Self(json(number, frames::tag(0, 0)).into_bytes().into())
    }
}

impl Listener {
    /// Creates the receiving end of a group with this number of senders.
    pub(super) fn new(group: &Group, senders: usize, arrivals: &Arc<Arrivals>) -> Self {
        let frames = Frames::new(group.0.clone(), PAYLOAD_BYTES, senders);
        Self { frames, arrivals: arrivals.clone() }
    }

    /// Receives from a connection until it fails.
    pub(super) async fn attend(mut self, mut connection: Connection) {
        let failure = loop {
            let checked = match connection.recv_or_gap().await {
                Ok(Received::Invocation(invocation)) => {
                    self.take(invocation.arguments().get().as_bytes())
                }
                Ok(other) => Err(Failure::Cluster(format!("a connection got {other:?}"))),
                Err(disconnect) => Err(Failure::Cluster(format!("a connection: {disconnect}"))),
            };
            if let Err(failure) = checked {
                break failure;
            }
        };
        self.arrivals.end(Err(failure));
    }

    /// Receives from a subscriber until it fails.
    pub(super) async fn subscribe(mut self, mut subscriber: Subscriber) {
        let failure = loop {
            let checked = match subscriber.recv().await {
                Ok(message) => self.take(message.payload()),
                Err(disconnect) => Err(Failure::Cluster(format!("a subscriber: {disconnect}"))),
            };
            if let Err(failure) = checked {
                break failure;
            }
        };
        self.arrivals.end(Err(failure));
    }

    /// Checks a message, which must be exactly one frame, and counts it.
    fn take(&mut self, text: &[u8]) -> Result<(), Failure> {
        match self.frames.take(text)? {
            1 => self.arrivals.count(),
            _ => return Err(Failure::Wrong { expected: Vec::new(), found: text.to_vec() }),
        }
        Ok(())
    }
}

/// Returns the arguments of a message to a group: its name and the payload.
pub(super) fn arguments(group: usize, tag: [u8; TAG_BYTES]) -> (String, String) {
    let mut payload = frames::payload(PAYLOAD_BYTES);
    payload[..TAG_BYTES].copy_from_slice(&tag);
    (wire::channel(group), String::from_utf8_lossy(&payload).into_owned())
}

/// Returns the arguments as JSON. It ends with two bytes after the payload, as `frames` expects.
pub(super) fn json(group: usize, tag: [u8; TAG_BYTES]) -> String {
    let (group, payload) = arguments(group, tag);
    format!("[\"{group}\",\"{payload}\"]")
}
