//! Converts replies of commands to values of Lua, and the result of a script to a reply.
//!
//! Replies come from the server itself, so their reader expects valid ones. The result of a script
//! may be any value.

use mlua::{Error, Lua, LuaString, Result, Table, Value};
use resp::Protocol;
use resp::reply;

use super::account::Buffer;
use super::failure::error_table;
use super::fronts::Fronts;
use super::limits::Patience;
use super::{number, write};

/// Maximum nesting of a reply, which Redis derives from Lua's stack (`LUAI_MAXCSTACK`).
const DEPTH_MAX: usize = 7995;
/// mlua can hold some thousand values. Tables nested deeper than this stay in a table of Lua.
const DEPTH_HELD_MAX: usize = 1000;

/// Converts the reply of a command to a value.
pub(super) fn to_lua(lua: &Lua, reply: &[u8]) -> Result<Value> {
    Reader { lua, rest: reply }.value()
}

/// Reads a reply.
struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value> {
        let Some((&kind, rest)) = self.rest.split_first() else { return Err(malformed()) };
        self.rest = rest;
        match kind {
            b':' => Ok(Value::Number(self.number()? as f64)),
            b'+' => {
                let text = self.lua.create_string(self.line()?)?;
                self.single("ok", Value::String(text))
            }
            b'-' => {
                let line = self.line()?;
                error_table(self.lua, &with_code(line), true)
            }
            b'$' => match self.number()? {
                ..0 => Ok(Value::Boolean(false)),
                length => Ok(Value::String(self.lua.create_string(self.bulk(length)?)?)),
            },
            b'*' => match self.number()? {
                ..0 => Ok(Value::Boolean(false)),
                length => self.array(length),
            },
            b'_' => self.line().map(|_| Value::Nil),
            b'#' => self.line().map(|line| Value::Boolean(line == b"t")),
            b',' => {
                let value =
                    std::str::from_utf8(self.line()?).ok().and_then(|text| text.parse().ok());
                self.single("double", Value::Number(value.unwrap_or(f64::NAN)))
            }
            b'(' => {
                let text = self.lua.create_string(self.line()?)?;
                self.single("big_number", Value::String(text))
            }
            b'=' => self.verbatim(),
            b'%' => self.map(),
            b'~' => self.set(),
            // Scripts do not see pushes.
            b'>' => {
                for _ in 0..self.number()? {
                    self.value()?;
                }
                Ok(Value::Nil)
            }
            b'|' => {
                for _ in 0..self.number()? * 2 {
                    self.value()?;
                }
                self.value()
            }
            _ => Err(malformed()),
        }
    }

    fn array(&mut self, length: i64) -> Result<Value> {
        let table = self.lua.create_table()?;
        for index in 1..=length {
            let value = self.value()?;
            table.raw_set(index, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..self.number()? {
            let (key, value) = (self.value()?, self.value()?);
            table.raw_set(key, value)?;
        }
        self.single("map", Value::Table(table))
    }

    fn set(&mut self) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..self.number()? {
            let member = self.value()?;
            table.raw_set(member, true)?;
        }
        self.single("set", Value::Table(table))
    }

    fn verbatim(&mut self) -> Result<Value> {
        let length = self.number()?;
        let text = self.bulk(length)?;
        let (format, text) = text.split_at_checked(4).ok_or_else(malformed)?;
        let table = self.lua.create_table()?;
        table.raw_set("string", self.lua.create_string(text)?)?;
        table.raw_set("format", self.lua.create_string(&format[..3])?)?;
        self.single("verbatim_string", Value::Table(table))
    }

    fn single(&self, name: &str, value: Value) -> Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn line(&mut self) -> Result<&'a [u8]> {
        let end = memchr::memchr(b'\r', self.rest).ok_or_else(malformed)?;
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).ok_or_else(malformed)?;
        Ok(line)
    }

    fn number(&mut self) -> Result<i64> {
        let line = self.line()?;
        resp::request::integer(line).ok_or_else(malformed)
    }

    fn bulk(&mut self, length: i64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let text = self.rest.get(..length).ok_or_else(malformed)?;
        self.rest = self.rest.get(length + 2..).ok_or_else(malformed)?;
        Ok(text)
    }
}

