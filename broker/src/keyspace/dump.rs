//! A dump of all keys in the format of Redis' RDB files.
//!
//! Version 9, which Redis 5 and later read. Strings are not compressed, and there is no checksum: both
//! would take time for each byte of the values, while other clients wait.

use bytes::Bytes;

use super::Keyspace;
use super::database::Database;
use super::value::Value;
use crate::version::REDIS_VERSION;

const START: &[u8] = b"REDIS0009";
/// Opcodes of the format.
pub(super) const FIELD: u8 = 0xfa;
pub(super) const SIZES: u8 = 0xfb;
pub(super) const DEADLINE: u8 = 0xfc;
pub(super) const DATABASE: u8 = 0xfe;
pub(super) const END: u8 = 0xff;
/// The type of a value.
pub(super) const STRING: u8 = 0;

/// The name of a field before a key that was counted up.
pub(super) const COUNTED: &[u8] = b"broker-counted";

/// In place of a checksum, if there is none.
const NO_CHECKSUM: [u8; 8] = [0; 8];
/// Shorter values are copied, since a part of its own costs more than their bytes.
const SHARED_BYTES_MIN: usize = 16 * 1024;
/// The size from which copied bytes are a part.
const PART_BYTES: usize = 256 * 1024;

/// A dump. Long values share the memory of their keys.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    parts: Vec<Part>,
    /// Bytes behind the last part.
    tail: Vec<u8>,
}

/// Consecutive bytes of a dump.
#[derive(Debug)]
pub(crate) enum Part {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Keyspace {
    /// Returns a dump of the keys that are not expired at `now`. Keys that were counted up have a mark
    /// if `marks_counted`.
    pub(crate) fn dump(&self, now: u64, marks_counted: bool) -> Dump {
        let mut dump = Dump::begin(now);
        for (number, database) in (0..).zip(&self.databases) {
            if database.len() > 0 {
                dump.append_database(number, database, now, marks_counted);
            }
        }
        dump.ended()
    }
}

impl Dump {
    /// Returns a dump without a key.
    pub(crate) fn empty(now: u64) -> Self {
        Self::begin(now).ended()
    }

    pub(crate) fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// Begins with the fields that Redis' tools show.
    fn begin(now: u64) -> Self {
        let mut dump = Self { parts: Vec::new(), tail: START.to_vec() };
        let seconds = (now / 1000).to_string();
        for (name, value) in
            [("redis-ver", REDIS_VERSION), ("redis-bits", "64"), ("ctime", seconds.as_str())]
        {
            dump.append_field(name.as_bytes(), value.as_bytes());
        }
        dump
    }

    fn append_field(&mut self, name: &[u8], value: &[u8]) {
        self.tail.push(FIELD);
        append_string(&mut self.tail, name);
        append_string(&mut self.tail, value);
    }

    fn ended(mut self) -> Self {
        self.tail.push(END);
        self.tail.extend_from_slice(&NO_CHECKSUM);
        self.end_part();
        self
    }

    fn append_database(
        &mut self,
        number: usize,
        database: &Database,
        now: u64,
        marks_counted: bool,
    ) {
        self.tail.push(DATABASE);
        append_length(&mut self.tail, number);
        // Upper bounds of what follows, for the size of a reader's tables.
        self.tail.push(SIZES);
        append_length(&mut self.tail, database.len());
        append_length(&mut self.tail, database.expiring());
        for (key, entry) in database.iter().filter(|(_, entry)| !entry.is_expired(now)) {
            if marks_counted && entry.is_counted {
                self.append_field(COUNTED, b"1");
            }
            if let Some(deadline) = entry.deadline() {
                self.tail.push(DEADLINE);
                self.tail.extend_from_slice(&deadline.to_le_bytes());
            }
            self.tail.push(STRING);
            append_string(&mut self.tail, key);
            match &entry.value {
                Value::Raw(text) if text.len() >= SHARED_BYTES_MIN => {
                    append_length(&mut self.tail, text.len());
                    self.end_part();
                    self.parts.push(Part::Shared((**text).clone()));
                }
                value => append_string(&mut self.tail, &value.text()),
            }
            if self.tail.len() >= PART_BYTES {
                self.end_part();
            }
        }
    }

    fn end_part(&mut self) {
        self.parts.push(Part::Copied(std::mem::take(&mut self.tail)));
    }
}

impl Part {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Copied(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

fn append_string(out: &mut Vec<u8>, text: &[u8]) {
    append_length(out, text.len());
    out.extend_from_slice(text);
}

/// Appends a length in 6, 14, 32 or 64 bits. The first two bits tell which.
fn append_length(out: &mut Vec<u8>, length: usize) {
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < 1 << 6) {
        out.push(short);
    } else if let Some(medium) = u16::try_from(length).ok().filter(|medium| *medium < 1 << 14) {
        out.extend_from_slice(&(medium | 0x4000).to_be_bytes());
    } else if let Ok(long) = u32::try_from(length) {
        out.push(0x80);
        out.extend_from_slice(&long.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (length, bytes) in [
            (0, &[0][..]),
            (63, &[63]),
            (64, &[0x40, 64]),
            (300, &[0x41, 44]),
            (16_383, &[0x7f, 0xff]),
            (16_384, &[0x80, 0, 0, 0x40, 0]),
            (u32::MAX as usize, &[0x80, 0xff, 0xff, 0xff, 0xff]),
            (u32::MAX as usize + 1, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            append_length(&mut out, length);
            assert_eq!(out, bytes, "{length}");
        }
    }
}
