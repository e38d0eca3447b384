//! Databases of strings, with watchers, tracked reads and keyspace notifications.
//!
//! Plain data, without sockets and without a clock. The broker keeps it behind the order, so commands
//! on keys, messages and transactions run one after another. Each call passes the time.
//!
//! Commands access the data through [`Keys`]. It hides expired keys, and reports every change to
//! watchers, clients with copies and the notifications.

pub(crate) mod counters_file;
mod database;
mod dump;
mod event;
mod feed;
mod float;
mod journal;
mod load;
mod prefixes;
mod stored_length;
mod table;
mod tracking;
mod value;
mod watch;

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

pub(crate) use self::database::Entry;
pub(crate) use self::dump::{Dump, Part};
pub use self::event::EventClasses;
pub(crate) use self::event::{Class, Event};
pub(crate) use self::feed::{Feed, Step};
pub(crate) use self::float::{Float, Parsed};
pub(crate) use self::journal::{Counter, Queue, Record};
pub(crate) use self::load::{LoadError, Loaded, load};
pub(crate) use self::prefixes::{Prefixes, first_overlap};
pub(crate) use self::stored_length::stored_length;
pub(crate) use self::tracking::{Invalidation, Recipient, Tracked, Tracker};
pub(crate) use self::value::Value;
pub(crate) use self::watch::Watcher;

use self::database::Database;
use self::journal::Journal;
use self::tracking::Trackers;
use self::watch::Watchers;

/// All databases.
#[derive(Debug, Default)]
pub(crate) struct Keyspace {
    /// All databases up to the last one used.
    databases: Vec<Database>,
    hasher: RandomState,
    watchers: Watchers,
    trackers: Trackers,
    /// Notifications to publish before the order is released.
    notifications: Vec<Notification>,
    counts: Counts,
    /// Changes of keys since the start. Expired keys do not count, as in Redis.
    changes: u64,
    /// The journal of the counters file, if there is one.
    journal: Option<Journal>,
    /// The feed of replicas, if there are any.
    pub(crate) feed: Option<Feed>,
    /// Number of keys chosen at random.
    choices: u64,
    /// Whether keys expire on access only (`DEBUG SET-ACTIVE-EXPIRE 0`).
    expires_lazily: bool,
}

/// Databases that are not in use.
#[derive(Debug)]
pub(crate) struct Loading(Vec<Database>);

/// A notification of a change.
#[derive(Clone, Debug)]
pub(crate) enum Notification {
    Event(Event),
    Invalidation(Invalidation),
}

/// Counters of accesses and expired keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) expired: u64,
}

/// Figures for `INFO`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    /// Changes of keys since the start.
    pub(crate) changes: u64,
    /// Memory of all keys and values.
    pub(crate) bytes: usize,
    pub(crate) tracked: Tracked,
    /// The databases that hold keys.
    pub(crate) databases: Vec<Summary>,
}

/// The state of one database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) database: u16,
    pub(crate) keys: usize,
    pub(crate) expiring: usize,
    pub(crate) average_ttl: u64,
}

/// The keys of a database during a command.
pub(crate) struct Keys<'a> {
    keyspace: &'a mut Keyspace,
    pub(crate) scope: Scope,
}

/// The parameters of a command that uses keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The number of the database.
    pub(crate) database: u16,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
    /// The events to publish.
    pub(crate) events: EventClasses,
    /// Whether the command updates the time of the last use (`CLIENT NO-TOUCH`).
    pub(crate) touches: bool,
    /// The client that runs the command; 0 if there is none.
    pub(crate) client: u64,
    /// Whether expired keys stay. No command finds them.
    pub(crate) keeps_expired: bool,
    /// Whether expired keys are found: their master, whose commands these are, has not removed them.
    pub(crate) finds_expired: bool,
    /// Number of databases.
    pub(crate) databases: u16,
    /// Maximum length of a value.
    pub(crate) value_bytes_max: usize,
}

/// The reason why an addition failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddError {
    NotAnInteger,
    Overflow,
}

/// The purpose of an access to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessMode {
    Read,
    /// Reads metadata. Does not update the time of the last use.
    Inspect,
    /// Reads metadata without an event for a miss.
    Examine,
    /// Changes the key. Counts neither as a hit nor as a miss.
    Write,
}

