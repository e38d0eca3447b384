//! A place in MessagePack bytes.
//!
//! A reader takes the head of a value, or a whole value. It never recurses and never allocates: a
//! header announces a number of values, and the reader fails when the bytes end before them.

use rmp::Marker;

/// The unread bytes of a message.
///
/// ```
/// use dialect::messagepack::{Head, Reader};
///
/// let mut reader = Reader::new(&[0x92, 1, 0xa1, b'a']);
/// assert_eq!(reader.head(), Some(Head::Array(2)));
/// assert_eq!(reader.head(), Some(Head::Integer(1)));
/// assert_eq!(reader.head(), Some(Head::Text(b"a")));
/// assert!(reader.is_empty());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Returns a reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a whole value, with all values in it.
    ///
    /// Returns `None` if it is incomplete, malformed or nests too deeply.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        // Number of values that each open array or map still needs.
        let mut open = [0_u64; NESTING_MAX];
        let mut depth = 0;
        loop {
            let head = self.head()?;
            if let Some(values) = head.values() {
                *open.get_mut(depth)? = values;
                depth += 1;
            } else if let Some(outer) = depth.checked_sub(1) {
                open[outer] -= 1;
            }
            // An array or map without further values is a complete value of the next outer one.
            while depth > 0 && open[depth - 1] == 0 {
                depth -= 1;
                if depth > 0 {
                    open[depth - 1] -= 1;
                }
            }
            if depth == 0 {
                return Some(&before[..before.len() - self.0.len()]);
            }
        }
    }

    /// Takes a value without the values in it.
    pub fn head(&mut self) -> Option<Head<'a>> {
        let [marker] = self.array()?;
        Some(match Marker::from_u8(marker) {
            Marker::Null => Head::Nil,
            Marker::Reserved => return None,
            Marker::False | Marker::True => Head::Bool,
            Marker::FixPos(value) => Head::Integer(value.into()),
            Marker::FixNeg(value) => Head::Integer(value.into()),
            Marker::U8 => Head::Integer(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Head::Integer(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Head::Integer(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Head::Integer(u64::from_be_bytes(self.array()?).into()),
            Marker::I8 => Head::Integer(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Head::Integer(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Head::Integer(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Head::Integer(i64::from_be_bytes(self.array()?).into()),
            Marker::F32 => self.take(4).map(|_| Head::Float)?,
            Marker::F64 => self.take(8).map(|_| Head::Float)?,
            Marker::FixStr(length) => Head::Text(self.take(length.into())?),
            Marker::Str8 => Head::Text(self.sized(1)?),
            Marker::Str16 => Head::Text(self.sized(2)?),
            Marker::Str32 => Head::Text(self.sized(4)?),
            Marker::Bin8 => Head::Bytes(self.sized(1)?),
            Marker::Bin16 => Head::Bytes(self.sized(2)?),
            Marker::Bin32 => Head::Bytes(self.sized(4)?),
            Marker::FixArray(length) => Head::Array(length.into()),
            Marker::Array16 => Head::Array(self.length(2)?),
            Marker::Array32 => Head::Array(self.length(4)?),
            Marker::FixMap(length) => Head::Map(length.into()),
            Marker::Map16 => Head::Map(self.length(2)?),
            Marker::Map32 => Head::Map(self.length(4)?),
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length(1).and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length(2).and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length(4).and_then(|length| self.extension(length))?,
        })
    }

    /// Takes a head and returns it with its bytes.
    pub fn head_and_bytes(&mut self) -> Option<(Head<'a>, &'a [u8])> {
        let before = self.0;
        let head = self.head()?;
        Some((head, &before[..before.len() - self.0.len()]))
    }

    fn extension(&mut self, length: u64) -> Option<Head<'a>> {
        let kind = i8::from_be_bytes(self.array()?);
        Some(Head::Extension { kind, data: self.take(length)? })
    }

    /// Takes a length of `width` bytes and that number of bytes.
    fn sized(&mut self, width: u64) -> Option<&'a [u8]> {
        let length = self.length(width)?;
        self.take(length)
    }

    fn length(&mut self, width: u64) -> Option<u64> {
        let bytes = self.take(width)?;
        Some(bytes.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// A value, without the values in it. See [`Reader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// No value.
    Nil,
    /// True or false.
    Bool,
    /// Any integer of MessagePack, which has up to 64 bits with or without a sign.
    Integer(i128),
    /// A number of 32 or 64 bits with a fraction.
    Float,
    /// Bytes that should be UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A value of an extension.
    Extension {
        /// The type of the extension.
        kind: i8,
        /// Its bytes.
        data: &'a [u8],
    },
    /// Number of elements.
    Array(u64),
    /// Number of entries.
    Map(u64),
}

impl Head<'_> {
    /// Returns the number of values that follow, or `None` if it cannot hold any.
    fn values(self) -> Option<u64> {
        match self {
            Self::Array(elements) => Some(elements),
            Self::Map(entries) => Some(2 * entries),
            _ => None,
        }
    }
}

/// Returns the name of a format in the MessagePack specification.
///
/// ```
/// assert_eq!(dialect::messagepack::format_name(0xc0), "nil");
/// ```
pub fn format_name(code: u8) -> &'static str {
    match Marker::from_u8(code) {
        Marker::FixPos(_) => "positive fixint",
        Marker::FixMap(_) => "fixmap",
        Marker::FixArray(_) => "fixarray",
        Marker::FixStr(_) => "fixstr",
        Marker::Null => "nil",
        Marker::Reserved => "(never used)",
        Marker::False => "false",
        Marker::True => "true",
        Marker::Bin8 => "bin 8",
        Marker::Bin16 => "bin 16",
        Marker::Bin32 => "bin 32",
        Marker::Ext8 => "ext 8",
        Marker::Ext16 => "ext 16",
        Marker::Ext32 => "ext 32",
        Marker::F32 => "float 32",
        Marker::F64 => "float 64",
        Marker::U8 => "uint 8",
        Marker::U16 => "uint 16",
        Marker::U32 => "uint 32",
        Marker::U64 => "uint 64",
        Marker::I8 => "int 8",
        Marker::I16 => "int 16",
        Marker::I32 => "int 32",
        Marker::I64 => "int 64",
        Marker::FixExt1 => "fixext 1",
        Marker::FixExt2 => "fixext 2",
        Marker::FixExt4 => "fixext 4",
        Marker::FixExt8 => "fixext 8",
        Marker::FixExt16 => "fixext 16",
        Marker::Str8 => "str 8",
        Marker::Str16 => "str 16",
        Marker::Str32 => "str 32",
        Marker::Array16 => "array 16",
        Marker::Array32 => "array 32",
        Marker::Map16 => "map 16",
        Marker::Map32 => "map 32",
        Marker::FixNeg(_) => "negative fixint",
    }
}

/// Maximum number of arrays and maps around a value, with itself.
pub const NESTING_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_last_element_ends() {
        check(&[0xc0], 1);
        check(&[0x90, 0xc0], 1);
        check(&[0x92, 0x01, 0x91, 0x02, 0x03], 4);
        check(&[0x81, 0xa1, b'a', 0x92, 0x90, 0x80, 0xc0], 6);
        check(&[0x92, 0x91, 0x91, 0x90, 0x80, 0xc0], 5);
        check(&[0xdc, 0x00, 0x02, 0xc2, 0xc3, 0xc0], 5);
        check(&[0xdf, 0, 0, 0, 1, 0xcc, 0xff, 0xd2, 0, 0, 0, 0, 0xc0], 12);
        check(&[0xc7, 0x02, 0x05, 1, 2, 3], 5);
        check(&[0xd8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], 18);
        check(&[0xdb, 0, 0, 0, 2, b'a', b'b', b'c'], 7);
    }

    #[test]
    fn an_incomplete_or_malformed_value_is_none() {
        for bytes in [
            &[][..],
            &[0xc1],
            &[0x91],
            &[0x91, 0xc1],
            &[0x81, 0xc0],
            &[0xa2, b'a'],
            &[0xcb, 0, 0, 0, 0, 0, 0, 0],
            &[0xd9],
            &[0xd4, 0xff],
        ] {
            assert_eq!(Reader::new(bytes).value(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn announced_values_need_bytes() {
        for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
            let bytes = [marker, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00];
            assert_eq!(Reader::new(&bytes).value(), None, "{marker:x}");
        }
    }

    #[test]
    fn a_value_nests_at_most_128_times() {
        for opening in [&[0x91][..], &[0x81, 0x00], &[0xdd, 0, 0, 0, 1]] {
            let at_limit = [opening.repeat(NESTING_MAX), vec![0xc0]].concat();
            assert_eq!(Reader::new(&at_limit).value(), Some(&at_limit[..]));
            assert_eq!(Reader::new(&[opening, &at_limit].concat()).value(), None);
        }
        let empty = [vec![0x91; NESTING_MAX - 1], vec![0x90]].concat();
        assert_eq!(Reader::new(&empty).value(), Some(&empty[..]));
        assert_eq!(Reader::new(&[&[0x91], &empty[..]].concat()).value(), None);
        assert_eq!(Reader::new(&vec![0x91; 1_000_000]).value(), None);
    }

    fn check(bytes: &[u8], length: usize) {
        assert_eq!(Reader::new(bytes).value(), Some(&bytes[..length]), "{bytes:x?}");
    }
}
