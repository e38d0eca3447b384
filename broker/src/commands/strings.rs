//! Commands on strings: `GET`, `SET`, `APPEND` and their kin.

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::expiry::{Given, Unit};
use crate::keyspace::{AccessMode, Class, Entry, Keys, Step, Value};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::message::SHARED_BYTES_MIN;

const TOO_LONG: &[u8] = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/// The options of `SET` and `GETEX`.
#[derive(Debug, Default)]
struct Options<'a> {
    only_new: bool,
    only_known: bool,
    gets: bool,
    keeps_deadline: bool,
    persists: bool,
    expiry: Option<Given<'a>>,
}

/// The command of the options: `SET` or `GETEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Set,
    Get,
}

/// `GET key`
pub(crate) fn get(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    Ok(read(keys, request.argument(1)))
}

/// `SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds |
/// PXAT unix-time-milliseconds | KEEPTTL]`
pub(crate) fn set(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let options = Options::parse(Verb::Set, request.arguments_from(3))?;
    put(keys, "set", request.argument(1), request.argument(2), &options)
}

/// `SETNX key value`
pub(crate) fn setnx(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let options = Options { only_new: true, ..Options::default() };
    let is_set = put(keys, "setnx", request.argument(1), request.argument(2), &options)?;
    Ok(Reply::Integer((is_set != Reply::Null).into()))
}

/// `SETEX key seconds value`
pub(crate) fn setex(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let expiry = Some(Given { unit: Unit::Seconds, is_moment: false, text: request.argument(2) });
    let options = Options { expiry, ..Options::default() };
    put(keys, "setex", request.argument(1), request.argument(3), &options)
}

/// `PSETEX key milliseconds value`
pub(crate) fn psetex(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let unit = Unit::Milliseconds;
    let expiry = Some(Given { unit, is_moment: false, text: request.argument(2) });
    let options = Options { expiry, ..Options::default() };
    put(keys, "psetex", request.argument(1), request.argument(3), &options)
}

/// `GETSET key value`
pub(crate) fn getset(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let old = read(keys, key);
    keys.set(key, Value::new(request.argument(2)), None);
    keys.notify(Class::Text, "set", key);
    Ok(old)
}

/// `GETDEL key`
pub(crate) fn getdel(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let old = read(keys, key);
    if keys.remove(key).is_some() {
        keys.changed(key);
        keys.notify(Class::Generic, "del", key);
    }
    Ok(old)
}

/// `GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds |
/// PERSIST]`
pub(crate) fn getex(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let options = Options::parse(Verb::Get, request.arguments_from(2))?;
    let Some(entry) = keys.get(key, AccessMode::Read) else { return Ok(Reply::Null) };
    let (value, deadline) = (shown(&entry.value), entry.deadline());
    match options.expiry {
        Some(given) => {
            let deadline = given.deadline("getex", keys.scope.now)?;
            if given.is_moment && deadline <= keys.scope.now {
                keys.remove(key);
                keys.changed(key);
                keys.notify(Class::Generic, "del", key);
            } else {
                keys.set_deadline(key, Some(deadline));
                keys.stepped(key, Step::Deadline(Some(deadline)));
                keys.notify(Class::Generic, "expire", key);
            }
        }
        None if options.persists && deadline.is_some() => {
            keys.set_deadline(key, None);
            keys.stepped(key, Step::Deadline(None));
            keys.notify(Class::Generic, "persist", key);
        }
        None => {}
    }
    Ok(value)
}

/// `MGET key [key ...]`
pub(crate) fn mget(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    Ok(Reply::Array(request.arguments_from(1).map(|key| read(keys, key)).collect()))
}

/// `MSET key value [key value ...]`
pub(crate) fn mset(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    if request.len().is_multiple_of(2) {
        return Err(b"ERR wrong number of arguments for 'mset' command".to_vec());
    }
    put_all(keys, request);
    Ok(Reply::ok())
}

/// `MSETNX key value [key value ...]`
pub(crate) fn msetnx(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    if request.len().is_multiple_of(2) {
        return Err(b"ERR wrong number of arguments for 'msetnx' command".to_vec());
    }
    if request.arguments_from(1).step_by(2).any(|key| keys.get(key, AccessMode::Write).is_some()) {
        return Ok(Reply::Integer(0));
    }
    put_all(keys, request);
    Ok(Reply::Integer(1))
}

/// `APPEND key value`
pub(crate) fn append(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let (key, text) = (request.argument(1), request.argument(2));
    let length = match keys.get(key, AccessMode::Write).map(|entry| entry.value.len()) {
        Some(length) => {
            check_length(keys, length, text)?;
            keys.change(key, |value| value.append(text));
            length + text.len()
        }
        None => {
            keys.insert(key, Value::new(text));
            text.len()
        }
    };
    keys.stepped(key, Step::Append(text));
    keys.notify(Class::Text, "append", key);
    Ok(Reply::integer(length))
}

/// `STRLEN key`
pub(crate) fn strlen(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let entry = keys.get(request.argument(1), AccessMode::Read);
    Ok(Reply::integer(entry.map_or(0, |entry| entry.value.len())))
}

