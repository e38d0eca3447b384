//! The feed: all changes of keys as commands for replicas, and the messages between them.
//!
//! A change is sent as the new state of its key. So the feed does not depend on the command that has
//! caused it, and scripts, expiry and numbers from the program around the broker need no code of their
//! own. Only counting is sent as counting: a promoted replica continues above the numbers of counted
//! keys.

use super::database::Entry;
use crate::protocol::request::encode;

/// Commands for replicas that no replica has got yet.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    commands: Vec<u8>,
    /// The number of commands, without those that select a database.
    count: usize,
    /// The database that replicas have selected; `None` if they have not selected one yet.
    selected: Option<u16>,
}

impl Feed {
    /// Makes the next command select its database, since a new replica has selected none.
    pub(crate) fn select_again(&mut self) {
        self.selected = None;
    }

    /// Takes the commands of a command, a transaction or a script. Several of them are a transaction,
    /// so that clients of a replica see all or none.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
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

    pub(crate) fn add_message(&mut self, command: &[u8], channel: &[u8], payload: &[u8]) {
        self.add(&[command, channel, payload]);
    }

    /// Adds the state of a key; `None` if it is gone.
    pub(super) fn add_state(&mut self, database: u16, key: &[u8], entry: Option<&Entry>) {
        self.select(database);
        let Some(entry) = entry else { return self.add(&[b"DEL", key]) };
        let deadline = entry.deadline().map(|deadline| deadline.to_string());
        let counted = entry.is_counted.then(|| entry.value.integer()).flatten();
        let value = entry.value.text();
        let value = if counted.is_some() { &b"0"[..] } else { &value };
        match &deadline {
            Some(deadline) => self.add(&[b"SET", key, value, b"PXAT", deadline.as_bytes()]),
            None => self.add(&[b"SET", key, value]),
        }
        if let Some(number) = counted {
            self.add_increment(database, key, number);
        }
    }

    pub(super) fn add_increment(&mut self, database: u16, key: &[u8], increment: i64) {
        self.select(database);
        self.add(&[b"INCRBY", key, increment.to_string().as_bytes()]);
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

    #[test]
    fn a_database_is_selected_once() {
        let mut feed = Feed::default();
        let entry = Entry::new(Value::new(b"v"), 0);
        feed.add_state(0, b"k", Some(&entry));
        assert_eq!(text(&mut feed), "SELECT 0 SET k v");
        feed.add_state(0, b"k", None);
        assert_eq!(text(&mut feed), "DEL k");
        feed.add_increment(3, b"n", 1);
        assert_eq!(text(&mut feed), "SELECT 3 INCRBY n 1");
        feed.select_again();
        feed.add_flush(Some(3));
        assert_eq!(text(&mut feed), "SELECT 3 FLUSHDB");
        assert_eq!(feed.take(), None);
    }

    #[test]
    fn several_commands_are_a_transaction() {
        let mut feed = Feed::default();
        feed.add_increment(0, b"n", 1);
        feed.add_message(b"PUBLISH", b"c", b"m");
        assert_eq!(text(&mut feed), "MULTI SELECT 0 INCRBY n 1 PUBLISH c m EXEC");
    }

    #[test]
    fn a_counted_key_stays_one() {
        let mut feed = Feed::default();
        let mut entry = Entry::new(Value::Integer(7), 0);
        entry.is_counted = true;
        entry.set_deadline(Some(99));
        feed.add_state(0, b"k", Some(&entry));
        assert_eq!(text(&mut feed), "MULTI SELECT 0 SET k 0 PXAT 99 INCRBY k 7 EXEC");
    }
}
