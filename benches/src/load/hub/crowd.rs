//! Many clients that check and count their messages.
//!
//! Each client is a task. The tasks share a buffer and a count, since the whole load runs on one
//! thread. The first clients are also senders. Every client must receive the messages of each sender
//! in order, without a gap: the tag of a message has the numbers of the sender and of the message.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use super::client::Client;
use crate::Failure;
use crate::frames::{self, TAG_BYTES, number};
use crate::load::listeners::nanos;
use crate::load::{PATIENCE, within};
use crate::sample::histogram;
use crate::server::Server;
use crate::subprotocol::{Call, Texts};
use crate::websocket;

/// The clients of a load.
pub(super) struct Crowd {
    shared: Rc<Shared>,
    clients: usize,
    senders: Vec<Rc<Sender>>,
    tasks: Vec<JoinHandle<Result<(), Failure>>>,
}

struct Shared {
    buffer: RefCell<Vec<u8>>,
    /// Messages received by all clients together.
    received: Cell<u64>,
    /// The count of messages for which the load waits.
    wanted: Cell<u64>,
    has_wanted: Notify,
    latencies: RefCell<Histogram<u64>>,
    /// The time at which the only message in flight was sent, if every arrival counts.
    sent_at: Cell<Option<Instant>>,
    /// Whether senders stop when a message returns to them.
    until: Cell<Option<Instant>>,
}

/// The sending side of a client.
struct Sender {
    number: usize,
    texts: RefCell<Texts>,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    sent: Cell<u64>,
    /// The times at which the messages in flight were sent.
    in_flight: RefCell<VecDeque<Instant>>,
}

/// The receiving side of a client.
struct Receiver {
    reader: OwnedReadHalf,
    texts: Rc<Texts>,
    shared: Rc<Shared>,
    /// Bytes of an incomplete frame.
    partial: Vec<u8>,
    /// The number of the next message of each sender.
    next: Vec<u64>,
    /// Set if the client is a sender too.
    sender: Option<Rc<Sender>>,
    /// Keeps the connection of another client open.
    _writer: Option<OwnedWriteHalf>,
}

/// Bytes read in one go.
const READ_BYTES: usize = 256 * 1024;
/// Tags have six digits for the number of a message.
const NUMBERS: u64 = 1_000_000;

impl Crowd {
    /// Connects `clients`, the first of which are `senders`.
    pub(super) async fn connect(
        server: &Server,
        call: Call,
        texts: Texts,
        clients: usize,
        senders: usize,
    ) -> Result<Self, Failure> {
        let started = Client::start_many(server, texts.subprotocol(), call, clients).await?;
        let shared = Rc::new(Shared {
            buffer: RefCell::new(vec![0; READ_BYTES]),
            received: Cell::new(0),
            wanted: Cell::new(u64::MAX),
            has_wanted: Notify::new(),
            latencies: RefCell::new(histogram()),
            sent_at: Cell::new(None),
            until: Cell::new(None),
        });
        let mut crowd = Self { shared, clients, senders: Vec::new(), tasks: Vec::new() };
        let shared_texts = Rc::new(texts.clone());
        for (number, client) in started.into_iter().enumerate() {
            let (reader, writer) = client.stream.into_split();
            let mut receiver = Receiver {
                reader,
                texts: shared_texts.clone(),
                shared: crowd.shared.clone(),
                partial: client.received,
                next: vec![0; senders],
                sender: None,
                _writer: None,
            };
            if number < senders {
                let sender = Rc::new(Sender {
                    number,
                    texts: RefCell::new(texts.clone()),
                    writer: tokio::sync::Mutex::new(writer),
                    sent: Cell::new(0),
                    in_flight: RefCell::default(),
                });
                crowd.senders.push(sender.clone());
                receiver.sender = Some(sender);
            } else {
                receiver._writer = Some(writer);
            }
            crowd.tasks.push(spawn_local(receiver.run()));
        }
        Ok(crowd)
    }

    /// Sends one message, and waits until all clients have received it.
    pub(super) async fn send_one(&mut self) -> Result<(), Failure> {
        let shared = self.shared.clone();
        shared.sent_at.set(Some(Instant::now()));
        shared.wanted.set(shared.received.get() + self.clients as u64);
        self.senders[0].send(1).await?;
        self.wait().await
    }

    /// Starts all senders. Each sends again whenever its messages return, until `until`.
    pub(super) async fn send_until(
        &mut self,
        window: usize,
        until: Instant,
    ) -> Result<(), Failure> {
        self.shared.until.set(Some(until));
        for sender in &self.senders {
            sender.send(window).await?;
        }
        tokio::time::sleep_until(until.into()).await;
        self.check().await
    }

    /// Waits until all messages have arrived, each at this number of clients. Nothing is sent any
    /// more.
    pub(super) async fn wait_for_all(&mut self, receivers: usize) -> Result<(), Failure> {
        let sent: u64 = self.senders.iter().map(|sender| sender.sent.get()).sum();
        self.shared.wanted.set(sent * receivers as u64);
        if self.shared.received.get() < self.shared.wanted.get() {
            self.wait().await?;
        }
        match (self.shared.received.get(), self.shared.wanted.get()) {
            (received, expected) if received == expected => Ok(()),
            (received, expected) => Err(Failure::Lost { expected, received }),
        }
    }

