//! Commands on keys of any type, such as `DEL`, `RENAME` and `COPY`.

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use crate::keyspace::{AccessMode, Class, Entry, Keys};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};

pub(crate) const NO_SUCH_KEY: &[u8] = b"ERR no such key";
const SAME_OBJECT: &[u8] = b"ERR source and destination objects are the same";
const NO_FREQUENCY: &[u8] = b"ERR An LFU maxmemory policy is not selected, access frequency not \
tracked. Please note that when switching between policies at runtime LRU and LFU data will take some \
time to adjust.";
/// Numbers that all keys of a Redis server share.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

/// `DEL key [key ...]` and `UNLINK key [key ...]`
pub(super) fn del(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let mut count = 0;
    for key in request.arguments_from(1) {
        if keys.remove(key).is_some() {
            keys.changed(key);
            keys.notify(Class::Generic, "del", key);
            count += 1;
        }
    }
    Ok(Reply::Integer(count))
}

/// `EXISTS key [key ...]`
pub(super) fn exists(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    count(request, |key| keys.get(key, AccessMode::Inspect).is_some())
}

/// `TOUCH key [key ...]`
pub(super) fn touch(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    count(request, |key| keys.get(key, AccessMode::Read).is_some())
}

fn count(request: Request<'_>, is: impl FnMut(&&[u8]) -> bool) -> Answer {
    Ok(Reply::integer(
        request
            .arguments_from(1)
            .filter({
                let mut is = is;
                move |key| is(key)
            })
            .count(),
    ))
}

/// `TYPE key`
pub(super) fn type_of(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let found = keys.get(request.argument(1), AccessMode::Inspect);
    Ok(Reply::Simple(if found.is_some() { "string" } else { "none" }.into()))
}

/// `RENAME key newkey`
pub(super) fn rename(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    move_to_name(keys, request, false).map(|_| Reply::ok())
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    move_to_name(keys, request, true).map(|is_renamed| Reply::Integer(is_renamed.into()))
}

fn move_to_name(
    keys: &mut Keys<'_>,
    request: Request<'_>,
    only_new: bool,
) -> Result<bool, CommandError> {
    let (old, new) = (request.argument(1), request.argument(2));
    if keys.get(old, AccessMode::Write).is_none() {
        return Err(NO_SUCH_KEY.to_vec());
    }
    if old == new {
        return Ok(false);
    }
    if keys.get(new, AccessMode::Write).is_some() {
        if only_new {
            return Ok(false);
        }
        keys.remove(new);
    }
    let Some(entry) = keys.remove(old) else { return Ok(false) };
    keys.add(new, entry);
    keys.touched(old);
    keys.changed(new);
    keys.notify(Class::Generic, "rename_from", old);
    keys.notify(Class::Generic, "rename_to", new);
    Ok(true)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(super) fn copy(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let (source, destination) = (request.argument(1), request.argument(2));
    let (mut database, mut replaces) = (keys.scope.database, false);
    let mut options = request.arguments_from(3);
    while let Some(option) = options.next() {
        match &*option.to_ascii_lowercase() {
            b"replace" => replaces = true,
            b"db" => database = self::database(options.next().ok_or(SYNTAX_ERROR)?, keys)?,
            _ => return Err(SYNTAX_ERROR.to_vec()),
        }
    }
    if database == keys.scope.database && source == destination {
        return Err(SAME_OBJECT.to_vec());
    }
    let Some(entry) = keys.get(source, AccessMode::Read).cloned() else {
        return Ok(Reply::Integer(0));
    };
    let mut there = keys.in_database(database);
    if there.get(destination, AccessMode::Write).is_some() {
        if !replaces {
            return Ok(Reply::Integer(0));
        }
        there.remove(destination);
    }
    there.add(destination, entry);
    there.changed(destination);
    there.notify(Class::Generic, "copy_to", destination);
    Ok(Reply::Integer(1))
}

/// `MOVE key db`
pub(super) fn move_key(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let database = database(request.argument(2), keys)?;
    if database == keys.scope.database {
        return Err(SAME_OBJECT.to_vec());
    }
    if keys.get(key, AccessMode::Write).is_none()
        || keys.in_database(database).get(key, AccessMode::Write).is_some()
    {
        return Ok(Reply::Integer(0));
    }
    let Some(entry) = keys.remove(key) else { return Ok(Reply::Integer(0)) };
    keys.in_database(database).add(key, entry);
    keys.touched(key);
    keys.in_database(database).changed(key);
    keys.notify(Class::Generic, "move_from", key);
    keys.in_database(database).notify(Class::Generic, "move_to", key);
    Ok(Reply::Integer(1))
}

/// Parses the number of a database.
fn database(text: &[u8], keys: &Keys<'_>) -> Result<u16, CommandError> {
    let index = small_integer(text)?;
    match u16::try_from(index) {
        Ok(index) if index < keys.scope.databases => Ok(index),
        _ => Err(b"ERR DB index is out of range".to_vec()),
    }
}

/// Parses an integer of 32 bits.
pub(crate) fn small_integer(text: &[u8]) -> Result<i32, CommandError> {
    let integer = request::integer(text).ok_or(NOT_AN_INTEGER)?;
    i32::try_from(integer).map_err(|_| {
        let (min, max) = (i32::MIN, i32::MAX);
        format!("ERR value is out of range, value must between {min} and {max}").into_bytes()
    })
}

/// `DBSIZE`
pub(super) fn dbsize(keys: &mut Keys<'_>, _: Request<'_>) -> Answer {
    Ok(Reply::integer(keys.database().len()))
}

/// `OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key`
pub(super) fn object(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let now = keys.scope.now;
    let Some(entry) = keys.get(request.argument(2), AccessMode::Examine) else {
        return Ok(Reply::Null);
    };
    match &*request.argument(1).to_ascii_lowercase() {
        b"encoding" => Ok(Reply::bulk(entry.value.encoding())),
        b"idletime" => Ok(Reply::Integer(idle_seconds(entry, now))),
        b"refcount" => Ok(Reply::Integer(references(entry))),
        _ => Err(NO_FREQUENCY.to_vec()),
    }
}

/// `MEMORY USAGE key [SAMPLES count]`
pub(super) fn memory_usage(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let options: Vec<&[u8]> = request.arguments_from(3).collect();
    match options[..] {
        [] => {}
        [option, count] if option.eq_ignore_ascii_case(b"samples") => {
            if request::integer(count).ok_or(NOT_AN_INTEGER)? < 0 {
                return Err(SYNTAX_ERROR.to_vec());
            }
        }
        _ => return Err(SYNTAX_ERROR.to_vec()),
    }
    let key = request.argument(2);
    let entry = keys.get(key, AccessMode::Examine);
    Ok(entry.map_or(Reply::Null, |entry| Reply::integer(entry.bytes(key))))
}

fn idle_seconds(entry: &Entry, now: u64) -> i64 {
    i64::try_from((now / 1000).saturating_sub(entry.used.into())).unwrap_or(i64::MAX)
}

/// Returns the reference count that Redis reports. Its keys share small numbers.
pub(super) fn references(entry: &Entry) -> i64 {
    let is_shared = |number| SHARED_INTEGERS.contains(&number);
    match entry.value {
        crate::keyspace::Value::Integer(number) if is_shared(number) => i32::MAX.into(),
        _ => 1,
    }
}
