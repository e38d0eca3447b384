//! A dump of all keys in the format of Redis' RDB files.
//!
//! Version 9, which Redis 5 and later read. A string is written as it is; compressed forms exist, and a
//! reader must not expect them.

use crc::{CRC_64_REDIS, Crc, Table};

use super::Keyspace;
use super::database::Database;
use crate::version::REDIS_VERSION;

const START: &[u8] = b"REDIS0009";
/// Opcodes of the format.
const FIELD: u8 = 0xfa;
const SIZES: u8 = 0xfb;
const DEADLINE: u8 = 0xfc;
const DATABASE: u8 = 0xfe;
const END: u8 = 0xff;
/// The type of a value.
const STRING: u8 = 0;

/// The checksum at the end.
const CHECKSUM: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_REDIS);

impl Keyspace {
    /// Returns a dump of the keys that are not expired at `now`.
    pub(crate) fn dump(&self, now: u64) -> Vec<u8> {
        let mut out = begun(now);
        for (number, database) in (0..).zip(&self.databases) {
            if database.len() > 0 {
                append_database(&mut out, number, database, now);
            }
        }
        ended(out)
    }
}

/// Returns a dump without a key.
pub(crate) fn empty_dump(now: u64) -> Vec<u8> {
    ended(begun(now))
}

/// Returns the first bytes, with the fields that Redis' tools show.
fn begun(now: u64) -> Vec<u8> {
    let mut out = START.to_vec();
    let seconds = (now / 1000).to_string();
    for (name, value) in
        [("redis-ver", REDIS_VERSION), ("redis-bits", "64"), ("ctime", seconds.as_str())]
    {
        out.push(FIELD);
        append_string(&mut out, name.as_bytes());
        append_string(&mut out, value.as_bytes());
    }
    out
}

fn ended(mut out: Vec<u8>) -> Vec<u8> {
    out.push(END);
    let checksum = CHECKSUM.checksum(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn append_database(out: &mut Vec<u8>, number: usize, database: &Database, now: u64) {
    out.push(DATABASE);
    append_length(out, number);
    // Upper bounds of what follows, for the size of a reader's tables.
    out.push(SIZES);
    append_length(out, database.len());
    append_length(out, database.expiring());
    for (key, entry) in database.iter().filter(|(_, entry)| !entry.is_expired(now)) {
        if let Some(deadline) = entry.deadline() {
            out.push(DEADLINE);
            out.extend_from_slice(&deadline.to_le_bytes());
        }
        out.push(STRING);
        append_string(out, key);
        append_string(out, &entry.value.text());
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

    #[test]
    fn the_checksum_is_that_of_redis() {
        // From the source of Redis: the checksum of this text.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
