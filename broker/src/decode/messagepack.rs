//! MessagePack as JSON. Bytes become base64, and keys become strings.

use std::fmt::Display;

use dialect::messagepack::{Head, Reader};

use super::SHOWN_BYTES_MAX;
use super::json::Json;

/// Returns bytes that are one array or one map.
pub(super) fn collection(bytes: &[u8]) -> Option<Json> {
    let mut json = Json::new(SHOWN_BYTES_MAX);
    let head = Reader::new(bytes).head()?;
    let is_collection = matches!(head, Head::Array(_) | Head::Map(_));
    (is_collection && value(bytes, &mut json)).then_some(json)
}

/// Appends bytes that are one value. Returns false if they are none.
pub(super) fn value(bytes: &[u8], json: &mut Json) -> bool {
    let mut reader = Reader::new(bytes);
    // It bounds the nesting, and so the recursion below.
    let is_whole = reader.value().is_some() && reader.is_empty();
    if is_whole {
        write(&mut Reader::new(bytes), json);
    }
    is_whole
}

/// Appends the next value, which is complete.
fn write(reader: &mut Reader<'_>, json: &mut Json) {
    let Some((head, bytes)) = reader.head_and_bytes() else { return };
    match head {
        Head::Nil => json.raw("null"),
        Head::Bool => json.bool(bytes == [TRUE]),
        Head::Integer(number) => json.number(number),
        Head::Float => float(bytes, json),
        Head::Text(text) => json.lossy(text),
        Head::Bytes(bytes) => json.base64(bytes),
        // The `undefined` of the library that Socket.IO uses.
        Head::Extension { kind: 0, data: [0] } => json.raw("null"),
        Head::Extension { kind, data } => json.object(|object| {
            object.number("extension", kind);
            object.field("data", |json| json.base64(data));
        }),
        Head::Array(length) => json.array(0..length, |json, _| write(reader, json)),
        Head::Map(length) => json.object(|object| {
            for _ in 0..length {
                if object.is_cut() {
                    return;
                }
                let mut next = *reader;
                let is_text = matches!(next.head(), Some(Head::Text(_)));
                let mut key = Json::new(SHOWN_BYTES_MAX);
                write(reader, &mut key);
                object.entry(key, is_text, |json| write(reader, json));
            }
        }),
    }
}

fn float(bytes: &[u8], json: &mut Json) {
    let number = match *bytes {
        [_, a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [_, a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    match number.is_finite() {
        true => json.number(shortest(number)),
        false => json.raw("null"),
    }
}

fn shortest(number: f64) -> impl Display {
    serde_json::Number::from_f64(number).map_or_else(String::new, |number| number.to_string())
}

const TRUE: u8 = 0xc3;