impl Keyspace {
    /// Returns the keys for a command.
    pub(crate) fn keys(&mut self, scope: Scope) -> Keys<'_> {
        self.open(scope.database);
        Keys { keyspace: self, scope }
    }

    /// Returns what there is to tell.
    pub(crate) fn take_notifications(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.notifications)
    }

    pub(crate) fn has_notifications(&self) -> bool {
        !self.notifications.is_empty()
    }

    /// Adds the notifications that belong to the end of a command or a transaction.
    pub(crate) fn end_command(&mut self) {
        if self.trackers.has_broadcasts() {
            let stale = self.trackers.take_broadcasts();
            self.notifications.extend(stale.into_iter().map(Notification::Invalidation));
        }
    }

    /// Restores the counters of the file and starts the journal.
    pub(crate) fn keep_counters(&mut self, kept: &[Counter], queue: Arc<Queue>, now: u64) {
        for counter in kept {
            self.open(counter.database);
            let entry = Entry::new(Value::Integer(counter.number), seconds(now));
            self.databases[usize::from(counter.database)].put(&counter.key, entry);
        }
        let mut journal = Journal::new(queue);
        journal.settle(kept);
        self.journal = Some(journal);
    }

    /// Adds a message to the feed, behind the changes before it.
    pub(crate) fn feed_message(&mut self, command: &[u8], channel: &[u8], payload: &[u8]) {
        self.settle_feed();
        if let Some(feed) = &mut self.feed {
            feed.add_message(command, channel, payload);
        }
    }

    /// Takes the commands of the feed; `None` if there are none.
    pub(crate) fn take_feed(&mut self) -> Option<Vec<u8>> {
        self.settle_feed();
        self.feed.as_mut()?.take()
    }

    fn settle_feed(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.settle(&self.databases);
        }
    }

    /// Returns a function that makes databases of keys, without the order.
    pub(crate) fn builder(&self) -> impl FnOnce(Vec<Loaded>) -> Loading + Send + use<> {
        let hasher = self.hasher.clone();
        move |loaded| {
            let mut databases: Vec<Database> = Vec::new();
            for Loaded { database, key, entry } in loaded {
                let index = usize::from(database);
                if databases.len() <= index {
                    databases.resize_with(index + 1, || Database::new(hasher.clone()));
                }
                databases[index].put(&key, entry);
            }
            Loading(databases)
        }
    }

    /// Replaces all keys by those of another server. Returns the former ones, so that the caller drops
    /// them after it releases the order.
    pub(crate) fn replace(&mut self, Loading(databases): Loading, now: u64) -> Loading {
        let former = self.flush(None, now);
        self.databases = databases;
        let emptied = Database::new(self.hasher.clone());
        for (number, new) in (0..).zip(&self.databases) {
            self.watchers.touch_all(number, &emptied, Some(new), now);
        }
        self.queue_exact_counters();
        Loading(former)
    }

    /// Returns the keys that were counted up and do not expire.
    pub(crate) fn counted(&self) -> Vec<(u16, Box<[u8]>)> {
        self.entries()
            .filter(|(_, _, entry)| entry.is_counted && entry.counter().is_some())
            .map(|(database, key, _)| (database, key.into()))
            .collect()
    }

    /// Returns all keys with their databases.
    fn entries(&self) -> impl Iterator<Item = (u16, &[u8], &Entry)> {
        let databases = (0..).zip(&self.databases);
        databases.flat_map(|(number, database)| {
            database.iter().map(move |(key, entry)| (number, key, entry))
        })
    }

    /// Queues a snapshot of the counters for their file, behind all changes that it includes.
    pub(crate) fn queue_counters(&self) {
        if let Some(journal) = &self.journal {
            journal.queue_snapshot();
        }
    }

    /// Queues a snapshot of the exact numbers, for the end of the broker.
    pub(crate) fn queue_exact_counters(&mut self) {
        let counters = self.counters();
        if let Some(journal) = &mut self.journal {
            journal.queue_settled(counters);
        }
    }

    /// Returns all keys that hold an integer and do not expire.
    fn counters(&self) -> Vec<Counter> {
        let counter = |(database, key, entry): (u16, &[u8], &Entry)| {
            Some(Counter { database, key: key.into(), number: entry.counter()? })
        };
        self.entries().filter_map(counter).collect()
    }

    /// Sets the tracking of a client, and adds prefixes to those that it has. Returns the bytes that the
    /// new ones take.
    pub(crate) fn track(&mut self, client: u64, tracker: Tracker, prefixes: &[&[u8]]) -> usize {
        self.trackers.set(client, tracker, prefixes)
    }

    /// Returns the prefixes of a client with tracking.
    pub(crate) fn tracked_prefixes(&self, client: u64) -> Option<&Prefixes> {
        self.trackers.prefixes_of(client)
    }

    pub(crate) fn untrack(&mut self, client: u64) {
        self.trackers.remove(client);
        self.trackers.forget_unused();
    }

    /// Marks redirections to a client as broken. Returns the clients with such a redirection.
    pub(crate) fn lose_recipient(&mut self, client: u64) -> Vec<u64> {
        self.trackers.lose(client)
    }

    /// Returns whether the client's redirection target disconnected.
    pub(crate) fn is_tracking_broken(&self, client: u64) -> bool {
        self.trackers.is_broken(client)
    }

    /// Returns the figures for `INFO`.
    pub(crate) fn report(&self, now: u64) -> Report {
        let summary = |(number, database): (u16, &Database)| Summary {
            database: number,
            keys: database.len(),
            expiring: database.expiring(),
            average_ttl: database.average_ttl(now),
        };
        let databases = (0..).zip(&self.databases).filter(|(_, database)| database.len() > 0);
        Report {
            counts: self.counts,
            changes: self.changes,
            bytes: self.bytes(),
            tracked: self.trackers.tracked(),
            databases: databases.map(summary).collect(),
        }
    }

    /// Returns the memory of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.databases.iter().map(Database::bytes).sum()
    }

    /// Returns the number of changes since the start.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Invalidates tracked keys beyond the limit.
    pub(crate) fn limit_tracked(&mut self, keys_max: usize) {
        let stale = self.trackers.limit(keys_max);
        self.notifications.extend(stale.into_iter().map(Notification::Invalidation));
    }

    pub(crate) fn reset_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// Removes up to `keys_max` expired keys, unless keys expire on access only. Returns the number
    /// removed.
    pub(crate) fn expire(&mut self, scope: Scope, keys_max: usize) -> usize {
        let mut removed = 0;
        let count = if self.expires_lazily { 0 } else { self.databases.len() };
        for database in 0..u16::try_from(count).unwrap_or(u16::MAX) {
            let mut keys = self.keys(Scope { database, ..scope });
            while removed < keys_max
                && let Some(key) = keys.database().first_expired(scope.now)
            {
                keys.expire(&key);
                removed += 1;
            }
        }
        removed
    }

    pub(crate) fn set_expires_lazily(&mut self, is: bool) {
        self.expires_lazily = is;
    }

    /// Removes a watcher from the keys that it watches.
    pub(crate) fn unwatch(&mut self, watched: &BTreeSet<(u16, Box<[u8]>)>, watcher: &Arc<Watcher>) {
        for (database, key) in watched {
            self.watchers.remove(*database, key, watcher);
        }
    }

    /// Removes all keys of one database or of all. Returns them, so that the caller drops them after
    /// it releases the order.
    pub(crate) fn flush(&mut self, database: Option<u16>, now: u64) -> Vec<Database> {
        self.settle_feed();
        let mut flushed = Vec::new();
        let all = 0..u16::try_from(self.databases.len()).unwrap_or(u16::MAX);
        for number in all.filter(|number| database.is_none_or(|database| database == *number)) {
            let emptied = &mut self.databases[usize::from(number)];
            self.changes += emptied.len() as u64;
            self.watchers.touch_all(number, emptied, None, now);
            flushed.push(std::mem::replace(emptied, Database::new(self.hasher.clone())));
        }
        self.notifications
            .extend(self.trackers.flush().into_iter().map(Notification::Invalidation));
        if let Some(journal) = &mut self.journal {
            journal.flush(database);
        }
        if let Some(feed) = &mut self.feed {
            feed.add_flush(database);
        }
        flushed
    }

    /// Exchanges the keys of two databases.
    pub(crate) fn swap(&mut self, one: u16, other: u16, now: u64) {
        self.open(one.max(other));
        self.changes += 1;
        let (first, second) = (usize::from(one), usize::from(other));
        if first != second {
            self.settle_feed();
            let [old, new] = [first, second].map(|index| &self.databases[index]);
            self.watchers.touch_all(one, old, Some(new), now);
            self.watchers.touch_all(other, new, Some(old), now);
            self.databases.swap(first, second);
            if let Some(journal) = &mut self.journal {
                journal.swap(one, other);
            }
            if let Some(feed) = &mut self.feed {
                feed.add_swap(one, other);
            }
        }
    }

    /// Returns whether one of the keys expired after the start of the watch.
    pub(crate) fn has_expired_watched(
        &self,
        watched: &BTreeSet<(u16, Box<[u8]>)>,
        watcher: &Arc<Watcher>,
        now: u64,
    ) -> bool {
        watched.iter().any(|(database, key)| {
            let held = self.databases.get(usize::from(*database)).and_then(|all| all.get(key));
            held.is_some_and(|entry| entry.is_expired(now))
                && !self.watchers.came_expired(*database, key, watcher)
        })
    }

    fn open(&mut self, database: u16) {
        let index = usize::from(database);
        if self.databases.len() <= index {
            let hasher = self.hasher.clone();
            self.databases.resize_with(index + 1, || Database::new(hasher.clone()));
        }
    }
}

