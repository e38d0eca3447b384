//! A hash table that grows and shrinks bucket by bucket, and can be walked in pieces.
//!
//! The table uses linear hashing: the low bits of a hash select the bucket, with one bit more for
//! buckets that are split already. An insertion splits at most one bucket and a removal joins a few,
//! so no single command pays for all keys.
//!
//! In reverse order, the bits that select a bucket are the first bits of the hash. So each bucket
//! holds a range of reversed hashes. A walk visits them in ascending order and its cursor is one
//! number. Splits and joins do not disturb it: it visits each key that stays exactly once.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// Entries by key.
#[derive(Debug)]
pub(super) struct Table<E> {
    buckets: Vec<Chain<E>>,
    len: usize,
    hasher: RandomState,
}

type Chain<E> = Option<Box<Node<E>>>;

/// A key with its entry.
#[derive(Debug)]
struct Node<E> {
    next: Chain<E>,
    key: Box<[u8]>,
    entry: E,
}

/// Memory of a key in addition to its own bytes and those of its entry.
pub(super) const fn node_bytes<E>() -> usize {
    size_of::<Node<E>>() + size_of::<Chain<E>>()
}

/// Bits of a hash that select a bucket and form a cursor. Some clients parse cursors as numbers of
/// JavaScript, which hold 53 bits.
const HASH_BITS: u32 = 48;

const BUCKETS_PER_KEY_MAX: usize = 4;
/// Maximum buckets that a removal joins, more than enough to keep up.
const BUCKETS_JOINED_MAX: usize = 2 * BUCKETS_PER_KEY_MAX;

impl<E> Table<E> {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { buckets: Vec::new(), len: 0, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&E> {
        let mut next = self.buckets.get(self.index(hash))?.as_deref();
        while let Some(node) = next {
            if *node.key == *key {
                return Some(&node.entry);
            }
            next = node.next.as_deref();
        }
        None
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut E> {
        let index = self.index(hash);
        let mut next = self.buckets.get_mut(index)?.as_deref_mut();
        while let Some(node) = next {
            if *node.key == *key {
                return Some(&mut node.entry);
            }
            next = node.next.as_deref_mut();
        }
        None
    }

    /// Adds a key that does not exist.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], entry: E) {
        self.len += 1;
        if self.len > self.buckets.len() {
            self.grow();
        }
        let index = self.index(hash);
        let bucket = &mut self.buckets[index];
        *bucket = Some(Box::new(Node { next: bucket.take(), key: key.into(), entry }));
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        let index = self.index(hash);
        let mut link = self.buckets.get_mut(index)?;
        while link.as_ref().is_some_and(|node| *node.key != *key) {
            link = &mut link.as_mut()?.next;
        }
        let node = link.take()?;
        *link = node.next;
        self.len -= 1;
        // Joins only far below one key per bucket, so that a key that comes and goes costs nothing.
        for _ in 0..BUCKETS_JOINED_MAX {
            if self.len * BUCKETS_PER_KEY_MAX < self.buckets.len() {
                self.shrink();
            }
        }
        Some(node.entry)
    }

    /// Returns all keys in the bucket of `hash`, also those with other hashes.
    pub(super) fn near(&self, hash: u64) -> impl Iterator<Item = (&[u8], &E)> {
        self.buckets.get(self.index(hash)).into_iter().flat_map(chain)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &E)> {
        self.buckets.iter().flat_map(chain)
    }

    /// Passes the keys of one bucket to `show`. Returns the next cursor, which is 0 after the last.
    pub(super) fn walk(&self, cursor: u64, mut show: impl FnMut(&[u8], &E)) -> u64 {
        let cursor = cursor & ((1 << HASH_BITS) - 1);
        let index = self.index(backward(cursor));
        let bits = self.bits(index);
        let width = 1 << (HASH_BITS - bits);
        let start = cursor & !(width - 1);
        for (key, entry) in self.buckets.get(index).into_iter().flat_map(chain) {
            // A bucket joined from two starts before the cursor.
            if start == cursor || backward(self.hash(key)) >= cursor {
                show(key, entry);
            }
        }
        (start + width) & ((1 << HASH_BITS) - 1)
    }

    /// Returns a key by the random number `chance`.
    pub(super) fn choose(&self, chance: u64) -> Option<&[u8]> {
        if self.len == 0 {
            return None;
        }
        let count = self.buckets.len();
        let chance = usize::try_from(chance).unwrap_or(0);
        let at = chance % count;
        let filled = (at..count).chain(0..at).find(|&index| self.buckets[index].is_some())?;
        let keys = || chain(&self.buckets[filled]).map(|(key, _)| key);
        keys().nth(chance / count % keys().count())
    }

    /// Returns the bucket of a hash.
    fn index(&self, hash: u64) -> usize {
        let count = self.buckets.len();
        let mask = count.next_power_of_two().wrapping_sub(1);
        let index = usize::try_from(hash & ((1 << HASH_BITS) - 1)).unwrap_or(0) & mask;
        // An upper bucket that does not exist yet is still part of its lower one.
        if index >= count { index & (mask >> 1) } else { index }
    }

