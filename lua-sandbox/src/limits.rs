//! The limits of a script: its memory, and how long work of ours may go on without a look at it.

use mlua::{Error, Lua, Result};

use super::commands::Server;
use super::failure::Thrown;

/// What scripts may hold in all.
pub(super) const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Does what is ours to do in the middle of a script, without the script's limit of memory.
pub(super) fn without_limit<R>(lua: &Lua, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let limit = lua.set_memory_limit(0)?;
    let done = work();
    lua.set_memory_limit(limit)?;
    done
}

/// Refuses a text of ours that the script's memory will have no room for.
pub(super) fn check_room(lua: &Lua, bytes: usize) -> Result<()> {
    match lua.used_memory().saturating_add(bytes) > MEMORY_BYTES_MAX {
        true => Err(Error::MemoryError("not enough memory".to_owned())),
        false => Ok(()),
    }
}

/// Says that a script is to end, wherever it may be.
pub(super) fn check_alive(server: &Server) -> Result<()> {
    // A command that is running looks by itself.
    match server.try_borrow() {
        Ok(server) if !server.may_go_on() => Err(Error::from(Thrown::Killed)),
        _ => Ok(()),
    }
}

/// Asks now and then whether the script may go on, in work of ours that no hook interrupts.
#[derive(Default)]
pub(super) struct Patience {
    steps: usize,
}

impl Patience {
    /// Counts so many values or bytes.
    pub(super) fn steps(&mut self, lua: &Lua, count: usize) -> Result<()> {
        const STEPS: usize = 10_000;

        self.steps += count;
        if self.steps < STEPS {
            return Ok(());
        }
        self.steps = 0;
        let server = lua.app_data_ref::<Server>().map(|server| server.clone());
        server.map_or(Ok(()), |server| check_alive(&server))
    }
}
