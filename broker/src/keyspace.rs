//! The keys: databases of strings, with those who watch them and what there is to tell of changes.
//!
//! Plain data, without sockets and without a clock: the broker keeps it within the order, so that
//! commands on keys, messages and transactions all come one after the other, and says what time it
//! is. Whoever runs a command sees it through [`Keys`], which knows the rules: what is expired is
//! not there, and whoever watches a key, or wants its events, is told of every change.

pub(crate) mod counters_file;
mod database;
mod event;
mod float;
mod journal;
mod table;
mod tracking;
mod value;
mod watch;

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

pub(crate) use self::database::Entry;
pub use self::event::EventClasses;
pub(crate) use self::event::{Class, Event};
pub(crate) use self::float::{Float, Parsed};
pub(crate) use self::journal::{Counter, Queue, Record};
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
    /// Those that were used so far.
    databases: Vec<Database>,
    hasher: RandomState,
    watchers: Watchers,
    trackers: Trackers,
    /// What is to be told before anything else happens.
    news: Vec<Notification>,
    counts: Counts,
    /// What is kept of the keys across a restart, if anything.
    journal: Option<Journal>,
    /// Of choices made by chance.
    choices: u64,
    /// Whether keys may only expire when they are asked for (`DEBUG SET-ACTIVE-EXPIRE 0`).
    expires_lazily: bool,
}

/// What there is to tell of a change.
#[derive(Clone, Debug)]
pub(crate) enum Notification {
    Event(Event),
    Invalidation(Invalidation),
}

/// What happened to keys so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) expired: u64,
}

/// What `INFO` tells of the keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    /// The memory that all keys and values take.
    pub(crate) bytes: usize,
    pub(crate) tracked: Tracked,
    /// Of those databases that hold keys.
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

/// The keys, as one command sees them.
pub(crate) struct Keys<'a> {
    keyspace: &'a mut Keyspace,
    pub(crate) scope: Scope,
}

/// What a command on keys comes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The number of the database.
    pub(crate) database: u16,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
    /// The events that are to be published.
    pub(crate) events: EventClasses,
    /// Whether it counts as a use of the keys (`CLIENT NO-TOUCH`).
    pub(crate) touches: bool,
    /// The client that runs it; 0 for none.
    pub(crate) client: u64,
    /// How many databases there are.
    pub(crate) databases: u16,
    /// How long a value may be made.
    pub(crate) value_bytes_max: usize,
}

/// Why a number cannot be added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddError {
    NotAnInteger,
    Overflow,
}

/// What a look at a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessMode {
    Read,
    /// To learn about the key; it is not used by that.
    Inspect,
    /// The same, and a miss is no event.
    Examine,
    /// To change it, which counts neither as a hit nor as a miss.
    Write,
}

