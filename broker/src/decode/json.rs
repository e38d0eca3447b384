//! One line of JSON, written up to a limit.
//!
//! Beyond the limit, nothing is added, so text of any size takes bounded memory. The text is then
//! cut, and no value of JSON any more.

use std::fmt::Display;

use serde::de::IgnoredAny;

/// JSON that is being written.
#[derive(Debug)]
pub(crate) struct Json {
    text: String,
    bytes_max: usize,
    is_cut: bool,
}

/// The fields of an object that is being written.
pub(crate) struct Object<'a> {
    json: &'a mut Json,
    before: &'static str,
}

/// Maximum number of arrays and objects around a value in foreign JSON. Most parsers accept as many.
const NESTING_MAX: usize = 128;

impl Json {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), bytes_max, is_cut: false }
    }

    /// Returns whether something is missing.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Appends text that is JSON.
    pub(crate) fn raw(&mut self, text: &str) {
        if self.is_cut {
            return;
        }
        let end = text.floor_char_boundary(self.bytes_max - self.text.len());
        self.text.push_str(&text[..end]);
        self.is_cut = end < text.len();
    }

    pub(crate) fn number(&mut self, number: impl Display) {
        self.raw(&number.to_string());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// Appends a string.
    pub(crate) fn string(&mut self, text: &str) {
        self.raw("\"");
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\' | '\u{7f}'))
            && !self.is_cut
        {
            self.raw(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                control => self.raw(&format!("\\u{control:04x}")),
            }
            rest = &rest[at + 1..];
        }
        self.raw(rest);
        self.raw("\"");
    }

    /// Appends bytes as a string, with a replacement for those that are no text.
    pub(crate) fn lossy(&mut self, bytes: &[u8]) {
        self.string(&String::from_utf8_lossy(bytes));
    }

    /// Appends bytes as a string of base64.
    pub(super) fn base64(&mut self, bytes: &[u8]) {
        // No more than fits, so that a long one costs no more.
        let bytes_max = self.bytes_max.saturating_sub(self.text.len()) / 4 * 3 + 3;
        let start = &bytes[..bytes.len().min(bytes_max)];
        self.raw("\"");
        self.raw(&super::base64(start));
        self.raw("\"");
    }

    /// Appends text that may be JSON, without blanks. Returns false if it is none.
    pub(super) fn embed(&mut self, text: &str) -> bool {
        if nesting(text) > NESTING_MAX || serde_json::from_str::<IgnoredAny>(text).is_err() {
            return false;
        }
        let mut is_string = Strings::default();
        let mut start = 0;
        for (at, byte) in text.bytes().enumerate() {
            if self.is_cut {
                return true;
            }
            if !is_string.after(byte) && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                self.raw(&text[start..at]);
                start = at + 1;
            }
        }
        self.raw(&text[start..]);
        true
    }

    /// Appends JSON, or a string if the text is no JSON.
    pub(super) fn embed_or_string(&mut self, bytes: &[u8]) {
        let is_embedded = std::str::from_utf8(bytes).is_ok_and(|text| self.embed(text));
        if !is_embedded {
            self.lossy(bytes);
        }
    }

    /// Appends an array.
    pub(super) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let mut before = "[";
        for item in items {
            if self.is_cut {
                return;
            }
            self.raw(before);
            write(self, item);
            before = ",";
        }
        self.raw(if before == "[" { "[]" } else { "]" });
    }

    /// Appends an object.
    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object { json: self, before: "{" };
        write(&mut object);
        let end = if object.before == "{" { "{}" } else { "}" };
        self.raw(end);
    }
}

impl Object<'_> {
    pub(crate) fn field(&mut self, name: &str, write: impl FnOnce(&mut Json)) {
        self.json.raw(self.before);
        self.before = ",";
        self.json.string(name);
        self.json.raw(":");
        write(self.json);
    }

    /// Appends a field whose name is a value of JSON, a string or not.
    pub(super) fn entry(&mut self, name: Json, is_string: bool, write: impl FnOnce(&mut Json)) {
        self.json.raw(self.before);
        self.before = ",";
        match is_string {
            true => self.json.raw(&name.text),
            false => self.json.string(&name.text),
        }
        self.json.raw(":");
        write(self.json);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.json.is_cut
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.field(name, |json| json.string(text));
    }

    pub(crate) fn number(&mut self, name: &str, number: impl Display) {
        self.field(name, |json| json.number(number));
    }
}

/// Follows the strings in a text of JSON.
#[derive(Default)]
struct Strings {
    is_within: bool,
    is_escaped: bool,
}

impl Strings {
    /// Returns whether the next byte belongs to a string.
    fn after(&mut self, byte: u8) -> bool {
        let was_within = self.is_within;
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_within => self.is_escaped = true,
            b'"' => self.is_within = !self.is_within,
            _ => {}
        }
        was_within || self.is_within
    }
}

/// Returns the most arrays and objects around a value.
fn nesting(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let mut is_string = Strings::default();
    for byte in text.bytes() {
        match (is_string.after(byte), byte) {
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes_max: usize, write: impl FnOnce(&mut Json)) -> (String, bool) {
        let mut json = Json::new(bytes_max);
        write(&mut json);
        let is_cut = json.is_cut();
        (json.into_text(), is_cut)
    }

    #[test]
    fn strings_are_escaped() {
        let (text, _) = written(100, |json| json.string("a\"\\\n\r\t\u{0}\u{1f}\u{7f}\u{e4}"));
        assert_eq!(text, "\"a\\\"\\\\\\n\\r\\t\\u0000\\u001f\\u007f\u{e4}\"");
    }

    #[test]
    fn nothing_is_written_beyond_the_limit() {
        assert_eq!(written(4, |json| json.raw("abcd")), ("abcd".to_owned(), false));
        assert_eq!(written(4, |json| json.raw("abcde")), ("abcd".to_owned(), true));
        assert_eq!(written(4, |json| json.raw("abc\u{e4}")), ("abc".to_owned(), true));
        let (text, is_cut) = written(10, |json| json.array(0.., Json::number));
        assert_eq!((&*text, is_cut), ("[0,1,2,3,4", true));
        let (text, is_cut) = written(10, |json| json.base64(&[0; 1_000_000]));
        assert_eq!((text.len(), is_cut), (10, true));
    }

    #[test]
    fn objects_and_arrays_may_be_empty() {
        assert_eq!(written(9, |json| json.object(|_| ())).0, "{}");
        assert_eq!(written(9, |json| json.array([0; 0], Json::number)).0, "[]");
        let (text, _) = written(99, |json| {
            json.object(|object| {
                object.text("a", "b");
                object.number("c", 1);
            });
        });
        assert_eq!(text, r#"{"a":"b","c":1}"#);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting(r#"{"[[[\"[[": [1, "]"]}"#), 2);
        assert_eq!(nesting("]]][["), 2);
    }
}
