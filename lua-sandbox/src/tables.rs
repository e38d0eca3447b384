//! `table`: versions of its functions that respect [`Fronts`] and that a script's end can interrupt.
//!
//! Lua's own `insert`, `remove` and `sort` move items in C, where no hook runs. A short move still
//! runs in C. A long one runs in `tables.lua`. `concat` and `maxn` run in C as a whole, and check the
//! script first. All other functions see a front as an empty list.

use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, anonymous, function};
use super::failure::{Thrown, error, type_error};
use super::fronts::Fronts;
use super::limits::{Patience, check_script};

/// Moves of up to this many items run in C.
const SHORT: i64 = 10_000;
/// Sorts of up to this many items compare them in C. Comparisons may be the square of the items.
const SHORT_SORT: usize = 200;

/// The functions of `tables.lua`.
struct Prelude {
    foreach: Function,
    raise: Function,
    lower: Function,
    sort: Function,
}

/// Replaces the functions that change a table or visit all of its items.
pub(super) fn library(lua: &Lua, table: Table, original: &Table, fronts: &Fronts) -> Result<Table> {
    let raw = |name: &str| table.raw_get::<Function>(name);
    let (insert_short, remove_short) = (raw("insert")?, raw("remove")?);
    let (concat_all, maxn_of) = (raw("concat")?, raw("maxn")?);
    let pcall = original.raw_get::<Function>("pcall")?;
    let Prelude { foreach, raise, lower, sort } = prelude(lua, &table, original, fronts)?;
    table.raw_set("foreach", foreach)?;
    table.raw_set("sort", sort)?;
    let known = fronts.clone();
    function(lua, &table, "insert", move |lua, given| {
        insert(lua, given, &known, &insert_short, &raise)
    })?;
    function(lua, &table, "remove", move |lua, given| remove(lua, given, &remove_short, &lower))?;
    function(lua, &table, "concat", move |lua, given| concat(lua, given, &concat_all, &pcall))?;
    function(lua, &table, "maxn", move |lua, given| maxn(lua, &given, &maxn_of))?;
    Ok(table)
}

fn prelude(lua: &Lua, table: &Table, original: &Table, fronts: &Fronts) -> Result<Prelude> {
    let code = lua.load(include_str!("tables.lua")).set_name("=prelude").into_function()?;
    let known = fronts.clone();
    let walked = anonymous(lua, move |lua, given| walked(lua, &given, &known))?;
    let sortable = anonymous(lua, |lua, given| sortable(lua, &given))?;
    let sort_error =
        anonymous(lua, |lua, given| -> Result<()> { Err(sort_error(lua, given.value(1))) })?;
    let made = code.call::<(Function, Function, Function, Function)>((
        walked,
        table.raw_get::<Function>("foreach")?,
        sortable,
        table.raw_get::<Function>("sort")?,
        sort_error,
        original.raw_get::<Function>("pcall")?,
        original.raw_get::<Function>("rawget")?,
        original.raw_get::<Function>("rawset")?,
    ))?;
    let (foreach, raise, lower, sort) = made;
    Ok(Prelude { foreach, raise, lower, sort })
}

/// `table.insert(table, [position,] value)`
fn insert(
    lua: &Lua,
    given: Arguments<'_>,
    fronts: &Fronts,
    short: &Function,
    raise: &Function,
) -> Result<()> {
    let table = given.table(1)?;
    let length = length(&table);
    let position = match given.len() {
        2 => length + 1,
        3 => given.int(2)?.into(),
        _ => return Err(error(lua, "wrong number of arguments to 'insert'")),
    };
    fronts.check_writable(&table)?;
    let moved = (length + 1).saturating_sub(position).max(0);
    count(lua, moved)?;
    if moved <= SHORT {
        return short.call(MultiValue::from_vec(given.into_values()));
    }
    raise.call::<()>((&table, position, length))?;
    table.raw_set(position, given.value(3))
}

