//! A JSON value that keeps the order of its fields, which is the order of Redis' replies.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Value {
    /// Returns a field of a map.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Returns a field that is a text, or "".
    pub(super) fn text(&self, name: &str) -> &str {
        if let Some(Self::Text(text)) = self.field(name) { text } else { "" }
    }
}

/// Returns the text of a file with these values: one line for each field, and for each field of a
/// map in it.
pub(super) fn file(entries: &[Value]) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| lines(entry, 2)).collect();
    format!("[\n  {}\n]\n", entries.join(",\n  "))
}

fn lines(value: &Value, indent: usize) -> String {
    let Value::Map(fields) = value else { return line(value) };
    if indent > 4 || fields.is_empty() {
        return line(value);
    }
    let margin = " ".repeat(indent);
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{margin}  {name:?}: {}", lines(value, indent + 2)))
        .collect();
    format!("{{\n{}\n{margin}}}", fields.join(",\n"))
}

fn line(value: &Value) -> String {
    serde_json::to_string(value).expect("keys are texts")
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => number.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer, a text, a list or a map")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order() {
        let text = r#"{"b":1,"a":[{"d":"x","c":-2}]}"#;
        let value: Value = serde_json::from_str(text).expect("valid");
        assert_eq!(line(&value), text);
        assert_eq!(value.field("b"), Some(&Value::Int(1)));
    }

    #[test]
    fn a_file_has_a_line_for_each_field_of_a_command() {
        let entry = r#"{"name":"a","docs":{"since":"1","arguments":[{"name":"b"}]}}"#;
        let value: Value = serde_json::from_str(entry).expect("valid");
        let expected = r#"[
  {
    "name": "a",
    "docs": {
      "since": "1",
      "arguments": [{"name":"b"}]
    }
  }
]
"#;
        assert_eq!(file(&[value]), expected);
    }
}
