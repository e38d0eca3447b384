//! The journal: the numbers that the counters file holds for integer keys without a deadline.
//!
//! Most increments write nothing. The file gets a number well above the counter, and another one
//! when half of that reserve is used. So after a crash a counter continues above all of its former
//! numbers. Other changes of a number write it exactly.
//!
//! The journal only queues records. A thread never waits for a file while it holds the order.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use locks::Mutex;
use locks::atomic::{AtomicBool, Ordering};

/// The content of the file, including queued records.
#[derive(Debug)]
pub(super) struct Journal {
    /// By the index of the database.
    written: Vec<Numbers>,
    queue: Arc<Queue>,
}

type Numbers = HashMap<Box<[u8]>, Written, RandomState>;

/// The number of a key in the file.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: i64,
    /// Whether the number includes a reserve.
    is_reserved: bool,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Set(Counter),
    Forget {
        database: u16,
        key: Box<[u8]>,
    },
    /// A database, or all of them, lost all keys.
    Flush(Option<u16>),
    Swap(u16, u16),
    /// All counters at this point: the file may be replaced by one that begins with them.
    Snapshot(Vec<Counter>),
}

/// A key and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) database: u16,
    pub(crate) key: Box<[u8]>,
    pub(crate) number: i64,
}

/// Records to write, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    records: Mutex<Vec<Record>>,
    /// Whether a record is not in the file yet.
    has_unwritten: AtomicBool,
}

/// Distance of a number in the file from its counter. A crash skips at most so many numbers. The
/// distance is large compared with the increments of a second, and small compared with `i64::MAX`.
pub(crate) const RESERVE: i64 = 1_000_000;

impl Queue {
    pub(super) fn push(&self, record: Record) {
        self.records.lock().push(record);
        self.has_unwritten.store(true, Ordering::Release);
    }

    /// Returns whether all queued records are in the file.
    pub(crate) fn is_written(&self) -> bool {
        !self.has_unwritten.load(Ordering::Acquire)
    }

    /// Takes the queued records. The caller writes them and calls [`Queue::record_written`].
    pub(crate) fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock())
    }

    /// Records that the taken records are in the file, or could not be written.
    pub(crate) fn record_written(&self) {
        let records = self.records.lock();
        if records.is_empty() {
            self.has_unwritten.store(false, Ordering::Release);
        }
    }
}

impl Journal {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { written: Vec::new(), queue }
    }

    /// Records that the file has these numbers and no others.
    pub(super) fn settle(&mut self, counters: &[Counter]) {
        self.written.clear();
        for Counter { database, key, number } in counters {
            let written = Written { number: *number, is_reserved: false };
            self.numbers(*database).insert(key.clone(), written);
        }
    }

    /// Records a change of a key to `number`, or to a value that is none.
    pub(super) fn record(&mut self, database: u16, key: &[u8], number: Option<i64>) {
        let known = self.numbers(database).get(key).copied();
        match (number, known) {
            (Some(number), Some(Written { number: known, is_reserved: false }))
                if number == known => {}
            (Some(number), _) => {
                self.write(database, key, Written { number, is_reserved: false });
            }
            (None, Some(_)) => {
                self.numbers(database).remove(key);
                self.queue.push(Record::Forget { database, key: key.into() });
            }
            (None, None) => {}
        }
    }

    /// Records that a key was counted up to `number`.
    pub(super) fn record_count(&mut self, database: u16, key: &[u8], number: i64) {
        let has_room = |written: &Written| {
            written.is_reserved && number <= written.number.saturating_sub(RESERVE / 2)
        };
        if !self.numbers(database).get(key).is_some_and(has_room) {
            let number = number.saturating_add(RESERVE);
            self.write(database, key, Written { number, is_reserved: true });
        }
    }

    pub(super) fn flush(&mut self, database: Option<u16>) {
        match database {
            Some(database) => *self.numbers(database) = Numbers::default(),
            None => self.written.clear(),
        }
        self.queue.push(Record::Flush(database));
    }

    pub(super) fn swap(&mut self, one: u16, other: u16) {
        self.numbers(one.max(other));
        self.written.swap(one.into(), other.into());
        self.queue.push(Record::Swap(one, other));
    }

    /// Queues a snapshot of the file's numbers, behind all changes that it includes.
    pub(super) fn queue_snapshot(&self) {
        let databases = (0..).zip(&self.written);
        let counters = databases
            .flat_map(|(database, numbers)| {
                numbers.iter().map(move |(key, written)| Counter {
                    database,
                    key: key.clone(),
                    number: written.number,
                })
            })
            .collect();
        self.queue.push(Record::Snapshot(counters));
    }

    /// Queues a snapshot of these counters, which are all that exist.
    pub(super) fn queue_settled(&mut self, counters: Vec<Counter>) {
        self.settle(&counters);
        self.queue.push(Record::Snapshot(counters));
    }

    fn write(&mut self, database: u16, key: &[u8], written: Written) {
        self.numbers(database).insert(key.into(), written);
        let counter = Counter { database, key: key.into(), number: written.number };
        self.queue.push(Record::Set(counter));
    }

    fn numbers(&mut self, database: u16) -> &mut Numbers {
        let index = usize::from(database);
        if self.written.len() <= index {
            self.written.resize_with(index + 1, Numbers::default);
        }
        &mut self.written[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: i64) -> Record {
        Record::Set(Counter { database: 0, key: b"k"[..].into(), number })
    }

    #[test]
    fn counting_writes_only_when_half_of_the_reserve_is_used() {
        let queue = Arc::new(Queue::default());
        let mut journal = Journal::new(queue.clone());
        for (number, written) in [
            (1, vec![set(1 + RESERVE)]),
            (2, vec![]),
            (1 + RESERVE / 2, vec![]),
            (2 + RESERVE / 2, vec![set(2 + RESERVE / 2 + RESERVE)]),
            (i64::MAX, vec![set(i64::MAX)]),
        ] {
            journal.record_count(0, b"k", number);
            assert_eq!(queue.take(), written, "{number}");
        }
    }

    #[test]
    fn what_was_taken_is_not_written_yet() {
        let queue = Arc::new(Queue::default());
        let mut journal = Journal::new(queue.clone());
        assert!(queue.is_written());
        journal.record(0, b"k", Some(1));
        assert_eq!(queue.take(), [set(1)]);
        assert!(!queue.is_written());
        journal.record(0, b"k", Some(2));
        queue.record_written();
        assert!(!queue.is_written());
        assert_eq!(queue.take(), [set(2)]);
        queue.record_written();
        assert!(queue.is_written());
    }

    #[test]
    fn what_is_set_is_written_as_it_is() {
        let queue = Arc::new(Queue::default());
        let mut journal = Journal::new(queue.clone());
        for (number, written) in [
            (Some(5), vec![set(5)]),
            (Some(5), vec![]),
            (Some(3), vec![set(3)]),
            (None, vec![Record::Forget { database: 0, key: b"k"[..].into() }]),
            (None, vec![]),
        ] {
            journal.record(0, b"k", number);
            assert_eq!(queue.take(), written, "{number:?}");
        }
        journal.record_count(0, b"k", 6);
        journal.record(0, b"k", Some(6 + RESERVE));
        assert_eq!(queue.take(), [set(6 + RESERVE), set(6 + RESERVE)]);
    }
}
