//! Functions that throw or catch errors, and coroutines.
//!
//! Functions that call those of a script are in `prelude.lua`, so that a script's errors do not pass
//! through Rust. All others are in Rust: after a tail call in Lua, the position of the caller is lost.

use mlua::{Error, Function, Lua, Result, Table, Value};

use super::account::Account;
use super::arguments::{Arguments, anonymous, function};
use super::commands::Server;
use super::failure::{self, Thrown, argument_error};
use super::fronts::Fronts;
use super::limits;

/// Adds the functions to the globals. Returns a function to call before each script.
pub(super) fn functions(
    lua: &Lua,
    original: &Table,
    globals: &Table,
    fronts: &Fronts,
    server: &Server,
) -> Result<Function> {
    let coroutine: Table = original.raw_get("coroutine")?;
    let alive = server.clone();
    let alive = anonymous(lua, move |_, _| limits::check_alive(&alive))?;
    let killer = server.clone();
    let seen = anonymous(lua, move |lua, given| {
        let error = given.value(1);
        if failure::is_kill(&error) {
            return Err(Thrown::Killed.into());
        }
        limits::check_alive(&killer)?;
        failure::visible(lua, error)
    })?;
    let refuse = anonymous(lua, |lua, given| -> Result<()> {
        let number = usize::try_from(given.integer(1)?).unwrap_or(1);
        Err(argument_error(lua, number, &*given.string(2)?.as_bytes()))
    })?;
    let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
    let raw = |name: &str| original.raw_get::<Value>(name);
    let made: (Function, Function, Function, Function, Function) = prelude.call((
        seen,
        alive,
        refuse,
        raw("pcall")?,
        raw("xpcall")?,
        raw("error")?,
        coroutine.raw_get::<Value>("resume")?,
        raw("select")?,
        raw("type")?,
    ))?;
    let (pcall, xpcall, resume, wrapped, begin) = made;
    globals.raw_set("pcall", pcall)?;
    globals.raw_set("xpcall", xpcall)?;
    function(lua, globals, "error", |lua, given| -> Result<()> { Err(thrown(lua, &given)?) })?;
    coroutine.raw_set("resume", resume)?;
    let create: Function = coroutine.raw_get("create")?;
    let creates = create.clone();
    function(lua, &coroutine, "wrap", move |lua, given| {
        let routine = creates.call::<Value>(written_in_lua(lua, &given)?)?;
        wrapped.call::<Function>(routine)
    })?;
    function(lua, &coroutine, "create", move |lua, given| {
        create.call::<Value>(written_in_lua(lua, &given)?)
    })?;
    globals.raw_set("coroutine", fronts.front(lua, &coroutine)?)?;
    Ok(begin)
}

/// Returns the error of `error(value [, level])`. A text starts with the position at that level.
fn thrown(lua: &Lua, given: &Arguments<'_>) -> Result<Error> {
    let level = if given.is_nil(2) { 1 } else { given.int(2)? };
    let level = usize::try_from(level).unwrap_or(0);
    match super::arguments::string(lua, given.get(1))? {
        Some(text) if level > 0 => {
            // The text exists twice until a handler takes it.
            Account::of(lua).check(lua, 2 * text.as_bytes().len())?;
            let place = failure::place(lua, level);
            Ok(Thrown::Text([place.as_bytes(), &*text.as_bytes()].concat()).into())
        }
        _ => Ok(Thrown::Value(given.value(1)).into()),
    }
}

/// Returns the function for a new coroutine. Refuses functions in C and those of this crate.
fn written_in_lua(lua: &Lua, given: &Arguments<'_>) -> Result<Function> {
    if let Some(Value::Function(function)) = given.get(1) {
        let info = function.info();
        if info.what != "C" && info.source.as_deref() != Some("=prelude") {
            return Ok(function.clone());
        }
    }
    Err(argument_error(lua, 1, "Lua function expected"))
}
