//! A question about the subscribers of a channel, which all workers answer.
//!
//! Each worker has only its own subscribers. It adds them to the survey in a turn of its own, and
//! the client that asked waits meanwhile. Of each worker, the subscribers with the most unread bytes
//! are kept, so that a survey of many takes bounded memory.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use locks::Mutex;

use super::client_info::ClientInfo;
use crate::pubsub::message::Name;
use crate::pubsub::subscribers::{Subscribed, Subscribers};

/// A question and the answers so far.
#[derive(Debug)]
pub(crate) struct Survey {
    channel: Vec<u8>,
    /// The patterns with subscriptions that match the channel.
    patterns: Vec<Name>,
    readers_max: usize,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    /// Workers that have not answered; `None` until they have been asked.
    left: Option<usize>,
    readers: Vec<Reader>,
    asker: Option<Waker>,
}

/// A subscription of a client.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) by: Subscribed,
}

impl Survey {
    pub(crate) fn new(channel: &[u8], patterns: Vec<Name>, readers_max: usize) -> Self {
        Self { channel: channel.to_vec(), patterns, readers_max, answers: Mutex::default() }
    }

    /// Records that so many workers are asked.
    pub(crate) fn begin(&self, workers: usize) {
        self.answers.lock().left = Some(workers);
    }

    /// Adds the subscribers of one worker. `info` finds a client of it by its slot.
    pub(crate) fn answer(
        &self,
        subscribers: &Subscribers,
        info: impl Fn(usize) -> Option<Arc<ClientInfo>>,
    ) {
        let found = subscribers.of_channel(&self.channel, &self.patterns);
        let readers = found.filter_map(|(slot, by)| Some(Reader { info: info(slot)?, by }));
        let readers = slowest(readers.collect(), self.readers_max);
        let mut answers = self.answers.lock();
        answers.readers.extend(readers);
        answers.left = answers.left.and_then(|left| left.checked_sub(1));
        let asker = if answers.left == Some(0) { answers.asker.take() } else { None };
        drop(answers);
        if let Some(asker) = asker {
            asker.wake();
        }
    }

    /// Returns ready once all workers have answered.
    pub(crate) fn poll_done(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut answers = self.answers.lock();
        if answers.left == Some(0) {
            return Poll::Ready(());
        }
        answers.asker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the subscriptions, those of the slowest clients first.
    pub(crate) fn readers(&self) -> Vec<Reader> {
        slowest(self.answers.lock().readers.clone(), self.readers_max)
    }
}

impl Reader {
    pub(crate) fn unread_bytes(&self) -> usize {
        self.info.counts.output_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn lag(&self, now: Instant) -> Duration {
        self.info.lag(now)
    }
}

/// Sorts readers, the one with the oldest unread byte first, and returns the first ones.
fn slowest(readers: Vec<Reader>, readers_max: usize) -> Vec<Reader> {
    // Other threads change the figures meanwhile, and sorting needs figures that stand still.
    let now = Instant::now();
    let key = |reader: &Reader| (reader.lag(now), reader.unread_bytes(), Reverse(reader.info.id));
    let mut keyed: Vec<_> = readers.into_iter().map(|reader| (key(&reader), reader)).collect();
    keyed.sort_by_key(|(key, _)| Reverse(*key));
    keyed.truncate(readers_max);
    keyed.into_iter().map(|(_, reader)| reader).collect()
}