fn malformed() -> Error {
    Error::runtime("a command returned an invalid reply")
}

/// Adds the code `ERR` to an error of one word, as Redis does.
fn with_code(line: &[u8]) -> Vec<u8> {
    match line.contains(&b' ') {
        true => line.to_vec(),
        false => [b"ERR ", line].concat(),
    }
}

/// The encoded result of a script.
pub(super) struct Returned {
    pub(super) bytes: Vec<u8>,
    /// The start of its error text, unless a command has counted the error already.
    pub(super) error: Option<Vec<u8>>,
}

/// The protocol versions that decide the form of a result.
#[derive(Clone, Copy)]
pub(super) struct Protocols {
    /// The version of the client.
    pub(super) client: Protocol,
    /// The version that the script set.
    pub(super) script: Protocol,
}

/// Encodes the result of a script for its client.
pub(super) fn to_reply(lua: &Lua, value: Value, protocols: Protocols) -> Result<Returned> {
    let mut writer = Writer {
        lua,
        protocols,
        out: Buffer::new(lua),
        error: None,
        path: None,
        patience: Patience::default(),
    };
    writer.value(value, 1)?;
    Ok(Returned { bytes: writer.out.into_vec(), error: writer.error })
}

/// Writes a reply.
struct Writer<'a> {
    lua: &'a Lua,
    protocols: Protocols,
    out: Buffer<'a>,
    error: Option<Vec<u8>>,
    /// The tables around the current one that are nested [deeply](DEPTH_HELD_MAX), by depth.
    path: Option<Table>,
    patience: Patience,
}

