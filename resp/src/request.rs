//! Decodes and encodes requests: flat arrays of bulk strings, or inline commands of one line.
//!
//! The decoder keeps its position, so it reads each byte once. It allocates nothing by a length that
//! a client announced. Its limits and error texts are those of Redis.
//!
//! A decoder handles one request at a time, which starts at the first byte of its input.

use std::ops::Range;

use thiserror::Error;

use crate::{reply, words};

/// The largest request that a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum bytes of an argument (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Whether the client is authenticated. If not, smaller limits apply, as in Redis.
    pub authenticated: bool,
}

/// A complete request, borrowed from the buffer of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    arguments: &'a [Range<usize>],
}

/// A request with its own memory.
///
/// ```
/// use resp::request::OwnedRequest;
///
/// let request: OwnedRequest = ["SET", "key", "value"].into_iter().collect();
/// assert_eq!(request.borrow().len(), 3);
/// assert_eq!(request.borrow().argument(1), b"key");
/// ```
#[derive(Clone, Debug)]
pub struct OwnedRequest {
    bytes: Vec<u8>,
    arguments: Vec<Range<usize>>,
}

impl OwnedRequest {
    /// Returns a request without arguments, with memory for so many and for their bytes.
    #[must_use]
    pub fn with_capacity(arguments: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), arguments: Vec::with_capacity(arguments) }
    }

    /// Appends an argument. The first one is the name of the command.
    pub fn push(&mut self, argument: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(argument);
        self.arguments.push(start..self.bytes.len());
    }

    /// Returns the request as a borrowed one.
    #[inline]
    #[must_use]
    pub fn borrow(&self) -> Request<'_> {
        Request { bytes: &self.bytes, arguments: &self.arguments }
    }

    /// Returns the memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + self.arguments.len() * size_of::<Range<usize>>()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for OwnedRequest {
    fn from_iter<I: IntoIterator<Item = T>>(arguments: I) -> Self {
        let arguments = arguments.into_iter();
        let mut owned = Self::with_capacity(arguments.size_hint().0, 0);
        arguments.for_each(|argument| owned.push(argument.as_ref()));
        owned
    }
}

/// The result of [`Decoder::decode`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request of this many bytes; [`Decoder::request`] shows it.
    Request(usize),
    /// This many bytes without a request: an empty line or `*0`.
    Nothing(usize),
    /// The request is not complete; read more bytes.
    Incomplete,
}

/// The reason why bytes are not a request.
///
/// `Display` shows Redis' text without its start, `ERR Protocol error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// An inline command is longer than 64 KiB.
    #[error("too big inline request")]
    InlineTooBig,
    /// A quote is not closed, or bytes follow the closing one.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The number of arguments has more than 64 KiB of digits.
    #[error("too big mbulk count string")]
    CountTooBig,
    /// The number of arguments is not a number or too large.
    #[error("invalid multibulk length")]
    Count,
    /// A client has to authenticate before it sends so many arguments.
    #[error("unauthenticated multibulk length")]
    CountUnauthenticated,
    /// The length of an argument has more than 64 KiB of digits.
    #[error("too big bulk count string")]
    LengthTooBig,
    /// An argument starts with this byte in place of `$`.
    #[error("expected '$', got '{}'", printable(*.0))]
    NoBulk(u8),
    /// The length of an argument is not a number or too large.
    #[error("invalid bulk length")]
    Length,
    /// A client has to authenticate before it sends such a long argument.
    #[error("unauthenticated bulk length")]
    LengthUnauthenticated,
}

/// Decodes requests from bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    arguments: Vec<Range<usize>>,
    /// Number of arguments not yet decoded; `None` until the first line is complete.
    missing: Option<usize>,
    /// Length of the current argument.
    length: Option<usize>,
    /// Index of the next byte to read.
    position: usize,
    /// The words of an inline request, without quotes and escapes.
    line: Option<Vec<u8>>,
}

