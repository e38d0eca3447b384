//! The library `cjson`: JSON in the way of lua-cjson 2.1.

mod decode;
mod encode;

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, Result, Table, Value};

use super::arguments::{Arguments, function};
use super::failure::argument_error;

/// Settings that scripts change, also for later scripts.
#[derive(Clone, Debug)]
struct Settings {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    decode_depth_max: i32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    digits: i32,
    keep_buffer: bool,
}

/// The handling of NaN and infinity, which JSON lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            digits: 14,
            keep_buffer: true,
        }
    }
}

type Shared = Rc<RefCell<Settings>>;

pub(super) fn library(lua: &Lua) -> Result<Table> {
    let settings = Shared::default();
    let library = lua.create_table()?;
    let with = |name, call: fn(&Lua, Arguments<'_>, &Shared) -> Result<Value>| {
        let settings = settings.clone();
        function(lua, &library, name, move |lua, given| call(lua, given, &settings))
    };
    with("encode", encode::encode)?;
    with("decode", decode::decode)?;
    with("encode_max_depth", |lua, given, settings| {
        limit(lua, &given, 1, i32::MAX, &mut settings.borrow_mut().encode_depth_max)
    })?;
    with("decode_max_depth", |lua, given, settings| {
        limit(lua, &given, 1, i32::MAX, &mut settings.borrow_mut().decode_depth_max)
    })?;
    with("encode_number_precision", |lua, given, settings| {
        limit(lua, &given, 1, 14, &mut settings.borrow_mut().digits)
    })?;
    with("encode_keep_buffer", |lua, given, settings| {
        at_most(lua, &given, 1)?;
        switch(lua, &given, &mut settings.borrow_mut().keep_buffer)
    })?;
    with("decode_invalid_numbers", |lua, given, settings| {
        at_most(lua, &given, 1)?;
        switch(lua, &given, &mut settings.borrow_mut().decode_invalid)
    })?;
    with("encode_invalid_numbers", invalid_numbers)?;
    let sparse = settings.clone();
    function(lua, &library, "encode_sparse_array", move |lua, given| {
        at_most(lua, &given, 3)?;
        let mut settings = sparse.borrow_mut();
        let convert = switch(lua, &given, &mut settings.sparse_convert)?;
        let ratio = integer(lua, &given, 2, 0, i32::MAX, &mut settings.sparse_ratio)?;
        let safe = integer(lua, &given, 3, 0, i32::MAX, &mut settings.sparse_safe)?;
        Ok((convert, ratio, safe))
    })?;
    function(lua, &library, "new", |lua, _| self::library(lua))?;
    library.raw_set("null", Value::NULL)?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")?;
    Ok(library)
}

fn at_most(lua: &Lua, given: &Arguments<'_>, count: usize) -> Result<()> {
    match given.len() > count {
        true => Err(argument_error(lua, count + 1, "found too many arguments")),
        false => Ok(()),
    }
}

fn limit(
    lua: &Lua,
    given: &Arguments<'_>,
    least: i32,
    most: i32,
    setting: &mut i32,
) -> Result<Value> {
    at_most(lua, given, 1)?;
    integer(lua, given, 1, least, most, setting)
}

fn integer(
    lua: &Lua,
    given: &Arguments<'_>,
    number: usize,
    least: i32,
    most: i32,
    setting: &mut i32,
) -> Result<Value> {
    if !given.is_nil(number) {
        let value = given.int(number)?;
        if !(least..=most).contains(&value) {
            let text = format!("expected integer between {least} and {most}");
            return Err(argument_error(lua, 1, text));
        }
        *setting = value;
    }
    Ok(Value::Integer((*setting).into()))
}

/// Changes a setting by a boolean or by `on` and `off`.
fn switch(lua: &Lua, given: &Arguments<'_>, setting: &mut bool) -> Result<Value> {
    match given.get(1) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        _ => *setting = option(lua, given, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

fn invalid_numbers(lua: &Lua, given: Arguments<'_>, settings: &Shared) -> Result<Value> {
    at_most(lua, &given, 1)?;
    let setting = &mut settings.borrow_mut().encode_invalid;
    match given.get(1) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(true)) => *setting = Invalid::Written,
        Some(Value::Boolean(false)) => *setting = Invalid::Refused,
        _ => {
            *setting = match option(lua, &given, &["off", "on", "null"])? {
                0 => Invalid::Refused,
                1 => Invalid::Written,
                _ => Invalid::Null,
            }
        }
    }
    Ok(match setting {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null")?),
    })
}

fn option(lua: &Lua, given: &Arguments<'_>, words: &[&str]) -> Result<usize> {
    let word = given.string(1)?;
    let word = word.as_bytes();
    let word = memchr::memchr(0, &word).map_or(&*word, |end| &word[..end]);
    let found = words.iter().position(|known| known.as_bytes() == word);
    found.ok_or_else(|| argument_error(lua, 1, [b"invalid option '", word, b"'"].concat()))
}
