//! `DEBUG`: subcommands for test suites.

use std::time::Duration;

use super::spec::Outcome;
use crate::pubsub::order::OrderGuard;

use super::Answer;
use super::config::{self, Rewritten};
use super::errors::CommandError;
use crate::address::Address;
use crate::config::Config;
use crate::keyspace::{AccessMode, Keys, Value, stored_length};
use crate::protocol::Protocol;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;
use crate::session::context::Context;
use crate::session::server_state::ServerState;

const NOT_ALLOWED: &[u8] = b"ERR DEBUG command not allowed. If the enable-debug-command option is \
set to \"local\", you can run it from a local connection, otherwise you need to set this option in \
the configuration file, and then restart the server.";

/// Checks `enable-debug-command` for a client.
pub(crate) fn check_allowed(config: &Config, peer: &Address) -> Result<(), CommandError> {
    match config.enable_debug_command.allows(peer) {
        true => Ok(()),
        false => Err(NOT_ALLOWED.to_vec()),
    }
}

impl Session {
    /// `DEBUG SLEEP seconds | PROTOCOL type | ...`: subcommands that need no keys.
    pub(super) fn debug_without_order(&self, request: Request<'_>) -> Option<Outcome> {
        let needs_order = needs_keys(request).is_some()
            || matches!(
                (&*request.argument(1).to_ascii_lowercase(), request.len()),
                (b"set-active-expire", 3) | (b"flushall", 2)
            );
        let answer = || debug(request, self.output.protocol.get(), &self.server);
        (!needs_order).then(|| answer().into())
    }

    /// `DEBUG SET-ACTIVE-EXPIRE 0|1 | OBJECT key | ...`
    pub(super) fn debug(
        &self,
        request: Request<'_>,
        context: &Context,
        order: &mut OrderGuard<'_>,
    ) -> Answer {
        if let Some(run) = needs_keys(request) {
            return run(&mut order.keys(self.view(), &context.config), request);
        }
        if request.argument(1).eq_ignore_ascii_case(b"flushall") {
            let now = order.now();
            drop(order.keyspace().flush(None, now));
        } else {
            order.keyspace().set_expires_lazily(request.argument(2) == b"0");
        }
        Ok(Reply::ok())
    }
}

/// Returns the function of a subcommand that works on keys.
fn needs_keys(request: Request<'_>) -> Option<fn(&mut Keys<'_>, Request<'_>) -> Answer> {
    match (&*request.argument(1).to_ascii_lowercase(), request.len()) {
        (b"object", 3) => Some(object),
        (b"populate", 3..=5) => Some(populate),
        (b"sdslen", 3) => Some(sdslen),
        (b"listpack", 3) => Some(listpack),
        _ => None,
    }
}

/// `DEBUG OBJECT key`
fn object(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let now = keys.scope.now / 1000;
    // An expired key is shown as well.
    let entry = keys.database().get(request.argument(2)).ok_or(super::keys::NO_SUCH_KEY)?;
    let (encoding, length) = (entry.value.encoding(), stored_length(&entry.value));
    let references = super::keys::references(entry);
    // Of 24 bits, as in Redis.
    let lru = entry.used & 0xff_ffff;
    let idle = now.saturating_sub(entry.used.into());
    let text = format!(
        "Value at:0x0 refcount:{references} encoding:{encoding} serializedlength:{length} \
         lru:{lru} lru_seconds_idle:{idle}"
    );
    Ok(Reply::Simple(text.into()))
}

/// `DEBUG POPULATE count [prefix] [size]`
fn populate(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let limited = |text: &[u8], most: usize| {
        let number = request::integer(text).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number <= most).ok_or_else(|| OUT_OF_RANGE.to_vec())
    };
    let mut rest = request.arguments_from(2);
    let count = limited(rest.next().unwrap_or_default(), POPULATED_MAX)?;
    let prefix = rest.next().unwrap_or(b"key");
    let size = limited(rest.next().unwrap_or(b"0"), keys.scope.value_bytes_max)?;
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        if !keys.exists(&key) {
            let mut value = format!("value:{number}").into_bytes();
            if size > 0 {
                value.resize(size, 0);
            }
            keys.insert(&key, Value::new(&value));
            keys.changed(&key);
        }
    }
    Ok(Reply::ok())
}

