//! Commands on numbers in keys: `INCR` and its kin.

use super::Answer;
use super::errors::NOT_AN_INTEGER;
use crate::keyspace::{AccessMode, AddError, Class, Float, Keys, Parsed, Value};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};

const NOT_A_FLOAT: &[u8] = b"ERR value is not a valid float";
const NOT_FINITE: &[u8] = b"ERR increment would produce NaN or Infinity";
const OVERFLOW: &[u8] = b"ERR increment or decrement would overflow";

/// `INCR key`
pub(crate) fn incr(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    add(keys, request.argument(1), 1)
}

/// `DECR key`
pub(crate) fn decr(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    add(keys, request.argument(1), -1)
}

/// `INCRBY key increment`
pub(crate) fn incrby(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let increment = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    add(keys, request.argument(1), increment)
}

/// `DECRBY key decrement`
pub(crate) fn decrby(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let decrement = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    let increment = decrement.checked_neg().ok_or(&b"ERR decrement would overflow"[..])?;
    add(keys, request.argument(1), increment)
}

/// `INCRBYFLOAT key increment`
pub(crate) fn incrbyfloat(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let key = request.argument(1);
    let known = keys.get(key, AccessMode::Write).map(|entry| number_in(&entry.value));
    let old = known.unwrap_or(Some(Parsed::Finite(Float::default()))).ok_or(NOT_A_FLOAT)?;
    let increment = Float::parse(request.argument(2)).ok_or(NOT_A_FLOAT)?;
    let (Parsed::Finite(old), Parsed::Finite(increment)) = (old, increment) else {
        return Err(NOT_FINITE.to_vec());
    };
    let text = old.plus(increment).ok_or(NOT_FINITE)?.text();
    let new = Value::of_text(text.as_bytes());
    match known {
        Some(_) => keys.change(key, |value| *value = new).unwrap_or_default(),
        None => keys.insert(key, new),
    }
    keys.changed(key);
    keys.notify(Class::Text, "incrbyfloat", key);
    Ok(Reply::bulk(text))
}

fn number_in(value: &Value) -> Option<Parsed> {
    match value {
        Value::Integer(number) => Some(Parsed::Finite(Float::from(*number))),
        other => Float::parse(&other.text()),
    }
}

fn add(keys: &mut Keys<'_>, key: &[u8], increment: i64) -> Answer {
    Ok(Reply::Integer(keys.add_number(key, increment).map_err(words)?))
}

/// Returns Redis' error for a failed addition.
pub(crate) fn words(error: AddError) -> &'static [u8] {
    match error {
        AddError::NotAnInteger => NOT_AN_INTEGER,
        AddError::Overflow => OVERFLOW,
    }
}
