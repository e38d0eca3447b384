//! Slow commands, for `SLOWLOG`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::protocol::request::Request;

/// The newest slow commands.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Seconds since 1970.
    pub(crate) time: u64,
    pub(crate) took: Duration,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) peer: String,
    pub(crate) name: Vec<u8>,
}

/// The bytes that an entry keeps of the client's name.
pub(crate) const NAME_BYTES_MAX: usize = 1024;
/// Redis' maximum of arguments shown of a command; the last one may count the rest.
const ARGUMENTS_MAX: usize = 32;
/// Redis' maximum of bytes shown of each argument.
const ARGUMENT_BYTES_MAX: usize = 128;

impl SlowLog {
    /// Adds a command and drops entries beyond `entries_max`.
    pub(crate) fn add(&mut self, entry: Entry, entries_max: usize) {
        self.entries.push_front(Entry { id: self.next_id, ..entry });
        self.next_id += 1;
        self.entries.truncate(entries_max);
    }

    /// Returns the entries, newest first.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn reset(&mut self) {
        self.entries.clear();
    }
}

/// Returns the arguments of a command, shortened. `is_secret` selects the arguments to hide.
pub(crate) fn kept(request: Request<'_>, is_secret: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    let count = request.len();
    let shown = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut kept: Vec<Vec<u8>> =
        (0..shown)
            .map(|index| {
                if is_secret(index) { b"(redacted)".to_vec() } else { cut(request.argument(index)) }
            })
            .collect();
    if shown < count {
        kept.push(format!("... ({} more arguments)", count - shown).into_bytes());
    }
    kept
}

fn cut(argument: &[u8]) -> Vec<u8> {
    match argument.len().checked_sub(ARGUMENT_BYTES_MAX) {
        None | Some(0) => argument.to_vec(),
        Some(more) => {
            let more = format!("... ({more} more bytes)").into_bytes();
            [&argument[..ARGUMENT_BYTES_MAX], &more].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stand_first_and_old_ones_go() {
        let entry = Entry {
            id: 0,
            time: 0,
            took: Duration::ZERO,
            arguments: Vec::new(),
            peer: String::new(),
            name: Vec::new(),
        };
        let mut log = SlowLog::default();
        (0..5).for_each(|_| log.add(entry.clone(), 3));
        assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3, 2]);
        log.reset();
        assert_eq!(log.entries().len(), 0);
    }

    #[test]
    fn a_long_argument_is_cut() {
        assert_eq!(cut(&[b'x'; 128]).len(), 128);
        assert!(cut(&[b'x'; 130]).ends_with(b"x... (2 more bytes)"));
    }
}
