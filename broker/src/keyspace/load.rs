//! Reads a copy of all keys in the format of Redis' RDB files, as a master sends it.
//!
//! The copies of all versions are read as far as they hold strings. A key of another type is an error,
//! since a server that left it out would not be a copy.

use crc::{CRC_64_REDIS, Crc, Table};
use thiserror::Error;

use super::database::Entry;
use super::dump::{COUNTED, DATABASE, DEADLINE, END, FIELD, SIZES, STRING};
use super::seconds;
use super::value::Value;

/// A key of the copy.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) database: u16,
    pub(crate) key: Box<[u8]>,
    pub(crate) entry: Entry,
}

/// The reason why a copy cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LoadError {
    #[error("it is no RDB file")]
    NotRdb,
    #[error("it ends too early")]
    Truncated,
    #[error("it has changed on its way: its checksum is wrong")]
    Checksum,
    #[error("it has the key {key} of type {kind}, and this server holds strings only")]
    OtherType { key: String, kind: &'static str },
    #[error("it has data of a module")]
    Module,
    #[error("it uses database {0}, and 'databases' is {1}")]
    Database(u64, u16),
    #[error("it has the unknown opcode {0}")]
    Opcode(u8),
    #[error("it has a string in an unknown form")]
    Encoding,
}

/// The checksum of all bytes before it.
const CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Opcodes that this server does not write itself.
const DEADLINE_SECONDS: u8 = 0xfd;
const FREQUENCY: u8 = 0xf9;
const IDLE_TIME: u8 = 0xf8;
const MODULE: u8 = 0xf7;
const FUNCTION: u8 = 0xf5;
const SLOT_SIZES: u8 = 0xf4;
const OPCODE_MIN: u8 = 0xf0;

/// Reads a copy. Keys that are expired at `now` are left out, unless `keeps_expired`: a replica keeps
/// them until its master says that they are gone.
///
/// # Errors
///
/// [`LoadError`] if the copy cannot be read in full.
pub(crate) fn load(
    copy: &[u8],
    now: u64,
    databases: u16,
    keeps_expired: bool,
) -> Result<Vec<Loaded>, LoadError> {
    let rest = copy.strip_prefix(b"REDIS").ok_or(LoadError::NotRdb)?;
    let mut reader = Reader(rest);
    // Newer versions differ by opcodes, and an unknown one is an error.
    if !reader.bytes(4)?.iter().all(u8::is_ascii_digit) {
        return Err(LoadError::NotRdb);
    }
    let mut loaded = Vec::new();
    let (mut database, mut deadline, mut is_counted) = (0, None, false);
    loop {
        match reader.byte()? {
            END => {
                let length = copy.len() - reader.0.len();
                let checksum = u64::from_le_bytes(reader.array()?);
                // Without `rdbchecksum` there is none.
                let is_right = checksum == 0 || checksum == CHECKSUM.checksum(&copy[..length]);
                return if is_right { Ok(loaded) } else { Err(LoadError::Checksum) };
            }
            FIELD => {
                let name = reader.string()?;
                reader.string()?;
                is_counted |= name == COUNTED;
            }
            DATABASE => {
                let number = reader.length()?;
                let known = u16::try_from(number).ok().filter(|number| *number < databases);
                database = known.ok_or(LoadError::Database(number, databases))?;
            }
            SIZES => _ = (reader.length()?, reader.length()?),
            SLOT_SIZES => _ = (reader.length()?, reader.length()?, reader.length()?),
            DEADLINE => deadline = Some(u64::from_le_bytes(reader.array()?)),
            DEADLINE_SECONDS => {
                deadline = Some(u64::from(u32::from_le_bytes(reader.array()?)) * 1000);
            }
            IDLE_TIME => _ = reader.length()?,
            FREQUENCY => _ = reader.byte()?,
            FUNCTION => _ = reader.string()?,
            MODULE => return Err(LoadError::Module),
            STRING => {
                let key = reader.string()?;
                let value = reader.string()?;
                let mut entry = Entry::new(Value::new(&value), seconds(now));
                entry.set_deadline(deadline.take());
                entry.is_counted = std::mem::take(&mut is_counted);
                if keeps_expired || !entry.is_expired(now) {
                    loaded.push(Loaded { database, key: key.into(), entry });
                }
            }
            opcode @ OPCODE_MIN.. => return Err(LoadError::Opcode(opcode)),
            kind => {
                let key = reader.string()?.escape_ascii().to_string();
                return Err(LoadError::OtherType { key, kind: type_name(kind) });
            }
        }
    }
}

