//! `unpack`, whose original adds what a script gives it without a look at what an integer can hold.
//!
//! mlua holds hardly more values at a time than a list may have, so each item stays in its list until
//! it is its turn to be returned.

use std::rc::Rc;

use mlua::{IntoLua, Lua, Result, Table, Value, Variadic};

use super::arguments::Arguments;
use super::failure::error;

/// What a function may have on Lua's stack (`LUAI_MAXCSTACK`), with its arguments.
const STACK_SLOTS_MAX: i64 = 8000;
/// What mlua wants there beside the values that it returns.
const SLOTS_OF_MLUA: i64 = 3;

/// An item that is still in its list.
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