/// `DEBUG SDSLEN key`
fn sdslen(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(2);
    let entry = keys.database().get(key).ok_or(super::keys::NO_SUCH_KEY)?;
    if matches!(entry.value, Value::Integer(_)) {
        return Err(b"ERR Not an sds encoded string.".to_vec());
    }
    // Strings are shown without spare memory.
    let (key, value) = (key.len(), entry.value.len());
    let text = format!(
        "key_sds_len:{key}, key_sds_avail:0, key_zmalloc: {key}, \
         val_sds_len:{value}, val_sds_avail:0, val_zmalloc: {value}"
    );
    Ok(Reply::Simple(text.into()))
}

/// `DEBUG LISTPACK key`: no key holds one.
fn listpack(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    keys.get(request.argument(2), AccessMode::Examine).ok_or(super::keys::NO_SUCH_KEY)?;
    Err(b"ERR Not a listpack encoded object.".to_vec())
}

fn debug(request: Request<'_>, spoken: Protocol, server: &ServerState) -> Answer {
    let name = request.argument(1);
    match (&*name.to_ascii_lowercase(), request.len()) {
        (b"sleep", 3) => {
            let seconds =
                std::str::from_utf8(request.argument(2)).ok().and_then(|text| text.parse().ok());
            let time = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
            // Blocks the worker, as Redis blocks its thread.
            std::thread::sleep(time.unwrap_or_default().min(SLEEP_TIME_MAX));
            Ok(Reply::ok())
        }
        (b"set-disable-deny-scripts", 3) => {
            server.scripts.allow_everything(request.argument(2) == b"1");
            Ok(Reply::ok())
        }
        (b"quicklist-packed-threshold", 3) | (b"change-repl-id" | b"loadaof" | b"reload", 2) => {
            Ok(Reply::ok())
        }
        (b"replybuffer", 4) | (b"pause-cron", 3) => Ok(Reply::ok()),
        (b"reload", _) => reload(request),
        (b"digest", 2) => Ok(Reply::Simple(NO_DIGEST.into())),
        (b"digest-value", 2..) => {
            let digests = request.arguments_from(2).map(|_| Reply::Simple(NO_DIGEST.into()));
            Ok(Reply::Array(digests.collect()))
        }
        (b"protocol", 3) => protocol(request.argument(2), spoken),
        (b"error", 3) => Err(request.argument(2).to_vec()),
        (b"log", 3) => {
            tracing::info!("DEBUG LOG: {}", String::from_utf8_lossy(request.argument(2)));
            Ok(Reply::ok())
        }
        (b"config-rewrite-force-all", 2) => {
            config::rewrite(server, &server.settings.get(), Rewritten::All)
        }
        (b"panic" | b"assert", 2) => panic!("DEBUG {}", String::from_utf8_lossy(name)),
        (b"segfault", 2) => end_by_signal(),
        (b"help", 2) => {
            Ok(Reply::Array(HELP.iter().map(|line| Reply::Simple((*line).into())).collect()))
        }
        _ => {
            let start = b"ERR unknown subcommand or wrong number of arguments for '";
            Err([start, name, b"'. Try DEBUG HELP."].concat())
        }
    }
}

