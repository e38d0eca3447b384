//! Arguments of library functions, checked in the way of Lua's auxiliary library.

use mlua::{Error, Function, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value};

use super::failure::{argument_error, type_error};
use super::number;

/// The arguments of a call, by position from one on.
pub(super) struct Arguments<'a> {
    lua: &'a Lua,
    values: Vec<Value>,
}

/// Adds a function of this crate to a library.
pub(super) fn function<R: IntoLuaMulti>(
    lua: &Lua,
    library: &Table,
    name: &str,
    call: impl Fn(&Lua, Arguments<'_>) -> Result<R> + 'static,
) -> Result<()> {
    library.raw_set(name, anonymous(lua, call)?)
}

/// Creates a function of this crate.
pub(super) fn anonymous<R: IntoLuaMulti>(
    lua: &Lua,
    call: impl Fn(&Lua, Arguments<'_>) -> Result<R> + 'static,
) -> Result<Function> {
    lua.create_function(move |lua, values: MultiValue| {
        call(lua, Arguments { lua, values: values.into_iter().collect() })
    })
}

impl Arguments<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn push(&mut self, value: Value) {
        self.values.push(value);
    }

    pub(super) fn get(&self, number: usize) -> Option<&Value> {
        self.values.get(number - 1)
    }

    /// Returns the argument, or nil if there is none.
    pub(super) fn value(&self, number: usize) -> Value {
        self.get(number).cloned().unwrap_or(Value::Nil)
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// Returns whether the argument is missing or nil.
    pub(super) fn is_nil(&self, number: usize) -> bool {
        matches!(self.get(number), None | Some(Value::Nil))
    }

    pub(super) fn string(&self, number: usize) -> Result<LuaString> {
        match string(self.lua, self.get(number))? {
            Some(text) => Ok(text),
            None => Err(type_error(self.lua, number, "string", self.get(number))),
        }
    }

    pub(super) fn number(&self, number: usize) -> Result<f64> {
        match self.as_number(number)? {
            Some(value) => Ok(value),
            None => Err(type_error(self.lua, number, "number", self.get(number))),
        }
    }

    /// Returns a number, also from the text of one, or `None` for other values.
    pub(super) fn as_number(&self, number: usize) -> Result<Option<f64>> {
        self.lua.coerce_number(self.value(number))
    }

    pub(super) fn integer(&self, number: usize) -> Result<i64> {
        self.number(number).map(number::to_integer)
    }

    /// Converts a number as a cast to C's `int` does.
    pub(super) fn int(&self, number: usize) -> Result<i32> {
        // The cast keeps the low bits.
        self.integer(number).map(|value| value as i32)
    }

    pub(super) fn integer_or(&self, number: usize, default: i64) -> Result<i64> {
        if self.is_nil(number) { Ok(default) } else { self.integer(number) }
    }

    pub(super) fn table(&self, number: usize) -> Result<Table> {
        match self.get(number) {
            Some(Value::Table(table)) => Ok(table.clone()),
            other => Err(type_error(self.lua, number, "table", other)),
        }
    }

    pub(super) fn error(&self, number: usize, text: &str) -> Error {
        argument_error(self.lua, number, text)
    }
}

/// Returns a string or the text of a number, or `None` for other values.
pub(super) fn string(lua: &Lua, value: Option<&Value>) -> Result<Option<LuaString>> {
    let text = match value {
        Some(Value::String(text)) => return Ok(Some(text.clone())),
        Some(Value::Integer(value)) => number::format(*value as f64, number::SHOWN_DIGITS),
        Some(Value::Number(value)) => number::format(*value, number::SHOWN_DIGITS),
        _ => return Ok(None),
    };
    lua.create_string(text).map(Some)
}
