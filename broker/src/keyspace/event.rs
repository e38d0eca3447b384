//! Keyspace events, which `notify-keyspace-events` publishes when keys change.

/// A set of event classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u16);

/// A class of events, with its letter in the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `g`
    Generic,
    /// `$`
    Text,
    /// `x`
    Expired,
    /// `m`
    Missed,
    /// `n`
    New,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) database: u16,
    pub(crate) name: &'static str,
    pub(crate) key: Box<[u8]>,
}

/// All letters, as Redis lists them in its error.
const LETTERS: &[u8] = b"Ag$lshzxeKEtmdn";
/// The letters that `A` includes, in Redis' order.
const ALL: &[u8] = b"g$lshzxetd";
/// The letters that `A` excludes.
const REST: &[u8] = b"KEm";

impl EventClasses {
    /// Parses letters. Returns `None` if one is unknown.
    pub(crate) fn parse(letters: &[u8]) -> Option<Self> {
        let mut classes = Self::default();
        for letter in letters {
            match letter {
                b'A' => ALL.iter().for_each(|letter| classes.add(*letter)),
                letter if LETTERS.contains(letter) => classes.add(*letter),
                _ => return None,
            }
        }
        Some(classes)
    }

    /// Returns the letters in Redis' form, with `A` in place of all that it includes.
    pub(crate) fn letters(self) -> Vec<u8> {
        let has = |letter: &&u8| self.has(**letter);
        let all = ALL.iter().all(|letter| self.has(*letter));
        let mut shown = if all { b"A".to_vec() } else { Vec::new() };
        let classes = ALL.iter().chain(b"n").filter(|letter| !all && has(letter));
        shown.extend(classes.chain(REST.iter().filter(has)));
        shown
    }

    /// Returns whether events of this class are published.
    pub(crate) fn wants(self, class: Class) -> bool {
        let letter = match class {
            Class::Generic => b'g',
            Class::Text => b'$',
            Class::Expired => b'x',
            Class::Missed => b'm',
            Class::New => b'n',
        };
        self.0 != 0 && self.has(letter) && (self.by_key() || self.by_event())
    }

    /// Returns whether events are published to channels of keys (`K`).
    pub(crate) fn by_key(self) -> bool {
        self.has(b'K')
    }

    /// Returns whether keys are published to channels of events (`E`).
    pub(crate) fn by_event(self) -> bool {
        self.has(b'E')
    }

    fn add(&mut self, letter: u8) {
        self.0 |= bit(letter);
    }

    fn has(self, letter: u8) -> bool {
        self.0 & bit(letter) != 0
    }
}

fn bit(letter: u8) -> u16 {
    LETTERS.iter().position(|known| *known == letter).map_or(0, |place| 1 << place)
}

impl Event {
    /// Returns the channel of the key, where the payload is the event.
    pub(crate) fn key_channel(&self) -> Vec<u8> {
        [format!("__keyspace@{}__:", self.database).as_bytes(), &*self.key].concat()
    }

    /// Returns the channel of the event, where the payload is the key.
    pub(crate) fn event_channel(&self) -> Vec<u8> {
        format!("__keyevent@{}__:{}", self.database, self.name).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_shown_as_redis_does() {
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kg$lshzxetd", "AK"),
            ("mxE", "xEm"),
            ("nK", "nK"),
            ("AnK", "AK"),
            ("xx", "x"),
        ] {
            let classes = EventClasses::parse(given.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(classes.letters()).unwrap(), shown, "{given}");
        }
        assert_eq!(EventClasses::parse(b"KEq"), None);
    }

    #[test]
    fn an_event_is_wanted_only_if_it_has_somewhere_to_go() {
        for (letters, class, wanted) in [
            ("A", Class::Text, false),
            ("KA", Class::Text, true),
            ("Ex", Class::Expired, true),
            ("Ex", Class::Text, false),
            ("KA", Class::Missed, false),
            ("KA", Class::New, false),
        ] {
            let classes = EventClasses::parse(letters.as_bytes()).unwrap();
            assert_eq!(classes.wants(class), wanted, "{letters} {class:?}");
        }
    }
}
