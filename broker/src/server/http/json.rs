//! Replies of the broker as JSON.

use serde_json::{Map, Number, Value as Json, json};

use resp::value::Value;

/// Returns a reply as JSON. Bytes that are no text become replacement characters, and an error within
/// a reply becomes an object with the field `error`.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Simple(text) | Value::Bulk(text) | Value::BigNumber(text) => lossy(text).into(),
        Value::Verbatim { text, .. } => lossy(text).into(),
        Value::Error(text) => json!({ "error": lossy(text) }),
        Value::Integer(number) => (*number).into(),
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        // JSON has no infinity.
        Value::Double(number) => {
            Number::from_f64(*number).map_or_else(|| number.to_string().into(), Json::Number)
        }
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().map(json).collect()
        }
        Value::Map(pairs) => {
            pairs.iter().map(|(key, value)| (name(key), json(value))).collect::<Map<_, _>>().into()
        }
        Value::Attributed(_, value) => json(value),
    }
}

/// Returns the key of a map as the name of a field.
fn name(key: &Value) -> String {
    key.bytes().map_or_else(|| json(key).to_string(), |text| lossy(text))
}

/// Returns bytes as text.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use resp::value::Decoder;

    use super::*;

    #[test]
    fn each_type_of_reply_has_a_form() {
        for (reply, expected) in [
            ("+OK\r\n", r#""OK""#),
            ("-ERR no\r\n", r#"{"error":"ERR no"}"#),
            (":-1\r\n", "-1"),
            ("$2\r\nhi\r\n", r#""hi""#),
            ("$1\r\n\u{7}\r\n", r#""\u0007""#),
            ("_\r\n", "null"),
            ("#t\r\n", "true"),
            (",1.5\r\n", "1.5"),
            (",inf\r\n", r#""inf""#),
            ("(12345678901234567890\r\n", r#""12345678901234567890""#),
            ("=6\r\ntxt:hi\r\n", r#""hi""#),
            ("*2\r\n:1\r\n-ERR no\r\n", r#"[1,{"error":"ERR no"}]"#),
            ("~1\r\n:1\r\n", "[1]"),
            (">2\r\n+message\r\n+a\r\n", r#"["message","a"]"#),
            ("%2\r\n+a\r\n:1\r\n:2\r\n*0\r\n", r#"{"2":[],"a":1}"#),
            ("|1\r\n+a\r\n:1\r\n:2\r\n", "2"),
        ] {
            let value = Decoder::default().decode(&mut BytesMut::from(reply));
            let value = value.expect("valid").expect("complete");
            assert_eq!(json(&value).to_string(), expected, "{reply:?}");
        }
    }
}