impl Keys<'_> {
    /// Returns the entry of a key.
    pub(crate) fn get(&mut self, key: &[u8], mode: AccessMode) -> Option<&Entry> {
        let is_over = self.expire_if_over(key);
        let Scope { database, now, touches, events, .. } = self.scope;
        let Keyspace { databases, counts, notifications, .. } = &mut *self.keyspace;
        let touches = touches && matches!(mode, AccessMode::Read | AccessMode::Write);
        let found = match is_over {
            true => None,
            false => databases[usize::from(database)].find(key, touches.then(|| seconds(now))),
        };
        if mode != AccessMode::Write {
            if found.is_some() { counts.hits += 1 } else { counts.misses += 1 }
        }
        let is_event = matches!(mode, AccessMode::Read | AccessMode::Inspect);
        if found.is_none() && is_event && events.wants(Class::Missed) {
            notifications.push(Notification::Event(Event {
                database,
                name: "keymiss",
                key: key.into(),
            }));
        }
        found
    }

    /// Returns whether a key exists. Removes it if it is expired, and has no other effect.
    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        !self.expire_if_over(key) && self.database().get(key).is_some()
    }

    /// Sets the value and the deadline of a key.
    pub(crate) fn set(&mut self, key: &[u8], value: Value, deadline: Option<u64>) {
        let mut entry = Entry::new(value, seconds(self.scope.now));
        entry.set_deadline(deadline);
        match self.database().get(key) {
            Some(_) => self.database_mut().put(key, entry),
            None => self.add(key, entry),
        }
        self.changed(key);
    }

    /// Adds a key with a value. The caller reports the change.
    pub(crate) fn insert(&mut self, key: &[u8], value: Value) {
        self.add(key, Entry::new(value, seconds(self.scope.now)));
    }

    /// Adds a key with an entry. The caller reports the change.
    pub(crate) fn add(&mut self, key: &[u8], entry: Entry) {
        self.database_mut().put(key, entry);
        self.notify(Class::New, "new", key);
    }

    /// Changes the value of a key in place. The caller reports the change.
    pub(crate) fn change<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Value) -> R,
    ) -> Option<R> {
        self.database_mut().change(key, change)
    }

    /// Removes a key. The caller reports the change.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.expire_if_over(key);
        self.database_mut().remove(key)
    }

    /// Sets or removes the deadline of a key. The caller reports the change.
    pub(crate) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        self.database_mut().set_deadline(key, deadline);
    }

    /// Reports a change of a key, and counts it.
    pub(crate) fn changed(&mut self, key: &[u8]) {
        self.keyspace.changes += 1;
        self.touched(key);
    }

    /// Reports a change of a part of a key, and counts it.
    pub(crate) fn stepped(&mut self, key: &[u8], step: Step<'_>) {
        self.keyspace.changes += 1;
        self.report(key, Some(step));
    }

    /// Reports a change of a key. Does not count it: it is a part of another change, or no command has
    /// caused it.
    pub(crate) fn touched(&mut self, key: &[u8]) {
        self.report(key, None);
    }

    /// Reports a change of a key, or of a part of it, to watchers, clients with copies, the journal and the
    /// feed.
    fn report(&mut self, key: &[u8], step: Option<Step<'_>>) {
        self.tell_of(key);
        let Keyspace { databases, journal, feed, .. } = &mut *self.keyspace;
        let database = self.scope.database;
        if let Some(journal) = journal {
            let number = databases[usize::from(database)].get(key).and_then(Entry::counter);
            match (step, number) {
                (Some(Step::Increment(_)), Some(number)) => {
                    journal.record_count(database, key, number);
                }
                (_, number) => journal.record(database, key, number),
            }
        }
        if let Some(feed) = feed.as_mut().filter(|feed| feed.takes(self.scope.finds_expired)) {
            match step {
                Some(step) => feed.add_step(database, key, step),
                None => feed.add_change(database, key),
            }
        }
    }

    /// Adds to the integer of a key, or to 0, reports the change, and returns the sum.
    pub(crate) fn add_number(&mut self, key: &[u8], increment: i64) -> Result<i64, AddError> {
        let known = self.get(key, AccessMode::Write).map(|entry| entry.value.integer());
        let old = known.unwrap_or(Some(0)).ok_or(AddError::NotAnInteger)?;
        let new = old.checked_add(increment).ok_or(AddError::Overflow)?;
        let is_counted = increment > 0;
        match known {
            Some(_) => self.database_mut().set_number(key, new, is_counted),
            None => {
                let mut entry = Entry::new(Value::Integer(new), seconds(self.scope.now));
                entry.is_counted = is_counted;
                self.add(key, entry);
            }
        }
        if is_counted {
            self.stepped(key, Step::Increment(increment));
        } else {
            self.changed(key)
        }
        self.notify(Class::Text, "incrby", key);
        Ok(new)
    }

    fn tell_of(&mut self, key: &[u8]) {
        let Keyspace { databases, watchers, trackers, notifications, .. } = &mut *self.keyspace;
        let Scope { database: number, client, .. } = self.scope;
        watchers.touch(number, key, || databases[usize::from(number)].get(key).is_some());
        notifications
            .extend(trackers.touch(key, client).into_iter().map(Notification::Invalidation));
    }

    /// Records that the client has a copy of a key.
    pub(crate) fn record_read(&mut self, key: &[u8], keys_max: usize) {
        let Keyspace { trackers, notifications, .. } = &mut *self.keyspace;
        let stale = trackers.record_read(self.scope.client, key, keys_max);
        notifications.extend(stale.into_iter().map(Notification::Invalidation));
    }

    /// Adds an event to the notifications if its class is enabled.
    pub(crate) fn notify(&mut self, class: Class, name: &'static str, key: &[u8]) {
        if self.scope.events.wants(class) {
            let database = self.scope.database;
            let event = Event { database, name, key: key.into() };
            self.keyspace.notifications.push(Notification::Event(event));
        }
    }

    /// Adds a watch of the client on a key.
    pub(crate) fn watch(&mut self, key: &[u8], watcher: &Arc<Watcher>) {
        let now = self.scope.now;
        let expired = self.database().get(key).is_some_and(|entry| entry.is_expired(now));
        self.keyspace.watchers.add(self.scope.database, key, watcher, expired);
    }

    /// Returns the keys of another database.
    pub(crate) fn in_database(&mut self, database: u16) -> Keys<'_> {
        self.keyspace.keys(Scope { database, ..self.scope })
    }

    /// Returns a random key.
    pub(crate) fn choose(&mut self) -> Option<Box<[u8]>> {
        /// As in Redis, an expired key is returned at last if expired keys stay.
        const TRIES_MAX: usize = 100;

        let mut tries = 0;
        loop {
            tries += 1;
            self.keyspace.choices += 1;
            let chance = self.keyspace.hasher.hash_one(self.keyspace.choices);
            let key: Box<[u8]> = self.database().choose(chance)?.into();
            if self.exists(&key) || self.scope.keeps_expired && tries == TRIES_MAX {
                return Some(key);
            }
        }
    }

    /// Returns the database.
    pub(crate) fn database(&self) -> &Database {
        &self.keyspace.databases[usize::from(self.scope.database)]
    }

    /// Removes a key if it is expired, unless expired keys stay. Returns whether it is expired.
    fn expire_if_over(&mut self, key: &[u8]) -> bool {
        let now = self.scope.now;
        let database = self.database();
        let is_over = !self.scope.finds_expired
            && database.expiring() > 0
            && database.get(key).is_some_and(|entry| entry.is_expired(now));
        if is_over && !self.scope.keeps_expired {
            self.expire(key);
        }
        is_over
    }

    fn expire(&mut self, key: &[u8]) {
        self.database_mut().remove(key);
        self.keyspace.counts.expired += 1;
        self.notify(Class::Expired, "expired", key);
        self.touched(key);
    }

    fn database_mut(&mut self) -> &mut Database {
        &mut self.keyspace.databases[usize::from(self.scope.database)]
    }
}

/// Converts milliseconds to the unit of the last use.
fn seconds(now: u64) -> u32 {
    u32::try_from(now / 1000).unwrap_or(u32::MAX)
}