    /// Returns the number of bits of a hash that select a bucket.
    fn bits(&self, index: usize) -> u32 {
        let count = self.buckets.len().max(1);
        let all = count.next_power_of_two();
        let is_whole = index + all / 2 >= count && index < all / 2;
        all.ilog2() - u32::from(is_whole && all > 1)
    }

    /// Adds a bucket. Splits the lower bucket and moves the keys of the new one.
    fn grow(&mut self) {
        let index = self.buckets.len();
        self.buckets.push(None);
        let Some(lower) = lower_of(index) else { return };
        let mut rest = self.buckets[lower].take();
        while let Some(mut node) = rest {
            rest = node.next.take();
            let home = self.index(self.hash(&node.key));
            node.next = self.buckets[home].take();
            self.buckets[home] = Some(node);
        }
    }

    /// Removes the last bucket and joins it with its lower one.
    fn shrink(&mut self) {
        let Some(lower) = lower_of(self.buckets.len() - 1) else { return };
        let mut rest = self.buckets.pop().flatten();
        while let Some(mut node) = rest {
            rest = node.next.take();
            node.next = self.buckets[lower].take();
            self.buckets[lower] = Some(node);
        }
        if self.buckets.len() * 4 < self.buckets.capacity() {
            self.buckets.shrink_to(self.buckets.len() * 2);
        }
    }
}

/// Returns the bucket that this one was split from.
fn lower_of(index: usize) -> Option<usize> {
    index.checked_ilog2().map(|top| index & !(1 << top))
}

/// Reverses the bits that select a bucket.
fn backward(hash: u64) -> u64 {
    (hash << (u64::BITS - HASH_BITS)).reverse_bits()
}

fn chain<E>(first: &Chain<E>) -> impl Iterator<Item = (&[u8], &E)> {
    std::iter::successors(first.as_deref(), |node| node.next.as_deref())
        .map(|node| (&*node.key, &node.entry))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn table() -> Table<u32> {
        Table::new(RandomState::default())
    }

    fn insert(table: &mut Table<u32>, number: u32) {
        let key = number.to_string();
        table.insert(table.hash(key.as_bytes()), key.as_bytes(), number);
    }

    fn remove(table: &mut Table<u32>, number: u32) -> Option<u32> {
        let key = number.to_string();
        table.remove(table.hash(key.as_bytes()), key.as_bytes())
    }

    fn get(table: &Table<u32>, number: u32) -> Option<u32> {
        let key = number.to_string();
        table.get(table.hash(key.as_bytes()), key.as_bytes()).copied()
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed() {
        let mut table = table();
        assert_eq!(get(&table, 1), None);
        (0..1_000).for_each(|number| insert(&mut table, number));
        assert!((0..1_000).all(|number| get(&table, number) == Some(number)));
        assert_eq!((table.len(), table.iter().count()), (1_000, 1_000));
        for number in 0..1_000 {
            assert_eq!(remove(&mut table, number), Some(number));
            assert_eq!(remove(&mut table, number), None);
        }
        assert_eq!(table.len(), 0);
        assert!(table.buckets.capacity() < 16, "{}", table.buckets.capacity());
    }

    #[test]
    fn a_walk_meets_every_key_that_stays_exactly_once() {
        for (before, change) in [(0, 0), (1, 0), (100, 0), (100, 900), (1_000, -950), (70, 3_i32)] {
            let mut table = table();
            (0..before).for_each(|number| insert(&mut table, number));
            let mut met: BTreeMap<u32, usize> = BTreeMap::new();
            let (mut cursor, mut steps) = (0, 0);
            loop {
                cursor = table.walk(cursor, |_, &number| *met.entry(number).or_default() += 1);
                steps += 1;
                if steps == 9 && change > 0 {
                    (0..change.unsigned_abs()).for_each(|n| insert(&mut table, before + n));
                }
                if steps == 9 && change < 0 {
                    (0..change.unsigned_abs())
                        .for_each(|n| assert!(remove(&mut table, n).is_some()));
                }
                if cursor == 0 {
                    break;
                }
            }
            let stay = if change < 0 { change.unsigned_abs()..before } else { 0..before };
            assert!(stay.into_iter().all(|number| met.get(&number) == Some(&1)), "{before}");
            assert!(met.values().all(|&times| times == 1), "{before} {change}");
        }
    }

    #[test]
    fn a_walk_may_begin_anywhere() {
        let mut table = table();
        (0..50).for_each(|number| insert(&mut table, number));
        for cursor in [1, 12_345, (1 << HASH_BITS) - 1, u64::MAX] {
            let mut cursor = cursor;
            for _ in 0..200 {
                cursor = table.walk(cursor, |_, _| ());
            }
        }
    }

    #[test]
    fn every_key_can_be_chosen() {
        let mut table = table();
        (0..20).for_each(|number| insert(&mut table, number));
        let hasher = RandomState::default();
        let mut chosen: Vec<Vec<u8>> = (0..2_000u64)
            .filter_map(|number| table.choose(hasher.hash_one(number)).map(<[u8]>::to_vec))
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 20);
    }
}
