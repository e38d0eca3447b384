//! Lua 5.1, as Redis lets scripts use it.
//!
//! A [`Vm`] runs one script after the other and knows nothing of workers, sessions or locks: what a
//! script asks of its server goes through [`Commands`]. Whatever a script does ends in a reply.

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
mod write;

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Error, Function, Result, Table, Value};

use self::convert::{Protocols, Returned};
use self::sandbox::Sandbox;
use super::cache::Script;
use super::sha::Sha;
use crate::protocol::Protocol;

pub(crate) use self::commands::{Commands, Level};

/// Runs scripts.
pub(crate) struct Vm {
    sandbox: Sandbox,
    server: Rc<RefCell<dyn Commands>>,
    /// The functions, by the names of their scripts. They stay in Lua: of those that we hold, there can
    /// be but some thousand.
    compiled: Table,
    /// How many scripts ran since garbage was looked for.
    ran: u32,
}

/// What a script was called with.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
}

/// What became of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The reply, in the caller's version of the protocol.
    pub(crate) reply: Vec<u8>,
    /// The error that the reply is, unless a command of the script has answered it before.
    pub(crate) error: Option<Vec<u8>>,
    /// Whether the script failed.
    pub(crate) has_failed: bool,
}

/// What the stack of a [`Vm`] needs: whatever Lua lets a script nest must fit in. It is taken only
/// as far as it is used.
pub(crate) const STACK_BYTES: usize = 128 * 1024 * 1024;
/// Every so many scripts a little garbage is collected.
const SCRIPTS_BETWEEN_COLLECTIONS: u32 = 50;
/// With more than this left by a script, all of it is.
const BYTES_KEPT_MAX: usize = 32 * 1024 * 1024;

impl Vm {
    pub(crate) fn new(server: Rc<RefCell<dyn Commands>>) -> Result<Self> {
        let sandbox = Sandbox::new(&server)?;
        let compiled = sandbox.lua.create_table()?;
        Ok(Self { sandbox, server, compiled, ran: 0 })
    }

    /// Compiles a script that has not been.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, in Redis' words.
    pub(crate) fn compile(&mut self, script: &Script) -> std::result::Result<(), Vec<u8>> {
        self.function(script).map(drop)
    }

    /// Returns what a script is to Lua.
    fn function(&mut self, script: &Script) -> std::result::Result<Function, Vec<u8>> {
        let failed =
            |error: Vec<u8>| [&b"ERR Error compiling script (new function): "[..], &error].concat();
        let unkept = |error| failed(failure::message(&error).into_bytes());
        let name = self.sandbox.lua.create_string(script.sha.as_bytes()).map_err(unkept)?;
        if let Some(function) = self.compiled.raw_get(&name).map_err(unkept)? {
            return Ok(function);
        }
        let function = self.sandbox.compile(script.code()).map_err(failed)?;
        self.compiled.raw_set(name, &function).map_err(unkept)?;
        Ok(function)
    }

    /// Runs a script, and returns the reply for a client of that version of the protocol.
    pub(crate) fn run(&mut self, script: &Script, given: &Given, client: Protocol) -> Answered {
        let function = match self.function(script) {
            Ok(function) => function,
            Err(error) => return Answered::failed(error),
        };
        let answered = match self.sandbox.run(&function, &given.keys, &given.arguments) {
            Ok(Ok(value)) => {
                let protocols = Protocols { client, script: self.server.borrow().protocol() };
                match convert::to_reply(&self.sandbox.lua, value, protocols) {
                    Ok(Returned { bytes, error }) => {
                        let has_failed = bytes.first() == Some(&b'-');
                        Answered { reply: bytes, error, has_failed }
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
            // Lua 5.1 does not collect garbage when memory runs out; it fails.
            let _ = self.sandbox.lua.gc_collect();
        } else if self.ran.is_multiple_of(SCRIPTS_BETWEEN_COLLECTIONS) {
            let _ = self.sandbox.lua.gc_step();
        }
        answered
    }

    /// What is said where a reply could not be written to its end.
    fn unfinished(&self, script: &Script, error: Error) -> Answered {
        let error = Value::Error(Box::new(error));
        match failure::visible(&self.sandbox.lua, error) {
            Ok(error) => describe(script, &error),
            Err(error) => interrupted(script.sha, &error),
        }
    }

    /// Returns the memory that Lua takes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.sandbox.lua.used_memory()
    }
}

impl Answered {
    pub(crate) fn failed(error: Vec<u8>) -> Self {
        let mut line = Vec::with_capacity(error.len() + 3);
        write::line(&mut line, b'-', &error);
        Self { reply: line, error: Some(error), has_failed: true }
    }
}

/// Describes the error that ended a script.
fn describe(script: &Script, error: &Value) -> Answered {
    let Value::Table(table) = error else {
        let text = match error {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Error(error) => failure::message(error).into_bytes(),
            _ => b"execution failure".to_vec(),
        };
        return Answered::failed(not_run(script.sha, &text));
    };
    let text = |name: &str| field(table, name);
    let mut error = text("err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(line), Some(source)) = (text("line"), text("source")) {
        error.extend_from_slice(b" script: ");
        error.extend_from_slice(script.sha.as_bytes());
        error.extend_from_slice(b", on ");
        error.extend_from_slice(&source);
        error.push(b':');
        error.extend_from_slice(&line);
        error.push(b'.');
    }
    let is_counted = matches!(table.raw_get("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    let mut answered = Answered::failed(error);
    if is_counted {
        answered.error = None;
    }
    answered
}

/// A field that holds a text, as far as C sees it.
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

/// What is said where Lua itself gave up.
fn interrupted(sha: Sha, error: &Error) -> Answered {
    Answered::failed(not_run(sha, failure::message(error).as_bytes()))
}

fn not_run(sha: Sha, text: &[u8]) -> Vec<u8> {
    /// Redis cuts the text here.
    const SHOWN_BYTES_MAX: usize = 100;

    let shown = &text[..text.len().min(SHOWN_BYTES_MAX)];
    [b"ERR Error running script ", sha.as_bytes(), b", ", shown].concat()
}

#[cfg(test)]
mod tests;
