//! `table`, as far as it must know [`Fronts`].
//!
//! To all other functions a front is a list without items, as what stands behind it would be.

use mlua::{Function, Lua, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, function};
use super::failure::{error, type_error};
use super::fronts::Fronts;

/// Replaces the functions that write to a table, or see all that is in it.
pub(super) fn library(lua: &Lua, table: Table, fronts: &Fronts) -> Result<Table> {
    let (known, raw) = (fronts.clone(), table.raw_get::<Function>("insert")?);
    function(lua, &table, "insert", move |lua, given| insert(lua, given, &known, &raw))?;
    let (known, raw) = (fronts.clone(), table.raw_get::<Function>("foreach")?);
    let walked = super::arguments::anonymous(lua, move |lua, given| walked(lua, &given, &known))?;
    // Whatever the script's function throws must pass through Lua, not through us.
    let code = "local walked, foreach = ...
                return function(...) return foreach(walked(...)) end";
    let foreach = lua.load(code).set_name("=prelude").into_function()?;
    table.raw_set("foreach", foreach.call::<Function>((walked, raw))?)?;
    Ok(table)
}

/// `table.insert(table, [position,] value)`
fn insert(lua: &Lua, given: Arguments<'_>, fronts: &Fronts, raw: &Function) -> Result<()> {
    let table = given.table(1)?;
    match given.len() {
        2 => {}
        3 => drop(given.int(2)?),
        _ => return Err(error(lua, "wrong number of arguments to 'insert'")),
    }
    fronts.check_writable(&table)?;
    raw.call(MultiValue::from_vec(given.into_values()))
}

/// The arguments of `table.foreach(table, function)`, with the table that holds what is in it.
fn walked(lua: &Lua, given: &Arguments<'_>, fronts: &Fronts) -> Result<(Table, Function)> {
    let table = given.table(1)?;
    match given.get(2) {
        Some(Value::Function(function)) => Ok((fronts.real(table), function.clone())),
        other => Err(type_error(lua, 2, "function", other)),
    }
}