/// Redis' `PROTO_INLINE_MAX_SIZE`, for a line and for the digits of a length.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Redis' maximum. Memory is taken for received arguments only, so the number alone occupies none.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Redis' maximum before authentication since 6.2.6 (CVE-2021-32675).
const ARGUMENTS_MAX_UNAUTHENTICATED: i64 = 10;
const BULK_BYTES_MAX_UNAUTHENTICATED: i64 = 16 * 1024;
/// Length of a type byte, four digits and a line end.
const SHORT_BYTES: usize = 7;

impl<'a> Request<'a> {
    /// Returns the number of arguments, including the name of the command.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request has a command")]
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Returns the bytes of the request as an array, the form that client libraries send.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        let digits = |number: usize| number.checked_ilog10().map_or(1, |log| log as usize + 1);
        let argument = |range: &Range<usize>| digits(range.len()) + range.len() + 5;
        digits(self.len()) + 3 + self.arguments.iter().map(argument).sum::<usize>()
    }

    /// Returns the argument at `index`. Index 0 is the name of the command.
    ///
    /// # Panics
    ///
    /// Panics if there is no such argument.
    #[inline]
    #[must_use]
    pub fn argument(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.arguments[index].clone()]
    }

    /// Returns the arguments from `index` on as a request.
    #[inline]
    #[must_use]
    pub fn tail(self, index: usize) -> Self {
        Self { bytes: self.bytes, arguments: &self.arguments[index.min(self.arguments.len())..] }
    }

    /// Copies the request.
    #[must_use]
    pub fn to_owned(self) -> OwnedRequest {
        self.arguments_from(0).collect()
    }

    /// Returns an iterator over the arguments from `index` on.
    #[inline]
    pub fn arguments_from(
        &self,
        index: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        self.arguments[index.min(self.arguments.len())..]
            .iter()
            .map(move |range| &bytes[range.clone()])
    }
}

impl Decoder {
    /// Decodes the request at the start of `bytes`, from the position that the last call reached.
    ///
    /// # Errors
    ///
    /// Returns the violation of the protocol or of `limits`. The connection cannot recover.
    #[inline]
    pub fn decode(&mut self, bytes: &[u8], limits: Limits) -> Result<Decoded, ProtocolError> {
        match bytes.first() {
            None => Ok(Decoded::Incomplete),
            Some(b'*') => self.decode_array(bytes, limits),
            Some(_) => self.decode_line(bytes),
        }
    }

    /// Returns the request that [`Decoder::decode`] found in the same bytes.
    #[inline]
    #[must_use]
    pub fn request<'a>(&'a self, bytes: &'a [u8]) -> Request<'a> {
        Request { bytes: self.line.as_deref().unwrap_or(bytes), arguments: &self.arguments }
    }

    /// Returns the memory that the positions of the arguments take so far. It counts for the limit
    /// of a request as well, since a short argument takes more memory than bytes.
    pub fn argument_bytes(&self) -> usize {
        self.arguments.len() * size_of::<Range<usize>>()
    }

    /// Returns the number of complete arguments so far, and the bytes of those from `index` on.
    #[must_use]
    pub fn complete_from(&self, index: usize) -> (usize, usize) {
        let new = self.arguments.iter().skip(index).map(ExactSizeIterator::len);
        (self.arguments.len(), new.sum())
    }

    /// Returns the index of the next byte to decode.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Prepares the decoder for the next request. Keeps memory for up to 64 arguments.
    #[inline]
    pub fn reset(&mut self) {
        self.arguments.clear();
        self.arguments.shrink_to(64);
        self.missing = None;
        self.length = None;
        self.position = 0;
        self.line = None;
    }

    /// Returns the number of bytes of `next` to append to the `collected` bytes of an incomplete
    /// request. They never exceed the end of the request.
    #[must_use]
    pub fn wanted(&self, collected: usize, next: &[u8]) -> usize {
        match self.length {
            Some(_) => self.missing(collected).min(next.len()),
            None => memchr::memchr(b'\n', next).map_or(next.len(), |end| end + 1),
        }
    }

