//! Lua 5.1 as Redis lets scripts use it: the same libraries, limits and error texts.
//!
//! A [`Vm`] runs scripts one after another on one thread. It reaches the server only through the
//! trait [`Commands`]; `examples/run.rs` has the smallest implementation. Every script ends in a
//! reply, whether it succeeds, fails, is killed or exceeds its memory.
//!
//! Nothing that a script changes outlives it, except the settings of `cjson` and the state of
//! `math.random`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod api;
mod arguments;
mod bits;
mod catching;
mod commands;
mod convert;
mod failure;
mod fronts;
mod json;
mod limits;
mod loading;
mod msgpack;
mod number;
mod pack;
mod patterns;
mod repeat;
mod sandbox;
mod tables;
mod unpack;
mod uses;
mod write;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use mlua::{Error, Function, Table, Value};
use resp::Protocol;

use self::convert::{Protocols, Returned};
use self::sandbox::Sandbox;
use self::uses::Uses;

pub use self::commands::{Commands, Level};

/// Compiles and runs scripts.
pub struct Vm {
    sandbox: Sandbox,
    server: Rc<RefCell<dyn Commands>>,
    /// Compiled functions by the SHA1 of their scripts. A table holds them because mlua can hold
    /// some thousand values only.
    compiled: Table,
    /// The scripts in `compiled`.
    uses: Uses,
    /// Number of scripts run.
    ran: u32,
}

/// A script, with the name by which its errors and the cache of the [`Vm`] identify it.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The SHA1 of the text in hexadecimal, which is Redis' name of a script.
    pub sha: &'a [u8],
    /// The text without its first line if that starts with `#!`.
    pub code: &'a [u8],
}

/// The parameters of a script.
#[derive(Debug, Default)]
pub struct Parameters {
    /// The items of `KEYS`.
    pub keys: Vec<Vec<u8>>,
    /// The items of `ARGV`.
    pub arguments: Vec<Vec<u8>>,
}

/// The result of a script.
#[derive(Debug, PartialEq, Eq)]
pub struct ScriptReply {
    /// The reply, encoded for the protocol version of the client.
    pub reply: Vec<u8>,
    /// The start of an error reply's text, for the error statistics. `None` if a command of the script
    /// returned the error, since it is counted already.
    pub error: Option<Vec<u8>>,
    /// Whether the script failed.
    pub has_failed: bool,
}

/// Stack size of a thread or coroutine that runs a [`Vm`]. The deepest nesting that Lua permits
/// fits. The operating system provides pages only when they are used.
pub const STACK_BYTES: usize = 128 * 1024 * 1024;
/// Number of scripts between two steps of the garbage collector.
const SCRIPTS_BETWEEN_COLLECTIONS: u32 = 50;
/// With more memory in use after a script, a full collection runs.
const BYTES_KEPT_MAX: usize = 32 * 1024 * 1024;

/// Lua could not be started.
#[derive(Debug)]
pub struct Unavailable(Error);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start Lua: {}", self.0)
    }
}

impl std::error::Error for Unavailable {}

impl From<Error> for Unavailable {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Vm {
    /// Starts Lua with Redis' libraries.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no memory for it.
    pub fn new(
        server: Rc<RefCell<dyn Commands>>,
        redis_version: &str,
    ) -> Result<Self, Unavailable> {
        let sandbox = Sandbox::new(&server, redis_version)?;
        let compiled = sandbox.lua.create_table()?;
        Ok(Self { sandbox, server, compiled, uses: Uses::default(), ran: 0 })
    }

    /// Compiles a script and keeps the function for [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Returns the text of Redis' error reply if the script has a syntax error.
    pub fn compile(&mut self, script: Script<'_>) -> Result<(), Vec<u8>> {
        self.function(script).map(drop)
    }

    /// Returns the compiled function of a script.
    fn function(&mut self, script: Script<'_>) -> Result<Function, Vec<u8>> {
        let failed =
            |error: Vec<u8>| [&b"ERR Error compiling script (new function): "[..], &error].concat();
        let unkept = |error| failed(failure::message(&error).into_bytes());
        let name = self.sandbox.lua.create_string(script.sha).map_err(unkept)?;
        if let Some(function) = self.compiled.raw_get(&name).map_err(unkept)? {
            self.uses.record(script);
            return Ok(function);
        }
        // Compiled functions share their memory with running scripts, so few are kept.
        while let Some(oldest) = self.uses.oldest_beyond(script.code.len()) {
            let oldest = self.sandbox.lua.create_string(&*oldest).map_err(unkept)?;
            self.compiled.raw_set(oldest, mlua::Nil).map_err(unkept)?;
        }
        let function = self.sandbox.compile(script.code).map_err(failed)?;
        self.compiled.raw_set(name, &function).map_err(unkept)?;
        self.uses.record(script);
        Ok(function)
    }