impl Writer<'_> {
    fn value(&mut self, value: Value, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            let text = b"ERR reached lua stack limit";
            write::line(self.out.room(write::HEAD_BYTES + text.len())?, b'-', text);
            return Ok(());
        }
        self.patience.steps(self.lua, 1)?;
        let Protocols { client, script } = self.protocols;
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                reply::bulk(self.out.room(write::HEAD_BYTES + text.len())?, &text);
            }
            Value::Integer(value) => self.integer(value)?,
            Value::Number(value) => self.integer(number::to_integer(value))?,
            Value::Boolean(true) if script == Protocol::Resp2 => self.integer(1)?,
            Value::Boolean(false) if script == Protocol::Resp2 => self.null()?,
            Value::Boolean(value) => match client {
                Protocol::Resp2 => self.integer(value.into())?,
                Protocol::Resp3 => {
                    let out = self.out.room(write::HEAD_BYTES)?;
                    write::line(out, b'#', if value { b"t" } else { b"f" });
                }
            },
            Value::Table(table) => self.table(table, depth)?,
            _ => self.null()?,
        }
        Ok(())
    }

    fn table(&mut self, table: Table, depth: usize) -> Result<()> {
        if let Value::String(error) = table.raw_get("err")? {
            let error = error.as_bytes();
            let error = until_nul(&error);
            let is_counted: Value = table.get("ignore_error_stats_update")?;
            if !matches!(is_counted, Value::Boolean(true)) {
                self.error = Some(crate::start_of(error));
            }
            write::line(self.out.room(write::HEAD_BYTES + error.len())?, b'-', error);
        } else if let Value::String(status) = table.raw_get("ok")? {
            let status = status.as_bytes();
            let status = until_nul(&status);
            write::line(self.out.room(write::HEAD_BYTES + status.len())?, b'+', status);
        } else if let Some(value) = as_number(&table.raw_get("double")?) {
            write::double(self.out.room(write::HEAD_BYTES)?, self.protocols.client, value);
        } else if let Value::String(digits) = table.raw_get("big_number")? {
            let digits = digits.as_bytes();
            let out = self.out.room(write::HEAD_BYTES + digits.len())?;
            match self.protocols.client {
                Protocol::Resp2 => {
                    reply::bulk_header(out, digits.len());
                    write::one_line(out, &digits);
                    out.extend_from_slice(b"\r\n");
                }
                Protocol::Resp3 => write::line(out, b'(', &digits),
            }
        } else if let Some((format, text)) = verbatim(&table)? {
            let (format, text) = (format.as_bytes(), text.as_bytes());
            let out = self.out.room(write::HEAD_BYTES + text.len())?;
            match self.protocols.client {
                Protocol::Resp2 => reply::bulk(out, &text),
                Protocol::Resp3 => write::verbatim(out, &format, &text),
            }
        } else if let Value::Table(map) = table.raw_get("map")? {
            drop(table);
            self.map(map, depth)?;
        } else if let Value::Table(set) = table.raw_get("set")? {
            drop(table);
            self.set(set, depth)?;
        } else {
            self.array(table, depth)?;
        }
        Ok(())
    }

    /// Writes an array, which ends before its first nil.
    fn array(&mut self, table: Table, depth: usize) -> Result<()> {
        let mut length = 0;
        while !table.raw_get::<Value>(length + 1)?.is_nil() {
            length += 1;
        }
        write::header(self.out.room(write::HEAD_BYTES)?, b'*', length);
        self.items(table, length, depth, |_| 1)
    }

    fn map(&mut self, map: Table, depth: usize) -> Result<()> {
        let map = Fronts::of(self.lua).real(map);
        let items = self.lua.create_table()?;
        let mut length = 0;
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            items.raw_set(length + 1, key)?;
            items.raw_set(length + 2, value)?;
            length += 2;
        }
        drop(map);
        match self.protocols.client {
            Protocol::Resp2 => write::header(self.out.room(write::HEAD_BYTES)?, b'*', length),
            Protocol::Resp3 => write::header(self.out.room(write::HEAD_BYTES)?, b'%', length / 2),
        }
        self.items(items, length, depth, |index| if index % 2 == 1 { 4 } else { 3 })
    }

    fn set(&mut self, set: Table, depth: usize) -> Result<()> {
        let set = Fronts::of(self.lua).real(set);
        let items = self.lua.create_table()?;
        let mut length = 0;
        for pair in set.pairs::<Value, Value>() {
            length += 1;
            items.raw_set(length, pair?.0)?;
        }
        drop(set);
        let kind = if self.protocols.client == Protocol::Resp2 { b'*' } else { b'~' };
        write::header(self.out.room(write::HEAD_BYTES)?, kind, length);
        self.items(items, length, depth, |_| 3)
    }

    /// Writes the items of a table. `deeper` returns how much an item adds to the depth.
    fn items(
        &mut self,
        table: Table,
        length: usize,
        depth: usize,
        deeper: fn(usize) -> usize,
    ) -> Result<()> {
        if depth <= DEPTH_HELD_MAX {
            for index in 1..=length {
                self.value(table.raw_get(index)?, depth + deeper(index))?;
            }
            return Ok(());
        }
        self.path()?.raw_set(depth, table)?;
        for index in 1..=length {
            let item = self.path()?.raw_get::<Table>(depth)?.raw_get(index)?;
            self.value(item, depth + deeper(index))?;
        }
        self.path()?.raw_set(depth, Value::Nil)
    }

    fn path(&mut self) -> Result<&Table> {
        let made = match self.path.take() {
            Some(path) => path,
            None => self.lua.create_table()?,
        };
        Ok(self.path.insert(made))
    }

    fn integer(&mut self, value: i64) -> Result<()> {
        let out = self.out.room(write::HEAD_BYTES)?;
        write::line(out, b':', itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn null(&mut self) -> Result<()> {
        self.out.extend(match self.protocols.client {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        })
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Number(value) => Some(*value),
        _ => None,
    }
}

/// Returns format and text if the table is a verbatim string.
fn verbatim(table: &Table) -> Result<Option<(LuaString, LuaString)>> {
    let Value::Table(parts) = table.raw_get("verbatim_string")? else { return Ok(None) };
    match (parts.raw_get("format")?, parts.raw_get("string")?) {
        (Value::String(format), Value::String(text)) => Ok(Some((format, text))),
        _ => Ok(None),
    }
}

/// Returns the text up to its first NUL, where it ends for C.
fn until_nul(text: &[u8]) -> &[u8] {
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}