/// Redis' sample of a floating point number.
#[allow(clippy::approx_constant, reason = "Redis replies with this number")]
const DOUBLE: f64 = 3.141;
const OUT_OF_RANGE: &[u8] = b"ERR value is out of range, must be positive";
/// Bounds the time in which the other clients wait: all keys are created under one lock.
const POPULATED_MAX: usize = 10_000_000;
/// Bounds the time in which `DEBUG SLEEP` blocks a worker.
const SLEEP_TIME_MAX: Duration = Duration::from_secs(60);

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ASSERT, PANIC",
    "    Report a fault in the log and close this connection.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE, with all settings.",
    "DIGEST",
    "    Return the digest of an empty keyspace.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Return this digest for each key.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message.",
    "FLUSHALL",
    "    Remove all keys.",
    "LISTPACK <key>",
    "    Return an error, since no key holds a listpack.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>, or with <prefix> in place of key.",
    "    With <size>, each value has that length.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type.",
    "SDSLEN <key>",
    "    Show the lengths of `key` and of its value.",
    "SEGFAULT",
    "    Report a fault in the log and end the process by SIGABRT.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed. Setting it to 1 reenables back the default.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    With 1, scripts may run every command.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "CHANGE-REPL-ID, LOADAOF, PAUSE-CRON, QUICKLIST-PACKED-THRESHOLD, RELOAD, REPLYBUFFER",
    "    Do nothing.",
    "HELP",
    "    Print this help.",
];

/// `DEBUG SEGFAULT`: the program reports the signal and ends. An invalid access would need unsafe code.
#[cfg(unix)]
fn end_by_signal() -> Answer {
    use rustix::process::{Signal, getpid, kill_process};

    match kill_process(getpid(), Signal::ABORT) {
        Ok(()) => Ok(Reply::ok()),
        Err(error) => Err(format!("ERR {error}").into_bytes()),
    }
}

#[cfg(not(unix))]
fn end_by_signal() -> Answer {
    std::process::abort()
}

/// The digest of an empty keyspace.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000";

/// `DEBUG RELOAD [NOSAVE] [MERGE] [NOFLUSH]`: there is nothing to save or load.
fn reload(request: Request<'_>) -> Answer {
    let is_known = |option: &[u8]| {
        [&b"merge"[..], b"noflush", b"nosave"]
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known))
    };
    match request.arguments_from(2).all(is_known) {
        true => Ok(Reply::ok()),
        false => {
            Err(b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.".to_vec())
        }
    }
}

/// `DEBUG PROTOCOL type`: a sample of each kind of reply.
fn protocol(kind: &[u8], spoken: Protocol) -> Answer {
    let numbers = |count: i64| (0..count).map(Reply::Integer).collect::<Vec<_>>();
    Ok(match &*kind.to_ascii_lowercase() {
        b"string" => Reply::bulk("Hello World"),
        b"integer" => Reply::Integer(12_345),
        b"double" => Reply::Double(DOUBLE),
        b"null" => Reply::Null,
        b"array" => Reply::Array(numbers(3)),
        b"set" => Reply::Set(numbers(3)),
        b"map" => {
            Reply::Map((0..3).map(|key| (Reply::Integer(key), Reply::Boolean(key == 1))).collect())
        }
        b"verbatim" => Reply::Verbatim("This is a verbatim\nstring".into()),
        b"true" => Reply::Boolean(true),
        b"false" => Reply::Boolean(false),
        b"attrib" => {
            let value = Reply::Array(vec![Reply::bulk("key:123"), Reply::Integer(90)]);
            let reply = Reply::bulk("Some real reply following the attribute");
            Reply::Attributed(vec![(Reply::bulk("key-popularity"), value)], Box::new(reply))
        }
        b"push" if spoken == Protocol::Resp2 => {
            return Err(b"ERR RESP2 is not supported by this command".to_vec());
        }
        b"push" => {
            let reply = Reply::bulk("Some real reply following the push reply");
            let push = vec![Reply::bulk("server-cpu-usage"), Reply::Integer(42)];
            Reply::Pushed(push, Box::new(reply))
        }
        b"bignum" => Reply::BigNumber("1234567999999999999999999999999999999"),
        _ => {
            return Err(b"ERR Wrong protocol type name. Please use one of the following: \
                string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
                .to_vec());
        }
    })
}