/// Returns the type of a key by its number in the file.
fn type_name(kind: u8) -> &'static str {
    match kind {
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "zset",
        4 | 9 | 13 | 16 | 22..=25 => "hash",
        15 | 19 | 21 => "stream",
        6 | 7 => "module",
        _ => "unknown",
    }
}

/// The rest of a copy.
struct Reader<'a>(&'a [u8]);

/// A length, or the form of a string in its place.
enum Length {
    Bytes(u64),
    Form(u8),
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, LoadError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(LoadError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, count: u64) -> Result<&'a [u8], LoadError> {
        let count = usize::try_from(count).map_err(|_| LoadError::Truncated)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(LoadError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads a length in 6, 14, 32 or 64 bits.
    fn length(&mut self) -> Result<u64, LoadError> {
        match self.length_or_form()? {
            Length::Bytes(length) => Ok(length),
            Length::Form(_) => Err(LoadError::Encoding),
        }
    }

    fn length_or_form(&mut self) -> Result<Length, LoadError> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Bytes(low.into()),
            1 => Length::Bytes(u16::from_be_bytes([low, self.byte()?]).into()),
            2 if first == 0x80 => Length::Bytes(u32::from_be_bytes(self.array()?).into()),
            2 if first == 0x81 => Length::Bytes(u64::from_be_bytes(self.array()?)),
            3 => Length::Form(low),
            _ => return Err(LoadError::Encoding),
        })
    }

    fn string(&mut self) -> Result<Vec<u8>, LoadError> {
        let number = match self.length_or_form()? {
            Length::Bytes(length) => return Ok(self.bytes(length)?.to_vec()),
            Length::Form(0) => i32::from(i8::from_le_bytes(self.array()?)),
            Length::Form(1) => i32::from(i16::from_le_bytes(self.array()?)),
            Length::Form(2) => i32::from_le_bytes(self.array()?),
            Length::Form(3) => {
                let (packed, unpacked) = (self.length()?, self.length()?);
                return unpack(self.bytes(packed)?, unpacked).ok_or(LoadError::Encoding);
            }
            Length::Form(_) => return Err(LoadError::Encoding),
        };
        Ok(number.to_string().into_bytes())
    }
}

