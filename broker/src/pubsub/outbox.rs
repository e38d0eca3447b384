//! The bytes that one client's socket has not taken yet.
//!
//! Small frames are copied into the tail; large frames are shared and kept beside it. An empty
//! outbox holds no memory: its tail goes back to the worker's [`Pool`].
//!
//! An outbox uses no socket. Bytes count until the caller of [`Outbox::advance`] has written them.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::queued_frames;
use super::reply_blocks::{BUFFER_BYTES, BlockFigures, ReplyBlocks};

/// Bytes in order, up to a limit that its owner enforces.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Closed tails and shared frames, before the tail.
    chunks: VecDeque<Chunk>,
    tail: Vec<u8>,
    /// Bytes of the first chunk (or of the tail) that are written already.
    written: usize,
    /// Bytes that are not written yet.
    bytes: usize,
    /// The bytes that count for limits, once there are more than a first buffer holds.
    blocks: Option<Box<ReplyBlocks>>,
    /// Whether a frame may extend over several chunks.
    has_parts: bool,
    /// Bytes at the front that do not count for limits.
    exempt: usize,
}

/// What happens to a frame of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Remove,
    /// Keep this one and all that follow.
    Stop,
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Bytes),
}

/// Tails of a worker's outboxes that are not in use.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    tails: Vec<Vec<u8>>,
    /// The number of tails that nobody has needed since the last [`Pool::trim`].
    spare: usize,
}

/// A tail of this size is closed and a new one begun, so that growth copies little. One `writev`
/// takes several tails.
const TAIL_BYTES_MAX: usize = 16 * 1024;
/// Enough for a turn with messages to thousands of clients. The allocator gives a freed tail back to
/// the system at once, and a new one costs more time than the bytes in it.
const POOLED_TAILS_MAX: usize = 4096;

impl Outbox {
    /// Returns the number of bytes that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a frame, which `write` writes into the tail. Returns the bytes that
    /// count for limits.
    pub(crate) fn push_with(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let tail = self.tail(pool);
        let before = tail.len();
        write(tail);
        let added = tail.len() - before;
        self.count(added)
    }

    /// Appends `frame` without a copy, and returns the bytes that count for limits.
    pub(crate) fn push_shared(&mut self, frame: Bytes) -> usize {
        let counted = self.count(frame.len());
        self.close_tail();
        self.chunks.push_back(Chunk::Shared(frame));
        counted
    }

    /// Appends a part of a frame without a copy, and returns the bytes that count for limits.
    pub(crate) fn push_part(&mut self, part: Bytes) -> usize {
        self.has_parts = true;
        self.push_shared(part)
    }

    /// Makes all bytes so far not count for limits.
    pub(crate) fn exempt(&mut self) {
        self.exempt = self.bytes;
    }

    /// Visits the whole frames, the oldest first, and removes those that `judge` picks. Frames that are
    /// partly written stay, and so do frames that extend over several chunks.
    pub(super) fn retain(&mut self, mut judge: impl FnMut(&[u8]) -> Verdict) {
        if self.has_parts {
            return;
        }
        self.close_tail();
        let (mut is_over, mut removed) = (false, 0);
        let chunks = std::mem::take(&mut self.chunks);
        for (index, chunk) in chunks.into_iter().enumerate() {
            if is_over || (index == 0 && self.written > 0) {
                self.chunks.push_back(chunk);
                continue;
            }
            let bytes = chunk.as_slice();
            let (mut at, mut left) = (0, None);
            while !is_over && let Some(length) = queued_frames::length(&bytes[at..]) {
                let frame = &bytes[at..at + length];
                match judge(frame) {
                    Verdict::Keep => {
                        left.iter_mut()
                            .for_each(|left: &mut Vec<u8>| left.extend_from_slice(frame));
                    }
                    Verdict::Remove => {
                        left.get_or_insert_with(|| bytes[..at].to_vec());
                        removed += length;
                    }
                    Verdict::Stop => {
                        is_over = true;
                        continue;
                    }
                }
                at += length;
            }
            match left {
                None => self.chunks.push_back(chunk),
                Some(mut left) => {
                    left.extend_from_slice(&bytes[at..]);
                    if !left.is_empty() {
                        self.chunks.push_back(Chunk::Own(left));
                    }
                }
            }
        }
        if removed > 0 {
            self.bytes -= removed;
            self.recount();
        }
    }

