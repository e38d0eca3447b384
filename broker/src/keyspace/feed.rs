//! The feed: all changes of keys as commands for replicas, and the messages between them.
//!
//! Most changes are sent as the new state of their key. So the feed does not depend on the commands that
//! have caused them, and scripts, expiry and numbers from the program around the broker need no code of
//! their own. A key that changes often within a script is sent once, and so is its value: the state is
//! read at the next message, or at the end of the command.
//!
//! Changes of a part of a value, such as `APPEND`, are sent as they are, since values may be large.
//! Counting is sent as counting: a promoted replica continues above the numbers of counted keys.

use super::database::{Database, Entry};
use crate::protocol::request::encode;

/// Commands for replicas that no replica has got yet.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Whether this server is a replica itself. It passes on what its master sends, and nothing else.
    pub(crate) is_relay: bool,
    commands: Vec<u8>,
    /// The number of commands, without those that select a database.
    count: usize,
    /// The database that replicas have selected; `None` if they have not selected one yet.
    selected: Option<u16>,
    /// Keys whose state is still to be sent, each once.
    changed: Vec<(u16, Box<[u8]>)>,
}

/// A change of a part of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Increment(i64),
    /// `None` for a key that expires no more.
    Deadline(Option<u64>),
    Append(&'a [u8]),
    Overwrite(usize, &'a [u8]),
}

/// From this many changed keys on, they are looked up no more, and a key may be sent twice.
const SEARCHED_KEYS_MAX: usize = 64;

impl Feed {
    /// Returns whether a change belongs to the feed, which one of the server's master does in any case.
    pub(super) fn takes(&self, is_of_master: bool) -> bool {
        is_of_master || !self.is_relay
    }

    /// Makes the next command select its database, since a new replica has selected none.
    pub(crate) fn select_again(&mut self) {
        self.selected = None;
    }

    /// Takes the commands of a command, a transaction or a script, whose changed keys have been
    /// [settled](Self::settle). Several of them are a transaction, so that clients of a replica see all
    /// or none.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let commands = std::mem::take(&mut self.commands);
        match std::mem::take(&mut self.count) {
            0 => None,
            1 => Some(commands),
            _ => {
                let mut transaction = Vec::with_capacity(commands.len() + 32);
                encode(&mut transaction, &["MULTI"]);
                transaction.extend_from_slice(&commands);
                encode(&mut transaction, &["EXEC"]);
                Some(transaction)
            }
        }
    }

    pub(crate) fn add_ping(&mut self) {
        self.add(&[b"PING"]);
    }

    /// Asks replicas how far they are.
    pub(crate) fn add_question(&mut self) {
        self.add(&[b"REPLCONF", b"GETACK", b"*"]);
    }

    pub(super) fn add_message(&mut self, command: &[u8], channel: &[u8], payload: &[u8]) {
        self.add(&[command, channel, payload]);
    }

    /// Records that a key has another state, or none.
    pub(super) fn add_change(&mut self, database: u16, key: &[u8]) {
        if !self.is_changed(database, key) {
            self.changed.push((database, key.into()));
        }
    }

    /// Adds a change of a part of a key.
    pub(super) fn add_step(&mut self, database: u16, key: &[u8], step: Step<'_>) {
        if self.is_changed(database, key) {
            return;
        }
        if self.changed.len() > SEARCHED_KEYS_MAX {
            // It may be one of the earlier ones, whose state comes later.
            return self.changed.push((database, key.into()));
        }
        self.select(database);
        match step {
            Step::Increment(by) => self.add(&[b"INCRBY", key, by.to_string().as_bytes()]),
            Step::Deadline(Some(time)) => {
                self.add(&[b"PEXPIREAT", key, time.to_string().as_bytes()]);
            }
            Step::Deadline(None) => self.add(&[b"PERSIST", key]),
            Step::Append(text) => self.add(&[b"APPEND", key, text]),
            Step::Overwrite(offset, text) => {
                self.add(&[b"SETRANGE", key, offset.to_string().as_bytes(), text]);
            }
        }
    }

    /// Adds the states of the keys that have changed.
    pub(super) fn settle(&mut self, databases: &[Database]) {
        for (database, key) in std::mem::take(&mut self.changed) {
            let entry = databases.get(usize::from(database)).and_then(|all| all.get(&key));
            self.add_state(database, &key, entry);
        }
    }

    /// Adds the loss of all keys of a database, or of all databases.
    pub(super) fn add_flush(&mut self, database: Option<u16>) {
        match database {
            Some(database) => {
                self.select(database);
                self.add(&[b"FLUSHDB"]);
            }
            None => self.add(&[b"FLUSHALL"]),
        }
    }

    pub(super) fn add_swap(&mut self, one: u16, other: u16) {
        self.add(&[b"SWAPDB", one.to_string().as_bytes(), other.to_string().as_bytes()]);
    }

    fn is_changed(&self, database: u16, key: &[u8]) -> bool {
        let start = self.changed.len().saturating_sub(SEARCHED_KEYS_MAX);
        self.changed[start..].iter().any(|(known, name)| *known == database && **name == *key)
    }

    fn add_state(&mut self, database: u16, key: &[u8], entry: Option<&Entry>) {
        self.select(database);
        let Some(entry) = entry else { return self.add(&[b"DEL", key]) };
        let deadline = entry.deadline().map(|deadline| deadline.to_string());
        let number = entry.is_counted.then(|| entry.value.integer()).flatten();
        // Counted by one, so that the replica knows the key to be counted.
        let before =
            number.and_then(|number| number.checked_sub(1)).map(|number| number.to_string());
        let value = entry.value.text();
        let value = before.as_ref().map_or(&*value, |before| before.as_bytes());
        match &deadline {
            Some(deadline) => self.add(&[b"SET", key, value, b"PXAT", deadline.as_bytes()]),
            None => self.add(&[b"SET", key, value]),
        }
        if before.is_some() {
            self.add(&[b"INCRBY", key, b"1"]);
        }
    }

    fn select(&mut self, database: u16) {
        if self.selected.replace(database) != Some(database) {
            encode(&mut self.commands, &["SELECT", &database.to_string()]);
        }
    }

    fn add(&mut self, words: &[&[u8]]) {
        self.count += 1;
        encode(&mut self.commands, words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::value::Value;

    fn text(feed: &mut Feed) -> String {
        let taken = feed.take().unwrap_or_default();
        let lines = String::from_utf8(taken).unwrap();
        let words = lines.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    fn database(key: &[u8], entry: Entry) -> [Database; 1] {
        let mut database = Database::new(foldhash::quality::RandomState::default());
        database.put(key, entry);
        [database]
    }

    #[test]
    fn a_database_is_selected_once() {
        let mut feed = Feed::default();
        feed.add_change(0, b"k");
        feed.settle(&database(b"k", Entry::new(Value::new(b"v"), 0)));
        assert_eq!(text(&mut feed), "SELECT 0 SET k v");
        feed.add_change(0, b"k");
        feed.settle(&[]);
        assert_eq!(text(&mut feed), "DEL k");
        feed.add_step(3, b"n", Step::Increment(1));
        assert_eq!(text(&mut feed), "SELECT 3 INCRBY n 1");
        feed.select_again();
        feed.add_flush(Some(3));
        assert_eq!(text(&mut feed), "SELECT 3 FLUSHDB");
        assert_eq!(feed.take(), None);
    }

    #[test]
    fn several_commands_are_a_transaction() {
        let mut feed = Feed::default();
        feed.add_step(0, b"n", Step::Increment(1));
        feed.add_message(b"PUBLISH", b"c", b"m");
        assert_eq!(text(&mut feed), "MULTI SELECT 0 INCRBY n 1 PUBLISH c m EXEC");
    }

    #[test]
    fn a_key_that_changes_often_is_sent_once() {
        let mut feed = Feed::default();
        for _ in 0..9 {
            feed.add_change(0, b"k");
            feed.add_step(0, b"k", Step::Append(b"x"));
        }
        feed.settle(&database(b"k", Entry::new(Value::new(b"v"), 0)));
        assert_eq!(text(&mut feed), "SELECT 0 SET k v");
    }

    #[test]
    fn parts_of_a_value_are_sent_as_they_are() {
        let mut feed = Feed::default();
        for step in [
            Step::Append(b"x"),
            Step::Overwrite(7, b"y"),
            Step::Deadline(Some(99)),
            Step::Deadline(None),
        ] {
            feed.add_step(0, b"k", step);
        }
        let expected = "MULTI SELECT 0 APPEND k x SETRANGE k 7 y PEXPIREAT k 99 PERSIST k EXEC";
        assert_eq!(text(&mut feed), expected);
    }

    #[test]
    fn a_counted_key_stays_one() {
        for (number, before) in [(7, "6"), (0, "-1"), (-3, "-4")] {
            let mut feed = Feed::default();
            let mut entry = Entry::new(Value::Integer(number), 0);
            entry.is_counted = true;
            entry.set_deadline(Some(99));
            feed.add_change(0, b"k");
            feed.settle(&database(b"k", entry));
            let expected = format!("MULTI SELECT 0 SET k {before} PXAT 99 INCRBY k 1 EXEC");
            assert_eq!(text(&mut feed), expected);
        }
    }
}
