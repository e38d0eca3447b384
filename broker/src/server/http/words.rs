//! The words of a command as JSON.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The words of a command: an array of texts and whole numbers. Other numbers have several spellings,
/// and the broker would get another one than the caller wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<Vec<u8>>);

/// Maximum number of words, each of which takes memory beyond its bytes.
pub(super) const WORDS_MAX: usize = 10_000;

struct Word(Vec<u8>);

struct Texts;
struct Text;

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Texts)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {WORDS_MAX} words")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(Word(word)) = array.next_element()? {
            if words.len() == WORDS_MAX {
                return Err(A::Error::invalid_length(WORDS_MAX + 1, &self));
            }
            words.push(word);
        }
        Ok(Words(words))
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

impl Visitor<'_> for Text {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a whole number of 64 bits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.as_bytes().to_vec()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(number.to_string().into_bytes()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_texts_and_whole_numbers() {
        let words: Words = serde_json::from_str(r#"["SET", "k\u0000", 10, -1]"#).expect("words");
        assert_eq!(words.0, [&b"SET"[..], b"k\0", b"10", b"-1"]);
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert!(serde_json::from_str::<Words>(&many(WORDS_MAX)).is_ok());
        for wrong in ["[[]]", "[1.5]", "[12345678901234567890123]", "[null]", "{}", "1"] {
            let error = serde_json::from_str::<Words>(wrong).expect_err(wrong).to_string();
            assert!(error.contains("expected a"), "{wrong} {error}");
        }
        assert!(serde_json::from_str::<Words>(&many(WORDS_MAX + 1)).is_err());
    }
}