    /// Returns the bytes that an incomplete request with `collected` bytes still needs for the
    /// argument that it is in, or 0 where that is not known yet.
    #[must_use]
    pub fn missing(&self, collected: usize) -> usize {
        self.length.map_or(0, |length| (self.position + length + 2).saturating_sub(collected))
    }

    fn decode_array(&mut self, bytes: &[u8], limits: Limits) -> Result<Decoded, ProtocolError> {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None => {
                let Some((count, after)) = count(bytes, limits)? else {
                    return Ok(Decoded::Incomplete);
                };
                self.position = after;
                if count == 0 {
                    return Ok(Decoded::Nothing(after));
                }
                count
            }
        };
        while missing > 0 {
            if !self.decode_argument(bytes, limits)? {
                self.missing = Some(missing);
                return Ok(Decoded::Incomplete);
            }
            missing -= 1;
        }
        Ok(Decoded::Request(self.position))
    }

    #[inline]
    fn decode_argument(&mut self, bytes: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some((length, after)) = bulk_length(bytes, self.position, limits)? else {
                    return Ok(false);
                };
                self.position = after;
                length
            }
        };
        // Like Redis, this does not check the two bytes after the argument.
        let end = self.position + length;
        if bytes.len() < end + 2 {
            self.length = Some(length);
            return Ok(false);
        }
        self.length = None;
        self.arguments.push(self.position..end);
        self.position = end + 2;
        Ok(true)
    }

    fn decode_line(&mut self, bytes: &[u8]) -> Result<Decoded, ProtocolError> {
        let Some(end) = find_in_text(b'\n', &bytes[self.position..]) else {
            if bytes.len() > LINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooBig);
            }
            // In Redis a NUL hides the rest, so the line never ends. Stay before the NUL.
            self.position = memchr::memchr(0, bytes).unwrap_or(bytes.len());
            return Ok(Decoded::Incomplete);
        };
        let end = self.position + end;
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let words = words::split(line).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        if words.is_empty() {
            return Ok(Decoded::Nothing(end + 1));
        }
        let mut flat = Vec::with_capacity(line.len());
        for word in words {
            self.arguments.push(flat.len()..flat.len() + word.len());
            flat.extend_from_slice(&word);
        }
        self.line = Some(flat);
        Ok(Decoded::Request(end + 1))
    }
}

/// Finds a type byte and its digits. The line end has two bytes; Redis checks the first only.
fn header(
    bytes: &[u8],
    start: usize,
    too_big: ProtocolError,
) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &bytes[start..];
    match find_in_text(b'\r', rest) {
        None if rest.len() > LINE_BYTES_MAX => Err(too_big),
        Some(end) if rest.len() >= end + 2 => Ok(Some((&rest[1.min(end)..end], start + end + 2))),
        _ => Ok(None),
    }
}

/// Finds `byte` before the first NUL, as C's `strchr` does.
#[inline]
fn find_in_text(byte: u8, text: &[u8]) -> Option<usize> {
    // Lengths have few digits. For them a plain loop is faster than `memchr`.
    for (index, &found) in text.iter().take(24).enumerate() {
        if found == byte {
            return Some(index);
        }
        if found == 0 {
            return None;
        }
    }
    match memchr::memchr2(byte, 0, text) {
        Some(index) if text[index] == byte => Some(index),
        _ => None,
    }
}