    /// Removes the frames that were pushed last and that `is_removed` accepts, until the bytes that
    /// count are below `limit`.
    pub(super) fn remove_newest(
        &mut self,
        limit: usize,
        mut is_removed: impl FnMut(&[u8]) -> bool,
    ) {
        if self.has_parts {
            return;
        }
        self.close_tail();
        let is_partly_written = self.chunks.len() == 1 && self.written > 0;
        let Some(chunk) = self.chunks.pop_back_if(|_| !is_partly_written) else { return };
        let bytes = chunk.as_slice();
        let (mut starts, mut end) = (vec![], 0);
        while let Some(length) = queued_frames::length(&bytes[end..]) {
            starts.push(end);
            end += length;
        }
        let mut removed = 0;
        if end == bytes.len() {
            while self.counted_bytes() >= limit
                && let Some(start) = starts.pop_if(|start| is_removed(&bytes[*start..end]))
            {
                self.bytes -= end - start;
                removed += end - start;
                if let Some(blocks) = &mut self.blocks {
                    blocks.remove_last(end - start);
                }
                end = start;
            }
        }
        match (removed, end) {
            (0, _) => self.chunks.push_back(chunk),
            (_, 0) => {}
            _ => self.tail = bytes[..end].to_vec(),
        }
    }

    /// Counts all bytes anew, as if small frames had come one after the other.
    fn recount(&mut self) {
        self.blocks = None;
        let bytes = std::mem::take(&mut self.bytes);
        while self.bytes < bytes {
            self.count((bytes - self.bytes).min(BUFFER_BYTES));
        }
    }

    /// Returns the unwritten bytes as Redis counts them for limits.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.bytes()).saturating_sub(self.exempt)
    }

    /// Returns the blocks that Redis would have for the unwritten bytes.
    pub(crate) fn blocks(&self) -> BlockFigures {
        self.blocks.as_ref().map_or_else(BlockFigures::default, |blocks| blocks.figures())
    }

    /// Returns the memory of buffers with bytes for this client alone.
    pub(crate) fn own_memory(&self) -> usize {
        let own = |chunk: &Chunk| match chunk {
            Chunk::Own(bytes) => bytes.capacity(),
            Chunk::Shared(_) => 0,
        };
        self.chunks.iter().map(own).sum::<usize>() + self.tail.capacity()
    }

    /// Returns a copy of all queued bytes.
    #[cfg(any(feature = "lua", test))]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let parts = self.chunks.iter().map(Chunk::as_slice).chain([self.tail.as_slice()]);
        parts.flatten().copied().skip(self.written).collect()
    }

    /// Fills `slices` with the next bytes, and returns the number of slices filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        let parts = self.chunks.iter().map(Chunk::as_slice).chain([self.tail.as_slice()]);
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(&part[skip..]);
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Removes the next `count` bytes, which the caller has written.
    pub(crate) fn advance(&mut self, count: usize, pool: &mut Pool) {
        self.bytes -= count;
        self.written += count;
        self.exempt = self.exempt.saturating_sub(count);
        if let Some(blocks) = &mut self.blocks {
            blocks.advance(count);
            if blocks.is_empty() {
                self.blocks = None;
            }
        }
        while let Some(chunk) = self.chunks.front() {
            let length = chunk.as_slice().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            if let Some(Chunk::Own(tail)) = self.chunks.pop_front() {
                pool.give(tail);
            }
        }
        if self.bytes == 0 {
            self.clear(pool);
        }
    }

    /// Removes all bytes and releases their memory.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.bytes = 0;
        self.written = 0;
        self.blocks = None;
        self.has_parts = false;
        self.exempt = 0;
        self.chunks = VecDeque::new();
        pool.give(std::mem::take(&mut self.tail));
    }

    /// Counts new bytes, and returns those that count for limits.
    fn count(&mut self, added: usize) -> usize {
        let before = self.bytes;
        self.bytes += added;
        match self.bytes > BUFFER_BYTES || self.blocks.is_some() {
            true => self.count_in_blocks(before, added),
            false => 0,
        }
    }

    #[cold]
    fn count_in_blocks(&mut self, before: usize, added: usize) -> usize {
        let blocks = self.blocks.get_or_insert_default();
        blocks.push(before, added);
        blocks.bytes().saturating_sub(self.exempt)
    }

    /// Returns the tail to append to.
    fn tail(&mut self, pool: &mut Pool) -> &mut Vec<u8> {
        if self.tail.len() >= TAIL_BYTES_MAX {
            self.close_tail();
        }
        if self.tail.capacity() == 0 {
            self.tail = pool.take();
        }
        &mut self.tail
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Chunk::Own(std::mem::take(&mut self.tail)));
        }
    }
}

