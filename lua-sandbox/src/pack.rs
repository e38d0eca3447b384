//! The library `struct`: numbers and strings in the memory layout of C.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

use super::account::Buffer;
use super::arguments::{Arguments, function};
use super::failure::{argument_error, error};
use super::limits::Patience;
use super::number;

pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    function(lua, &library, "pack", pack)?;
    function(lua, &library, "unpack", unpack)?;
    function(lua, &library, "size", size)?;
    Ok(library)
}

/// Maximum size of an integer (`MAXINTSIZE`).
const INTEGER_BYTES_MAX: usize = 32;
/// The strictest alignment of a C type.
const ALIGNMENT: usize = 8;

/// Reads a format.
struct Format<'a> {
    lua: &'a Lua,
    /// The rest of the format, which ends before a NUL.
    text: &'a [u8],
    is_little: bool,
    alignment: usize,
    patience: Patience,
}

/// One item of a format.
struct Item {
    option: u8,
    size: usize,
    /// Bytes before the item that align it.
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Self {
            lua,
            text: &text[..end],
            is_little: cfg!(target_endian = "little"),
            alignment: 1,
            patience: Patience::default(),
        }
    }

    /// Reads the next item, which starts at `position`.
    fn next(&mut self, position: usize) -> Result<Option<Item>> {
        let Some((&option, rest)) = self.text.split_first() else { return Ok(None) };
        self.text = rest;
        self.patience.steps(self.lua, 1)?;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.count(1)?,
            b'i' | b'I' => {
                let size = self.count(4)?;
                if size > INTEGER_BYTES_MAX {
                    let text =
                        format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(error(self.lua, text));
                }
                size
            }
            _ => 0,
        };
        let padding = match option {
            b'c' => 0,
            _ if size == 0 => 0,
            _ => {
                let size = size.min(self.alignment);
                size.wrapping_sub(position & (size - 1)) & (size - 1)
            }
        };
        Ok(Some(Item { option, size, padding }))
    }

    fn count(&mut self, default: usize) -> Result<usize> {
        if !self.text.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut count: i32 = 0;
        while let Some((digit, rest)) = self.text.split_first()
            && digit.is_ascii_digit()
        {
            let digit = i32::from(digit - b'0');
            count = count
                .checked_mul(10)
                .and_then(|count| count.checked_add(digit))
                .ok_or_else(|| error(self.lua, "integral size overflow"))?;
            self.text = rest;
        }
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Changes the bytes of a number from little endian to the order of the format, or back.
    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if !self.is_little {
            bytes.reverse();
        }
        bytes
    }

    /// Applies an option without a value.
    fn control(&mut self, option: u8) -> Result<()> {
        match option {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' => self.is_little = true,
            b'!' => {
                let alignment = self.count(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(error(self.lua, text));
                }
                self.alignment = alignment;
            }
            _ => {
                let text = [b"invalid format option '", &[option][..], b"'"].concat();
                return Err(argument_error(self.lua, 1, text));
            }
        }
        Ok(())
    }
}

fn pack(lua: &Lua, mut given: Arguments<'_>) -> Result<mlua::LuaString> {
    let text = given.string(1)?;
    // The original appends a nil to its arguments, which its errors about a missing one show.
    given.push(Value::Nil);
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut out = Buffer::new(lua);
    let mut next = 2;
    while let Some(Item { option, size, padding }) = format.next(out.len())? {
        let end = out.len() + padding;
        out.room(padding + size)?.resize(end, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(out.room(size)?, given.number(next)?, size, format.is_little);
                next += 1;
            }
            b'x' => out.push(0)?,
            b'f' => {
                let value = given.number(next)? as f32;
                out.extend(&format.ordered(value.to_le_bytes()))?;
                next += 1;
            }
            b'd' => {
                let value = given.number(next)?;
                out.extend(&format.ordered(value.to_le_bytes()))?;
                next += 1;
            }
            b'c' | b's' => {
                let text = given.string(next)?;
                let text = text.as_bytes();
                next += 1;
                let size = if size == 0 { text.len() } else { size };
                let text = text.get(..size).ok_or_else(|| given.error(next, "string too short"))?;
                out.extend(text)?;
                if option == b's' {
                    out.push(0)?;
                }
            }
            other => format.control(other)?,
        }
    }
    out.into_string()
}

