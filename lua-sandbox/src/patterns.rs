//! The library `string`, with patterns that `SCRIPT KILL` can interrupt.
//!
//! Lua's own functions match in C, where no hook runs, and recurse for each item of a pattern. The
//! matcher of this crate checks the script regularly and limits the length of a pattern.

mod matcher;

use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};

use self::matcher::{Captured, Matcher, Trouble};
use super::account::Buffer;
use super::arguments::{Arguments, function};
use super::commands::Server;
use super::failure::{Thrown, argument_error, error, type_name};
use super::limits::{self, Patience};

const PATTERN_BYTES_MAX: usize = 10_000;
/// Characters with a meaning in patterns.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// Shared parts of the functions.
#[derive(Clone)]
struct Patterns {
    server: Server,
    pcall: Function,
    /// Creates the iterator of `gmatch`. It keeps the texts in Lua, where they count as memory.
    iterator: Function,
    /// Indexes a table, which may call a metamethod of the script.
    index: Function,
}

/// Replaces the functions with a pattern.
pub(super) fn library(
    lua: &Lua,
    string: Table,
    original: &Table,
    server: &Server,
) -> Result<Table> {
    let code = |code: &str| lua.load(code).set_name("=prelude").into_function();
    let pcall: Function = original.raw_get("pcall")?;
    let alive = server.clone();
    let next = super::arguments::anonymous(lua, move |lua, given| next(lua, &given, &alive))?;
    let iterator = code(
        "local next = ...
         return function(s, p)
           local at = 0
           local function take(after, ...) at = after return ... end
           return function() return take(next(s, p, at)) end
         end",
    )?
    .call(next)?;
    let index = code("local table, key = ... return table[key]")?;
    let patterns = Patterns { server: server.clone(), pcall, iterator, index };
    type Call = fn(&Lua, &Arguments<'_>, &Patterns) -> Result<MultiValue>;
    let calls: [(&str, Call); 4] =
        [("find", find), ("match", find_match), ("gmatch", gmatch), ("gsub", gsub)];
    for (name, call) in calls {
        let patterns = patterns.clone();
        function(lua, &string, name, move |lua, given| call(lua, &given, &patterns))?;
    }
    string.raw_set("gfind", string.raw_get::<Function>("gmatch")?)?;
    Ok(string)
}

/// `string.find(s, pattern [, init [, plain]])`
fn find(lua: &Lua, given: &Arguments<'_>, patterns: &Patterns) -> Result<MultiValue> {
    let (subject, pattern) = texts(lua, given)?;
    let (subject, pattern) = (&*subject.as_bytes(), &*pattern.as_bytes());
    let start = start(given, subject.len())?;
    let is_plain = !matches!(given.get(4), None | Some(Value::Nil | Value::Boolean(false)));
    let until_nul = &pattern[..memchr::memchr(0, pattern).unwrap_or(pattern.len())];
    if is_plain || !until_nul.iter().any(|byte| SPECIALS.contains(byte)) {
        Patience::default().steps(lua, subject.len() - start)?;
        let found = memchr::memmem::find(&subject[start..], pattern);
        return Ok(found.map_or_else(nothing, |at| {
            let first = start + at;
            [first + 1, first + pattern.len()].into_iter().map(position).collect()
        }));
    }
    let (pattern, is_anchored) = anchored(pattern);
    let mut matcher = Matcher::new(subject, pattern, || limits::check_alive(&patterns.server));
    let found = first(lua, &mut matcher, start, is_anchored)?;
    let Some((first, end)) = found else { return Ok(nothing()) };
    let mut values: MultiValue = [first + 1, end].into_iter().map(position).collect();
    for index in 0..matcher.captures() {
        values.push_back(captured(lua, &matcher, index, (first, end))?);
    }
    Ok(values)
}

/// `string.match(s, pattern [, init])`
fn find_match(lua: &Lua, given: &Arguments<'_>, patterns: &Patterns) -> Result<MultiValue> {
    let (subject, pattern) = texts(lua, given)?;
    let (subject, pattern) = (&*subject.as_bytes(), &*pattern.as_bytes());
    let start = start(given, subject.len())?;
    let (pattern, is_anchored) = anchored(pattern);
    let mut matcher = Matcher::new(subject, pattern, || limits::check_alive(&patterns.server));
    match first(lua, &mut matcher, start, is_anchored)? {
        Some(found) => all_captured(lua, &matcher, found),
        None => Ok(nothing()),
    }
}

/// `string.gmatch(s, pattern)`, where a `^` is a plain character
fn gmatch(lua: &Lua, given: &Arguments<'_>, patterns: &Patterns) -> Result<MultiValue> {
    let (subject, pattern) = texts(lua, given)?;
    let iterator: Function = patterns.iterator.call((subject, pattern))?;
    Ok(MultiValue::from_iter([Value::Function(iterator)]))
}

/// Returns the next match of `gmatch`: the position after it, then its captures.
fn next(lua: &Lua, given: &Arguments<'_>, server: &Server) -> Result<MultiValue> {
    let (subject, pattern) = (given.string(1)?, given.string(2)?);
    let (subject, pattern) = (&*subject.as_bytes(), &*pattern.as_bytes());
    let at = usize::try_from(given.integer(3)?).unwrap_or(usize::MAX);
    let mut matcher = Matcher::new(subject, pattern, || limits::check_alive(server));
    let found = matcher.find_from(at).map_err(|trouble| thrown(lua, trouble))?;
    let Some((start, end)) = found else { return Ok(MultiValue::from_iter([position(at)])) };
    let mut values = all_captured(lua, &matcher, (start, end))?;
    // The next search starts after an empty match.
    values.push_front(position(end + usize::from(start == end)));
    Ok(values)
}

/// `string.gsub(s, pattern, replacement [, n])`
fn gsub(lua: &Lua, given: &Arguments<'_>, patterns: &Patterns) -> Result<MultiValue> {
    let (subject, pattern) = texts(lua, given)?;
    let (subject, pattern) = (&*subject.as_bytes(), &*pattern.as_bytes());
    let most = if given.is_nil(4) { i64::MAX } else { given.int(4)?.into() };
    let replacement = Replacement::read(lua, given)?;
    let (pattern, is_anchored) = anchored(pattern);
    let mut matcher = Matcher::new(subject, pattern, || limits::check_alive(&patterns.server));
    let (mut out, mut at, mut count) = (Buffer::new(lua), 0, 0);
    while count < most {
        let end = matcher.match_at(at).map_err(|trouble| thrown(lua, trouble))?;
        if let Some(end) = end {
            count += 1;
            replacement.write(lua, &matcher, (at, end), patterns, &mut out)?;
        }
        match (end, subject.get(at)) {
            (Some(end), _) if end > at => at = end,
            (_, Some(&byte)) => {
                out.push(byte)?;
                at += 1;
            }
            _ => break,
        }
        if is_anchored {
            break;
        }
    }
    out.extend(subject.get(at..).unwrap_or_default())?;
    let text = out.into_string()?;
    Ok(MultiValue::from_iter([Value::String(text), Value::Number(count as f64)]))
}

/// The replacement of a match.
enum Replacement {
    /// A text that may refer to captures.
    Text(LuaString),
    Table(Table),
    Function(Function),
}

impl Replacement {
    fn read(lua: &Lua, given: &Arguments<'_>) -> Result<Self> {
        match given.get(3) {
            Some(Value::Table(table)) => Ok(Self::Table(table.clone())),
            Some(Value::Function(function)) => Ok(Self::Function(function.clone())),
            Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {
                given.string(3).map(Self::Text)
            }
            _ => Err(argument_error(lua, 3, "string/function/table expected")),
        }
    }

    /// Appends the replacement of the match from `found.0` to `found.1`.
    fn write<G: FnMut() -> Result<()>>(
        &self,
        lua: &Lua,
        matcher: &Matcher<'_, G>,
        found: (usize, usize),
        patterns: &Patterns,
        out: &mut Buffer<'_>,
    ) -> Result<()> {
        let value = match self {
            Self::Text(text) => return write_text(lua, &text.as_bytes(), matcher, found, out),
            Self::Table(table) => {
                let key = captured(lua, matcher, 0, found)?;
                called(patterns, &patterns.index, [Value::Table(table.clone()), key])?
            }
            Self::Function(function) => {
                called(patterns, function, all_captured(lua, matcher, found)?)?
            }
        };
        match value {
            Value::Nil | Value::Boolean(false) => {
                // The match stays as it is.
                out.extend(matcher.text(found))?;
            }
            value => match super::arguments::string(lua, Some(&value))? {
                Some(text) => out.extend(&text.as_bytes())?,
                None => {
                    let kind = type_name(&value);
                    return Err(error(lua, format!("invalid replacement value (a {kind})")));
                }
            },
        }
        Ok(())
    }
}

/// Appends a text, with a capture in place of `%1` and the match in place of `%0`.
fn write_text<G: FnMut() -> Result<()>>(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_, G>,
    found: (usize, usize),
    out: &mut Buffer<'_>,
) -> Result<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend(&rest[..at])?;
        // In C a NUL follows the last character.
        let escaped = rest.get(at + 1).copied().unwrap_or(0);
        rest = rest.get(at + 2..).unwrap_or_default();
        match escaped {
            b'0' => out.extend(matcher.text(found))?,
            b'1'..=b'9' => {
                let index = usize::from(escaped - b'1');
                let captured = matcher.capture(index, found.0, found.1);
                match captured.map_err(|trouble| thrown(lua, trouble))? {
                    Captured::Text(text) => out.extend(text)?,
                    Captured::Position(place) => {
                        out.extend(place.to_string().as_bytes())?;
                    }
                }
            }
            other => out.push(other)?,
        }
    }
    out.extend(rest)
}

