//! The text fields of the chat and their limits.
//!
//! The hub checks each text, since a client other than the page may call it.

use signalr::HubError;

/// The name of a person.
pub(crate) const NAME: Field = Field { name: "name", characters_max: 40 };
/// The name of a room.
pub(crate) const ROOM: Field = Field { name: "room", characters_max: 40 };
/// The room of all clients, also of those that have entered no room.
pub(crate) const EVERYONE: &str = "Everyone";
/// The text of a message.
pub(crate) const MESSAGE: Field = Field { name: "message", characters_max: 4_000 };

/// The limits of one text field.
pub(crate) struct Field {
    name: &'static str,
    characters_max: usize,
}

impl Field {
    /// Returns the text without white space around it and with single spaces in it.
    ///
    /// Two spellings of a room that differ in white space name the same room.
    pub(crate) fn check(&self, text: &str) -> Result<String, HubError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().any(char::is_control) {
            return Err(HubError::new(format!(
                "the {} contains control characters; remove them",
                self.name
            )));
        }
        self.check_length(text)
    }

    pub(crate) fn check_length(&self, text: String) -> Result<String, HubError> {
        let Self { name, characters_max } = self;
        match text.chars().count() {
            0 => Err(HubError::new(format!(
                "the {name} is empty; expected 1 to {characters_max} characters"
            ))),
            found if found > *characters_max => Err(HubError::new(format!(
                "the {name} has {found} characters; expected at most {characters_max}"
            ))),
            _ => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_in_a_field_is_normalized() {
        check(NAME, "  ann\t of \n the  hill ", Ok("ann of the hill"));
    }

    #[test]
    fn lengths_are_limited_in_characters() {
        let longest = "é".repeat(40);
        check(ROOM, &longest, Ok(&longest));
        check(ROOM, &"é".repeat(41), Err("the room has 41 characters; expected at most 40"));
        check(NAME, " \n ", Err("the name is empty; expected 1 to 40 characters"));
        check(NAME, "a\u{0}b", Err("the name contains control characters; remove them"));
    }

    #[test]
    fn a_message_keeps_its_lines() {
        let poem = MESSAGE.check_length("one\n  two".to_owned());
        assert_eq!(poem.unwrap(), "one\n  two");
        assert!(MESSAGE.check_length("x".repeat(4001)).is_err());
    }

    #[expect(clippy::needless_pass_by_value, reason = "the calls are shorter without a &")]
    fn check(field: Field, text: &str, expected: Result<&str, &str>) {
        let found = field.check(text).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
    }
}