fn put_integer(out: &mut Vec<u8>, value: f64, size: usize, is_little: bool) {
    // Like a cast in C: values too large for a signed integer may fit an unsigned one.
    let bits = match value {
        0.0.. if value < 18_446_744_073_709_551_616.0 => value as u64,
        _ => number::to_integer(value).cast_unsigned(),
    };
    let start = out.len();
    out.extend((0..size).map(|at| bits.checked_shr(8 * at as u32).unwrap_or(0) as u8));
    if !is_little {
        out[start..].reverse();
    }
}

fn unpack(lua: &Lua, given: Arguments<'_>) -> Result<MultiValue> {
    let (text, data) = (given.string(1)?, given.string(2)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let mut format = Format::new(lua, &text);
    // As in C, a negative offset becomes a large one.
    let offset = given.integer_or(3, 1)?.cast_unsigned() as usize;
    if offset == 0 {
        return Err(given.error(3, "offset must be 1 or greater"));
    }
    let mut at = offset - 1;
    let too_short = || given.error(2, "data string too short");
    let mut values: Vec<Value> = Vec::new();
    while let Some(Item { option, mut size, padding }) = format.next(at)? {
        at = at.wrapping_add(padding);
        let rest = at.checked_add(size).filter(|&end| end <= data.len());
        rest.ok_or_else(too_short)?;
        if values.len() >= RESULTS_MAX {
            return Err(too_many(lua));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let is_signed = option.is_ascii_lowercase();
                let value = get_integer(&data[at..at + size], is_signed, format.is_little);
                values.push(Value::Number(value));
            }
            b'f' => {
                let bytes = data[at..at + 4].try_into().unwrap_or_default();
                values.push(Value::Number(f32::from_le_bytes(format.ordered(bytes)).into()));
            }
            b'd' => {
                let bytes = data[at..at + 8].try_into().unwrap_or_default();
                values.push(Value::Number(f64::from_le_bytes(format.ordered(bytes))));
            }
            b'x' => {}
            b'c' => {
                if size == 0 {
                    let last = values.pop().map(|last| lua.coerce_number(last)).transpose()?;
                    let Some(Some(last)) = last else {
                        return Err(error(lua, "format 'c0' needs a previous size"));
                    };
                    size = number::to_integer(last).cast_unsigned() as usize;
                    let rest = at.checked_add(size).filter(|&end| end <= data.len());
                    rest.ok_or_else(too_short)?;
                }
                values.push(Value::String(lua.create_string(&data[at..at + size])?));
            }
            b's' => {
                let length = memchr::memchr(0, &data[at..])
                    .ok_or_else(|| error(lua, "unfinished string in data"))?;
                values.push(Value::String(lua.create_string(&data[at..at + length])?));
                size = length + 1;
            }
            other => format.control(other)?,
        }
        at += size;
    }
    // As in C, the result is signed.
    let next = at.wrapping_add(1) as i64;
    values.push(Value::Number(next as f64));
    Ok(MultiValue::from_vec(values))
}

fn get_integer(bytes: &[u8], is_signed: bool, is_little: bool) -> f64 {
    let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = match is_little {
        true => bytes.iter().rev().fold(0, fold),
        false => bytes.iter().fold(0, fold),
    };
    if !is_signed {
        return value as f64;
    }
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    ((value << unused).cast_signed() >> unused) as f64
}

fn size(lua: &Lua, given: Arguments<'_>) -> Result<f64> {
    let text = given.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut at: usize = 0;
    while let Some(Item { option, size, padding }) = format.next(at)? {
        match option {
            b's' => return Err(given.error(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(given.error(1, "option 'c0' has no fixed size")),
            _ => {}
        }
        at += padding + size;
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
    }
    Ok(at as f64)
}

/// Maximum number of results, bound by Lua's stack (`LUAI_MAXCSTACK`).
const RESULTS_MAX: usize = 7990;

fn too_many(lua: &Lua) -> Error {
    error(lua, "stack overflow (too many results)")
}
