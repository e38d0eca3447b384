//! Encodes values of Lua as JSON.

use mlua::{Error, Lua, Result, Table, Value};

use super::{Invalid, Settings, Shared};
use crate::account::Buffer;
use crate::arguments::Arguments;
use crate::failure::{argument_error, error, type_name};
use crate::fronts::Fronts;
use crate::limits::Patience;
use crate::number;

/// Slots of Lua's stack (`LUAI_MAXCSTACK`). The original uses one for an array, two for an object.
const STACK_SLOTS_MAX: usize = 7990;

/// Writes a text.
struct Writer<'a> {
    lua: &'a Lua,
    settings: Settings,
    fronts: Fronts,
    out: Buffer<'a>,
    depth: i32,
    /// Slots of Lua's stack that the original would use.
    slots: usize,
    patience: Patience,
}

pub(super) fn encode(lua: &Lua, given: Arguments<'_>, settings: &Shared) -> Result<Value> {
    if given.len() != 1 {
        return Err(argument_error(lua, 1, "expected 1 argument"));
    }
    let settings = settings.borrow().clone();
    let (fronts, patience) = (Fronts::of(lua), Patience::default());
    let mut writer =
        Writer { lua, settings, fronts, out: Buffer::new(lua), depth: 0, slots: 0, patience };
    writer.value(&given.value(1))?;
    writer.out.into_string().map(Value::String)
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        self.patience.steps(self.lua, 1)?;
        match value {
            Value::String(text) => self.string(&text.as_bytes())?,
            Value::Integer(value) => self.number(*value as f64)?,
            Value::Number(value) => self.number(*value)?,
            Value::Boolean(true) => self.out.extend(b"true")?,
            Value::Boolean(false) => self.out.extend(b"false")?,
            Value::Table(table) => self.table(table)?,
            Value::Nil => self.out.extend(b"null")?,
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend(b"null")?;
            }
            other => return Err(self.refused(other, "type not supported")),
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<()> {
        /// Bytes between two checks of the script.
        const CHUNK_BYTES: usize = 4096;

        self.out.push(b'"')?;
        for chunk in text.chunks(CHUNK_BYTES) {
            self.patience.steps(self.lua, chunk.len())?;
            let out = self.out.room(ESCAPE_BYTES_MAX * chunk.len())?;
            chunk.iter().for_each(|&byte| character(out, byte));
        }
        self.out.push(b'"')?;
        Ok(())
    }

    fn number(&mut self, value: f64) -> Result<()> {
        if !value.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => {
                    return Err(self.refused(&Value::Number(value), "must not be NaN or Inf"));
                }
                Invalid::Written if value.is_nan() => self.out.extend(b"nan")?,
                Invalid::Written => self.out.extend(number::format(value, 14).as_bytes())?,
                Invalid::Null => self.out.extend(b"null")?,
            }
            return Ok(());
        }
        let digits = usize::try_from(self.settings.digits).unwrap_or(14);
        self.out.extend(number::format(value, digits).as_bytes())
    }

    fn table(&mut self, table: &Table) -> Result<()> {
        self.depth += 1;
        if self.depth > self.settings.encode_depth_max || self.slots + 3 > STACK_SLOTS_MAX {
            let text = format!("Cannot serialise, excessive nesting ({})", self.depth);
            return Err(error(self.lua, text));
        }
        let used = self.slots;
        let behind = self.fronts.behind(table);
        let table = behind.as_ref().unwrap_or(table);
        match self.array_length(table)? {
            Some(length @ 1..) => {
                self.slots += 1;
                self.array(table, length)?;
            }
            _ => {
                self.slots += 2;
                self.object(table)?;
            }
        }
        self.slots = used;
        self.depth -= 1;
        Ok(())
    }

    /// Returns the length of an array, or `None` for an object.
    fn array_length(&self, table: &Table) -> Result<Option<i64>> {
        let (mut last, mut items) = (0_i64, 0_i64);
        for pair in table.pairs::<Value, Value>() {
            let key = match pair?.0 {
                Value::Integer(key) => key,
                Value::Number(key) if key.floor() == key => number::to_integer(key),
                _ => return Ok(None),
            };
            if key < 1 {
                return Ok(None);
            }
            last = last.max(key);
            items += 1;
        }
        let Settings { sparse_ratio, sparse_safe, .. } = self.settings;
        let is_sparse = sparse_ratio > 0
            && last > items.saturating_mul(sparse_ratio.into())
            && last > i64::from(sparse_safe);
        match is_sparse {
            true if self.settings.sparse_convert => Ok(None),
            true => Err(self.refused(&Value::Table(table.clone()), "excessively sparse array")),
            false => Ok(Some(last)),
        }
    }

    fn array(&mut self, table: &Table, length: i64) -> Result<()> {
        self.out.push(b'[')?;
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',')?;
            }
            self.value(&table.raw_get(index)?)?;
        }
        self.out.push(b']')?;
        Ok(())
    }

    fn object(&mut self, table: &Table) -> Result<()> {
        self.out.push(b'{')?;
        for (index, pair) in table.pairs::<Value, Value>().enumerate() {
            let (key, value) = pair?;
            if index > 0 {
                self.out.push(b',')?;
            }
            match &key {
                Value::String(key) => self.string(&key.as_bytes())?,
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"')?;
                    self.value(&key)?;
                    self.out.push(b'"')?;
                }
                other => return Err(self.refused(other, "table key must be a number or string")),
            }
            self.out.push(b':')?;
            self.value(&value)?;
        }
        self.out.push(b'}')?;
        Ok(())
    }

    fn refused(&self, value: &Value, reason: &str) -> Error {
        error(self.lua, format!("Cannot serialise {}: {reason}", type_name(value)))
    }
}

/// Maximum length of an escaped byte, that of `\u0000`.
const ESCAPE_BYTES_MAX: usize = 6;

/// Appends a byte of a string and escapes it if necessary.
fn character(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'/' => out.extend_from_slice(b"\\/"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        0..0x20 | 0x7f => {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
        }
        _ => out.push(byte),
    }
}
