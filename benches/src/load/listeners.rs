//! The subscribers of a measurement, and their count of messages.
//!
//! They share a buffer and a count, since the whole load runs on one thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use super::PATIENCE;
use super::client::Client;
use crate::frames::{self, Frames};
use crate::scenario::Stream;
use crate::server::Server;
use crate::{Failure, tls};

/// The subscribers of a stream.
pub(super) struct Listeners {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<Result<(), Failure>>>,
}

/// A callback for received messages: the numbers of the first one and of the one after the last,
/// counted by subscriber.
pub(super) type Noted = dyn Fn(u64, u64);

struct Shared {
    buffer: RefCell<Vec<u8>>,
    /// Messages received.
    received: Cell<u64>,
    noted: Box<Noted>,
}

/// One subscriber.
struct Listener {
    stream: tls::Stream,
    frames: Frames,
    shared: Rc<Shared>,
    received: u64,
}

/// Bytes read in one go.
const READ_BYTES: usize = 256 * 1024;

impl Listeners {
    /// Creates an empty set. Each subscriber calls `noted` after every read that completes a message.
    pub(super) fn new(noted: Box<Noted>) -> Self {
        let buffer = RefCell::new(vec![0; READ_BYTES]);
        let shared = Rc::new(Shared { buffer, received: Cell::new(0), noted });
        Self { shared, tasks: Vec::new() }
    }

    /// Connects all subscribers of a stream.
    pub(super) async fn connect(&mut self, load: Stream, server: &Server) -> Result<(), Failure> {
        let payload = frames::payload(load.payload_bytes);
        let protocol = server.protocol();
        let expect = |frame| protocol.frames(frame, load.payload_bytes, load.publishers);
        let channel = |number| number % load.channels;
        let clients = Client::subscribers(server, 0..load.subscribers, channel).await?;
        for (number, client) in clients.into_iter().enumerate() {
            self.add(client, expect(protocol.message(channel(number), &payload)));
        }
        // One client for each pattern: servers do not define the order of messages to a client with
        // several matching patterns.
        for index in 0..load.patterns {
            let pattern = format!("c{}", "*".repeat(index + 1));
            let client = Client::pattern_subscriber(server, [pattern.clone()]).await?;
            self.add(client, expect(protocol.pattern_message(&pattern, 0, &payload)));
        }
        Ok(())
    }

    /// Adds a subscribed client.
    pub(super) fn add(&mut self, client: Client, frames: Frames) {
        let (stream, shared) = (client.into_stream(), self.shared.clone());
        let listener = Listener { stream, frames, shared, received: 0 };
        self.tasks.push(spawn_local(listener.read(None)));
    }

    /// Adds a subscribed client that does not read while `stall` is on. It does not call `noted`.
    pub(super) fn add_stalling(&mut self, client: Client, frames: Frames, stall: Rc<Stall>) {
        let (stream, shared) = (client.into_stream(), self.shared.clone());
        let listener = Listener { stream, frames, shared, received: 0 };
        self.tasks.push(spawn_local(listener.read(Some(stall))));
    }

    /// Waits until all messages have arrived. Fails if a subscriber has failed.
    pub(super) async fn wait_for(&mut self, expected: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.shared.received.get() != expected {
            self.check().await?;
            if Instant::now() > deadline {
                let received = self.shared.received.get();
                return Err(Failure::Lost { expected, received });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Fails if a subscriber has failed.
    async fn check(&mut self) -> Result<(), Failure> {
        match self.tasks.iter_mut().find(|task| task.is_finished()) {
            Some(ended) => ended.await?,
            None => Ok(()),
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A switch that stops one subscriber.
#[derive(Default)]
pub(super) struct Stall {
    is_on: Cell<bool>,
    over: Notify,
}

impl Stall {
    pub(super) fn begin(&self) {
        self.is_on.set(true);
    }

    pub(super) fn end(&self) {
        self.is_on.set(false);
        self.over.notify_waiters();
    }

    async fn wait(&self) {
        while self.is_on.get() {
            self.over.notified().await;
        }
    }
}

impl Listener {
    /// Reads until the task is aborted.
    async fn read(mut self, stall: Option<Rc<Stall>>) -> Result<(), Failure> {
        loop {
            if let Some(stall) = &stall {
                stall.wait().await;
            }
            let ended = poll_fn(|cx| self.poll_messages(cx)).await?;
            self.shared.received.update(|received| received + ended);
            if stall.is_none() && ended > 0 {
                (self.shared.noted)(self.received, self.received + ended);
            }
            self.received += ended;
        }
    }

    /// Reads once. Returns the number of messages that ended.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, Failure>> {
        let mut buffer = self.shared.buffer.borrow_mut();
        let mut read = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        Poll::Ready(match read.filled() {
            [] => Err(Failure::Closed),
            bytes => self.frames.take(bytes),
        })
    }
}

/// Returns the nanoseconds of a duration, for a histogram.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
