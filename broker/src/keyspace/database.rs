//! A database: keys, values and deadlines.

use std::collections::BTreeSet;

use foldhash::quality::RandomState;

use super::table::{Table, node_bytes};
use super::value::Value;

/// Keys with their entries, and an index of deadlines.
#[derive(Debug)]
pub(crate) struct Database {
    table: Table<Entry>,
    /// Deadlines with the hashes of the keys. If two keys with one hash have the same deadline, the
    /// second one expires on access.
    deadlines: BTreeSet<(u64, u64)>,
    /// Sum of all deadlines, for the average.
    deadline_sum: u128,
    bytes: usize,
}

/// The value of a key with its deadline.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    /// Milliseconds since 1970, or [`NEVER`].
    deadline: u64,
    /// Time of the last use in seconds since 1970.
    pub(crate) used: u32,
    /// Whether its number was counted up. A promoted replica continues above it.
    pub(crate) is_counted: bool,
}

/// The deadline of a key that does not expire.
const NEVER: u64 = u64::MAX;

impl Entry {
    pub(crate) fn new(value: Value, used: u32) -> Self {
        Self { value, deadline: NEVER, used, is_counted: false }
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        (self.deadline != NEVER).then_some(self.deadline)
    }

    /// Returns the integer of an entry that does not expire.
    pub(crate) fn counter(&self) -> Option<i64> {
        if self.deadline == NEVER { self.value.integer() } else { None }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<u64>) {
        self.deadline = deadline.unwrap_or(NEVER);
    }

    /// Returns whether the entry is expired at `now`, by Redis' rule.
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now > self.deadline && self.deadline != NEVER
    }

    /// Returns the memory of the entry with its key.
    pub(crate) fn bytes(&self, key: &[u8]) -> usize {
        let deadline = if self.deadline == NEVER { 0 } else { size_of::<(u64, u64)>() };
        node_bytes::<Self>() + key.len() + self.value.bytes() + deadline
    }
}

impl Database {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { table: Table::new(hasher), deadlines: BTreeSet::new(), deadline_sum: 0, bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the number of keys with a deadline.
    pub(crate) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns the average time to live of keys with a deadline, in milliseconds.
    pub(crate) fn average_ttl(&self, now: u64) -> u64 {
        let count = self.deadlines.len() as u128;
        let average = self.deadline_sum.checked_div(count).unwrap_or(0);
        u64::try_from(average).unwrap_or(u64::MAX).saturating_sub(now)
    }

    /// Returns the memory of keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.table.get(self.table.hash(key), key)
    }

    /// Returns the entry of a key, and updates the time of the last use if one is given.
    pub(crate) fn find(&mut self, key: &[u8], used: Option<u32>) -> Option<&Entry> {
        let entry = self.table.get_mut(self.table.hash(key), key)?;
        entry.used = used.unwrap_or(entry.used);
        Some(entry)
    }

    /// Sets or replaces the entry of a key.
    pub(crate) fn put(&mut self, key: &[u8], entry: Entry) {
        let hash = self.table.hash(key);
        let bytes = entry.bytes(key);
        match self.table.get_mut(hash, key) {
            Some(known) => {
                let (old_bytes, old, new) = (known.bytes(key), known.deadline, entry.deadline);
                *known = entry;
                self.bytes = self.bytes + bytes - old_bytes;
                self.record_deadline(hash, old, new);
            }
            None => {
                self.bytes += bytes;
                self.record_deadline(hash, NEVER, entry.deadline);
                self.table.insert(hash, key, entry);
            }
        }
    }

    /// Changes the value of a key. Returns the result of `change`, or `None` if there is no such key.
    pub(crate) fn change<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Value) -> R,
    ) -> Option<R> {
        let hash = self.table.hash(key);
        let entry = self.table.get_mut(hash, key)?;
        let before = entry.value.bytes();
        let result = change(&mut entry.value);
        self.bytes = self.bytes + entry.value.bytes() - before;
        Some(result)
    }

    /// Sets the number of a key that exists, which may have been counted up.
    pub(crate) fn set_number(&mut self, key: &[u8], number: i64, is_counted: bool) {
        let hash = self.table.hash(key);
        let Some(entry) = self.table.get_mut(hash, key) else { return };
        let before = entry.value.bytes();
        entry.value = Value::Integer(number);
        entry.is_counted |= is_counted;
        self.bytes -= before;
    }

    /// Sets or removes the deadline of a key.
    pub(crate) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        let hash = self.table.hash(key);
        let Some(entry) = self.table.get_mut(hash, key) else { return };
        let (before, old) = (entry.bytes(key), entry.deadline);
        entry.deadline = deadline.unwrap_or(NEVER);
        let (after, new) = (entry.bytes(key), entry.deadline);
        self.bytes = self.bytes + after - before;
        self.record_deadline(hash, old, new);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let hash = self.table.hash(key);
        let entry = self.table.remove(hash, key)?;
        self.bytes -= entry.bytes(key);
        self.record_deadline(hash, entry.deadline, NEVER);
        Some(entry)
    }

    /// Returns an expired key.
    pub(crate) fn first_expired(&self, now: u64) -> Option<Box<[u8]>> {
        let &(deadline, hash) = self.deadlines.first().filter(|(deadline, _)| now > *deadline)?;
        let mut near = self.table.near(hash);
        near.find(|(_, entry)| entry.deadline == deadline).map(|(key, _)| key.into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.table.iter()
    }

    /// See [`Table::walk`].
    pub(crate) fn walk(&self, cursor: u64, show: impl FnMut(&[u8], &Entry)) -> u64 {
        self.table.walk(cursor, show)
    }

    /// Returns a key by the random number `chance`.
    pub(crate) fn choose(&self, chance: u64) -> Option<&[u8]> {
        self.table.choose(chance)
    }

    fn record_deadline(&mut self, hash: u64, old: u64, new: u64) {
        if old == new {
            return;
        }
        if old != NEVER && self.deadlines.remove(&(old, hash)) {
            self.deadline_sum -= u128::from(old);
        }
        if new != NEVER && self.deadlines.insert((new, hash)) {
            self.deadline_sum += u128::from(new);
        }
    }
}
