//! Lua with Redis' restrictions: no files, no system calls, no writable globals.
//!
//! All tables that scripts share are behind [fronts](Fronts).

use std::cell::Cell;
use std::rc::Rc;

use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, Result, StdLib, Table, Value,
    VmState,
};

use super::account::{Account, Buffer};
use super::arguments::{Arguments, anonymous, function};
use super::commands::Server;
use super::failure::{self, Thrown, argument_error, error};
use super::fronts::Fronts;
use super::limits::{self, check_script};
use super::loading::Loader;
use super::{api, bits, catching, json, msgpack, pack, patterns, repeat, tables, unpack};

/// The chunk name of scripts, which error positions show.
const SCRIPT_NAME: &str = "@user_script";
/// Number of instructions between two checks of the script. A single instruction may take long, such
/// as a concatenation of large strings.
const INSTRUCTIONS: u32 = 1_000;

/// Functions of Lua's own library that scripts use unchanged.
const KEPT: [&str; 8] =
    ["assert", "ipairs", "rawequal", "select", "tonumber", "tostring", "type", "gcinfo"];

/// Lua with the libraries of scripts.
pub(super) struct Sandbox {
    pub(super) lua: Lua,
    /// The table that scripts see as their globals.
    front: Table,
    /// The table behind it.
    globals: Table,
    loader: Loader,
    xpcall: Function,
    handler: Function,
    begin: Function,
    account: Account,
}

impl Sandbox {
    pub(super) fn new(server: &Server, redis_version: &str) -> Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        lua.set_app_data(server.clone());
        let original = lua.globals();
        let fronts = Fronts::default();
        lua.set_app_data(fronts.clone());
        let account = Account::default();
        lua.set_app_data(account.clone());
        let globals = lua.create_table()?;
        for name in KEPT {
            globals.raw_set(name, original.raw_get::<Value>(name)?)?;
        }
        globals.raw_set("_VERSION", "Lua 5.1")?;
        let loader = Loader::new(&original)?;
        own_functions(&lua, &original, &globals, &fronts, &loader)?;
        let string: Table = original.raw_get("string")?;
        repeat::library(&lua, &string)?;
        for (name, library) in [
            ("redis", api::library(&lua, server, redis_version)?),
            ("bit", bits::library(&lua)?),
            ("struct", pack::library(&lua)?),
            ("cmsgpack", msgpack::library(&lua)?),
            ("cjson", json::library(&lua)?),
            ("math", math(&lua, &original)?),
            ("table", tables::library(&lua, original.raw_get("table")?, &original, &fronts)?),
            ("string", patterns::library(&lua, string, &original, server)?),
        ] {
            globals.raw_set(name, fronts.front(&lua, &library)?)?;
        }
        let begin = catching::functions(&lua, &original, &globals, &fronts, server)?;
        let front = fronts.front(&lua, &globals)?;
        globals.raw_set("_G", &front)?;
        guard_missing(&lua, &globals)?;
        string_methods(&lua, &globals, &fronts)?;
        lua.set_globals(front.clone())?;
        let killer = server.clone();
        lua.set_global_hook(
            HookTriggers::new().every_nth_instruction(INSTRUCTIONS),
            move |_, _| limits::check_alive(&killer).map(|()| VmState::Continue),
        )?;
        let handler = anonymous(&lua, |lua, given| handle(lua, &given))?;
        // Keeps the string alive: the parser of Lua 5.1 does not (CVE-2025-49844).
        lua.set_named_registry_value("name of scripts", SCRIPT_NAME)?;
        Ok(Self {
            front,
            globals,
            loader,
            xpcall: original.raw_get("xpcall")?,
            handler,
            begin,
            account,
            lua,
        })
    }

    /// Compiles a script.
    ///
    /// # Errors
    ///
    /// Returns Lua's error text.
    pub(super) fn compile(&self, code: &[u8]) -> std::result::Result<Function, Vec<u8>> {
        let (mut compiled, lua) = (Err(b"not enough memory".to_vec()), &self.lua);
        let _ = self.account.limited(lua, || {
            compiled = self.loader.script(lua, code, SCRIPT_NAME);
            Ok(())
        });
        compiled
    }

    /// Runs a script. Returns its result or the error value that ended it.
    pub(super) fn run(
        &self,
        script: &Function,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
    ) -> Result<std::result::Result<Value, Value>> {
        self.lua.set_globals(self.front.clone())?;
        script.set_environment(self.front.clone())?;
        self.begin.call::<()>(())?;
        let bytes = |items: &[Vec<u8>]| items.iter().map(|item| item.len() + 64).sum::<usize>();
        self.account.check(&self.lua, bytes(keys) + bytes(arguments))?;
        self.globals.raw_set("KEYS", self.list(keys)?)?;
        self.globals.raw_set("ARGV", self.list(arguments)?)?;
        let (ok, value) = self
            .account
            .limited(&self.lua, || self.xpcall.call::<(bool, Value)>((script, &self.handler)))?;
        Ok(if ok { Ok(value) } else { Err(value) })
    }

    fn list(&self, items: &[Vec<u8>]) -> Result<Table> {
        let table = self.lua.create_table_with_capacity(items.len(), 0)?;
        for (index, item) in items.iter().enumerate() {
            table.raw_set(index + 1, self.lua.create_string(item)?)?;
        }
        Ok(table)
    }

    /// Removes the parameters of the last script.
    pub(super) fn tidy(&self) {
        let _ = self.globals.raw_set("KEYS", Value::Nil);
        let _ = self.globals.raw_set("ARGV", Value::Nil);
    }
}

