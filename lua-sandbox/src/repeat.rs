//! `string.rep` with a limit. The original loops as often as its argument asks, even for an empty
//! text.

use mlua::{Lua, LuaString, Result, Table};

use super::account::{Buffer, MEMORY_BYTES_MAX, out_of_memory};
use super::arguments::{Arguments, function};
use super::limits::Patience;

/// Replaces the function.
pub(super) fn library(lua: &Lua, string: &Table) -> Result<()> {
    function(lua, string, "rep", |lua, given| repeated(lua, &given))
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