impl Chunk {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        let tail = self.tails.pop().unwrap_or_default();
        self.spare = self.spare.min(self.tails.len());
        tail
    }

    /// Frees the tails that nobody has needed since the last call.
    pub(crate) fn trim(&mut self) {
        self.tails.truncate(self.tails.len() - self.spare);
        self.spare = self.tails.len();
    }

    fn give(&mut self, mut tail: Vec<u8>) {
        let usual = (1..=2 * TAIL_BYTES_MAX).contains(&tail.capacity());
        if usual && self.tails.len() < POOLED_TAILS_MAX {
            tail.clear();
            self.tails.push(tail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `count` bytes as a socket does.
    fn read(outbox: &mut Outbox, pool: &mut Pool, count: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = outbox.slices(&mut slices);
        let all: Vec<u8> =
            slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = count.min(all.len());
        outbox.advance(count, pool);
        all[..count].to_vec()
    }

    #[test]
    fn bytes_are_read_in_order_in_steps_of_any_size() {
        for step in 1..20 {
            let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
            outbox.push_with(&mut pool, |tail| tail.extend_from_slice(b"one "));
            outbox.push_shared(Bytes::from_static(b"two "));
            outbox.push_shared(Bytes::from_static(b"three "));
            outbox.push_with(&mut pool, |tail| tail.extend_from_slice(b"four"));
            assert_eq!(outbox.bytes(), 18);
            let mut all = Vec::new();
            while !outbox.is_empty() {
                all.extend(read(&mut outbox, &mut pool, step));
            }
            assert_eq!(all, b"one two three four", "in steps of {step}");
        }
    }

    #[test]
    fn an_empty_outbox_holds_no_memory() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        outbox.push_with(&mut pool, |tail| tail.extend_from_slice(&[b'x'; 100]));
        outbox.push_shared(Bytes::from_static(b"shared"));
        while !outbox.is_empty() {
            read(&mut outbox, &mut pool, 64);
        }
        assert_eq!((outbox.tail.capacity(), outbox.chunks.capacity()), (0, 0));
        assert_eq!(pool.tails.len(), 1);
    }

    #[test]
    fn a_pool_keeps_what_is_in_use_and_frees_the_rest() {
        let mut pool = Pool::default();
        let use_at_once = |pool: &mut Pool, count: usize| {
            let tails: Vec<_> = (0..count).map(|_| pool.take()).collect();
            tails.into_iter().for_each(|_| pool.give(vec![0; 100]));
        };
        use_at_once(&mut pool, 50);
        pool.trim();
        assert_eq!(pool.tails.len(), 50, "all were needed");
        for _ in 0..3 {
            use_at_once(&mut pool, 10);
            pool.trim();
            assert_eq!(pool.tails.len(), 10, "40 were not needed");
        }
        pool.trim();
        assert_eq!(pool.tails.len(), 0, "none was needed");
    }

    #[test]
    fn a_long_tail_is_closed_and_not_copied() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        for _ in 0..5 {
            outbox.push_with(&mut pool, |tail| tail.extend_from_slice(&[b'x'; TAIL_BYTES_MAX / 2]));
        }
        assert_eq!(outbox.chunks.len(), 2);
        assert_eq!(read(&mut outbox, &mut pool, usize::MAX).len(), TAIL_BYTES_MAX * 5 / 2);
        assert!(outbox.is_empty());
    }
}
