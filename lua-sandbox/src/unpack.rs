//! `unpack` with checked arithmetic. The original overflows on large indices.
//!
//! mlua can hold few more values than a list may have items. So each item stays in its list until it
//! is returned.

use std::rc::Rc;

use mlua::{IntoLua, Lua, Result, Table, Value, Variadic};

use super::arguments::Arguments;
use super::failure::error;

/// Maximum values of a function on Lua's stack (`LUAI_MAXCSTACK`), including its arguments.
const STACK_SLOTS_MAX: i64 = 8000;
/// Values that mlua adds to them.
const SLOTS_OF_MLUA: i64 = 3;

/// An item of a list, read when it is returned.
pub(super) struct Item {
    list: Rc<Table>,
    index: i64,
}

/// `unpack(list [, i [, j]])`
pub(super) fn unpack(lua: &Lua, given: &Arguments<'_>) -> Result<Variadic<Item>> {
    let list = given.table(1)?;
    let first: i64 = if given.is_nil(2) { 1 } else { given.int(2)?.into() };
    let last = match given.is_nil(3) {
        true => i64::try_from(list.raw_len()).unwrap_or(i64::MAX),
        false => given.int(3)?.into(),
    };
    let used = i64::try_from(given.len()).unwrap_or(i64::MAX).saturating_add(SLOTS_OF_MLUA);
    if last - first >= STACK_SLOTS_MAX.saturating_sub(used) {
        return Err(error(lua, "too many results to unpack"));
    }
    let list = Rc::new(list);
    Ok((first..=last).map(|index| Item { list: list.clone(), index }).collect())
}

impl IntoLua for Item {
    fn into_lua(self, _: &Lua) -> Result<Value> {
        self.list.raw_get(self.index)
    }
}