/// `table.remove(table [, position])`
fn remove(
    lua: &Lua,
    given: Arguments<'_>,
    short: &Function,
    lower: &Function,
) -> Result<MultiValue> {
    let table = given.table(1)?;
    let length = length(&table);
    let position = if given.is_nil(2) { length } else { given.int(2)?.into() };
    if !(1..=length).contains(&position) {
        return Ok(MultiValue::new());
    }
    count(lua, length - position)?;
    if length - position <= SHORT {
        return short.call((table, position));
    }
    let removed = table.raw_get::<Value>(position)?;
    lower.call::<()>((&table, position + 1, length))?;
    table.raw_set(length, Value::Nil)?;
    Ok(MultiValue::from_iter([removed]))
}

/// `table.concat(table [, separator [, first [, last]]])`
fn concat(lua: &Lua, given: Arguments<'_>, all: &Function, pcall: &Function) -> Result<Value> {
    // Checked in the order of Lua's own function.
    if !given.is_nil(2) {
        given.string(2)?;
    }
    given.table(1)?;
    for number in [3, 4] {
        if !given.is_nil(number) {
            given.int(number)?;
        }
    }
    // Few items may be long.
    check_script(lua)?;
    let mut call = MultiValue::from_vec(given.into_values());
    call.push_front(Value::Function(all.clone()));
    match pcall.call::<(bool, Value)>(call)? {
        (true, text) => Ok(text),
        (false, Value::String(text)) => Err(error(lua, text.as_bytes())),
        (false, Value::Error(error)) => Err(*error),
        (false, other) => Err(Thrown::Value(other).into()),
    }
}

/// `table.maxn(table)`
fn maxn(lua: &Lua, given: &Arguments<'_>, raw: &Function) -> Result<Value> {
    let table = given.table(1)?;
    count(lua, length(&table))?;
    raw.call(table)
}

/// Returns the arguments of `table.sort(table [, compare])`, and whether its comparisons need a
/// function in Lua.
fn sortable(lua: &Lua, given: &Arguments<'_>) -> Result<(Table, Value, bool)> {
    let table = given.table(1)?;
    let is_long = table.raw_len() > SHORT_SORT;
    match given.get(2) {
        None | Some(Value::Nil) => Ok((table, Value::Nil, is_long)),
        Some(Value::Function(compare)) => {
            let is_native = is_long && compare.info().what == "C";
            Ok((table, Value::Function(compare.clone()), is_native))
        }
        other => Err(type_error(lua, 2, "function", other)),
    }
}

/// Returns the error of Lua's own `sort` for one that passed `tables.lua`.
fn sort_error(lua: &Lua, failed: Value) -> Error {
    /// The start of a position in `tables.lua`, where Lua's own `sort` has none.
    const PRELUDE: &[u8] = b"prelude:";

    let Value::String(text) = &failed else {
        return match failed {
            Value::Error(error) => *error,
            other => Thrown::Value(other).into(),
        };
    };
    let bytes = text.as_bytes();
    if *bytes == *b"invalid order function for sorting" {
        return error(lua, &bytes);
    }
    let line = bytes.strip_prefix(PRELUDE);
    match line.and_then(|line| Some(&line[memchr::memmem::find(line, b": ")? + 2..])) {
        Some(text) => Thrown::Text(text.to_vec()).into(),
        None => Thrown::Value(failed.clone()).into(),
    }
}

/// Returns the arguments of `table.foreach(table, function)` with the table behind a front.
fn walked(lua: &Lua, given: &Arguments<'_>, fronts: &Fronts) -> Result<(Table, Function)> {
    let table = given.table(1)?;
    match given.get(2) {
        Some(Value::Function(function)) => Ok((fronts.real(table), function.clone())),
        other => Err(type_error(lua, 2, "function", other)),
    }
}

/// Checks whether the script may continue before a move of so many items.
fn count(lua: &Lua, moved: i64) -> Result<()> {
    Patience::default().steps(lua, usize::try_from(moved).unwrap_or(usize::MAX))
}

fn length(table: &Table) -> i64 {
    i64::try_from(table.raw_len()).unwrap_or(i64::MAX)
}
