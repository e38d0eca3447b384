//! The library `cmsgpack`: MessagePack in the way of lua-cmsgpack 0.4.

use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

use super::account::Buffer;
use super::arguments::{Arguments, function};
use super::failure::{Thrown, error};
use super::fronts::Fronts;
use super::limits::Patience;
use super::number;

pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    function(lua, &library, "pack", pack)?;
    function(lua, &library, "unpack", |lua, given| unpack_some(lua, &given, None, 0))?;
    function(lua, &library, "unpack_one", |lua, given| {
        let offset = given.integer_or(2, 0)?;
        unpack_some(lua, &given, Some(1), offset)
    })?;
    function(lua, &library, "unpack_limit", |lua, given| {
        let limit = given.integer(2)?;
        let offset = given.integer_or(3, 0)?;
        unpack_some(lua, &given, Some(limit), offset)
    })?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(library)
}

/// Tables nested deeper than this become nil.
const NESTING_MAX: usize = 16;
/// Maximum nesting of a message, bound by Lua's stack (`LUAI_MAXCSTACK`).
const DEPTH_MAX: usize = 3990;
/// Maximum bytes of a number, or of the head of another value.
const HEAD_BYTES_MAX: usize = 9;
/// Maximum number of results, bound by Lua's stack.
const RESULTS_MAX: usize = 7990;
/// Maximum number of arguments, which the original copies on Lua's stack.
const ARGUMENTS_MAX: usize = 4000;

fn pack(lua: &Lua, given: Arguments<'_>) -> Result<LuaString> {
    if given.len() == 0 {
        return Err(given.error(0, "MessagePack pack needs input."));
    }
    if given.len() > ARGUMENTS_MAX {
        return Err(given.error(0, "Too many arguments for MessagePack pack."));
    }
    let (fronts, patience) = (Fronts::of(lua), Patience::default());
    let mut writer = Writer { lua, fronts, out: Buffer::new(lua), patience };
    for value in given.into_values() {
        writer.value(&value, 0)?;
    }
    writer.out.into_string()
}

/// Writes a message.
struct Writer<'a> {
    lua: &'a Lua,
    fronts: Fronts,
    out: Buffer<'a>,
    patience: Patience,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Result<()> {
        self.patience.steps(self.lua, 1)?;
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                put_string(self.out.room(HEAD_BYTES_MAX + text.len())?, &text);
            }
            Value::Boolean(value) => self.out.push(if *value { 0xc3 } else { 0xc2 })?,
            Value::Integer(value) => put_integer(self.out.room(HEAD_BYTES_MAX)?, *value),
            Value::Number(value) => put_number(self.out.room(HEAD_BYTES_MAX)?, *value),
            Value::Table(table) if level < NESTING_MAX => self.table(table, level)?,
            _ => self.out.push(0xc0)?,
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, level: usize) -> Result<()> {
        let behind = self.fronts.behind(table);
        let table = behind.as_ref().unwrap_or(table);
        if is_array(table)? {
            let length = table.raw_len();
            match length {
                ..=15 => self.out.push(0x90 | length as u8)?,
                _ => put_length(self.out.room(HEAD_BYTES_MAX)?, length, 0xdc, 0xdd),
            }
            for index in 1..=length {
                self.value(&table.get(index)?, level + 1)?;
            }
            return Ok(());
        }
        let length = table.pairs::<Value, Value>().count();
        match length {
            ..=15 => self.out.push(0x80 | length as u8)?,
            _ => put_length(self.out.room(HEAD_BYTES_MAX)?, length, 0xde, 0xdf),
        }
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, level + 1)?;
            self.value(&value, level + 1)?;
        }
        Ok(())
    }
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ ..32 => out.push(0xa0 | length as u8),
        length @ ..=0xff => out.extend([0xd9, length as u8]),
        length => put_length(out, length, 0xda, 0xdb),
    }
    out.extend_from_slice(text);
}

