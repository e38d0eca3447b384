//! Interrupts scripts, in functions of this crate too.
//!
//! A hook checks a script every some thousand instructions of Lua. Functions that run longer than
//! that call [`check_alive`] or count their [steps](Patience).

use mlua::{Error, Lua, Result};

use super::commands::Server;
use super::failure::Thrown;

/// Fails if the script is to end (`SCRIPT KILL`).
pub(super) fn check_alive(server: &Server) -> Result<()> {
    // While a command runs, the command itself checks.
    match server.try_borrow() {
        Ok(server) if !server.may_go_on() => Err(Error::from(Thrown::Killed)),
        _ => Ok(()),
    }
}

/// Fails if the script in `lua` is to end.
pub(super) fn check_script(lua: &Lua) -> Result<()> {
    let server = lua.app_data_ref::<Server>().map(|server| server.clone());
    server.map_or(Ok(()), |server| check_alive(&server))
}

/// Counts steps of work that no hook interrupts, and checks the script regularly.
#[derive(Default)]
pub(super) struct Patience {
    steps: usize,
}

impl Patience {
    /// Counts `count` values or bytes.
    pub(super) fn steps(&mut self, lua: &Lua, count: usize) -> Result<()> {
        /// Steps between two checks.
        const STEPS: usize = 10_000;

        self.steps += count;
        if self.steps < STEPS {
            return Ok(());
        }
        self.steps = 0;
        check_script(lua)
    }
}
