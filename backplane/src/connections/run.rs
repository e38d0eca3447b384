//! Messages that follow each other for the same connections.
//!
//! A stream of small messages costs each of its connections one item of its queue then. Messages
//! join a run while more of them are ready. It ends before anything else happens to a connection.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dialect::Encoding;

use super::queued::Queued;
use crate::invocation::Invocation;

/// Invocations that follow each other. All of their connections share it.
///
/// See [`Connection::recv_run`](crate::Connection::recv_run).
#[derive(Default)]
pub struct Run {
    /// With their ids.
    items: Vec<(Option<u64>, Arc<Invocation>)>,
    bytes: usize,
    /// Hub messages, by their encoding.
    frames: [OnceLock<Bytes>; Encoding::ALL.len()],
}

impl Run {
    /// Returns the invocations, in order. There are at least two.
    ///
    /// # Examples
    ///
    /// See [`Connection::recv_run`](crate::Connection::recv_run).
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Invocation>> {
        self.items.iter().map(|(_, invocation)| invocation)
    }

    /// Returns the hub messages for clients with this encoding. They are written once for all of
    /// them.
    ///
    /// # Examples
    ///
    /// See [`Connection::recv_run`](crate::Connection::recv_run).
    pub fn frames(&self, encoding: Encoding) -> Bytes {
        let encode = || {
            let frames = self.iter().map(|invocation| invocation.frame(encoding));
            frames.collect::<Vec<_>>().concat().into()
        };
        self.frames[encoding as usize].get_or_init(encode).clone()
    }

    /// Returns whether an invocation may join a run.
    pub(crate) fn takes(invocation: &Invocation) -> bool {
        invocation.bytes() <= INVOCATION_BYTES_MAX
    }

    /// Returns whether another invocation fits.
    pub(crate) fn has_room(&self, invocation: &Invocation) -> bool {
        self.items.len() < INVOCATIONS_MAX
            && self.bytes + invocation.bytes() + ENVELOPE_BYTES <= BYTES_MAX
    }

    pub(crate) fn push(&mut self, id: Option<u64>, invocation: Arc<Invocation>) {
        self.bytes += invocation.bytes() + ENVELOPE_BYTES;
        self.items.push((id, invocation));
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the size of the invocations.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the item for a queue.
    pub(super) fn into_item(mut self) -> Queued {
        match self.items.pop() {
            Some((id, invocation)) if self.items.is_empty() => Queued::Invocation(id, invocation),
            last => {
                self.items.extend(last);
                Queued::Run(Arc::new(self))
            }
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<(Option<u64>, Arc<Invocation>)> {
        self.items.get(index).cloned()
    }

    /// Returns the last id.
    pub(crate) fn last_id(&self) -> Option<u64> {
        self.items.last().and_then(|(id, _)| *id)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Larger invocations cost far more than their place in a queue.
const INVOCATION_BYTES_MAX: usize = 1024;
const INVOCATIONS_MAX: usize = 64;
/// A run fits one frame of 8 KiB, as clients receive it.
const BYTES_MAX: usize = 8 * 1024;
/// What a frame has for each invocation besides its method and arguments, and some more.
const ENVELOPE_BYTES: usize = 64;