/// Reads a type byte and a number of up to four digits, the most frequent case. Returns `None` for
/// all other input, which [`header`] then reads or rejects.
#[inline]
fn short_number(bytes: &[u8], start: usize, kind: u8) -> Option<(usize, usize)> {
    let head: &[u8; SHORT_BYTES] = bytes.get(start..start + SHORT_BYTES)?.try_into().ok()?;
    if head[0] != kind || !matches!(head[1], b'1'..=b'9') {
        return None;
    }
    let mut value = usize::from(head[1] - b'0');
    #[expect(clippy::needless_range_loop, reason = "an iterator takes three times as long")]
    for index in 2..SHORT_BYTES - 1 {
        match head[index] {
            digit @ b'0'..=b'9' => value = 10 * value + usize::from(digit - b'0'),
            b'\r' => return Some((value, start + index + 2)),
            _ => return None,
        }
    }
    None
}

/// Reads the number of arguments. Returns it with the index of the first one.
#[inline]
fn count(bytes: &[u8], limits: Limits) -> Result<Option<(usize, usize)>, ProtocolError> {
    if let Some((count, after)) = short_number(bytes, 0, b'*')
        && count <= ARGUMENTS_MAX_UNAUTHENTICATED as usize
    {
        return Ok(Some((count, after)));
    }
    let Some((digits, after)) = header(bytes, 0, ProtocolError::CountTooBig)? else {
        return Ok(None);
    };
    let count = match integer(digits) {
        Some(count) if count > ARGUMENTS_MAX => return Err(ProtocolError::Count),
        Some(count) if count > ARGUMENTS_MAX_UNAUTHENTICATED && !limits.authenticated => {
            return Err(ProtocolError::CountUnauthenticated);
        }
        Some(count) => usize::try_from(count).unwrap_or(0),
        None => return Err(ProtocolError::Count),
    };
    Ok(Some((count, after)))
}

/// Reads the length of the argument with the header at `start`. Returns it with the index of
/// the argument's first byte.
#[inline]
fn bulk_length(
    bytes: &[u8],
    start: usize,
    limits: Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    if let Some((length, after)) = short_number(bytes, start, b'$')
        && length <= limits.bulk_bytes_max
    {
        return Ok(Some((length, after)));
    }
    let Some((digits, after)) = header(bytes, start, ProtocolError::LengthTooBig)? else {
        return Ok(None);
    };
    let kind = bytes[start];
    if kind != b'$' {
        return Err(ProtocolError::NoBulk(kind));
    }
    let Some(length) = integer(digits) else { return Err(ProtocolError::Length) };
    match usize::try_from(length) {
        Ok(bytes) if bytes <= limits.bulk_bytes_max => {
            if length > BULK_BYTES_MAX_UNAUTHENTICATED && !limits.authenticated {
                return Err(ProtocolError::LengthUnauthenticated);
            }
            Ok(Some((bytes, after)))
        }
        _ => Err(ProtocolError::Length),
    }
}

/// Appends a request, as clients send it. The first argument is the name of the command.
///
/// ```
/// let mut out = Vec::new();
/// resp::request::encode(&mut out, &["GET", "key"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
/// ```
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, arguments: &[A]) {
    reply::array_header(out, arguments.len());
    arguments.iter().for_each(|argument| reply::bulk(out, argument.as_ref()));
}

