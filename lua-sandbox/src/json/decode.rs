//! Decodes JSON to values of Lua.

use mlua::{Error, Lua, Result, Value};

use super::{Settings, Shared};
use crate::account::Buffer;
use crate::arguments::Arguments;
use crate::failure::{argument_error, error};
use crate::limits::Patience;

/// Slots of Lua's stack (`LUAI_MAXCSTACK`). The original uses one for an array, two for an object.
const STACK_SLOTS_MAX: usize = 7990;

/// Reads a text.
struct Reader<'a> {
    lua: &'a Lua,
    settings: Settings,
    text: &'a [u8],
    at: usize,
    depth: i32,
    /// Slots of Lua's stack that the original would use.
    slots: usize,
    patience: Patience,
}

/// A token of JSON.
enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Buffer<'a>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token<'_> {
    /// Returns the name of the token in error texts.
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Wrong(text) => text,
        }
    }
}

pub(super) fn decode(lua: &Lua, given: Arguments<'_>, settings: &Shared) -> Result<Value> {
    if given.len() != 1 {
        return Err(argument_error(lua, 1, "expected 1 argument"));
    }
    let text = given.string(1)?;
    let text = text.as_bytes();
    if text.len() >= 2 && text[..2].contains(&0) {
        return Err(error(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let settings = settings.borrow().clone();
    let patience = Patience::default();
    let mut reader = Reader { lua, settings, text: &text, at: 0, depth: 0, slots: 0, patience };
    let (token, place) = reader.next()?;
    let value = reader.value(token, place)?;
    match reader.next()? {
        (Token::End, _) => Ok(value),
        (other, place) => Err(reader.unexpected("the end", &other, place)),
    }
}

impl<'a> Reader<'a> {
    fn value(&mut self, token: Token<'a>, place: usize) -> Result<Value> {
        self.patience.steps(self.lua, 1)?;
        Ok(match token {
            Token::String(text) => Value::String(text.into_string()?),
            Token::Number(value) => Value::Number(value),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            Token::ObjectBegin => self.nested(2, Self::object)?,
            Token::ArrayBegin => self.nested(1, Self::array)?,
            other => return Err(self.unexpected("value", &other, place)),
        })
    }

    fn nested(
        &mut self,
        slots: usize,
        read: impl FnOnce(&mut Self) -> Result<Value>,
    ) -> Result<Value> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max || self.slots + slots + 1 > STACK_SLOTS_MAX {
            let text = format!(
                "Found too many nested data structures ({}) at character {}",
                self.depth, self.at
            );
            return Err(error(self.lua, text));
        }
        self.slots += slots;
        let value = read(self)?;
        self.slots -= slots;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value> {
        let table = self.lua.create_table()?;
        let (mut token, mut place) = self.next()?;
        if matches!(token, Token::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Token::String(key) = token else {
                return Err(self.unexpected("object key string", &token, place));
            };
            let key = key.into_string()?;
            match self.next()? {
                (Token::Colon, _) => {}
                (other, place) => return Err(self.unexpected("colon", &other, place)),
            }
            let (value, at) = self.next()?;
            let value = self.value(value, at)?;
            table.raw_set(key, value)?;
            match self.next()? {
                (Token::ObjectEnd, _) => return Ok(Value::Table(table)),
                (Token::Comma, _) => (token, place) = self.next()?,
                (other, place) => {
                    return Err(self.unexpected("comma or object end", &other, place));
                }
            }
        }
    }

    fn array(&mut self) -> Result<Value> {
        let table = self.lua.create_table()?;
        let (mut token, mut place) = self.next()?;
        if matches!(token, Token::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        for index in 1.. {
            let value = self.value(token, place)?;
            table.raw_set(index, value)?;
            match self.next()? {
                (Token::ArrayEnd, _) => break,
                (Token::Comma, _) => (token, place) = self.next()?,
                (other, place) => {
                    return Err(self.unexpected("comma or array end", &other, place));
                }
            }
        }
        Ok(Value::Table(table))
    }

    /// Returns the byte at that distance, or a NUL after the end, as in C.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn starts_with(&self, word: &[u8]) -> bool {
        self.text[self.at..].starts_with(word)
    }

    /// Returns the next token and its position.
    fn next(&mut self) -> Result<(Token<'a>, usize)> {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
            self.patience.steps(self.lua, 1)?;
        }
        let place = self.at;
        let token = match self.peek(0) {
            b'{' => self.skip(1, Token::ObjectBegin),
            b'}' => self.skip(1, Token::ObjectEnd),
            b'[' => self.skip(1, Token::ArrayBegin),
            b']' => self.skip(1, Token::ArrayEnd),
            b',' => self.skip(1, Token::Comma),
            b':' => self.skip(1, Token::Colon),
            0 => Token::End,
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => match self.settings.decode_invalid || !self.is_invalid_number() {
                true => self.number(),
                false => Token::Wrong("invalid number"),
            },
            b't' if self.starts_with(b"true") => self.skip(4, Token::Boolean(true)),
            b'f' if self.starts_with(b"false") => self.skip(5, Token::Boolean(false)),
            b'n' if self.starts_with(b"null") => self.skip(4, Token::Null),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+'
                if self.settings.decode_invalid && self.is_invalid_number() =>
            {
                self.number()
            }
            _ => Token::Wrong("invalid token"),
        };
        // The position of an invalid string or number is that of the failure.
        let place = if matches!(token, Token::Wrong(_)) { self.at } else { place };
        Ok((token, place))
    }

    fn skip(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    fn string(&mut self) -> Result<Token<'a>> {
        self.at += 1;
        let mut text = Buffer::new(self.lua);
        loop {
            self.plain(&mut text)?;
            match self.peek(0) {
                b'"' => break,
                b'\\' => {
                    if let Err(wrong) = self.escape(text.room(4)?) {
                        return Ok(Token::Wrong(wrong));
                    }
                    self.patience.steps(self.lua, 1)?;
                }
                _ => return Ok(Token::Wrong("unexpected end of string")),
            }
        }
        self.at += 1;
        Ok(Token::String(text))
    }

    /// Reads characters of a string up to a quote, an escape or a NUL.
    fn plain(&mut self, text: &mut Buffer<'a>) -> Result<()> {
        /// Bytes between two checks of the script.
        const CHUNK_BYTES: usize = 4096;

        loop {
            let rest = &self.text[self.at.min(self.text.len())..];
            let chunk = &rest[..rest.len().min(CHUNK_BYTES)];
            let end = memchr::memchr3(b'"', b'\\', 0, chunk);
            let plain = &chunk[..end.unwrap_or(chunk.len())];
            text.extend(plain)?;
            self.at += plain.len();
            if end.is_some() || plain.is_empty() {
                return Ok(());
            }
            self.patience.steps(self.lua, plain.len())?;
        }
    }

    /// Reads an escape sequence.
    fn escape(&mut self, text: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
        let plain = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => return self.unicode(text).ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        text.push(plain);
        self.at += 2;
        Ok(())
    }

    /// Reads `\uXXXX`, or a surrogate pair of two.
    fn unicode(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let first = self.hex(2)?;
        let mut length = 6;
        let code = match first {
            0xd800..=0xdbff => {
                if self.peek(6) != b'\\' || self.peek(7) != b'u' {
                    return None;
                }
                let second = self.hex(8).filter(|second| (0xdc00..=0xdfff).contains(second))?;
                length = 12;
                (((first & 0x3ff) << 10) | (second & 0x3ff)) + 0x1_0000
            }
            other => other,
        };
        let character = char::from_u32(code)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += length;
        Some(())
    }

    fn hex(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4)
            .try_fold(0, |code, ahead| Some(code << 4 | char::from(self.peek(ahead)).to_digit(16)?))
    }

    /// Returns whether a number follows that C accepts and JSON does not.
    fn is_invalid_number(&self) -> bool {
        let at = usize::from(self.peek(0) == b'-');
        let is_word = |word: &[u8]| {
            let rest = self.text.get(self.at + at..self.at + at + 3);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(word))
        };
        match self.peek(at) {
            b'+' if at == 0 => true,
            b'0' => {
                matches!(self.peek(at + 1), b'x' | b'X' | b'0'..=b'9')
            }
            ..=b'9' => false,
            _ => is_word(b"inf") || is_word(b"nan"),
        }
    }

    /// Reads a number.
    fn number(&mut self) -> Token<'a> {
        match strtod(&self.text[self.at..]) {
            Some((value, length)) => self.skip(length, Token::Number(value)),
            None => Token::Wrong("invalid number"),
        }
    }

    fn unexpected(&self, wanted: &str, found: &Token<'_>, place: usize) -> Error {
        let found = found.name();
        error(self.lua, format!("Expected {wanted} but found {found} at character {}", place + 1))
    }
}

