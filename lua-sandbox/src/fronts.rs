//! Tables that scripts can read and not change.
//!
//! Redis' own Lua knows such tables; ours does not. What scripts see in their place is a **front**:
//! an empty table that finds everything in the real one and refuses to be written. Whatever would
//! look behind it (`rawget`, `pairs`), or would write to it all the same (`rawset`, `table.insert`),
//! is ours and asks here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

use mlua::{Error, Lua, MultiValue, Result, Table};

use super::failure::{Thrown, error};

/// What Redis says where a script writes to a table that is not for it to change.
const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// The fronts of one place for scripts.
#[derive(Clone, Default)]
pub(super) struct Fronts(Rc<RefCell<HashMap<*const c_void, Pair>>>);

/// Held for ever, so that no other table gets the address of the front.
struct Pair {
    front: Table,
    real: Table,
}

impl Fronts {
    /// Returns those of the place where the script of the moment runs.
    pub(super) fn of(lua: &Lua) -> Self {
        lua.app_data_ref::<Self>().map(|fronts| fronts.clone()).unwrap_or_default()
    }

    /// Returns what scripts see in place of a table that they must not change.
    pub(super) fn front(&self, lua: &Lua, real: &Table) -> Result<Table> {
        if let Some(known) = self.0.borrow().values().find(|known| known.real == *real) {
            return Ok(known.front.clone());
        }
        let front = lua.create_table()?;
        let rules = lua.create_table()?;
        rules.raw_set("__index", real)?;
        let refuse = |lua: &Lua, _: MultiValue| -> Result<()> { Err(error(lua, READ_ONLY)) };
        rules.raw_set("__newindex", lua.create_function(refuse)?)?;
        front.set_metatable(Some(rules))?;
        let pair = Pair { front: front.clone(), real: real.clone() };
        self.0.borrow_mut().insert(front.to_pointer(), pair);
        Ok(front)
    }

    /// Returns what stands behind a front; nothing for any other table.
    pub(super) fn behind(&self, table: &Table) -> Option<Table> {
        self.0.borrow().get(&table.to_pointer()).map(|pair| pair.real.clone())
    }

    /// Returns the table that holds what a script finds in this one.
    pub(super) fn real(&self, table: Table) -> Table {
        self.behind(&table).unwrap_or(table)
    }

    /// Refuses a table that must not be changed, where Lua would do so without a place.
    pub(super) fn check_writable(&self, table: &Table) -> Result<()> {
        match self.0.borrow().contains_key(&table.to_pointer()) {
            true => Err(Error::from(Thrown::Text(READ_ONLY.to_vec()))),
            false => Ok(()),
        }
    }
}
