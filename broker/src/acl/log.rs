//! Denied requests and failed logins: the entries of `ACL LOG`.
//!
//! A repetition within a minute increments its entry and moves it to the front. Callers pass the time
//! in milliseconds since 1970.

use std::collections::VecDeque;

/// The log, the newest entry first.
#[derive(Clone, Debug, Default)]
pub(crate) struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// A denied request or a failed login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incident {
    pub(crate) reason: Reason,
    pub(crate) context: CallContext,
    /// The full command, the key or the channel. For a failed login it is the first word of the
    /// request.
    pub(crate) object: Vec<u8>,
    /// The user of the client, or of the failed login.
    pub(crate) username: Vec<u8>,
    /// The client's line in `CLIENT LIST`.
    pub(crate) client_info: Vec<u8>,
}

/// The part of the request that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Command,
    Key,
    Channel,
    Auth,
    /// A certificate that names no enabled user.
    Certificate,
}

/// The origin of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallContext {
    TopLevel,
    Multi,
    #[cfg_attr(not(feature = "lua"), expect(dead_code, reason = "scripts are Lua's"))]
    Lua,
}

/// Equal incidents within a minute.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) count: u64,
    /// The last one.
    pub(crate) incident: Incident,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

impl AclLog {
    /// Adds an incident, and drops entries beyond `entries_max`: `acllog-max-len`.
    pub(crate) fn add(&mut self, mut incident: Incident, now_ms: u64, entries_max: usize) {
        incident.shorten();
        let newest = self.entries.iter().take(LOOKED_AT_MAX);
        let same = newest.enumerate().find(|(_, entry)| entry.is_like(&incident, now_ms));
        match same.map(|(at, _)| at).and_then(|at| self.entries.remove(at)) {
            Some(mut entry) => {
                entry.count += 1;
                entry.updated_ms = now_ms;
                entry.incident.client_info = incident.client_info;
                self.entries.push_front(entry);
            }
            None => {
                self.push(incident, now_ms);
                self.entries.truncate(entries_max);
            }
        }
    }

    /// Returns the entries, newest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// `ACL LOG RESET`
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
    }

    fn push(&mut self, incident: Incident, now_ms: u64) {
        let entry =
            Entry { id: self.next_id, count: 1, incident, created_ms: now_ms, updated_ms: now_ms };
        self.next_id += 1;
        self.entries.push_front(entry);
    }
}

impl Incident {
    /// Cuts the fields that a client chooses. Otherwise a user without permissions could fill memory.
    fn shorten(&mut self) {
        self.object.truncate(NAME_BYTES_MAX);
        self.username.truncate(NAME_BYTES_MAX);
        self.client_info.truncate(CLIENT_INFO_BYTES_MAX);
        // Truncated bytes would stay allocated.
        self.object.shrink_to_fit();
        self.username.shrink_to_fit();
        self.client_info.shrink_to_fit();
    }
}

impl Entry {
    /// Returns the time since the last incident.
    pub(crate) fn age_seconds(&self, now_ms: u64) -> f64 {
        let milliseconds = u32::try_from(now_ms.saturating_sub(self.updated_ms));
        f64::from(milliseconds.unwrap_or(u32::MAX)) / 1000.0
    }

    fn is_like(&self, other: &Incident, now_ms: u64) -> bool {
        let own = &self.incident;
        own.reason == other.reason
            && own.context == other.context
            && self.updated_ms.abs_diff(now_ms) <= GROUPED_MS_MAX
            && own.object == other.object
            && own.username == other.username
    }
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Auth => "auth",
            Self::Certificate => "tls-cert",
        }
    }
}

impl CallContext {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Multi => "multi",
            Self::Lua => "lua",
        }
    }
}

/// Redis' limit for equal incidents in one entry.
const GROUPED_MS_MAX: u64 = 60_000;

