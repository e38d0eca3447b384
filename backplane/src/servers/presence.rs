//! The members of groups on all servers.
//!
//! Each server is the only writer of its own members. It publishes its changes, with a version that
//! counts them, and mentions the version in its leases. A server that finds another version than
//! it expects asks for all members, so a lost message is repaired at the next sign of life.
//!
//! One lock protects the members and the order of their changes. Watchers are woken after its
//! release.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use locks::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::member::{LeftReason, Member, PresenceChange};
use super::snapshot::{Part, Snapshot};
use super::watcher::Watcher;
use crate::membership::{Change, Membership};

/// The members of all servers.
#[derive(Debug)]
pub(crate) struct Replica {
    own: Arc<Membership>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The version of the own members that was published.
    version: u64,
    /// The version of the members of each other server.
    versions: HashMap<Arc<str>, Version>,
    groups: HashMap<Arc<str>, Group>,
    /// The number of members of each server in each of its groups, so that the end of a server, or
    /// all of its members, visit no others.
    of_server: HashMap<Arc<str>, HashMap<Arc<str>, usize>>,
    /// The watchers to wake after the release of the lock.
    told: Vec<Arc<Watcher>>,
    is_ended: bool,
}

#[derive(Debug, Default)]
struct Version {
    number: u64,
    /// Whether all members were asked for since the last lease.
    is_asked: bool,
    /// All members, as far as their parts have arrived.
    snapshot: Snapshot,
}

/// The members of one signal.
#[derive(Debug, Default)]
struct Group {
    /// By connection and server: a connection that moves is at two servers for a moment.
    members: BTreeMap<(Arc<str>, Arc<str>), Entry>,
    /// The number of connections of each user, so that no look-up walks over the members.
    users: HashMap<Arc<str>, usize>,
    /// The number of connections without a user.
    without_user: usize,
    watchers: Vec<Arc<Watcher>>,
}

#[derive(Clone, Debug)]
struct Entry {
    user: Option<Arc<str>>,
    since: Instant,
}

/// A change in a message to other servers.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Changed<'a> {
    #[serde(borrow, rename = "g")]
    signal: Cow<'a, str>,
    #[serde(borrow, rename = "c")]
    connection: Cow<'a, str>,
    #[serde(borrow, rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    /// Milliseconds since it joined. `None`: it has left.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
}

impl Replica {
    pub(crate) fn new(own: Arc<Membership>) -> Self {
        Self { own, inner: Mutex::default() }
    }

    pub(crate) fn own(&self) -> &Arc<Membership> {
        &self.own
    }

    /// Waits until members of this server change. Cancel safe.
    pub(super) async fn changed(&self) {
        self.own.changed().await;
    }