impl Keyspace {
    /// Shows the keys to a command.
    pub(crate) fn keys(&mut self, scope: Scope) -> Keys<'_> {
        self.open(scope.database);
        Keys { keyspace: self, scope }
    }

    /// Returns what there is to tell.
    pub(crate) fn take_news(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Adds to the news what is told when a command or a transaction has ended.
    pub(crate) fn end_command(&mut self) {
        if self.trackers.has_broadcasts() {
            let stale = self.trackers.take_broadcasts();
            self.news.extend(stale.into_iter().map(Notification::Invalidation));
        }
    }

    /// Takes in what was kept, and has changes of such keys noted from now on.
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

    /// Returns what the counters file is to hold, with what is on its way to it.
    pub(crate) fn counters_to_keep(&self) -> Vec<Counter> {
        self.journal.as_ref().map_or_else(Vec::new, Journal::snapshot)
    }

    /// Returns what the counters file is to hold when nobody counts any more: the numbers as they
    /// are.
    pub(crate) fn settle_counters(&mut self) -> Vec<Counter> {
        let counters = self.counters();
        if let Some(journal) = &mut self.journal {
            journal.settle(&counters);
        }
        counters
    }

    /// Returns all keys that hold an integer and do not expire.
    fn counters(&self) -> Vec<Counter> {
        let databases = (0..).zip(&self.databases);
        let all = databases.flat_map(|(number, database)| {
            database.iter().map(move |(key, entry)| (number, key, entry))
        });
        let counter = |(database, key, entry): (u16, &[u8], &Entry)| {
            Some(Counter { database, key: key.into(), number: entry.counter()? })
        };
        all.filter_map(counter).collect()
    }

    /// Has a client told of what becomes stale; replaces what it wanted before.
    pub(crate) fn track(&mut self, client: u64, tracker: Tracker) {
        self.trackers.add(client, tracker);
    }

    pub(crate) fn untrack(&mut self, client: u64) {
        self.trackers.remove(client);
    }

    /// Forgets a client that others are told in place of.
    pub(crate) fn lose_recipient(&mut self, client: u64) {
        self.trackers.lose(client);
    }

    /// Whether the client that was to be told in place of this one is gone.
    pub(crate) fn is_tracking_broken(&self, client: u64) -> bool {
        self.trackers.is_broken(client)
    }

    /// Returns the state of all databases, and what happened to their keys.
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
            bytes: self.bytes(),
            tracked: self.trackers.tracked(),
            databases: databases.map(summary).collect(),
        }
    }

    /// The memory that all keys and values take.
    pub(crate) fn bytes(&self) -> usize {
        self.databases.iter().map(Database::bytes).sum()
    }

    /// Tells of tracked keys that there is no room for, and forgets them.
    pub(crate) fn limit_tracked(&mut self, keys_max: usize) {
        let stale = self.trackers.limit(keys_max);
        self.news.extend(stale.into_iter().map(Notification::Invalidation));
    }

    pub(crate) fn reset_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// Removes keys whose time is over, as many as `keys_max`, unless they may only go when they are
    /// asked for. Returns how many it removed.
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
    pub(crate) fn unwatch(&mut self, watched: &[(u16, Box<[u8]>)], watcher: &Arc<Watcher>) {
        for (database, key) in watched {
            self.watchers.remove(*database, key, watcher);
        }
    }

    /// Removes all keys of a database, or of all, and returns them: they are dropped when the order
    /// is let go.
    pub(crate) fn flush(&mut self, database: Option<u16>, now: u64) -> Vec<Database> {
        let mut flushed = Vec::new();
        let all = 0..u16::try_from(self.databases.len()).unwrap_or(u16::MAX);
        for number in all.filter(|number| database.is_none_or(|database| database == *number)) {
            let emptied = &mut self.databases[usize::from(number)];
            self.watchers.touch_all(number, emptied, None, now);
            flushed.push(std::mem::replace(emptied, Database::new(self.hasher.clone())));
        }
        self.news.extend(self.trackers.flush().into_iter().map(Notification::Invalidation));
        if let Some(journal) = &mut self.journal {
            journal.flush(database);
        }
        flushed
    }

    /// Gives each of two databases what the other holds.
    pub(crate) fn swap(&mut self, one: u16, other: u16, now: u64) {
        self.open(one.max(other));
        let (first, second) = (usize::from(one), usize::from(other));
        if first != second {
            let [old, new] = [first, second].map(|index| &self.databases[index]);
            self.watchers.touch_all(one, old, Some(new), now);
            self.watchers.touch_all(other, new, Some(old), now);
            self.databases.swap(first, second);
            if let Some(journal) = &mut self.journal {
                journal.swap(one, other);
            }
        }
    }

    /// Whether one of the keys has expired since it is watched.
    pub(crate) fn has_expired_watched(
        &self,
        watched: &[(u16, Box<[u8]>)],
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
    /// Returns what a key holds.
    pub(crate) fn get(&mut self, key: &[u8], look: AccessMode) -> Option<&Entry> {
        self.expire_if_over(key);
        let Scope { database, now, touches, events, .. } = self.scope;
        let Keyspace { databases, counts, news, .. } = &mut *self.keyspace;
        let touches = touches && matches!(look, AccessMode::Read | AccessMode::Write);
        let found = databases[usize::from(database)].find(key, touches.then(|| seconds(now)));
        if look != AccessMode::Write {
            if found.is_some() { counts.hits += 1 } else { counts.misses += 1 }
        }
        let is_event = matches!(look, AccessMode::Read | AccessMode::Inspect);
        if found.is_none() && is_event && events.wants(Class::Missed) {
            news.push(Notification::Event(Event { database, name: "keymiss", key: key.into() }));
        }
        found
    }

    /// Whether a key is there, without any other effect than that an expired one goes.
    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        self.expire_if_over(key);
        self.database().get(key).is_some()
    }

    /// Gives a key a value, and the time when it expires, if it does.
    pub(crate) fn set(&mut self, key: &[u8], value: Value, deadline: Option<u64>) {
        let mut entry = Entry::new(value, seconds(self.scope.now));
        entry.set_deadline(deadline);
        match self.database().get(key) {
            Some(_) => self.database_mut().put(key, entry),
            None => self.add(key, entry),
        }
        self.changed(key);
    }

    /// Adds a key with a value; the caller tells of the change.
    pub(crate) fn insert(&mut self, key: &[u8], value: Value) {
        self.add(key, Entry::new(value, seconds(self.scope.now)));
    }

    /// Adds a key with what another held; the caller tells of the change.
    pub(crate) fn add(&mut self, key: &[u8], entry: Entry) {
        self.database_mut().put(key, entry);
        self.notify(Class::New, "new", key);
    }

    /// Changes the value of a key in place; the caller tells of the change.
    pub(crate) fn change<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Value) -> R,
    ) -> Option<R> {
        self.database_mut().change(key, change)
    }

    /// Removes a key; the caller tells of the change.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.expire_if_over(key);
        self.database_mut().remove(key)
    }

    /// Lets a key expire at another time, or never; the caller tells of the change.
    pub(crate) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        self.database_mut().set_deadline(key, deadline);
    }

    /// Tells those who watch a key, or keep a copy of it, that it has changed.
    pub(crate) fn changed(&mut self, key: &[u8]) {
        self.tell_of(key);
        let Keyspace { databases, journal, .. } = &mut *self.keyspace;
        if let Some(journal) = journal {
            let database = self.scope.database;
            let number = databases[usize::from(database)].get(key).and_then(Entry::counter);
            journal.record(database, key, number);
        }
    }

    /// Adds to the number that a key holds, or to 0, tells of it, and returns the sum.
    pub(crate) fn add_number(&mut self, key: &[u8], increment: i64) -> Result<i64, AddError> {
        let known = self.get(key, AccessMode::Write).map(|entry| entry.value.integer());
        let old = known.unwrap_or(Some(0)).ok_or(AddError::NotAnInteger)?;
        let new = old.checked_add(increment).ok_or(AddError::Overflow)?;
        match known {
            Some(_) => self.change(key, |value| *value = Value::Integer(new)).unwrap_or_default(),
            None => self.insert(key, Value::Integer(new)),
        }
        if increment > 0 {
            self.counted(key, new)
        } else {
            self.changed(key)
        }
        self.notify(Class::Text, "incrby", key);
        Ok(new)
    }

    /// The same for a key that was counted up to this number.
    fn counted(&mut self, key: &[u8], number: i64) {
        self.tell_of(key);
        let Keyspace { databases, journal, .. } = &mut *self.keyspace;
        if let Some(journal) = journal {
            let database = self.scope.database;
            match databases[usize::from(database)].get(key).and_then(Entry::counter) {
                Some(_) => journal.record_count(database, key, number),
                None => journal.record(database, key, None),
            }
        }
    }

    fn tell_of(&mut self, key: &[u8]) {
        let Keyspace { databases, watchers, trackers, news, .. } = &mut *self.keyspace;
        let Scope { database: number, client, .. } = self.scope;
        watchers.touch(number, key, || databases[usize::from(number)].get(key).is_some());
        news.extend(trackers.touch(key, client).into_iter().map(Notification::Invalidation));
    }

    /// Notes that the client keeps a copy of a key.
    pub(crate) fn record_read(&mut self, key: &[u8], keys_max: usize) {
        let Keyspace { trackers, news, .. } = &mut *self.keyspace;
        let stale = trackers.record_read(self.scope.client, key, keys_max);
        news.extend(stale.into_iter().map(Notification::Invalidation));
    }

    /// Notes an event, if somebody may want it.
    pub(crate) fn notify(&mut self, class: Class, name: &'static str, key: &[u8]) {
        if self.scope.events.wants(class) {
            let database = self.scope.database;
            let event = Event { database, name, key: key.into() };
            self.keyspace.news.push(Notification::Event(event));
        }
    }

    /// Has a client watch a key.
    pub(crate) fn watch(&mut self, key: &[u8], watcher: &Arc<Watcher>) {
        let now = self.scope.now;
        let expired = self.database().get(key).is_some_and(|entry| entry.is_expired(now));
        self.keyspace.watchers.add(self.scope.database, key, watcher, expired);
    }

    /// Shows the keys of another database.
    pub(crate) fn in_database(&mut self, database: u16) -> Keys<'_> {
        self.keyspace.keys(Scope { database, ..self.scope })
    }

    /// Returns a key, chosen by chance.
    pub(crate) fn choose(&mut self) -> Option<Box<[u8]>> {
        loop {
            self.keyspace.choices += 1;
            let chance = self.keyspace.hasher.hash_one(self.keyspace.choices);
            let key: Box<[u8]> = self.database().choose(chance)?.into();
            if self.exists(&key) {
                return Some(key);
            }
        }
    }

    /// The keys of the database.
    pub(crate) fn database(&self) -> &Database {
        &self.keyspace.databases[usize::from(self.scope.database)]
    }

    /// Removes a key whose time is over.
    fn expire_if_over(&mut self, key: &[u8]) {
        let now = self.scope.now;
        let database = self.database();
        if database.expiring() > 0 && database.get(key).is_some_and(|entry| entry.is_expired(now)) {
            self.expire(key);
        }
    }

    fn expire(&mut self, key: &[u8]) {
        self.database_mut().remove(key);
        self.keyspace.counts.expired += 1;
        self.notify(Class::Expired, "expired", key);
        self.changed(key);
    }

    fn database_mut(&mut self) -> &mut Database {
        &mut self.keyspace.databases[usize::from(self.scope.database)]
    }
}

/// The time in which the last use of a key is kept.
fn seconds(now: u64) -> u32 {
    u32::try_from(now / 1000).unwrap_or(u32::MAX)
}