/// Bytes kept of a key, a channel, a command or a user's name.
const NAME_BYTES_MAX: usize = 1024;
/// Bytes kept of the line of `CLIENT LIST`, which holds the client's name.
const CLIENT_INFO_BYTES_MAX: usize = 4096;

/// Redis searches this many entries for an equal incident.
const LOOKED_AT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(object: &str) -> Incident {
        Incident {
            reason: Reason::Command,
            context: CallContext::TopLevel,
            object: object.into(),
            username: b"ann".to_vec(),
            client_info: b"id=1".to_vec(),
        }
    }

    fn objects(log: &AclLog) -> Vec<(String, u64)> {
        let shown = |entry: &Entry| {
            (String::from_utf8(entry.incident.object.clone()).unwrap(), entry.count)
        };
        log.entries().map(shown).collect()
    }

    #[test]
    fn a_repetition_within_a_minute_counts_and_moves_to_the_front() {
        let mut log = AclLog::default();
        log.add(incident("get"), 0, 128);
        log.add(incident("set"), 1, 128);
        log.add(Incident { client_info: b"id=2".to_vec(), ..incident("get") }, 60_000, 128);
        assert_eq!(objects(&log), [("get".into(), 2), ("set".into(), 1)]);

        let newest = log.entries().next().unwrap();
        assert_eq!((newest.id, newest.created_ms, newest.updated_ms), (0, 0, 60_000));
        assert_eq!(newest.incident.client_info, b"id=2");
        assert_eq!(newest.age_seconds(61_234), 1.234);
    }

    #[test]
    fn a_later_or_different_incident_has_its_own_entry() {
        let mut log = AclLog::default();
        log.add(incident("get"), 0, 128);
        log.add(incident("get"), 60_001, 128);
        log.add(Incident { reason: Reason::Key, ..incident("get") }, 60_002, 128);
        log.add(Incident { context: CallContext::Multi, ..incident("get") }, 60_003, 128);
        log.add(Incident { username: b"bob".to_vec(), ..incident("get") }, 60_004, 128);
        assert_eq!(log.entries().map(|entry| entry.count).collect::<Vec<_>>(), [1; 5]);
        assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn only_the_ten_newest_entries_are_searched() {
        let mut log = AclLog::default();
        let objects: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        objects.iter().for_each(|object| log.add(incident(object), 0, 128));
        log.add(incident("0"), 0, 128);
        assert_eq!(log.entries().count(), 12);
        log.add(incident("2"), 0, 128);
        assert_eq!(log.entries().count(), 12);
        log.add(incident("1"), 0, 128);
        assert_eq!(log.entries().count(), 13);
    }

    #[test]
    fn the_oldest_go_when_one_is_added() {
        let mut log = AclLog::default();
        for object in ["a", "b", "c"] {
            log.add(incident(object), 0, 2);
        }
        assert_eq!(objects(&log), [("c".into(), 1), ("b".into(), 1)]);
        // Incrementing adds no entry.
        log.add(incident("c"), 0, 1);
        assert_eq!(log.entries().count(), 2);
        log.add(incident("d"), 0, 0);
        assert_eq!(log.entries().count(), 0);
    }

    #[test]
    fn a_long_key_is_cut_and_still_counts_in_its_entry() {
        let mut log = AclLog::default();
        let key = "k".repeat(1_000_000);
        log.add(incident(&key), 0, 128);
        log.add(incident(&key), 1, 128);
        let entry = log.entries().next().unwrap();
        assert_eq!((entry.count, entry.incident.object.len()), (2, NAME_BYTES_MAX));
        assert!(entry.incident.object.capacity() < 2 * NAME_BYTES_MAX);
    }

    #[test]
    fn reset_empties_it_and_ids_go_on() {
        let mut log = AclLog::default();
        log.add(incident("get"), 0, 128);
        log.reset();
        assert_eq!(log.entries().count(), 0);
        log.add(incident("get"), 0, 128);
        assert_eq!(log.entries().next().unwrap().id, 1);
    }
}