/// Converts an error of a script to a table with its position.
fn handle(lua: &Lua, given: &Arguments<'_>) -> Result<Value> {
    let error = failure::visible(lua, given.value(1))?;
    let table = match error {
        Value::Table(table) => table,
        other => {
            let text = shown(lua, other)?;
            let table = lua.create_table()?;
            let mut line = Buffer::new(lua);
            line.extend(b"ERR ")?;
            line.extend(&text.as_bytes())?;
            table.raw_set("err", line.into_string()?)?;
            table
        }
    };
    if let Some((source, line)) = failure::source_and_line(lua) {
        table.set("source", source)?;
        table.set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// Returns the text that `tostring` returns.
fn shown(lua: &Lua, value: Value) -> Result<LuaString> {
    if let Some(text) = super::arguments::string(lua, Some(&value))? {
        return Ok(text);
    }
    match value {
        Value::Nil => lua.create_string("nil"),
        Value::Boolean(value) => lua.create_string(value.to_string()),
        // The text of a null pointer in C.
        Value::LightUserData(pointer) if pointer.0.is_null() => {
            lua.create_string("userdata: (nil)")
        }
        other => {
            let text = other.to_string()?;
            lua.create_string(text)
        }
    }
}

/// Makes access to missing globals an error.
fn guard_missing(lua: &Lua, globals: &Table) -> Result<()> {
    let rules = lua.create_table()?;
    function(lua, &rules, "__index", |lua, given| -> Result<()> {
        let Some(name) = super::arguments::string(lua, given.get(2))? else {
            let text = "Second argument to luaProtectedTableError must be a string or number";
            return Err(error(lua, text));
        };
        let start = b"Script attempted to access nonexistent global variable '";
        Err(error(lua, [&start[..], &name.as_bytes(), b"'"].concat()))
    })?;
    globals.set_metatable(Some(rules))?;
    Ok(())
}

/// Sets the metatable of strings, which scripts cannot change.
fn string_methods(lua: &Lua, globals: &Table, fronts: &Fronts) -> Result<()> {
    let shown = lua.create_table()?;
    shown.raw_set("__index", globals.raw_get::<Table>("string")?)?;
    let rules = lua.create_table()?;
    rules.raw_set("__index", globals.raw_get::<Table>("string")?)?;
    rules.raw_set("__metatable", fronts.front(lua, &shown)?)?;
    lua.set_type_metatable::<LuaString>(Some(rules));
    Ok(())
}

/// Adds functions in place of those of Lua's library that are not safe for scripts.
fn own_functions(
    lua: &Lua,
    original: &Table,
    globals: &Table,
    fronts: &Fronts,
    loader: &Loader,
) -> Result<()> {
    let next: Function = original.raw_get("next")?;

    let known = fronts.clone();
    function(lua, globals, "rawget", move |lua, given| {
        let table = given.table(1)?;
        let Some(key) = given.get(2) else {
            return Err(argument_error(lua, 2, "value expected"));
        };
        known.real(table).raw_get::<Value>(key)
    })?;
    let known = fronts.clone();
    function(lua, globals, "rawset", move |lua, given| {
        let table = given.table(1)?;
        let (Some(key), Some(value)) = (given.get(2), given.get(3)) else {
            return Err(argument_error(lua, given.len() + 1, "value expected"));
        };
        known.check_writable(&table)?;
        match key {
            Value::Nil => return Err(error(lua, "table index is nil")),
            Value::Number(key) if key.is_nan() => return Err(error(lua, "table index is NaN")),
            _ => table.raw_set(key, value)?,
        }
        Ok(table)
    })?;
    let (known, raw_next) = (fronts.clone(), next.clone());
    function(lua, globals, "pairs", move |_, given| {
        let table = given.table(1)?;
        Ok((raw_next.clone(), known.real(table), Value::Nil))
    })?;
    let known = fronts.clone();
    function(lua, globals, "next", move |_, given| -> Result<MultiValue> {
        let table = given.table(1)?;
        let table = known.real(table);
        let found = next.call::<MultiValue>((table, given.value(2)));
        found.map_err(|failed| Thrown::Text(failure::message(&failed).into_bytes()).into())
    })?;
    let known = fronts.clone();
    function(lua, globals, "setmetatable", move |lua, given| {
        let table = given.table(1)?;
        let rules = match given.get(2) {
            Some(Value::Nil) => None,
            Some(Value::Table(rules)) => Some(rules.clone()),
            _ => return Err(argument_error(lua, 2, "nil or table expected")),
        };
        known.check_writable(&table)?;
        if let Some(old) = table.metatable()
            && !old.raw_get::<Value>("__metatable")?.is_nil()
        {
            return Err(error(lua, "cannot change a protected metatable"));
        }
        table.set_metatable(rules)?;
        Ok(table)
    })?;
    let (known, raw) = (fronts.clone(), original.raw_get::<Function>("getmetatable")?);
    function(lua, globals, "getmetatable", move |lua, given| {
        let Some(value) = given.get(1) else {
            return Err(argument_error(lua, 1, "value expected"));
        };
        let real = value.as_table().and_then(|table| known.behind(table));
        let Some(real) = real else { return raw.call(value) };
        // Scripts see the metatable of the globals only.
        let rules = real.metatable().map(|rules| known.front(lua, &rules)).transpose()?;
        Ok(rules.map_or(Value::Nil, Value::Table))
    })?;
    function(lua, globals, "unpack", |lua, given| unpack::unpack(lua, &given))?;
    function(lua, globals, "collectgarbage", |lua, given| collect_garbage(lua, &given))?;
    loader.library(lua, globals)
}

/// `collectgarbage([option])`. Scripts can collect garbage but cannot stop the collector.
fn collect_garbage(lua: &Lua, given: &Arguments<'_>) -> Result<Value> {
    let option = if given.is_nil(1) { lua.create_string("collect")? } else { given.string(1)? };
    let option = option.as_bytes();
    match &*option {
        b"collect" => {
            lua.gc_collect()?;
            check_script(lua)?;
            Ok(Value::Number(0.0))
        }
        b"count" => Ok(Value::Number(lua.used_memory() as f64 / 1024.0)),
        b"step" => Ok(Value::Boolean(false)),
        b"stop" | b"restart" => Ok(Value::Number(0.0)),
        // Lua's defaults in percent.
        b"setpause" | b"setstepmul" => Ok(Value::Number(200.0)),
        other => Err(argument_error(lua, 1, [b"invalid option '", other, b"'"].concat())),
    }
}

/// The library `math`. A seed yields the random numbers of Redis.
fn math(lua: &Lua, original: &Table) -> Result<Table> {
    /// The factor of POSIX' `lrand48`.
    const FACTOR: u64 = 0x5_DEEC_E66D;
    const STATE_MASK: u64 = (1 << 48) - 1;
    const MOST: u64 = i32::MAX as u64;

    let math: Table = original.raw_get("math")?;
    let state = Rc::new(Cell::new(0x1234_ABCD_330E_u64));
    let seed = state.clone();
    function(lua, &math, "randomseed", move |_, given| {
        seed.set(u64::from(given.int(1)?.cast_unsigned()) << 16 | 0x330E);
        Ok(())
    })?;
    function(lua, &math, "random", move |lua, given| {
        state.set(state.get().wrapping_mul(FACTOR).wrapping_add(0xB) & STATE_MASK);
        let random = (state.get() >> 17) % MOST;
        let random = random as f64 / MOST as f64;
        let between = |low: i32, high: i32, number: usize| match low <= high {
            true => {
                Ok((random * (f64::from(high) - f64::from(low) + 1.0)).floor() + f64::from(low))
            }
            false => Err(argument_error(lua, number, "interval is empty")),
        };
        match given.len() {
            0 => Ok(random),
            1 => between(1, given.int(1)?, 1),
            2 => between(given.int(1)?, given.int(2)?, 2),
            _ => Err(error(lua, "wrong number of arguments")),
        }
    })?;
    Ok(math)
}
