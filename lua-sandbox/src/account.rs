//! The memory of scripts: values of Lua and buffers of Rust, within one limit.
//!
//! mlua counts the memory of Lua. An [`Account`] adds the buffers of this crate, which are charged
//! before they grow, and lowers the limit of Lua by their sum. A script that exceeds the limit fails
//! with Lua's own error, `not enough memory`.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use mlua::{Error, Lua, LuaString, Result};

use super::limits::check_script;

/// Maximum memory of all scripts of a [`Vm`](crate::Vm) together.
pub(super) const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The memory of scripts beyond that of Lua.
#[derive(Clone, Default)]
pub(super) struct Account(Rc<State>);

#[derive(Default)]
struct State {
    /// Bytes of all buffers of Rust.
    charged: Cell<usize>,
    /// Whether the limit applies to Lua at the moment.
    limits_lua: Cell<bool>,
}

impl Account {
    /// Returns the account of the scripts in `lua`.
    pub(super) fn of(lua: &Lua) -> Self {
        lua.app_data_ref::<Self>().map(|account| account.clone()).unwrap_or_default()
    }

    /// Runs `work` with the limit applied to Lua.
    ///
    /// With a limit mlua protects each of its calls into Lua, which triples their cost. So the limit
    /// applies while a script runs, but not around it.
    pub(super) fn limited<R>(&self, lua: &Lua, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.with_limit(lua, true, work)
    }

    /// Runs `work` inside a script without the limit. The caller checks beforehand that the memory
    /// [fits](Self::fits).
    pub(super) fn unlimited<R>(&self, lua: &Lua, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.with_limit(lua, false, work)
    }

    fn with_limit<R>(
        &self,
        lua: &Lua,
        limits: bool,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let before = self.0.limits_lua.replace(limits);
        let done = self.apply(lua).and_then(|()| work());
        self.0.limits_lua.set(before);
        self.apply(lua)?;
        done
    }

    /// Returns whether `bytes` more stay within the limit.
    pub(super) fn fits(&self, lua: &Lua, bytes: usize) -> bool {
        let used = lua.used_memory().saturating_add(self.0.charged.get());
        used.saturating_add(bytes) <= MEMORY_BYTES_MAX
    }

    /// Checks that `bytes` more stay within the limit, if necessary after a garbage collection.
    pub(super) fn check(&self, lua: &Lua, bytes: usize) -> Result<()> {
        if self.fits(lua, bytes) {
            return Ok(());
        }
        // Lua 5.1 does not collect garbage when memory runs out.
        lua.gc_collect()?;
        check_script(lua)?;
        match self.fits(lua, bytes) {
            true => Ok(()),
            false => Err(out_of_memory()),
        }
    }

    /// Charges `bytes` until the result is dropped.
    pub(super) fn charge<'a>(&self, lua: &'a Lua, bytes: usize) -> Result<Charge<'a>> {
        let mut charge = Charge { lua, account: self.clone(), bytes: 0 };
        charge.raise(bytes)?;
        Ok(charge)
    }

    fn apply(&self, lua: &Lua) -> Result<()> {
        let limit = match self.0.limits_lua.get() {
            // Zero means no limit to mlua.
            true => MEMORY_BYTES_MAX.saturating_sub(self.0.charged.get()).max(1),
            false => 0,
        };
        lua.set_memory_limit(limit).map(drop)
    }
}

/// A part of an [`Account`], which ends with this value.
pub(super) struct Charge<'a> {
    lua: &'a Lua,
    account: Account,
    bytes: usize,
}

impl Charge<'_> {
    /// Raises the charge to `bytes`.
    fn raise(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        self.account.check(self.lua, more)?;
        self.set(self.bytes + more);
        Ok(())
    }

    fn set(&mut self, bytes: usize) {
        let charged = &self.account.0.charged;
        charged.set(charged.get() - self.bytes + bytes);
        self.bytes = bytes;
        // Fails only without mlua's own allocator, which counts the memory of Lua.
        let _ = self.account.apply(self.lua);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Bytes that a script produces. Each growth is charged before it happens.
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    charge: Charge<'a>,
}

impl<'a> Buffer<'a> {
    pub(super) fn new(lua: &'a Lua) -> Self {
        let charge = Charge { lua, account: Account::of(lua), bytes: 0 };
        Self { bytes: Vec::new(), charge }
    }

    /// Returns the bytes with room for `more`, which the caller may append.
    pub(super) fn room(&mut self, more: usize) -> Result<&mut Vec<u8>> {
        /// Buffers up to this size are not charged.
        const FREE_BYTES: usize = 4096;

        let needed = self.bytes.len().saturating_add(more);
        if needed > self.bytes.capacity() {
            // The old and the new memory exist together for a moment. Only the used part of the new
            // one is resident then, so with a factor of two the new size covers both.
            let capacity = needed.max(2 * self.bytes.capacity());
            if capacity > FREE_BYTES {
                self.charge.raise(capacity)?;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        Ok(&mut self.bytes)
    }

    pub(super) fn push(&mut self, byte: u8) -> Result<()> {
        self.room(1)?.push(byte);
        Ok(())
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        self.room(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }

    /// Copies the bytes to a string of Lua.
    pub(super) fn into_string(mut self) -> Result<LuaString> {
        let lua = self.charge.lua;
        if self.charge.bytes > 0 {
            // Spare capacity was never used, so it is not resident.
            self.charge.set(self.bytes.len());
            self.charge.account.check(lua, self.bytes.len())?;
        }
        lua.create_string(&self.bytes)
    }

    /// Returns the bytes, which no longer count.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns Lua's error for a script that exceeds its memory.
pub(super) fn out_of_memory() -> Error {
    Error::MemoryError("not enough memory".to_owned())
}
