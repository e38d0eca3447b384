//! `string`, whose patterns cannot exhaust our stack.
//!
//! Lua 5.1 matches an item of a pattern by calling itself, however many there are. So a pattern has
//! an end here, far beyond what anybody writes.

use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, function};
use super::failure::{Thrown, argument_error, error};

const PATTERN_BYTES_MAX: usize = 10_000;

/// What Lua's own functions say of a pattern. Called by us, they cannot say where it stands.
const THEIRS: [&str; 6] = [
    "malformed pattern",
    "missing '[' after",
    "unfinished capture",
    "invalid ",
    "too many captures",
    "pattern too ",
];

/// Replaces the functions that take patterns.
pub(super) fn library(lua: &Lua, string: Table, original: &Table) -> Result<Table> {
    let pcall: Function = original.raw_get("pcall")?;
    for name in ["find", "match", "gmatch", "gfind", "gsub"] {
        let Value::Function(raw) = string.raw_get(name)? else { continue };
        let pcall = pcall.clone();
        let replaces = name == "gsub";
        function(lua, &string, name, move |lua, given| {
            check(lua, &given, replaces)?;
            let mut values = given.into_values();
            values.insert(0, Value::Function(raw.clone()));
            let mut results = pcall.call::<MultiValue>(MultiValue::from_vec(values))?;
            match results.pop_front() {
                Some(Value::Boolean(true)) => Ok(results),
                _ => Err(rethrown(lua, results.pop_front().unwrap_or(Value::Nil))?),
            }
        })?;
    }
    Ok(string)
}

/// Looks at the arguments as Lua's functions do, since these do not know their caller.
fn check(lua: &Lua, given: &Arguments<'_>, replaces: bool) -> Result<()> {
    given.string(1)?;
    let pattern = given.string(2)?;
    if pattern.as_bytes().len() > PATTERN_BYTES_MAX {
        return Err(error(lua, "pattern too long"));
    }
    if replaces {
        let is_usable = matches!(
            given.get(3),
            Some(
                Value::String(_)
                    | Value::Integer(_)
                    | Value::Number(_)
                    | Value::Table(_)
                    | Value::Function(_)
            )
        );
        if !is_usable {
            return Err(argument_error(lua, 3, "string/function/table expected"));
        }
    }
    Ok(())
}

/// The error of one of Lua's functions, or of what a script let them call.
fn rethrown(lua: &Lua, thrown: Value) -> Result<Error> {
    if let Value::Error(error) = thrown {
        return Ok(*error);
    }
    let is_theirs = |text: &LuaString| {
        let text = text.as_bytes();
        THEIRS.iter().any(|start| text.starts_with(start.as_bytes()))
    };
    Ok(match &thrown {
        Value::String(text) if is_theirs(text) => error(lua, &*text.as_bytes()),
        _ => Thrown::Value(thrown).into(),
    })
}