/// Parses a number as C's `strtod` does: decimal, hexadecimal, `inf`, `nan`. Returns its length, too.
fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let signed = matches!(text.first(), Some(b'+' | b'-'));
    // NaN has a sign, too, which a multiplication would lose.
    let with_sign = |value: f64| if text.first() == Some(&b'-') { -value } else { value };
    let start = usize::from(signed);
    let rest = &text[start..];
    let is_word =
        |word: &[u8]| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    for (word, value) in
        [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY), (b"nan", f64::NAN)]
    {
        if is_word(word) {
            return Some((with_sign(value), start + word.len()));
        }
    }
    if is_word(b"0x")
        && let Some((value, length)) = hexadecimal(&rest[2..])
    {
        return Some((with_sign(value), start + 2 + length));
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(rest);
    let mut length = whole;
    if rest.get(length) == Some(&b'.') {
        let fraction = digits(&rest[length + 1..]);
        if whole + fraction > 0 {
            length += 1 + fraction;
        }
    }
    if length == 0 {
        return None;
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(&rest[(length + 1 + sign).min(rest.len())..]);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    let value: f64 = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
    Some((with_sign(value), start + length))
}

/// Parses hexadecimal digits with an optional point and exponent of two.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut scale, mut at, mut digits, mut has_point) = (0.0, 0, 0, 0, false);
    while let Some(&byte) = text.get(at) {
        match char::from(byte).to_digit(16) {
            Some(digit) => {
                value = value * 16.0 + f64::from(digit);
                scale -= 4 * i32::from(has_point);
                digits += 1;
            }
            None if byte == b'.' && !has_point => has_point = true,
            None => break,
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let from = (at + 1 + sign).min(text.len());
        let count = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count > 0 {
            let end = from + count;
            let power = std::str::from_utf8(&text[at + 1..end]).ok()?.trim_start_matches('+');
            scale = power.parse::<i32>().unwrap_or(0).clamp(-5000, 5000).saturating_add(scale);
            at = end;
        }
    }
    Some((value * 2.0_f64.powi(scale), at))
}
