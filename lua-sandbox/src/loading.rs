//! Compiles scripts and the texts of `loadstring` and `load`. Refuses precompiled code.

use std::rc::Rc;

use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};

use super::account::Buffer;
use super::arguments::function;
use super::failure::{self, Thrown, type_error};
use super::limits::Patience;

/// Lua's compiler.
#[derive(Clone)]
pub(super) struct Loader(Rc<Function>);

impl Loader {
    /// Returns the compiler of Lua's own library.
    pub(super) fn new(original: &Table) -> Result<Self> {
        Ok(Self(Rc::new(original.raw_get("loadstring")?)))
    }

    /// Adds `loadstring` and `load` to the globals.
    pub(super) fn library(&self, lua: &Lua, globals: &Table) -> Result<()> {
        let loader = self.clone();
        function(lua, globals, "loadstring", move |lua, given| {
            let text = given.string(1)?;
            // `name` keeps its string alive: the parser of Lua 5.1 does not (CVE-2025-49844).
            let name = if given.is_nil(2) { text.clone() } else { given.string(2)? };
            let name = until_nul(lua, &name)?;
            loader.compile(lua, &text.as_bytes(), &name)
        })?;
        let loader = self.clone();
        function(lua, globals, "load", move |lua, given| {
            let name =
                if given.is_nil(2) { lua.create_string("=(load)")? } else { given.string(2)? };
            let Some(Value::Function(reader)) = given.get(1) else {
                return Err(type_error(lua, 1, "function", given.get(1)));
            };
            let name = until_nul(lua, &name)?;
            match read(lua, reader)? {
                Ok(text) => loader.compile(lua, &text, &name),
                Err(error) => Ok(MultiValue::from_vec(vec![Value::Nil, error])),
            }
        })
    }

    /// Returns a function, or nil and an error text.
    fn compile(&self, lua: &Lua, text: &[u8], name: &LuaString) -> Result<MultiValue> {
        // An escape character at the start marks precompiled code. After a blank it is a syntax
        // error.
        let text = match text.first() {
            Some(0x1b) => lua.create_string([b" ", text].concat())?,
            _ => lua.create_string(text)?,
        };
        self.0.call::<MultiValue>((text, name))
    }

    /// Compiles a script.
    ///
    /// # Errors
    ///
    /// Returns Lua's error text.
    pub(super) fn script(
        &self,
        lua: &Lua,
        text: &[u8],
        name: &str,
    ) -> std::result::Result<Function, Vec<u8>> {
        let compiled = lua.create_string(name).and_then(|name| self.compile(lua, text, &name));
        let values = compiled.map_err(|error| failure::message(&error).into_bytes())?;
        match (values.front(), values.get(1)) {
            (Some(Value::Function(function)), _) => Ok(function.clone()),
            (_, Some(Value::String(error))) => Err(error.as_bytes().to_vec()),
            _ => Err(b"not enough memory".to_vec()),
        }
    }
}

/// Collects the text from the reader of `load`. Returns the text or an error value.
fn read<'a>(lua: &'a Lua, reader: &Function) -> Result<std::result::Result<Buffer<'a>, Value>> {
    /// Steps that a call counts, since a reader in C runs no instruction of Lua.
    const STEPS_A_CALL: usize = 100;

    let (mut text, mut patience) = (Buffer::new(lua), Patience::default());
    // Precompiled code is refused, so the rest is not read.
    while text.first() != Some(&0x1b) {
        patience.steps(lua, STEPS_A_CALL)?;
        let part = match reader.call(()) {
            Ok(part) => part,
            Err(error) => return not_read(lua, error).map(Err),
        };
        if matches!(part, Value::Nil) {
            break;
        }
        match super::arguments::string(lua, Some(&part))? {
            Some(part) if part.as_bytes().is_empty() => break,
            Some(part) => text.extend(&part.as_bytes())?,
            None => {
                let message = lua.create_string("reader function must return a string")?;
                return Ok(Err(Value::String(message)));
            }
        }
    }
    Ok(Ok(text))
}

/// Returns the error value of `load` if its reader failed.
fn not_read(lua: &Lua, failed: Error) -> Result<Value> {
    let failed = Value::Error(Box::new(failed));
    match failure::is_kill(&failed) {
        true => Err(Thrown::Killed.into()),
        false => failure::visible(lua, failed),
    }
}

fn until_nul(lua: &Lua, text: &LuaString) -> Result<LuaString> {
    let bytes = text.as_bytes();
    match memchr::memchr(0, &bytes) {
        Some(end) => lua.create_string(&bytes[..end]),
        None => Ok(text.clone()),
    }
}