    /// Applies the changes of this server. `publish` sends them, with their version, in the order
    /// of the calls.
    pub(super) fn publish_own(&self, me: &str, publish: impl FnOnce(u64, Vec<Changed<'static>>)) {
        self.with(|inner| {
            let changes: Vec<_> = self.own.take().iter().map(Changed::of).collect();
            if !changes.is_empty() && !inner.is_ended {
                inner.version += 1;
                inner.apply(me, &changes, LeftReason::Left);
                publish(inner.version, changes);
            }
        });
    }

    /// Returns all members of this server, with their version.
    pub(super) fn all_own(&self) -> (u64, Vec<Changed<'static>>) {
        let inner = self.inner.lock();
        let (version, members) = (inner.version, self.own.all());
        drop(inner);
        (version, members.iter().map(Changed::of).collect())
    }

    pub(super) fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// Applies changes of another server. Returns whether all of its members are needed.
    pub(super) fn changed_at(&self, server: &str, version: u64, changes: &[Changed<'_>]) -> bool {
        self.with(|inner| {
            let known = inner.versions.entry(server.into()).or_default();
            if known.number.checked_add(1) == Some(version) {
                known.number = version;
                inner.apply(server, changes, LeftReason::Left);
                return false;
            }
            // All members, which came before, have an earlier one.
            version > known.number && !std::mem::replace(&mut known.is_asked, true)
        })
    }

    /// Compares the version in a lease. Returns whether all members of the server are needed.
    pub(super) fn leased(&self, server: &str, version: u64) -> bool {
        let mut inner = self.inner.lock();
        let known = inner.versions.entry(server.into()).or_default();
        // An earlier one was read before the last changes were published.
        known.is_asked = version > known.number;
        known.is_asked
    }

    /// Replaces the members of another server once all parts have arrived.
    pub(super) fn replaced(&self, server: &str, part: Part, members: &[Changed<'_>]) {
        self.with(|inner| {
            let known = inner.versions.entry(server.into()).or_default();
            // Changes have a channel of their own, so later ones may have come first.
            if part.version < known.number {
                return;
            }
            let Some(members) = known.snapshot.add(part, members) else { return };
            (known.number, known.is_asked) = (part.version, false);
            inner.replace(server, &members);
        });
    }

    /// Removes the members of a server that is gone.
    pub(super) fn gone(&self, server: &str, reason: LeftReason) {
        self.with(|inner| {
            inner.versions.remove(server);
            let of_server = inner.of(server);
            inner.apply(server, &of_server, reason);
        });
    }

    pub(crate) fn members(&self, signal: &str) -> Vec<Member> {
        self.inner.lock().groups.get(signal).map_or_else(Vec::new, Group::all)
    }

    /// Returns the number of connections and of users. A connection without a user counts as one.
    pub(crate) fn count(&self, signal: &str) -> (usize, usize) {
        let inner = self.inner.lock();
        let group = inner.groups.get(signal);
        group.map_or((0, 0), |group| (group.members.len(), group.users.len() + group.without_user))
    }

    /// Returns the members, and a watcher for the changes from then on.
    pub(crate) fn watch(&self, signal: &str) -> (Vec<Member>, Arc<Watcher>) {
        let watcher = Arc::new(Watcher::default());
        let mut inner = self.inner.lock();
        if inner.is_ended {
            watcher.end();
            return (Vec::new(), watcher);
        }
        let group = inner.groups.entry(signal.into()).or_default();
        group.watchers.push(watcher.clone());
        (group.all(), watcher)
    }

    /// Returns the members for a watcher that has fallen behind.
    pub(crate) fn reset(&self, signal: &str, watcher: &Watcher) -> Vec<Member> {
        let inner = self.inner.lock();
        watcher.reset();
        inner.groups.get(signal).map_or_else(Vec::new, Group::all)
    }

    pub(crate) fn unwatch(&self, signal: &str, watcher: &Arc<Watcher>) {
        let mut inner = self.inner.lock();
        if let Some(group) = inner.groups.get_mut(signal) {
            group.watchers.retain(|other| !Arc::ptr_eq(other, watcher));
        }
        inner.tidy(signal);
    }

    /// Forgets all members, and ends all watchers.
    pub(super) fn end(&self) {
        self.with(|inner| {
            inner.is_ended = true;
            inner.of_server.clear();
            for (_, group) in inner.groups.drain() {
                group.watchers.iter().for_each(|watcher| watcher.end());
                inner.told.extend(group.watchers);
            }
        });
    }

    /// Calls `act` under the lock, then wakes the watchers that it told something.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let outcome = act(&mut inner);
        let told = std::mem::take(&mut inner.told);
        drop(inner);
        told.iter().for_each(|watcher| watcher.wake());
        outcome
    }
}

impl Inner {
    fn apply(&mut self, server: &str, changes: &[Changed<'_>], reason: LeftReason) {
        let server = self.name(server);
        for change in changes {
            let key = (Arc::from(&*change.connection), server.clone());
            match change.age {
                Some(age) => {
                    let entry = change.entry(age);
                    let signal = self.shared(&change.signal);
                    let group = self.groups.entry(signal.clone()).or_default();
                    if group.join(key, entry, &mut self.told) {
                        self.count_up(&server, signal);
                    }
                }
                None => {
                    if let Some(group) = self.groups.get_mut(&*change.signal)
                        && group.leave(&key, reason, &mut self.told)
                    {
                        self.count_down(&server, &change.signal);
                    }
                    self.tidy(&change.signal);
                }
            }
        }
    }

    /// Replaces the members of a server. Watchers of groups that differ get all members.
    fn replace(&mut self, server: &str, members: &[Changed<'_>]) {
        let server = self.name(server);
        let mut by_signal: HashMap<&str, BTreeMap<&str, &Changed<'_>>> = HashMap::new();
        for member in members.iter().filter(|member| member.age.is_some()) {
            by_signal.entry(&member.signal).or_default().insert(&member.connection, member);
        }
        let before = self.of_server.get(&server);
        let signals = before.into_iter().flat_map(HashMap::keys).cloned();
        let is_new = |signal: &&str| before.is_none_or(|before| !before.contains_key(*signal));
        let new = by_signal.keys().copied().filter(is_new).map(|signal| self.shared(signal));
        for signal in signals.chain(new).collect::<Vec<_>>() {
            let wanted = by_signal.remove(&*signal).unwrap_or_default();
            let group = self.groups.entry(signal.clone()).or_default();
            let is_gone =
                |key: &(Arc<str>, Arc<str>)| key.1 == server && !wanted.contains_key(&*key.0);
            let gone: Vec<_> = group.members.keys().filter(|key| is_gone(key)).cloned().collect();
            gone.iter().for_each(|key| _ = group.remove(key));
            let mut added = 0;
            for (connection, member) in wanted {
                let key = (Arc::from(connection), server.clone());
                let entry = member.entry(member.age.unwrap_or_default());
                added += usize::from(group.insert(key, entry));
            }
            if added > 0 || !gone.is_empty() {
                group.tell(|group| PresenceChange::Reset(group.all()), &mut self.told);
            }
            (0..added).for_each(|_| self.count_up(&server, signal.clone()));
            gone.iter().for_each(|_| self.count_down(&server, &signal));
            self.tidy(&signal);
        }
    }

    /// Returns the members of a server, as if all left.
    fn of(&self, server: &str) -> Vec<Changed<'static>> {
        let signals = self.of_server.get(server).into_iter().flat_map(HashMap::keys);
        let groups = signals.filter_map(|signal| Some((signal, self.groups.get(signal)?)));
        let left = groups.flat_map(|(signal, group)| {
            let of_server = group.members.keys().filter(|(_, at)| **at == *server);
            of_server.map(|(connection, _)| Changed {
                signal: signal.to_string().into(),
                connection: connection.to_string().into(),
                user: None,
                age: None,
            })
        });
        left.collect()
    }

    /// Returns the text of a signal, which its group shares.
    fn shared(&self, signal: &str) -> Arc<str> {
        let known = self.groups.get_key_value(signal);
        known.map_or_else(|| signal.into(), |(signal, _)| signal.clone())
    }

    fn count_up(&mut self, server: &Arc<str>, signal: Arc<str>) {
        *self.of_server.entry(server.clone()).or_default().entry(signal).or_default() += 1;
    }

    fn count_down(&mut self, server: &str, signal: &str) {
        let Some(signals) = self.of_server.get_mut(server) else { return };
        let Some(members) = signals.get_mut(signal) else { return };
        *members -= 1;
        if *members == 0 {
            signals.remove(signal);
        }
        if signals.is_empty() {
            self.of_server.remove(server);
        }
    }

    /// Returns the id of a server, which its members share.
    fn name(&self, server: &str) -> Arc<str> {
        let known = self.versions.get_key_value(server);
        known.map_or_else(|| server.into(), |(name, _)| name.clone())
    }

    fn tidy(&mut self, signal: &str) {
        let Some(group) = self.groups.get_mut(signal) else { return };
        if group.members.is_empty() && group.watchers.is_empty() {
            self.groups.remove(signal);
        }
    }
}

impl Group {
    fn all(&self) -> Vec<Member> {
        self.members.iter().map(|(key, entry)| entry.member(key)).collect()
    }

    /// Adds a connection, and tells the watchers. Returns false if it was there.
    fn join(
        &mut self,
        key: (Arc<str>, Arc<str>),
        entry: Entry,
        told: &mut Vec<Arc<Watcher>>,
    ) -> bool {
        let is_first = !self.has(&entry);
        let member = entry.member(&key);
        let is_new = self.insert(key, entry);
        if is_new {
            self.tell(|_| PresenceChange::Joined { member, is_first }, told);
        }
        is_new
    }

    /// Removes a connection, and tells the watchers. Returns false if it was not there.
    fn leave(
        &mut self,
        key: &(Arc<str>, Arc<str>),
        reason: LeftReason,
        told: &mut Vec<Arc<Watcher>>,
    ) -> bool {
        let Some(entry) = self.remove(key) else { return false };
        let is_last = !self.has(&entry);
        let member = entry.member(key);
        self.tell(|_| PresenceChange::Left { member, is_last, reason }, told);
        true
    }

    /// Adds a connection. Returns false if it was there.
    fn insert(&mut self, key: (Arc<str>, Arc<str>), mut entry: Entry) -> bool {
        let before = self.remove(&key);
        match &mut entry.user {
            Some(user) => {
                // All connections of a user share its name.
                let (name, count) = match self.users.remove_entry(user) {
                    Some((name, count)) => (name, count + 1),
                    None => (user.clone(), 1),
                };
                *user = name.clone();
                self.users.insert(name, count);
            }
            None => self.without_user += 1,
        }
        self.members.insert(key, entry);
        before.is_none()
    }

    fn remove(&mut self, key: &(Arc<str>, Arc<str>)) -> Option<Entry> {
        let entry = self.members.remove(key)?;
        match &entry.user {
            Some(user) => {
                if let Some(count) = self.users.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        self.users.remove(user);
                    }
                }
            }
            None => self.without_user -= 1,
        }
        Some(entry)
    }

    /// Returns whether the user of a connection has another one here.
    fn has(&self, entry: &Entry) -> bool {
        entry.user.as_ref().is_some_and(|user| self.users.contains_key(user))
    }

    /// Queues a change for all watchers.
    fn tell(&self, change: impl FnOnce(&Self) -> PresenceChange, told: &mut Vec<Arc<Watcher>>) {
        if self.watchers.is_empty() {
            return;
        }
        let change = change(self);
        for watcher in &self.watchers {
            watcher.push(change.clone());
            told.push(watcher.clone());
        }
    }
}

impl Entry {
    fn member(&self, (connection, server): &(Arc<str>, Arc<str>)) -> Member {
        let since = SystemTime::now().checked_sub(self.since.elapsed());
        Member {
            connection: connection.to_string(),
            user: self.user.as_deref().map(str::to_owned),
            server: server.to_string(),
            since: since.unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

impl Changed<'_> {
    fn of(change: &Change) -> Changed<'static> {
        match change {
            Change::Joined { signal, connection, member } => Changed {
                signal: signal.to_string().into(),
                connection: connection.to_string().into(),
                user: member.user.as_deref().map(|user| user.to_owned().into()),
                age: Some(u64::try_from(member.since.elapsed().as_millis()).unwrap_or(u64::MAX)),
            },
            Change::Left { signal, connection } => Changed {
                signal: signal.to_string().into(),
                connection: connection.to_string().into(),
                user: None,
                age: None,
            },
        }
    }

    /// Returns the length of its texts, in bytes.
    pub(super) fn text_len(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| user.len());
        self.signal.len() + self.connection.len() + user
    }