/// Calls a function of a script. Returns its error unchanged.
fn called(
    patterns: &Patterns,
    function: &Function,
    arguments: impl IntoIterator<Item = Value>,
) -> Result<Value> {
    let all: MultiValue =
        [Value::Function(function.clone())].into_iter().chain(arguments).collect();
    let mut results = patterns.pcall.call::<MultiValue>(all)?;
    let has_worked = matches!(results.pop_front(), Some(Value::Boolean(true)));
    let value = results.pop_front().unwrap_or(Value::Nil);
    match value {
        value if has_worked => Ok(value),
        Value::Error(error) => Err(*error),
        value => Err(Thrown::Value(value).into()),
    }
}

/// Returns subject and pattern.
fn texts(lua: &Lua, given: &Arguments<'_>) -> Result<(LuaString, LuaString)> {
    let (subject, pattern) = (given.string(1)?, given.string(2)?);
    match pattern.as_bytes().len() > PATTERN_BYTES_MAX {
        true => Err(error(lua, "pattern too long")),
        false => Ok((subject, pattern)),
    }
}

/// Returns the start by the third argument, which counts from one, or from the end if negative.
fn start(given: &Arguments<'_>, length: usize) -> Result<usize> {
    let length_known = i64::try_from(length).unwrap_or(i64::MAX);
    let wanted = given.integer_or(3, 1)?;
    let wanted = if wanted < 0 { wanted.saturating_add(length_known + 1) } else { wanted };
    Ok(usize::try_from(wanted.max(1) - 1).map_or(length, |start| start.min(length)))
}

