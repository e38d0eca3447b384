//! The Lua sandbox (crate `lua-sandbox`) for the scripts of this broker.

use std::cell::RefCell;
use std::rc::Rc;

pub(crate) use lua_sandbox::{
    Commands, Level, Parameters as Given, STACK_BYTES, ScriptReply as Answered,
};

use super::cache::Script;
use crate::protocol::Protocol;
use crate::version::REDIS_VERSION;

/// Runs scripts, one at a time.
pub(crate) struct Vm(lua_sandbox::Vm);

impl Vm {
    pub(crate) fn new(server: Rc<RefCell<dyn Commands>>) -> Result<Self, lua_sandbox::Unavailable> {
        lua_sandbox::Vm::new(server, REDIS_VERSION).map(Self)
    }

    /// Compiles a script, unless it is compiled already.
    ///
    /// # Errors
    ///
    /// Returns the text of Redis' error reply.
    pub(crate) fn compile(&mut self, script: &Script) -> Result<(), Vec<u8>> {
        self.0.compile(source(script))
    }

    /// Runs a script for a client with that protocol version.
    pub(crate) fn run(&mut self, script: &Script, given: &Given, client: Protocol) -> Answered {
        self.0.run(source(script), given, client)
    }

    /// Returns the memory that Lua takes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.0.used_bytes()
    }
}

fn source(script: &Script) -> lua_sandbox::Script<'_> {
    lua_sandbox::Script { sha: script.sha.as_bytes(), code: script.code() }
}
