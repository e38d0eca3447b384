//! Deadlines of keys: `EXPIRE`, `PERSIST`, `TTL` and their kin.

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, shown};
use crate::keyspace::{AccessMode, Class, Entry, Keys, Step};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};

/// The unit of a time in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
}

/// A time in a request, not parsed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) unit: Unit,
    /// Counted from 1970 if true, else from now.
    pub(crate) is_moment: bool,
    pub(crate) text: &'a [u8],
}

/// The conditions `NX`, `XX`, `GT` and `LT` of `EXPIRE`.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    none: bool,
    some: bool,
    greater: bool,
    less: bool,
}

impl Given<'_> {
    /// Returns the deadline in milliseconds since 1970.
    pub(crate) fn deadline(self, command: &str, now: u64) -> Result<u64, CommandError> {
        let number = request::integer(self.text).ok_or(NOT_AN_INTEGER)?;
        let time = if number > 0 { self.unit.milliseconds(number) } else { None };
        let base = if self.is_moment { 0 } else { now.cast_signed() };
        let deadline = time.and_then(|time| time.checked_add(base));
        deadline.map(i64::cast_unsigned).ok_or_else(|| invalid(command))
    }
}

impl Unit {
    fn milliseconds(self, number: i64) -> Option<i64> {
        match self {
            Self::Seconds => number.checked_mul(1000),
            Self::Milliseconds => Some(number),
        }
    }
}

fn invalid(command: &str) -> CommandError {
    format!("ERR invalid expire time in '{command}' command").into_bytes()
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(crate) fn expire(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let base = keys.scope.now;
    expire_at(keys, request, "expire", Unit::Seconds, base)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub(crate) fn pexpire(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let base = keys.scope.now;
    expire_at(keys, request, "pexpire", Unit::Milliseconds, base)
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`
pub(crate) fn expireat(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    expire_at(keys, request, "expireat", Unit::Seconds, 0)
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`
pub(crate) fn pexpireat(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    expire_at(keys, request, "pexpireat", Unit::Milliseconds, 0)
}

fn expire_at(
    keys: &mut Keys<'_>,
    request: Request<'_>,
    command: &str,
    unit: Unit,
    base: u64,
) -> Answer {
    let key = request.argument(1);
    let conditions = Conditions::parse(request.arguments_from(3))?;
    let number = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    let time = unit.milliseconds(number).and_then(|time| time.checked_add(base.cast_signed()));
    let deadline = time.ok_or_else(|| invalid(command))?;
    let Some(entry) = keys.get(key, AccessMode::Write) else { return Ok(Reply::Integer(0)) };
    if !conditions.allow(entry.deadline(), deadline) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(deadline) {
        Ok(deadline) if deadline > keys.scope.now || keys.scope.finds_expired => {
            keys.set_deadline(key, Some(deadline));
            keys.stepped(key, Step::Deadline(Some(deadline)));
            keys.notify(Class::Generic, "expire", key);
        }
        _ => {
            keys.remove(key);
            keys.changed(key);
            keys.notify(Class::Generic, "del", key);
        }
    }
    Ok(Reply::Integer(1))
}

/// `PERSIST key`
pub(crate) fn persist(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let deadline = keys.get(key, AccessMode::Write).and_then(Entry::deadline);
    if deadline.is_none() {
        return Ok(Reply::Integer(0));
    }
    keys.set_deadline(key, None);
    keys.stepped(key, Step::Deadline(None));
    keys.notify(Class::Generic, "persist", key);
    Ok(Reply::Integer(1))
}

/// `TTL key`
pub(crate) fn ttl(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let now = keys.scope.now;
    Ok(time_of(keys, request, now, Unit::Seconds))
}

/// `PTTL key`
pub(crate) fn pttl(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let now = keys.scope.now;
    Ok(time_of(keys, request, now, Unit::Milliseconds))
}

/// `EXPIRETIME key`
pub(crate) fn expiretime(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    Ok(time_of(keys, request, 0, Unit::Seconds))
}

/// `PEXPIRETIME key`
pub(crate) fn pexpiretime(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    Ok(time_of(keys, request, 0, Unit::Milliseconds))
}

/// Returns the time from `base` to the deadline of a key: -1 without a deadline, -2 without the key.
fn time_of(keys: &mut Keys<'_>, request: Request<'_>, base: u64, unit: Unit) -> Reply {
    let Some(entry) = keys.get(request.argument(1), AccessMode::Inspect) else {
        return Reply::Integer(-2);
    };
    let Some(deadline) = entry.deadline() else { return Reply::Integer(-1) };
    let time = deadline.saturating_sub(base);
    let time = if unit == Unit::Seconds { (time + 500) / 1000 } else { time };
    Reply::Integer(time.cast_signed())
}

impl Conditions {
    fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for word in words {
            match &*word.to_ascii_lowercase() {
                b"nx" => conditions.none = true,
                b"xx" => conditions.some = true,
                b"gt" => conditions.greater = true,
                b"lt" => conditions.less = true,
                _ => return Err([b"ERR Unsupported option ", shown(word, usize::MAX)].concat()),
            }
        }
        let Self { none, some, greater, less } = conditions;
        if none && (some || greater || less) {
            let text = b"ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(text.to_vec());
        }
        if greater && less {
            return Err(b"ERR GT and LT options at the same time are not compatible".to_vec());
        }
        Ok(conditions)
    }

    /// Returns whether `new` may replace `old`. A missing deadline counts as the latest.
    fn allow(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(u64::cast_signed);
        !(self.none && old.is_some()
            || self.some && old.is_none()
            || self.greater && old.is_none_or(|old| new <= old)
            || self.less && old.is_some_and(|old| new >= old))
    }
}
