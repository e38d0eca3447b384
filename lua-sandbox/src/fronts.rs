//! Read-only tables.
//!
//! Redis' modified Lua has read-only tables; plain Lua 5.1 has none. A **front** replaces such a
//! table: it is empty, its metatable reads from the real table and refuses writes. Functions that
//! bypass a metatable (`rawget`, `pairs`, `rawset`, `table.insert`) are in this crate and check for
//! fronts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

use mlua::{Error, Lua, MultiValue, Result, Table};

use super::failure::{Thrown, error};

/// Redis' error for a write to a read-only table.
const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// The fronts of a sandbox.
#[derive(Clone, Default)]
pub(super) struct Fronts(Rc<RefCell<HashMap<*const c_void, Pair>>>);

/// A front and its table. Both live as long as the sandbox, so no other table gets the address of
/// the front.
struct Pair {
    front: Table,
    real: Table,
}

impl Fronts {
    /// Returns the fronts of the sandbox that `lua` belongs to.
    pub(super) fn of(lua: &Lua) -> Self {
        lua.app_data_ref::<Self>().map(|fronts| fronts.clone()).unwrap_or_default()
    }

    /// Returns the front of a table; creates it if necessary.
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

    /// Returns the table behind a front, or `None` for other tables.
    pub(super) fn behind(&self, table: &Table) -> Option<Table> {
        self.0.borrow().get(&table.to_pointer()).map(|pair| pair.real.clone())
    }

    /// Returns the table behind a front, or the table itself.
    pub(super) fn real(&self, table: Table) -> Table {
        self.behind(&table).unwrap_or(table)
    }

    /// Refuses a front, with an error without a position.
    pub(super) fn check_writable(&self, table: &Table) -> Result<()> {
        match self.0.borrow().contains_key(&table.to_pointer()) {
            true => Err(Error::from(Thrown::Text(READ_ONLY.to_vec()))),
            false => Ok(()),
        }
    }
}