    /// Waits until the wanted number of messages has arrived.
    async fn wait(&mut self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let shared = self.shared.clone();
        loop {
            let step = tokio::time::Instant::now() + Duration::from_secs(1);
            if tokio::time::timeout_at(step, shared.has_wanted.notified()).await.is_ok() {
                return Ok(());
            }
            self.check().await?;
            if step > deadline {
                let (expected, received) = (shared.wanted.get(), shared.received.get());
                return Err(Failure::Lost { expected, received });
            }
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.shared.received.get()
    }

    pub(super) fn latencies(&self) -> Ref<'_, Histogram<u64>> {
        self.shared.latencies.borrow()
    }

    pub(super) fn forget_latencies(&self) {
        self.shared.latencies.borrow_mut().reset();
    }

    /// Fails if a client has failed.
    async fn check(&mut self) -> Result<(), Failure> {
        match self.tasks.iter_mut().find(|task| task.is_finished()) {
            Some(ended) => ended.await?,
            None => Ok(()),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Sender {
    /// Sends some messages in one write, with a frame for each.
    async fn send(&self, count: usize) -> Result<(), Failure> {
        let mut frames = Vec::new();
        for _ in 0..count {
            let tag = frames::tag(self.number, self.sent.get());
            websocket::encode_masked(&mut frames, self.texts.borrow_mut().request(tag));
            self.sent.update(|sent| sent + 1);
        }
        self.in_flight.borrow_mut().extend(std::iter::repeat_n(Instant::now(), count));
        within("a write", self.writer.lock().await.write_all(&frames)).await
    }
}

impl Receiver {
    /// Reads until the task is aborted.
    async fn run(mut self) -> Result<(), Failure> {
        loop {
            self.reader.readable().await?;
            let own = {
                let shared = self.shared.clone();
                let mut buffer = shared.buffer.borrow_mut();
                match self.reader.try_read(&mut buffer) {
                    Ok(0) => return Err(Failure::Closed),
                    Ok(read) => self.take(&buffer[..read])?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error.into()),
                }
            };
            let is_open = self.shared.until.get().is_some_and(|until| Instant::now() < until);
            if let (Some(sender), true, 1..) = (&self.sender, is_open, own) {
                sender.send(own).await?;
            }
        }
    }

    /// Checks and counts the messages in received bytes. Returns the number of the client's own.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let (mut received, mut own) = (0, 0);
        let mut partial = std::mem::take(&mut self.partial);
        if partial.is_empty() {
            let used = self.take_frames(bytes, &mut received, &mut own)?;
            partial.extend_from_slice(&bytes[used..]);
        } else {
            partial.extend_from_slice(bytes);
            let used = self.take_frames(&partial, &mut received, &mut own)?;
            partial.drain(..used);
        }
        self.partial = partial;
        self.count(received, own);
        Ok(own)
    }

    /// Takes all complete frames. Returns the number of their bytes.
    fn take_frames(
        &mut self,
        bytes: &[u8],
        received: &mut u64,
        own: &mut usize,
    ) -> Result<usize, Failure> {
        let (next, sender) = (&mut self.next, self.sender.as_ref().map(|sender| sender.number));
        let mut used = 0;
        while let Some(frame) = websocket::decode(&bytes[used..])? {
            let payload = &bytes[used..][frame.payload.clone()];
            used += frame.payload.end;
            if frame.opcode != websocket::TEXT {
                continue;
            }
            self.texts.read(payload, |tag| {
                let from = follow(next, tag)?;
                *received += 1;
                *own += usize::from(sender == Some(from));
                Ok(())
            })?;
        }
        Ok(used)
    }

    fn count(&self, received: u64, own: usize) {
        let shared = &self.shared;
        if received == 0 {
            return;
        }
        if let Some(sent_at) = shared.sent_at.get() {
            shared.latencies.borrow_mut().saturating_record(nanos(sent_at.elapsed()));
        } else if let Some(sender) = &self.sender {
            let now = Instant::now();
            for sent_at in sender.in_flight.borrow_mut().drain(..own) {
                shared.latencies.borrow_mut().saturating_record(nanos(now - sent_at));
            }
        }
        let before = shared.received.get();
        shared.received.set(before + received);
        let wanted = shared.wanted.get();
        if before < wanted && wanted <= before + received {
            shared.has_wanted.notify_one();
        }
    }
}

/// Checks that a message is the next one of its sender. Returns the number of the sender.
fn follow(next: &mut [u64], tag: &[u8]) -> Result<usize, Failure> {
    let (sender, message) = tag.split_at(TAG_BYTES - 6);
    let (sender, message) = (number(sender) as usize, number(message));
    match next.get_mut(sender) {
        Some(next) if *next == message => {
            *next = (message + 1) % NUMBERS;
            Ok(sender)
        }
        next => {
            let expected = next.map_or_else(Vec::new, |next| frames::tag(sender, *next).to_vec());
            Err(Failure::Wrong { expected, found: tag.to_vec() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_sender_arrive_in_order_without_a_gap() {
        let mut next = [0, 0];
        for (sender, message) in [(0, 0), (1, 0), (0, 1)] {
            let followed = follow(&mut next, &frames::tag(sender, message));
            assert_eq!(followed.expect("the next one"), sender);
        }
        for wrong in [frames::tag(0, 1), frames::tag(0, 3), frames::tag(2, 0)] {
            assert!(follow(&mut next, &wrong).is_err(), "{wrong:?}");
        }
        let mut last = [NUMBERS - 1];
        assert!(follow(&mut last, &frames::tag(0, NUMBERS - 1)).is_ok());
        assert_eq!(last, [0]);
    }
}
