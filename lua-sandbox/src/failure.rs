//! Errors on their way through Lua.
//!
//! An error of this crate crosses Lua as a userdata of mlua, which scripts must not see. `pcall`,
//! `xpcall` and `coroutine.resume` convert it with [`visible`] to the value that Redis' C functions
//! would throw.

use std::borrow::Cow;
use std::fmt;

use mlua::{Error, Lua, Result, Value};

/// An error of a library function.
#[derive(Debug)]
pub(super) enum Thrown {
    /// A text that starts with its position.
    Text(Vec<u8>),
    /// An error reply, which scripts see as a table with a field `err`.
    Reply {
        error: Vec<u8>,
        /// Whether the statistics have counted the error already.
        is_counted: bool,
    },
    /// An error value of the script, passed on unchanged.
    Value(Value),
    /// `SCRIPT KILL`. Functions that catch errors throw it again.
    Killed,
}

/// The chunk name of functions that this crate defines in Lua.
const PRELUDE: &str = "prelude";

/// Redis' error in a script that is killed.
const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL...";

impl Thrown {
    fn to_value(&self, lua: &Lua) -> Result<Value> {
        match self {
            Self::Text(text) => Ok(Value::String(lua.create_string(text)?)),
            Self::Reply { error, is_counted } => error_table(lua, error, *is_counted),
            Self::Value(value) => Ok(value.clone()),
            Self::Killed => error_table(lua, KILLED, false),
        }
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error of a library function")
    }
}

impl std::error::Error for Thrown {}

impl From<Thrown> for Error {
    fn from(thrown: Thrown) -> Self {
        Self::external(thrown)
    }
}

/// Returns the value that a script sees when it catches an error.
pub(super) fn visible(lua: &Lua, error: Value) -> Result<Value> {
    let Value::Error(error) = &error else { return Ok(error) };
    match thrown(error) {
        Some(thrown) => thrown.to_value(lua),
        None => Ok(Value::String(lua.create_string(text_of(error))?)),
    }
}

/// Returns whether the error is [`Thrown::Killed`].
pub(super) fn is_kill(error: &Value) -> bool {
    matches!(error, Value::Error(error) if matches!(thrown(error), Some(Thrown::Killed)))
}

fn thrown(error: &Error) -> Option<&Thrown> {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => thrown(cause),
        other => other.downcast_ref(),
    }
}

/// Returns the text of an error that mlua created.
fn text_of(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => text_of(cause),
        Error::MemoryError(_) => "not enough memory".to_owned(),
        Error::RuntimeError(text) => {
            text.split("\nstack traceback:").next().unwrap_or(text).to_owned()
        }
        other => other.to_string(),
    }
}

/// Returns Lua's own text of an error.
pub(super) fn message(error: &Error) -> String {
    text_of(error)
}

pub(super) fn error_table(lua: &Lua, error: &[u8], is_counted: bool) -> Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(error)?)?;
    if is_counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(Value::Table(table))
}

/// Returns an error with the position of the calling script, as `luaL_error` does.
pub(super) fn error(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    Thrown::Text([place(lua, 1).as_bytes(), text.as_ref()].concat()).into()
}

/// Returns an error about an argument, counted from one, as `luaL_argerror` does.
pub(super) fn argument_error(lua: &Lua, mut number: usize, text: impl AsRef<[u8]>) -> Error {
    // The function that the script called may be one of the prelude.
    let called = usize::from(is_prelude(lua, 1));
    let (name, is_method) = lua
        .inspect_stack(called, |frame| {
            let names = frame.names();
            (
                names.name.map_or_else(|| "?".to_owned(), Cow::into_owned),
                names.name_what == Some("method"),
            )
        })
        .unwrap_or_else(|| ("?".to_owned(), false));
    let text = text.as_ref();
    if is_method {
        number -= 1;
        if number == 0 {
            let start = format!("calling '{name}' on bad self (");
            return error(lua, [start.as_bytes(), text, b")"].concat());
        }
    }
    let start = format!("bad argument #{number} to '{name}' (");
    error(lua, [start.as_bytes(), text, b")"].concat())
}

/// Returns an error about the type of an argument, as `luaL_typerror` does.
pub(super) fn type_error(lua: &Lua, number: usize, wanted: &str, found: Option<&Value>) -> Error {
    let found = found.map_or("no value", type_name);
    argument_error(lua, number, format!("{wanted} expected, got {found}"))
}

/// Returns an error reply with the code `ERR`.
pub(super) fn refused(text: &str) -> Error {
    Thrown::Reply { error: format!("ERR {text}").into_bytes(), is_counted: false }.into()
}

/// Returns Lua's name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        Value::LightUserData(_) | Value::Error(_) => "userdata",
        other => other.type_name(),
    }
}

/// Returns a position such as `user_script:3: ` if the function at `level` is in a script, as
/// `luaL_where` does. Functions of the prelude do not count as levels.
pub(super) fn place(lua: &Lua, level: usize) -> String {
    let at = |level| {
        lua.inspect_stack(level, |frame| {
            let source = frame.source().short_src.map_or_else(String::new, Cow::into_owned);
            (source, frame.current_line())
        })
    };
    let mut frames = (1..).map_while(at).filter(|(source, _)| source != PRELUDE);
    match frames.nth(level - 1) {
        Some((source, Some(line))) => format!("{source}:{line}: "),
        _ => String::new(),
    }
}

/// Returns whether the function at `level` is in the prelude.
fn is_prelude(lua: &Lua, level: usize) -> bool {
    let is = |frame: &mlua::debug::Debug<'_>| frame.source().short_src.as_deref() == Some(PRELUDE);
    lua.inspect_stack(level, is).unwrap_or(false)
}

/// Returns source and line of the innermost function of a script.
pub(super) fn source_and_line(lua: &Lua) -> Option<(String, i64)> {
    let at = |level: usize| {
        lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let line = frame.current_line().and_then(|line| i64::try_from(line).ok());
            let is_ours =
                matches!(source.what, "C" | "tail") || source.short_src.as_deref() == Some(PRELUDE);
            let name = source.source.map_or_else(String::new, Cow::into_owned);
            (is_ours, name, line.unwrap_or(-1))
        })
    };
    // Functions of mlua may be between this one and its caller.
    let inner = (1..=6).find_map(|level| at(level).filter(|(is_ours, ..)| !is_ours));
    inner.or_else(|| at(2)).map(|(_, name, line)| (name, line))
}
