//! `string.rep` with a limit, and the functions that copy a whole text. Lua's own ones run in C,
//! where no hook runs; the original `rep` loops as often as its argument asks, even for an empty
//! text.

use mlua::{Lua, LuaString, Result, Table};

use super::account::{Buffer, MEMORY_BYTES_MAX, out_of_memory};
use super::arguments::{Arguments, function};
use super::limits::Patience;

/// Replaces the functions.
pub(super) fn library(lua: &Lua, string: &Table) -> Result<()> {
    function(lua, string, "rep", |lua, given| repeated(lua, &given))?;
    function(lua, string, "lower", |lua, given| copied(lua, &given, <[u8]>::make_ascii_lowercase))?;
    function(lua, string, "upper", |lua, given| copied(lua, &given, <[u8]>::make_ascii_uppercase))?;
    function(lua, string, "reverse", |lua, given| copied(lua, &given, <[u8]>::reverse))
}

/// Returns a changed copy of a text.
fn copied(lua: &Lua, given: &Arguments<'_>, change: fn(&mut [u8])) -> Result<LuaString> {
    let text = given.string(1)?;
    let text = text.as_bytes();
    Patience::default().steps(lua, text.len())?;
    let mut out = Buffer::new(lua);
    let room = out.room(text.len())?;
    room.extend_from_slice(&text);
    change(room);
    out.into_string()
}

/// `string.rep(text, count)`
fn repeated(lua: &Lua, given: &Arguments<'_>) -> Result<LuaString> {
    let (text, count) = (given.string(1)?, given.int(2)?);
    let text = text.as_bytes();
    let count = usize::try_from(count).unwrap_or(0);
    let length = text.len().checked_mul(count).filter(|&length| length <= MEMORY_BYTES_MAX);
    let length = length.ok_or_else(out_of_memory)?;
    Patience::default().steps(lua, length)?;
    let mut out = Buffer::new(lua);
    let room = out.room(length)?;
    if length > 0 {
        room.extend_from_slice(&text);
    }
    while room.len() < length {
        let copied = room.len().min(length - room.len());
        room.extend_from_within(..copied);
    }
    out.into_string()
}