/// Unpacks a string of LZF, the compression of Redis: runs of bytes, and references to bytes before.
/// Returns `None` if the result has not `length` bytes.
fn unpack(mut packed: &[u8], length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    let mut out: Vec<u8> = Vec::new();
    while let Some((&control, rest)) = packed.split_first() {
        packed = rest;
        if control < 32 {
            let (run, rest) = packed.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(run);
            packed = rest;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                let (&more, rest) = packed.split_first()?;
                count += usize::from(more);
                packed = rest;
            }
            let (&near, rest) = packed.split_first()?;
            packed = rest;
            let distance = (usize::from(control & 0x1f) << 8) + usize::from(near) + 1;
            let start = out.len().checked_sub(distance)?;
            // A reference may reach into the bytes that it makes.
            for at in start..start + count {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &[u8]) -> Vec<u8> {
        let checksum: &[u8] = if body.ends_with(&[END]) { &[0; 8] } else { &[] };
        [&b"REDIS0011"[..], body, checksum].concat()
    }

    fn one(body: &[u8]) -> Result<(Vec<u8>, Vec<u8>), LoadError> {
        let loaded = load(&of(body), 0, 16, false)?;
        let first = loaded.into_iter().next().expect("a key");
        Ok((first.key.into(), first.entry.value.text().into_owned()))
    }

    #[test]
    fn strings_are_read_in_all_forms() {
        for (form, expected) in [
            (&b"\x03abc"[..], &b"abc"[..]),
            (b"\xc0\xfe", b"-2"),
            (b"\xc1\x00\x01", b"256"),
            (b"\xc2\x00\x00\x01\x00", b"65536"),
            (b"\x80\x00\x00\x00\x02ok", b"ok"),
            (b"\x81\x00\x00\x00\x00\x00\x00\x00\x02ok", b"ok"),
            // "a", then nine bytes from one byte before.
            (b"\xc3\x05\x0a\x00a\xe0\x00\x00", b"aaaaaaaaaa"),
        ] {
            let body = [&b"\x00\x01k"[..], form, b"\xff"].concat();
            assert_eq!(one(&body), Ok((b"k".to_vec(), expected.to_vec())), "{form:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let list = LoadError::OtherType { key: "l".to_owned(), kind: "list" };
        for (body, error) in [
            (&b"\x12\x01l"[..], list),
            (b"\xf7", LoadError::Module),
            (b"\xfe\x10", LoadError::Database(16, 16)),
            (b"\xf0", LoadError::Opcode(0xf0)),
            (b"\x00\x01k\xc4", LoadError::Encoding),
            (b"\x00\x01k\xc3\x02\x05\x20\x00", LoadError::Encoding),
            (b"\x00\x01k", LoadError::Truncated),
            (b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", LoadError::Truncated),
        ] {
            assert_eq!(one(body), Err(error), "{body:?}");
        }
        assert_eq!(load(b"PK", 0, 16, false).unwrap_err(), LoadError::NotRdb);
        assert_eq!(load(b"REDISxxxx\xff", 0, 16, false).unwrap_err(), LoadError::NotRdb);
        let changed = [&b"REDIS0010\xfe\0\0\x01k\x01V\xff"[..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
        assert_eq!(load(&changed, 0, 16, false).unwrap_err(), LoadError::Checksum);
        // A file of redis-server 7.0.15 with the key k, as it is and with one bit changed.
        let mut file = b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0@\xfa\x05ctime\
            \xc2\xa3\x14\x0fk\xfa\x08used-mem\xc2\xb0T\x0e\x00\xfa\x08aof-base\xc0\
            \x00\xfe\x00\xfb\x01\x00\x00\x01k\x01V\xff\xeb\x89(\xb2\x18\xda\xb5\xb4"
            .to_vec();
        assert_eq!(load(&file, 0, 16, false).unwrap().len(), 1);
        file[89] ^= 1;
        assert_eq!(load(&file, 0, 16, false).unwrap_err(), LoadError::Checksum);
    }

    #[test]
    fn deadlines_databases_and_counted_keys_are_read() {
        let body = b"\xfa\x01x\x01y\xf5\x01f\xfe\x02\xfb\x02\x01\xfc\x05\0\0\0\0\0\0\0\x00\x01a\x01b\xf8\x07\xfa\x0ebroker-counted\x011\x00\x01n\xc0\x07\xff";
        let loaded = load(&of(body), 9, 16, true).unwrap();
        let [a, n] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((a.database, &*a.key, a.entry.deadline()), (2, &b"a"[..], Some(5)));
        assert!(!a.entry.is_counted);
        assert_eq!((&*n.key, n.entry.counter(), n.entry.is_counted), (&b"n"[..], Some(7), true));
        assert_eq!(load(&of(body), 9, 16, false).unwrap().len(), 1);
    }

    #[test]
    fn a_dump_is_read_as_it_was() {
        let mut keyspace = crate::keyspace::Keyspace::default();
        let counted = |key: &[u8], number| {
            let mut entry = Entry::new(Value::Integer(number), 0);
            entry.is_counted = true;
            Loaded { database: 3, key: key.into(), entry }
        };
        let mut text = Entry::new(Value::new(&[7; 70_000]), 0);
        text.set_deadline(Some(99));
        let text = Loaded { database: 0, key: b"text"[..].into(), entry: text };
        let loading = keyspace.builder()(vec![text, counted(b"n", 5)]);
        drop(keyspace.replace(loading, 0));
        let mut copy = Vec::new();
        for part in keyspace.dump(9, true).into_parts() {
            match part {
                crate::keyspace::Part::Copied(bytes) => copy.extend_from_slice(&bytes),
                crate::keyspace::Part::Shared(bytes) => copy.extend_from_slice(&bytes),
            }
        }
        let loaded = load(&copy, 9, 16, true).unwrap();
        let [text, n] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((text.entry.value.len(), text.entry.deadline()), (70_000, Some(99)));
        assert_eq!((n.database, n.entry.counter(), n.entry.is_counted), (3, Some(5), true));
        // However it is cut off, it is an error and no panic.
        for end in 0..copy.len().min(200) {
            assert!(load(&copy[..end], 9, 16, true).is_err(), "{end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_copy_or_an_error(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let _ = load(&of(&bytes), 0, 16, false);
            let compressed = [&b"\x00\x01k\xc3\x40\x80\x60\x00"[..], &bytes].concat();
            let _ = load(&of(&compressed), 0, 16, false);
        }
    }
}
