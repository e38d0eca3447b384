//! The members of this server: its connections with the groups and users whose presence the app
//! wants to know.
//!
//! The table of the connections reports each change, under its lock, and wakes the task that takes the
//! changes after the release.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use locks::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Members, by signal and by connection.
pub(crate) struct Membership {
    /// Whether the members of a signal are wanted.
    is_wanted: Box<dyn Fn(&str) -> bool + Send + Sync>,
    inner: Mutex<Inner>,
    /// Notified when there are changes to take.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    members: HashMap<Arc<str>, BTreeMap<Arc<str>, Member>>,
    /// The changes since they were last taken.
    changes: Vec<Change>,
}

/// A connection of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined { signal: Arc<str>, connection: Arc<str>, member: Member },
    Left { signal: Arc<str>, connection: Arc<str> },
}

/// Patterns of groups, in which `*` stands for any text.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(pub(crate) Vec<String>);

impl Membership {
    pub(crate) fn new(is_wanted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let (inner, changed) = (Mutex::default(), Notify::new());
        Self { is_wanted: Box::new(is_wanted), inner, changed }
    }

    /// Records that a connection has a further signal. Call [`wake`](Self::wake) after the release of
    /// the table's lock.
    pub(crate) fn joined(&self, signal: &Arc<str>, connection: &Arc<str>, user: Option<&Arc<str>>) {
        if !(self.is_wanted)(signal) {
            return;
        }
        let member = Member { user: user.cloned(), since: Instant::now() };
        let mut inner = self.inner.lock();
        inner.members.entry(signal.clone()).or_default().insert(connection.clone(), member.clone());
        let (signal, connection) = (signal.clone(), connection.clone());
        inner.changes.push(Change::Joined { signal, connection, member });
    }

    /// Records that a connection has lost a signal. Call [`wake`](Self::wake) after the release of the
    /// table's lock.
    pub(crate) fn left(&self, signal: &str, connection: &str) {
        let mut inner = self.inner.lock();
        let Some(members) = inner.members.get_mut(signal) else { return };
        let Some((connection, _)) = members.remove_entry(connection) else { return };
        if members.is_empty() {
            inner.members.remove(signal);
        }
        inner.changes.push(Change::Left { signal: signal.into(), connection });
    }

    /// Wakes the task that takes the changes. Call it after the release of the table's lock.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Takes the changes.
    pub(crate) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.inner.lock().changes)
    }

    /// Waits until there are changes to take. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns all members, as if all had joined. Changes that were not taken are in it.
    pub(crate) fn all(&self) -> Vec<Change> {
        let inner = self.inner.lock();
        let joined = |signal: &Arc<str>, connection: &Arc<str>, member: &Member| {
            let (signal, connection) = (signal.clone(), connection.clone());
            Change::Joined { signal, connection, member: member.clone() }
        };
        let all = inner.members.iter().flat_map(|(signal, members)| {
            members.iter().map(move |(connection, member)| joined(signal, connection, member))
        });
        all.collect()
    }
}

impl Patterns {
    /// Returns whether one of the patterns matches.
    pub(crate) fn accept(&self, group: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, group))
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.lock().members.fmt(f)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("room", "room", true),
            ("room", "rooms", false),
            ("*", "", true),
            ("*", "room", true),
            ("room:*", "room:", true),
            ("room:*", "room", false),
            ("*:1", "room:1", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("aa*aa", "aaa", false),
            ("**a", "a", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[tokio::test]
    async fn changes_are_taken_in_their_order_and_leave_nothing_behind() {
        let membership = Membership::new(|signal| signal.starts_with("hg-"));
        let [room, hall, c1]: [Arc<str>; 3] = ["hg-Hub.room", "h-Hub", "c1"].map(Into::into);
        membership.joined(&room, &c1, None);
        membership.joined(&hall, &c1, None);
        assert_eq!(membership.all().len(), 1);
        membership.left(&room, "c1");
        membership.left(&room, "c1");
        membership.left(&hall, "c1");
        membership.wake();
        membership.changed().await;
        let changes = membership.take();
        let is_join = |change: &Change| matches!(change, Change::Joined { .. });
        assert_eq!(changes.iter().map(is_join).collect::<Vec<_>>(), [true, false]);
        assert!(membership.take().is_empty() && membership.inner.lock().members.is_empty());
    }
}