    /// Runs a script and returns the reply for a client with the protocol version `client`.
    ///
    /// Compiles the script first if necessary. The calling thread needs [`STACK_BYTES`] of stack.
    pub fn run(&mut self, script: Script<'_>, given: &Parameters, client: Protocol) -> ScriptReply {
        let function = match self.function(script) {
            Ok(function) => function,
            Err(error) => return ScriptReply::failed(error),
        };
        let answered = match self.sandbox.run(&function, &given.keys, &given.arguments) {
            Ok(Ok(value)) => {
                let protocols = Protocols { client, script: self.server.borrow().protocol() };
                match convert::to_reply(&self.sandbox.lua, value, protocols) {
                    Ok(Returned { bytes, error }) => {
                        let has_failed = bytes.first() == Some(&b'-');
                        ScriptReply { reply: bytes, error, has_failed }
                    }
                    Err(error) => self.unfinished(script, error),
                }
            }
            Ok(Err(error)) => describe(script, &error),
            Err(error) => interrupted(script.sha, &error),
        };
        self.sandbox.tidy();
        self.ran += 1;
        if self.used_bytes() > BYTES_KEPT_MAX {
            // Lua 5.1 does not collect garbage when memory runs out. It fails instead.
            let _ = self.sandbox.lua.gc_collect();
        } else if self.ran.is_multiple_of(SCRIPTS_BETWEEN_COLLECTIONS) {
            let _ = self.sandbox.lua.gc_step();
        }
        answered
    }

    /// Returns the error reply if the result of a script could not be encoded.
    fn unfinished(&self, script: Script<'_>, error: Error) -> ScriptReply {
        let error = Value::Error(Box::new(error));
        match failure::visible(&self.sandbox.lua, error) {
            Ok(error) => describe(script, &error),
            Err(error) => interrupted(script.sha, &error),
        }
    }

    /// Returns the memory that Lua uses, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.sandbox.lua.used_memory()
    }
}

impl ScriptReply {
    /// Returns the reply of a script that failed with `error`.
    #[must_use]
    pub fn failed(error: Vec<u8>) -> Self {
        let mut line = Vec::with_capacity(error.len() + 3);
        write::line(&mut line, b'-', &error);
        Self { reply: line, error: Some(start_of(&error)), has_failed: true }
    }
}

/// Returns the part of an error's text that [`ScriptReply::error`] keeps. The code comes first.
fn start_of(error: &[u8]) -> Vec<u8> {
    const KEPT_BYTES: usize = 256;

    error[..error.len().min(KEPT_BYTES)].to_vec()
}

/// Returns the error reply for the value that a script threw.
fn describe(script: Script<'_>, error: &Value) -> ScriptReply {
    let Value::Table(table) = error else {
        let text = match error {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Error(error) => failure::message(error).into_bytes(),
            _ => b"execution failure".to_vec(),
        };
        return ScriptReply::failed(not_run(script.sha, &text));
    };
    let text = |name: &str| field(table, name);
    let mut error = text("err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(line), Some(source)) = (text("line"), text("source")) {
        error.extend_from_slice(b" script: ");
        error.extend_from_slice(script.sha);
        error.extend_from_slice(b", on ");
        error.extend_from_slice(&source);
        error.push(b':');
        error.extend_from_slice(&line);
        error.push(b'.');
    }
    let is_counted = matches!(table.raw_get("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    let mut answered = ScriptReply::failed(error);
    if is_counted {
        answered.error = None;
    }
    answered
}

/// Returns a text field up to its first NUL, where it ends for C.
fn field(table: &Table, name: &str) -> Option<Vec<u8>> {
    match table.raw_get(name).ok()? {
        Value::String(text) => {
            let text = text.as_bytes();
            Some(memchr::memchr(0, &text).map_or(&*text, |end| &text[..end]).to_vec())
        }
        Value::Integer(value) => Some(value.to_string().into_bytes()),
        Value::Number(value) => Some(number::format(value, number::SHOWN_DIGITS).into_bytes()),
        _ => None,
    }
}

/// Returns the error reply for a script that Lua itself ended.
fn interrupted(sha: &[u8], error: &Error) -> ScriptReply {
    ScriptReply::failed(not_run(sha, failure::message(error).as_bytes()))
}

fn not_run(sha: &[u8], text: &[u8]) -> Vec<u8> {
    /// Redis truncates the text to this length.
    const SHOWN_BYTES_MAX: usize = 100;

    let shown = &text[..text.len().min(SHOWN_BYTES_MAX)];
    [b"ERR Error running script ", sha, b", ", shown].concat()
}

#[cfg(test)]
mod tests;