/// Parses a decimal integer in its canonical form: no `+`, no leading zero, no blank.
///
/// ```
/// use resp::request::integer;
///
/// assert_eq!(integer(b"-12"), Some(-12));
/// assert_eq!(integer(b"+12"), None);
/// ```
#[inline]
#[must_use]
pub fn integer(digits: &[u8]) -> Option<i64> {
    let (negative, unsigned) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    match unsigned {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if unsigned.len() <= 19 => {}
        _ => return None,
    }
    let mut value: i64 = 0;
    for &digit in unsigned {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Negative digits, since `i64::MIN` has no positive counterpart.
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

impl ProtocolError {
    /// Returns the error reply. It contains an unexpected byte as it is.
    #[must_use]
    pub fn message(self) -> Vec<u8> {
        match self {
            Self::NoBulk(byte) => {
                [b"ERR Protocol error: expected '$', got '", &[byte][..], b"'"].concat()
            }
            other => format!("ERR Protocol error: {other}").into_bytes(),
        }
    }
}

/// Returns a blank for a line end, as Redis does, so that an error remains one line.
fn printable(byte: u8) -> char {
    if matches!(byte, b'\r' | b'\n') { ' ' } else { byte as char }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bulk_bytes_max: 512 * 1024 * 1024, authenticated: true };

    fn decode_all(bytes: &[u8], limits: Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut decoder = Decoder::default();
        let mut requests = Vec::new();
        let mut rest = bytes;
        loop {
            match decoder.decode(rest, limits)? {
                Decoded::Request(bytes) => {
                    let request = decoder.request(rest);
                    requests.push(request.arguments_from(0).map(<[u8]>::to_vec).collect());
                    rest = &rest[bytes..];
                }
                Decoded::Nothing(bytes) => rest = &rest[bytes..],
                Decoded::Incomplete => return Ok(requests),
            }
            decoder.reset();
        }
    }

    #[track_caller]
    fn check(bytes: &str, expected: &[&[&str]]) {
        let found = decode_all(bytes.as_bytes(), LIMITS).expect("valid");
        let expected: Vec<Vec<Vec<u8>>> = expected
            .iter()
            .map(|request| request.iter().map(|word| word.as_bytes().to_vec()).collect())
            .collect();
        assert_eq!(found, expected, "{bytes:?}");
    }

    #[track_caller]
    fn check_error(bytes: &[u8], expected: &str) {
        let error = decode_all(bytes, LIMITS).expect_err("invalid");
        assert_eq!(error.to_string(), expected, "{:?}", bytes.escape_ascii().to_string());
    }

    #[test]
    fn arrays() {
        check("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
        check("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&["ECHO", ""], &["PING"]]);
        check("*0\r\n*-1\r\n*1\r\n$1\r\na\r\n", &[&["a"]]);
        check("*1\r\n$4\r\nPINGxx*1\r\n$1\r\na\r\n", &[&["PING"], &["a"]]);
    }

    #[test]
    fn lines() {
        check("PING\r\n", &[&["PING"]]);
        check("PING\n\n\r\n  \r\nECHO 'a b'\r\n", &[&["PING"], &["ECHO", "a b"]]);
        check("SET k \"a\\x41\"\n", &[&["SET", "k", "aA"]]);
        check("PI\0NG\r\n", &[]);
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        check_error(b"*a\r\n", "invalid multibulk length");
        check_error(b"*+1\r\n", "invalid multibulk length");
        check_error(b"*01\r\n", "invalid multibulk length");
        check_error(b"*\r\n", "invalid multibulk length");
        check_error(b"*3000000000\r\n", "invalid multibulk length");
        check_error(b"*2147483648\r\n", "invalid multibulk length");
        check_error(b"*1\r\n:1\r\n", "expected '$', got ':'");
        check_error(b"*1\r\n\r\n", "expected '$', got ' '");
        check_error(b"*1\r\n*1\r\n", "expected '$', got '*'");
        check_error(b"*1\r\n$-1\r\n", "invalid bulk length");
        check_error(b"*1\r\n$536870913\r\n", "invalid bulk length");
        check_error(b"*1\r\n$x\r\n", "invalid bulk length");
        check_error(b"\"a\r\n", "unbalanced quotes in request");
        check_error(&[b'a'; LINE_BYTES_MAX + 1], "too big inline request");
        check_error(
            &[b"*".as_slice(), &[b'1'; LINE_BYTES_MAX + 1]].concat(),
            "too big mbulk count string",
        );
        check_error(
            &[b"*1\r\n$".as_slice(), &[b'1'; LINE_BYTES_MAX + 1]].concat(),
            "too big bulk count string",
        );
    }

    #[test]
    fn a_request_knows_its_arguments_and_sizes() {
        let owned: OwnedRequest = ["SET", "key", "0123456789"].into_iter().collect();
        let request = owned.borrow();
        assert_eq!((request.len(), request.argument(1)), (3, &b"key"[..]));
        assert_eq!(
            request.wire_bytes(),
            b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10\r\n0123456789\r\n".len()
        );
        let rest: Vec<&[u8]> = request.tail(1).arguments_from(0).collect();
        assert_eq!(rest, [&b"key"[..], b"0123456789"]);
        assert_eq!(request.tail(9).len(), 0);
        let empty: OwnedRequest = [""].into_iter().collect();
        assert_eq!(empty.borrow().wire_bytes(), b"*1\r\n$0\r\n\r\n".len());
        assert_eq!(owned.bytes() - empty.bytes(), 16 + 2 * size_of::<Range<usize>>());
        assert!(empty.bytes() > size_of::<OwnedRequest>());
    }

    #[test]
    fn an_incomplete_request_says_what_it_has_and_needs() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nab";
        let mut decoder = Decoder::default();
        assert_eq!(decoder.wanted(0, b"*3\r\n$3"), 4);
        assert_eq!(decoder.missing(0), 0);
        assert!(matches!(decoder.decode(bytes, LIMITS), Ok(Decoded::Incomplete)));
        assert_eq!(decoder.complete_from(0), (2, 6));
        assert_eq!(decoder.complete_from(1), (2, 3));
        assert_eq!(decoder.complete_from(5), (2, 0));
        assert_eq!(decoder.argument_bytes(), 2 * size_of::<Range<usize>>());
        assert_eq!(decoder.position(), bytes.len() - 2);
        // Three bytes and the end of the line.
        assert_eq!(decoder.missing(bytes.len()), 5);
        assert_eq!(decoder.wanted(bytes.len(), b"cde\r\nPING"), 5);
        assert_eq!(decoder.wanted(bytes.len(), b"c"), 1);
    }

    #[test]
    fn limits_are_lower_before_authentication() {
        let limits = Limits { authenticated: false, ..LIMITS };
        assert_eq!(decode_all(b"*11\r\n", limits), Err(ProtocolError::CountUnauthenticated));
        assert_eq!(
            decode_all(b"*1\r\n$16385\r\n", limits),
            Err(ProtocolError::LengthUnauthenticated)
        );
        assert_eq!(decode_all(b"*10\r\n$16384\r\n", limits), Ok(vec![]));
    }

    #[test]
    fn a_request_is_found_wherever_it_is_cut() {
        let bytes = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$12\r\nhello\r\nworld\r\nPING 'a b'\r\n*0\r\n*1\r\n$4\r\nQUIT\r\n";
        let whole = decode_all(bytes, LIMITS).expect("valid");
        assert_eq!(whole.len(), 3);
        for step in 1..bytes.len() {
            assert_eq!(decode_in_pieces(bytes, step), whole, "in pieces of {step}");
        }
    }

    /// Passes bytes to the decoder as a connection does.
    fn decode_in_pieces(bytes: &[u8], step: usize) -> Vec<Vec<Vec<u8>>> {
        let mut decoder = Decoder::default();
        let mut collected = Vec::new();
        let mut requests = Vec::new();
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                let (taken, later) = piece.split_at(decoder.wanted(collected.len(), piece));
                collected.extend_from_slice(taken);
                piece = later;
                let used = match decoder.decode(&collected, LIMITS).expect("valid") {
                    Decoded::Incomplete => continue,
                    Decoded::Nothing(used) => used,
                    Decoded::Request(used) => {
                        requests.push(
                            decoder
                                .request(&collected)
                                .arguments_from(0)
                                .map(<[u8]>::to_vec)
                                .collect(),
                        );
                        used
                    }
                };
                assert_eq!(used, collected.len(), "no more than one request is collected");
                collected.clear();
                decoder.reset();
            }
        }
        requests
    }

    #[test]
    fn integers_have_one_form() {
        for (digits, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("00", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(digits.as_bytes()), expected, "{digits}");
        }
    }
}