fn put_length(out: &mut Vec<u8>, length: usize, two: u8, four: u8) {
    match u16::try_from(length) {
        Ok(length) => {
            out.push(two);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(four);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

fn put_number(out: &mut Vec<u8>, value: f64) {
    let integer = number::to_integer(value);
    if integer as f64 == value {
        return put_integer(out, integer);
    }
    let short = value as f32;
    if f64::from(short) == value {
        out.push(0xca);
        out.extend(short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(value.to_be_bytes());
    }
}

fn put_integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0..=127 => out.push(value as u8),
        128..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((value as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend(value.to_be_bytes());
        }
        -32..0 => out.push(value as u8),
        -128..-32 => out.extend([0xd0, value as u8]),
        -32768..-128 => {
            out.push(0xd1);
            out.extend((value as i16).to_be_bytes());
        }
        -2_147_483_648..-32768 => {
            out.push(0xd2);
            out.extend((value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(value.to_be_bytes());
        }
    }
}

/// Returns whether the keys are the integers from one on.
fn is_array(table: &Table) -> Result<bool> {
    let (mut count, mut last) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let key = match pair?.0 {
            Value::Integer(key) => key,
            Value::Number(key) if key.trunc() == key => number::to_integer(key),
            _ => return Ok(false),
        };
        if key <= 0 || key > i64::from(i32::MAX) {
            return Ok(false);
        }
        last = last.max(key);
        count += 1;
    }
    Ok(last == count)
}

/// Reads values from the first argument. With a limit or an offset, the first result is the offset
/// of the rest.
fn unpack_some(
    lua: &Lua,
    given: &Arguments<'_>,
    limit: Option<i64>,
    offset: i64,
) -> Result<MultiValue> {
    let data = given.string(1)?;
    let data = data.as_bytes();
    let wants_all = limit.unwrap_or(0) == 0 && offset == 0;
    let limit = limit.unwrap_or(0);
    // The first text shows the length of the input as the limit. So does the original.
    if offset < 0 || limit < 0 {
        let text = format!(
            "Invalid request to unpack with offset of {} and limit of {}.",
            offset as i32,
            data.len() as i32
        );
        return Err(error(lua, text));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)) else {
        let text = format!(
            "Start offset {} greater than input length {}.",
            offset as i32,
            data.len() as i32
        );
        return Err(error(lua, text));
    };
    let limit = if wants_all { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader { lua, rest, patience: Patience::default() };
    let mut values = Vec::new();
    while !reader.rest.is_empty() && (values.len() as i64) < limit {
        if values.len() >= RESULTS_MAX {
            return Err(too_many(lua));
        }
        values.push(reader.value(0)?);
    }
    if !wants_all {
        let next = match reader.rest.len() {
            0 => -1.0,
            left => (data.len() - left) as f64,
        };
        values.insert(0, Value::Number(next));
    }
    Ok(MultiValue::from_vec(values))
}

/// Reads a message.
struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    patience: Patience,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEPTH_MAX {
            let text = "stack overflow (in function mp_decode_to_lua_array)";
            return Err(error(self.lua, text));
        }
        self.patience.steps(self.lua, 1)?;
        let [kind] = self.bytes()?;
        Ok(match kind {
            0x00..=0x7f => Value::Number(kind.into()),
            0x80..=0x8f => self.map((kind & 0x0f).into(), depth)?,
            0x90..=0x9f => self.array((kind & 0x0f).into(), depth)?,
            0xa0..=0xbf => self.string((kind & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f32::from_be_bytes(self.bytes()?).into()),
            0xcb => Value::Number(f64::from_be_bytes(self.bytes()?)),
            0xcc => Value::Number(u8::from_be_bytes(self.bytes()?).into()),
            0xcd => Value::Number(u16::from_be_bytes(self.bytes()?).into()),
            0xce => Value::Number(u32::from_be_bytes(self.bytes()?).into()),
            0xcf => Value::Number(u64::from_be_bytes(self.bytes()?) as f64),
            0xd0 => Value::Number(i8::from_be_bytes(self.bytes()?).into()),
            0xd1 => Value::Number(i16::from_be_bytes(self.bytes()?).into()),
            0xd2 => Value::Number(i32::from_be_bytes(self.bytes()?).into()),
            0xd3 => Value::Number(i64::from_be_bytes(self.bytes()?) as f64),
            0xd9 => {
                let length = u8::from_be_bytes(self.bytes()?);
                self.string(length.into())?
            }
            0xda => {
                let length = u16::from_be_bytes(self.bytes()?);
                self.string(length.into())?
            }
            0xdb => {
                let length = u32::from_be_bytes(self.bytes()?);
                self.string(length)?
            }
            0xdc => {
                let length = u16::from_be_bytes(self.bytes()?);
                self.array(length.into(), depth)?
            }
            0xdd => {
                let length = u32::from_be_bytes(self.bytes()?);
                self.array(length, depth)?
            }
            0xde => {
                let length = u16::from_be_bytes(self.bytes()?);
                self.map(length.into(), depth)?
            }
            0xdf => {
                let length = u32::from_be_bytes(self.bytes()?);
                self.map(length, depth)?
            }
            0xe0..=0xff => Value::Number(kind.cast_signed().into()),
            _ => return Err(error(self.lua, "Bad data format in input.")),
        })
    }

    fn bytes<const COUNT: usize>(&mut self) -> Result<[u8; COUNT]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.missing())?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn string(&mut self, length: u32) -> Result<Value> {
        let (text, rest) =
            self.rest.split_at_checked(length as usize).ok_or_else(|| self.missing())?;
        self.rest = rest;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, length: u32, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for index in 1..=length {
            let value = self.value(depth + 1)?;
            table.raw_set(index, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, length: u32, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..length {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            match key {
                Value::Nil => return Err(unplaced("table index is nil")),
                Value::Number(key) if key.is_nan() => {
                    return Err(unplaced("table index is NaN"));
                }
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }

    fn missing(&self) -> Error {
        error(self.lua, "Missing bytes in input.")
    }
}

/// Returns an error without a position, as Lua does in functions in C.
fn unplaced(text: &str) -> Error {
    Thrown::Text(text.as_bytes().to_vec()).into()
}

fn too_many(lua: &Lua) -> Error {
    error(
        lua,
        "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
    )
}
