//! Commands on the numbers that keys hold.

use super::{Answer, NOT_AN_INTEGER};
use crate::keyspace::{Class, Keys, Look, Value};
use crate::resp::reply::Reply;
use crate::resp::request::{self, Request};

const OVERFLOW: &[u8] = b"ERR increment or decrement would overflow";

/// `INCR key`
pub(super) fn incr(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    add(keys, request.argument(1), 1)
}

/// `DECR key`
pub(super) fn decr(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    add(keys, request.argument(1), -1)
}

/// `INCRBY key increment`
pub(super) fn incrby(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let increment = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    add(keys, request.argument(1), increment)
}

/// `DECRBY key decrement`
pub(super) fn decrby(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let decrement = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    let increment = decrement.checked_neg().ok_or(&b"ERR decrement would overflow"[..])?;
    add(keys, request.argument(1), increment)
}

fn add(keys: &mut Keys<'_>, key: &[u8], increment: i64) -> Answer {
    let known = keys.get(key, Look::Write).map(|entry| entry.value.integer());
    let old = known.unwrap_or(Some(0)).ok_or(NOT_AN_INTEGER)?;
    let new = old.checked_add(increment).ok_or(OVERFLOW)?;
    match known {
        Some(_) => keys.change(key, |value| *value = Value::Integer(new)).unwrap_or_default(),
        None => keys.insert(key, Value::Integer(new)),
    }
    keys.changed(key);
    keys.notify(Class::Text, "incrby", key);
    Ok(Reply::Integer(new))
}
