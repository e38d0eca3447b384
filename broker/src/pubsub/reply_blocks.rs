//! Unread bytes as Redis counts them for `client-output-buffer-limit`.
//!
//! Redis keeps the first 16 KiB in a buffer that does not count. The rest is in a list of blocks. A
//! block counts with its whole size, which the allocator rounds up, from its first byte until its
//! last byte is written. So many small replies reach a limit earlier than one large reply.
//!
//! This is a count only: the outbox holds the bytes.

use std::collections::VecDeque;

/// The blocks of one client.
#[derive(Debug, Default)]
pub(super) struct ReplyBlocks {
    /// Unwritten bytes before the first block.
    buffered: usize,
    blocks: VecDeque<Block>,
    /// The sizes of all blocks.
    sizes: usize,
    /// Bytes of the first block that are written.
    written: usize,
}

#[derive(Debug)]
struct Block {
    used: usize,
    size: usize,
}

/// The blocks of a client, for `CLIENT LIST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockFigures {
    pub(crate) count: usize,
    /// The memory that Redis would take for the blocks.
    pub(crate) bytes: usize,
    /// Unwritten bytes in the blocks.
    pub(crate) unwritten: usize,
}

/// Redis' `PROTO_REPLY_CHUNK_BYTES`: the size of the buffer and of a small block.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024;
/// The header of a block, within its allocation.
const HEADER_BYTES: usize = 16;
/// The entry of the list and its share of the list's memory, as Redis counts them.
const ENTRY_BYTES: usize = 24 + HEADER_BYTES;

impl ReplyBlocks {
    /// Adds `count` bytes behind `unwritten` ones.
    pub(super) fn push(&mut self, unwritten: usize, count: usize) {
        let mut left = count;
        match self.blocks.back_mut() {
            None => {
                let free = BUFFER_BYTES.saturating_sub(unwritten).min(count);
                self.buffered = unwritten + free;
                left -= free;
            }
            Some(last) => {
                let free = (last.size - last.used).min(count);
                last.used += free;
                left -= free;
            }
        }
        if left > 0 {
            let size = allocated(left.max(BUFFER_BYTES) + HEADER_BYTES) - HEADER_BYTES;
            self.sizes += size;
            self.blocks.push_back(Block { used: left, size });
        }
    }

    /// Removes the last `count` bytes, none of which is written.
    pub(super) fn remove_last(&mut self, mut count: usize) {
        while count > 0 {
            let Some(last) = self.blocks.back_mut() else {
                self.buffered = self.buffered.saturating_sub(count);
                return;
            };
            let of_block = last.used.min(count);
            last.used -= of_block;
            count -= of_block;
            if last.used == 0
                && let Some(last) = self.blocks.pop_back()
            {
                self.sizes -= last.size;
            }
        }
    }

    /// Removes the next `count` bytes, which are written.
    pub(super) fn advance(&mut self, mut count: usize) {
        let buffered = self.buffered.min(count);
        self.buffered -= buffered;
        count -= buffered;
        self.written += count;
        while let Some(first) = self.blocks.front()
            && self.written >= first.used
        {
            self.written -= first.used;
            self.sizes -= first.size;
            self.blocks.pop_front();
        }
    }

    /// Returns whether nothing counts.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the bytes that count for the limits.
    pub(super) fn bytes(&self) -> usize {
        self.sizes + self.blocks.len() * ENTRY_BYTES
    }

    pub(super) fn figures(&self) -> BlockFigures {
        let used: usize = self.blocks.iter().map(|block| block.used).sum();
        BlockFigures {
            count: self.blocks.len(),
            bytes: self.bytes(),
            unwritten: used - self.written,
        }
    }
}

/// Returns the size that jemalloc, the allocator of Redis, takes for a large allocation: four steps
/// to each doubling.
fn allocated(bytes: usize) -> usize {
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `count` replies of `bytes` bytes, and returns the bytes that count.
    fn counted(count: usize, bytes: usize) -> usize {
        let mut blocks = ReplyBlocks::default();
        (0..count).for_each(|index| blocks.push(index * bytes, bytes));
        blocks.bytes()
    }

    /// The figures are those of redis-server 7.0.15.
    #[test]
    fn replies_count_as_in_redis() {
        assert_eq!(counted(1, BUFFER_BYTES), 0);
        assert_eq!(counted(1, BUFFER_BYTES + 1), 20_504);
        assert_eq!(counted(98_240 / 10, 10), 4 * 20_504);
        assert_eq!(counted(98_250 / 10, 10), 5 * 20_504);
        assert_eq!(counted(1, BUFFER_BYTES + 98_288), 98_304 - 16 + 40);
        assert_eq!(counted(1, BUFFER_BYTES + 98_289), 114_688 - 16 + 40);
    }

    #[test]
    fn a_block_counts_until_its_last_byte_is_written() {
        let mut blocks = ReplyBlocks::default();
        blocks.push(0, BUFFER_BYTES + 20_464 + 1);
        blocks.push(BUFFER_BYTES + 20_464 + 1, 10_000_000);
        let first = blocks.figures();
        assert_eq!((first.count, first.unwritten), (2, 20_464 + 1 + 10_000_000));
        blocks.advance(BUFFER_BYTES + 20_464);
        assert_eq!(blocks.figures().count, 2);
        blocks.advance(20_000);
        assert_eq!(blocks.figures().count, 1);
        blocks.advance(10_000_000 - 20_000 + 1);
        assert!(blocks.is_empty());
        assert_eq!(blocks.bytes(), 0);
    }
}
