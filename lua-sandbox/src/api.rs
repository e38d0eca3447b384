//! The table `redis`, with functions to run commands, to log and to build replies.

use mlua::{Lua, MultiValue, Result, Table, Value};
use resp::Protocol;
use resp::request::OwnedRequest;
use sha1_smol::Sha1;

use super::account::{Account, Buffer};
use super::arguments::{Arguments, anonymous, function};
use super::commands::{Level, Server};
use super::convert;
use super::failure::{Thrown, error_table, refused};
use super::limits::Patience;
use super::number;

/// Flags for `redis.set_repl`. They have no effect, since there are no replicas.
const REPLICATED: [(&str, i64); 5] =
    [("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];

const LEVELS: [(&str, Level); 4] = [
    ("LOG_DEBUG", Level::Debug),
    ("LOG_VERBOSE", Level::Verbose),
    ("LOG_NOTICE", Level::Notice),
    ("LOG_WARNING", Level::Warning),
];

pub(super) fn library(lua: &Lua, server: &Server, version: &str) -> Result<Table> {
    let redis = lua.create_table()?;
    let with = |name, call: fn(&Lua, Arguments<'_>, &Server) -> Result<Value>| {
        let server = server.clone();
        function(lua, &redis, name, move |lua, given| call(lua, given, &server))
    };
    for (name, raises) in [("call", true), ("pcall", false)] {
        let server = server.clone();
        let call = lua.create_function(move |lua, given: MultiValue| {
            call(lua, given.into_iter().collect(), &server, raises)
        })?;
        redis.raw_set(name, call)?;
    }
    with("acl_check_cmd", acl_check_cmd)?;
    let known = server.clone();
    function(lua, &redis, "log", move |lua, given| log(lua, &given, &known))?;
    let known = server.clone();
    function(lua, &redis, "setresp", move |_, given| setresp(&given, &known))?;
    function(lua, &redis, "set_repl", |_, given| set_repl(&given))?;
    with("sha1hex", |lua, given, _| sha1hex(lua, &given))?;
    with("error_reply", |lua, given, _| error_reply(lua, &given))?;
    with("status_reply", |lua, given, _| status_reply(lua, &given))?;
    with("breakpoint", |_, _, _| Ok(Value::Boolean(false)))?;
    with("replicate_commands", |_, _, _| Ok(Value::Boolean(true)))?;
    redis.raw_set("debug", anonymous(lua, |_, _| Ok(()))?)?;
    redis.raw_set("REDIS_VERSION", version)?;
    redis.raw_set("REDIS_VERSION_NUM", version_number(version))?;
    for (value, (name, _)) in (0_i64..).zip(LEVELS) {
        redis.raw_set(name, value)?;
    }
    for (name, value) in REPLICATED {
        redis.raw_set(name, value)?;
    }
    Ok(redis)
}

/// Returns the version as a number, with one byte for each part.
fn version_number(version: &str) -> u32 {
    let parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    parts.fold(0, |number, part: u32| number << 8 | part)
}

/// `redis.call(command, ...)` and `redis.pcall(command, ...)`
fn call(lua: &Lua, given: Vec<Value>, server: &Server, raises: bool) -> Result<Value> {
    let fail = |error: Vec<u8>, is_counted| match raises {
        true => Err(Thrown::Reply { error, is_counted }.into()),
        false => error_table(lua, &error, is_counted),
    };
    let account = Account::of(lua);
    let charge = account.charge(lua, request_bytes(&given))?;
    let request = match command(&given) {
        Ok(request) => request,
        Err(text) => return fail([b"ERR ", text.as_bytes()].concat(), false),
    };
    // The borrow ends before the conversion: a check of the script needs the server, too.
    let reply = server.borrow_mut().call(request.borrow());
    drop((request, charge));
    match reply {
        Ok(reply) => match converted(lua, &account, &reply)? {
            error @ Value::Table(_) if raises && reply.first() == Some(&b'-') => {
                Err(Thrown::Value(error).into())
            }
            value => Ok(value),
        },
        Err(error) => fail(error, true),
    }
}

/// Converts the reply of a command.
fn converted(lua: &Lua, account: &Account, reply: &[u8]) -> Result<Value> {
    /// Replies up to this size are converted without the limit, which is faster.
    const SHORT_BYTES: usize = 64 * 1024;
    /// Bytes of Lua for each byte of a reply: a short item takes 3 and becomes a slot or a string.
    const GROWTH: usize = 32;

    if reply.len() <= SHORT_BYTES && account.fits(lua, GROWTH * reply.len()) {
        return account.unlimited(lua, || convert::to_lua(lua, reply));
    }
    let _charge = account.charge(lua, reply.len())?;
    account.check(lua, reply.len())?;
    convert::to_lua(lua, reply)
}

/// Returns the memory for a request with the arguments of `redis.call`.
fn request_bytes(given: &[Value]) -> usize {
    let bytes = |value: &Value| match value {
        Value::String(text) => text.as_bytes().len(),
        _ => 32,
    };
    given.iter().map(|value| bytes(value).saturating_add(16)).fold(0, usize::saturating_add)
}

/// Builds a request from the arguments of `redis.call`.
fn command(given: &[Value]) -> std::result::Result<OwnedRequest, &'static str> {
    if given.is_empty() {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let mut request = OwnedRequest::with_capacity(given.len(), request_bytes(given));
    for value in given {
        match value {
            Value::String(text) => request.push(&text.as_bytes()),
            // Whole numbers of Lua arrive as integers.
            Value::Integer(value) => request.push(number_text(*value as f64).as_bytes()),
            Value::Number(value) => request.push(number_text(*value).as_bytes()),
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(request)
}

/// Writes a number as Redis 7.2 does: a whole one without an exponent, since commands read no other.
fn number_text(value: f64) -> String {
    let shortest = || resp::number::shortest(value);
    resp::number::whole(value).map_or_else(shortest, |number| number.to_string())
}

/// `redis.acl_check_cmd(command, ...)`
fn acl_check_cmd(lua: &Lua, given: Arguments<'_>, server: &Server) -> Result<Value> {
    let given = given.into_values();
    let _charge = Account::of(lua).charge(lua, request_bytes(&given))?;
    let request = command(&given).map_err(refused)?;
    match server.borrow().may_run(request.borrow()) {
        Some(may) => Ok(Value::Boolean(may)),
        None => Err(refused("Invalid command passed to redis.acl_check_cmd()")),
    }
}

/// `redis.log(level, text, ...)`
fn log(lua: &Lua, given: &Arguments<'_>, server: &Server) -> Result<()> {
    if given.len() < 2 {
        return Err(refused("redis.log() requires two arguments or more."));
    }
    let Some(level) = given.as_number(1)? else {
        return Err(refused("First argument must be a number (log level)."));
    };
    let level = usize::try_from(number::to_integer(level)).ok().and_then(|at| LEVELS.get(at));
    let Some(&(_, level)) = level else { return Err(refused("Invalid debug level.")) };
    let mut line = Buffer::new(lua);
    for number in 2..=given.len() {
        if let Some(text) = super::arguments::string(lua, given.get(number))? {
            if number > 2 {
                line.push(b' ')?;
            }
            line.extend(&text.as_bytes())?;
        }
    }
    server.borrow().log(level, &line);
    Ok(())
}

/// `redis.setresp(version)`
fn setresp(given: &Arguments<'_>, server: &Server) -> Result<()> {
    if given.len() != 1 {
        return Err(refused("redis.setresp() requires one argument."));
    }
    let protocol = match given.as_number(1)?.map(number::to_integer) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return Err(refused("RESP version must be 2 or 3.")),
    };
    server.borrow_mut().set_protocol(protocol);
    Ok(())
}

/// `redis.set_repl(flags)`; checks the flags only.
fn set_repl(given: &Arguments<'_>) -> Result<()> {
    if given.len() != 1 {
        return Err(refused("redis.set_repl() requires one argument."));
    }
    match given.as_number(1)?.map_or(0, number::to_integer) {
        0..=3 => Ok(()),
        _ => Err(refused(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        )),
    }
}

/// `redis.sha1hex(text)`
fn sha1hex(lua: &Lua, given: &Arguments<'_>) -> Result<Value> {
    if given.len() != 1 {
        return Err(refused("wrong number of arguments"));
    }
    let text = super::arguments::string(lua, given.get(1))?;
    Patience::default().steps(lua, text.as_ref().map_or(0, |text| text.as_bytes().len()))?;
    let mut sha = Sha1::new();
    if let Some(text) = text {
        sha.update(&text.as_bytes());
    }
    lua.create_string(sha.digest().to_string()).map(Value::String)
}

/// `redis.error_reply(text)`
fn error_reply(lua: &Lua, given: &Arguments<'_>) -> Result<Value> {
    let (1, Some(Value::String(text))) = (given.len(), given.get(1)) else {
        return error_table(lua, WRONG, false);
    };
    let text = text.as_bytes();
    let text = memchr::memchr(0, &text).map_or(&*text, |end| &text[..end]);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let _charge = Account::of(lua).charge(lua, text.len())?;
    let error = match memchr::memchr(b' ', text) {
        Some(end) => [&text[..=end], trimmed(&text[end + 1..])].concat(),
        None => [b"ERR ", trimmed(text)].concat(),
    };
    error_table(lua, &error, false)
}

/// `redis.status_reply(text)`
fn status_reply(lua: &Lua, given: &Arguments<'_>) -> Result<Value> {
    let (1, Some(Value::String(text))) = (given.len(), given.get(1)) else {
        return error_table(lua, WRONG, false);
    };
    let table = lua.create_table()?;
    table.raw_set("ok", text.clone())?;
    Ok(Value::Table(table))
}

const WRONG: &[u8] = b"ERR wrong number or type of arguments";

/// Removes line ends at the start and at the end.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = text.iter().take_while(|byte| is_end(byte)).count();
    let text = &text[start..];
    let end = text.iter().rev().take_while(|byte| is_end(byte)).count();
    &text[..text.len() - end]
}

#[test]
fn whole_numbers_have_no_exponent() {
    for (value, expected) in [
        (3e9, "3000000000"),
        (-3e9, "-3000000000"),
        (1e17, "100000000000000000"),
        (4.6e18, "4600000000000000000"),
        (4.7e18, "4.7e+18"),
        (1e20, "1e+20"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(number_text(value), expected);
    }
}