    pub(super) fn to_static(&self) -> Changed<'static> {
        Changed {
            signal: self.signal.to_string().into(),
            connection: self.connection.to_string().into(),
            user: self.user.as_deref().map(|user| user.to_owned().into()),
            age: self.age,
        }
    }

    fn entry(&self, age: u64) -> Entry {
        let now = Instant::now();
        let since = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
        Entry { user: self.user.as_deref().map(Into::into), since }
    }
}

#[cfg(test)]
impl Changed<'static> {
    pub(super) fn joined(signal: &str, connection: &str, age: u64) -> Self {
        let (signal, connection) = (signal.to_owned().into(), connection.to_owned().into());
        Self { signal, connection, user: None, age: Some(age) }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::servers::watcher::Next;

    fn replica() -> Replica {
        Replica::new(Arc::new(Membership::new(|_| true)))
    }

    fn joined(connection: &'static str, user: Option<&'static str>) -> Changed<'static> {
        let (user, age) = (user.map(Cow::Borrowed), Some(5));
        Changed { signal: "room".into(), connection: connection.into(), user, age }
    }

    fn whole(version: u64) -> Part {
        Part { version, number: 0, has_more: false }
    }

    fn left(connection: &'static str) -> Changed<'static> {
        Changed { age: None, ..joined(connection, None) }
    }

    fn connections(replica: &Replica) -> Vec<String> {
        let members = replica.members("room");
        members.into_iter().map(|member| member.connection + "@" + &member.server).collect()
    }

    /// Returns a change in brief.
    fn brief(change: PresenceChange) -> String {
        match change {
            PresenceChange::Joined { member, is_first } => {
                format!("+{} {is_first}", member.connection)
            }
            PresenceChange::Left { member, is_last, reason } => {
                format!("-{} {is_last} {reason:?}", member.connection)
            }
            PresenceChange::Reset(members) => format!("={}", members.len()),
        }
    }

    #[tokio::test]
    async fn several_connections_of_a_user_count_once() {
        let replica = replica();
        let (members, watcher) = replica.watch("room");
        assert!(members.is_empty());
        let at =
            |server, version, changed| assert!(!replica.changed_at(server, version, &[changed]));
        at("A", 1, joined("a1", Some("ann")));
        at("B", 1, joined("a2", Some("ann")));
        at("B", 2, joined("x", None));
        at("B", 3, joined("y", None));
        assert_eq!(replica.count("room"), (4, 3));
        at("A", 2, left("a1"));
        at("B", 4, left("a2"));
        at("B", 4, left("x"));
        replica.gone("B", LeftReason::ServerGone);
        let mut all = Vec::new();
        while let Some(Next::Change(change)) = watcher.next().now_or_never() {
            all.push(brief(change));
        }
        assert_eq!(
            all,
            [
                "+a1 true",
                "+a2 false",
                "+x true",
                "+y true",
                "-a1 false Left",
                "-a2 true Left",
                "-x true ServerGone",
                "-y true ServerGone",
            ]
        );
        replica.unwatch("room", &watcher);
        let inner = replica.inner.lock();
        assert!(inner.groups.is_empty() && inner.versions.keys().eq([&Arc::from("A")]));
        assert!(inner.of_server.is_empty());
    }

    #[test]
    fn members_are_counted_by_server() {
        let replica = replica();
        let of_server = || {
            let inner = replica.inner.lock();
            let groups = inner.of_server.values().map(|signals| {
                let mut counts: Vec<_> = signals.values().copied().collect();
                counts.sort_unstable();
                counts
            });
            let mut groups: Vec<_> = groups.collect();
            groups.sort_unstable();
            groups
        };
        let hall = |connection| Changed { signal: "hall".into(), ..joined(connection, None) };
        replica.changed_at("A", 1, &[joined("a", None), joined("b", None), hall("a")]);
        replica.changed_at("B", 1, &[hall("c")]);
        // Twice, and to a group without it.
        replica.changed_at("A", 2, &[joined("a", None), left("x")]);
        assert_eq!(of_server(), [vec![1], vec![1, 2]]);
        replica.replaced("A", whole(5), &[hall("a"), hall("d")]);
        assert_eq!(of_server(), [vec![1], vec![2]]);
        assert_eq!((replica.count("room").0, replica.count("hall").0), (0, 3));
        replica.gone("A", LeftReason::ServerGone);
        assert_eq!(of_server(), [vec![1]]);
        replica.replaced("B", whole(2), &[]);
        assert!(of_server().is_empty() && replica.inner.lock().groups.is_empty());
    }

    #[tokio::test]
    async fn a_missed_change_is_noticed_and_repaired_by_all_members() {
        let replica = replica();
        let (_, watcher) = replica.watch("room");
        assert!(!replica.leased("A", 0));
        assert!(!replica.changed_at("A", 1, &[joined("a", None)]));
        assert!(replica.changed_at("A", 3, &[joined("c", None)]), "the second is missing");
        assert!(!replica.changed_at("A", 4, &[left("a")]), "it is asked for once");
        assert!(replica.leased("A", 4), "the answer may be lost");
        replica.replaced("A", whole(4), &[joined("b", None), joined("c", None)]);
        assert_eq!(connections(&replica), ["b@A", "c@A"]);
        assert!(!replica.changed_at("A", 4, &[left("c")]), "the snapshot had it");
        assert!(!replica.leased("A", 4));
        assert!(!replica.leased("A", 3), "it was read before the last change");
        replica.replaced("A", whole(4), &[joined("b", None), joined("c", None)]);
        let next = || match watcher.next().now_or_never() {
            Some(Next::Change(change)) => brief(change),
            other => format!("{other:?}"),
        };
        assert_eq!([next(), next(), next()], ["+a true", "=2", "None"]);
        replica.end();
        assert_eq!(next(), "Some(End)");
        assert!(connections(&replica).is_empty());
    }

    #[tokio::test]
    async fn the_last_version_is_followed_by_none() {
        let replica = replica();
        replica.replaced("A", whole(u64::MAX), &[joined("a", None)]);
        assert!(!replica.changed_at("A", u64::MAX, &[left("a")]));
        assert!(!replica.changed_at("A", 0, &[left("a")]));
        assert_eq!(connections(&replica), ["a@A"]);
    }

    #[tokio::test]
    async fn own_members_are_published_with_their_version() {
        let own = Arc::new(Membership::new(|_| true));
        let replica = Replica::new(own.clone());
        let [room, c1]: [Arc<str>; 2] = ["room", "c1"].map(Into::into);
        own.joined(&room, &c1, None);
        replica.publish_own("me", |version, changes| {
            assert_eq!((version, changes.len(), changes[0].age.is_some()), (1, 1, true));
        });
        replica.publish_own("me", |_, _| panic!("there is nothing to publish"));
        assert_eq!(connections(&replica), ["c1@me"]);
        let (version, members) = replica.all_own();
        assert_eq!((version, members.len()), (1, 1));
        let text = serde_json::to_string(&left("c1")).unwrap();
        assert_eq!(text, r#"{"g":"room","c":"c1"}"#);
        assert_eq!(serde_json::from_str::<Changed<'_>>(&text).unwrap(), left("c1"));
    }
}
