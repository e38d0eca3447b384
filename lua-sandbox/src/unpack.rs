//! `unpack` with checked arithmetic. The original overflows on large indices.

use mlua::{Function, Lua, Result, Table};

use super::arguments::{Arguments, anonymous};
use super::failure::error;

/// Maximum values of a function on Lua's stack (`LUAI_MAXCSTACK`), including its arguments.
const STACK_SLOTS_MAX: i64 = 8000;

/// Returns the function. It calls Lua's own one after a check, so all results stay on Lua's stack:
/// mlua can hold few more values than a list may have items.
pub(super) fn function(lua: &Lua, original: &Table) -> Result<Function> {
    let check = anonymous(lua, |lua, given| check(lua, &given))?;
    let code = "local check, unpack = ... return function(...) check(...) return unpack(...) end";
    let code = lua.load(code).set_name("=prelude").into_function()?;
    code.call((check, original.raw_get::<Function>("unpack")?))
}

/// Checks the arguments of `unpack(list [, i [, j]])`.
fn check(lua: &Lua, given: &Arguments<'_>) -> Result<()> {
    let list = given.table(1)?;
    let first: i64 = if given.is_nil(2) { 1 } else { given.int(2)?.into() };
    let last = match given.is_nil(3) {
        true => i64::try_from(list.raw_len()).unwrap_or(i64::MAX),
        false => given.int(3)?.into(),
    };
    let used = i64::try_from(given.len()).unwrap_or(i64::MAX);
    match last - first >= STACK_SLOTS_MAX.saturating_sub(used) {
        true => Err(error(lua, "too many results to unpack")),
        false => Ok(()),
    }
}