/// `GETRANGE key start end`; `SUBSTR` is its old name.
pub(crate) fn getrange(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let start = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    let end = request::integer(request.argument(3)).ok_or(NOT_AN_INTEGER)?;
    let Some(entry) = keys.get(request.argument(1), AccessMode::Read) else {
        return Ok(Reply::bulk(""));
    };
    let length = i64::try_from(entry.value.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::bulk(""));
    }
    let place = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(length - 1));
    if start > end {
        return Ok(Reply::bulk(""));
    }
    let range = usize::try_from(start).unwrap_or(0)..=usize::try_from(end).unwrap_or(0);
    Ok(match &entry.value {
        Value::Raw(text) if end - start >= SHARED_BYTES_MIN as i64 => {
            Reply::Shared(text.slice(range))
        }
        value => Reply::bulk(&value.text()[range]),
    })
}

/// `SETRANGE key offset value`
pub(crate) fn setrange(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let (key, text) = (request.argument(1), request.argument(3));
    let offset = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    let Ok(offset) = usize::try_from(offset) else {
        return Err(b"ERR offset is out of range".to_vec());
    };
    let length = keys.get(key, AccessMode::Write).map(|entry| entry.value.len());
    if text.is_empty() {
        return Ok(Reply::integer(length.unwrap_or(0)));
    }
    check_length(keys, offset, text)?;
    if length.is_none() {
        keys.insert(key, Value::new(b""));
    }
    keys.change(key, |value| value.set_range(offset, text));
    keys.stepped(key, Step::Overwrite(offset, text));
    keys.notify(Class::Text, "setrange", key);
    Ok(Reply::integer(length.unwrap_or(0).max(offset + text.len())))
}

/// Checks the length of a string of `length` bytes after an extension by `text`.
fn check_length(keys: &Keys<'_>, length: usize, text: &[u8]) -> Result<(), CommandError> {
    let total = length.saturating_add(text.len());
    if total > keys.scope.value_bytes_max { Err(TOO_LONG.to_vec()) } else { Ok(()) }
}

/// Returns the value of a key as a reply.
fn read(keys: &mut Keys<'_>, key: &[u8]) -> Reply {
    keys.get(key, AccessMode::Read).map_or(Reply::Null, |entry| shown(&entry.value))
}

fn shown(value: &Value) -> Reply {
    match value {
        Value::Raw(text) if text.len() >= SHARED_BYTES_MIN => Reply::Shared((**text).clone()),
        value => Reply::Bulk(value.text().into_owned()),
    }
}

fn put(
    keys: &mut Keys<'_>,
    command: &str,
    key: &[u8],
    text: &[u8],
    options: &Options<'_>,
) -> Answer {
    let deadline =
        options.expiry.map(|given| given.deadline(command, keys.scope.now)).transpose()?;
    let old = options.gets.then(|| read(keys, key));
    let known = keys.get(key, AccessMode::Write).map(Entry::deadline);
    if options.only_new && known.is_some() || options.only_known && known.is_none() {
        return Ok(old.unwrap_or(Reply::Null));
    }
    let kept = known.flatten().filter(|_| options.keeps_deadline);
    keys.set(key, Value::new(text), deadline.or(kept));
    keys.notify(Class::Text, "set", key);
    if deadline.is_some() {
        keys.notify(Class::Generic, "expire", key);
    }
    Ok(old.unwrap_or_else(Reply::ok))
}

fn put_all(keys: &mut Keys<'_>, request: Request<'_>) {
    let values = request.arguments_from(2).step_by(2);
    for (key, value) in request.arguments_from(1).step_by(2).zip(values) {
        keys.set(key, Value::new(value), None);
        keys.notify(Class::Text, "set", key);
    }
}

impl<'a> Options<'a> {
    fn parse(verb: Verb, mut words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            if !options.apply(verb, word, &mut words) {
                return Err(SYNTAX_ERROR.to_vec());
            }
        }
        Ok(options)
    }

    /// Applies one option. Returns false if it is unknown or conflicts with an earlier one.
    fn apply(
        &mut self,
        verb: Verb,
        word: &[u8],
        rest: &mut impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let can_set = verb == Verb::Set;
        match &*word.to_ascii_lowercase() {
            b"nx" if can_set && !self.only_known => self.only_new = true,
            b"xx" if can_set && !self.only_new => self.only_known = true,
            b"get" if can_set => self.gets = true,
            b"keepttl" if can_set && self.expiry.is_none() => self.keeps_deadline = true,
            b"persist" if !can_set && self.expiry.is_none() => self.persists = true,
            b"ex" => return self.expire(Unit::Seconds, false, rest.next()),
            b"px" => return self.expire(Unit::Milliseconds, false, rest.next()),
            b"exat" => return self.expire(Unit::Seconds, true, rest.next()),
            b"pxat" => return self.expire(Unit::Milliseconds, true, rest.next()),
            _ => return false,
        }
        true
    }

    fn expire(&mut self, unit: Unit, is_moment: bool, text: Option<&'a [u8]>) -> bool {
        let Some(text) = text else { return false };
        let is_other = |known: Given<'_>| known.unit != unit || known.is_moment != is_moment;
        if self.keeps_deadline || self.persists || self.expiry.is_some_and(is_other) {
            return false;
        }
        self.expiry = Some(Given { unit, is_moment, text });
        true
    }
}