/// Removes the anchor `^` and returns whether there was one.
fn anchored(pattern: &[u8]) -> (&[u8], bool) {
    pattern.strip_prefix(b"^").map_or((pattern, false), |pattern| (pattern, true))
}

fn first<G: FnMut() -> Result<()>>(
    lua: &Lua,
    matcher: &mut Matcher<'_, G>,
    start: usize,
    is_anchored: bool,
) -> Result<Option<(usize, usize)>> {
    let found = match is_anchored {
        true => matcher.match_at(start).map(|end| end.map(|end| (start, end))),
        false => matcher.find_from(start),
    };
    found.map_err(|trouble| thrown(lua, trouble))
}

fn captured<G: FnMut() -> Result<()>>(
    lua: &Lua,
    matcher: &Matcher<'_, G>,
    index: usize,
    found: (usize, usize),
) -> Result<Value> {
    let captured = matcher.capture(index, found.0, found.1);
    match captured.map_err(|trouble| thrown(lua, trouble))? {
        Captured::Text(text) => lua.create_string(text).map(Value::String),
        Captured::Position(place) => Ok(position(place)),
    }
}

fn all_captured<G: FnMut() -> Result<()>>(
    lua: &Lua,
    matcher: &Matcher<'_, G>,
    found: (usize, usize),
) -> Result<MultiValue> {
    (0..matcher.values()).map(|index| captured(lua, matcher, index, found)).collect()
}

fn thrown(lua: &Lua, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Malformed(text) => error(lua, text),
        Trouble::Ended(error) => error,
    }
}

fn nothing() -> MultiValue {
    MultiValue::from_iter([Value::Nil])
}

fn position(place: usize) -> Value {
    Value::Number(place as f64)
}

#[cfg(test)]
mod tests;
