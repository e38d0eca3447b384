//! `WATCH`: whose transaction fails when a key changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::database::Database;

/// Who watches which keys. It goes by the numbers of databases, whatever these hold.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// By the database's number.
    keys: Vec<Watches>,
    /// How many keys are watched in all.
    count: usize,
}

type Watches = HashMap<Box<[u8]>, SmallVec<[Watch; 1]>, RandomState>;

/// One client's eye on one key.
#[derive(Debug)]
struct Watch {
    watcher: Arc<Watcher>,
    /// Whether the key was there, but expired, so that it is no change when it goes.
    is_expired: bool,
}

/// What a client that watches is told.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    has_changed: AtomicBool,
}

impl Watcher {
    /// Whether a key has changed since it is watched.
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }

    fn tell(&self) {
        // The order's lock, which everybody holds here, orders it.
        self.has_changed.store(true, Ordering::Relaxed);
    }
}

impl Watchers {
    pub(super) fn add(&mut self, database: u16, key: &[u8], watcher: &Arc<Watcher>, expired: bool) {
        let index = usize::from(database);
        if self.keys.len() <= index {
            self.keys.resize_with(index + 1, HashMap::default);
        }
        let watches = self.keys[index].entry(key.into()).or_default();
        if !watches.iter().any(|watch| watch.is_of(watcher)) {
            watches.push(Watch { watcher: watcher.clone(), is_expired: expired });
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, database: u16, key: &[u8], watcher: &Arc<Watcher>) {
        let Some(keys) = self.keys.get_mut(usize::from(database)) else { return };
        let Some(watches) = keys.get_mut(key) else { return };
        let before = watches.len();
        watches.retain(|watch| !watch.is_of(watcher));
        self.count -= before - watches.len();
        if watches.is_empty() {
            keys.remove(key);
            keys.shrink_to(2 * keys.len());
        }
    }

    /// Whether a key was already expired when this watcher came.
    pub(super) fn came_expired(&self, database: u16, key: &[u8], watcher: &Arc<Watcher>) -> bool {
        let watches = self.keys.get(usize::from(database)).and_then(|keys| keys.get(key));
        watches.is_some_and(|all| all.iter().any(|one| one.is_of(watcher) && one.is_expired))
    }

    /// Tells those who watch a key that it has changed. `exists` says whether it is there now.
    pub(super) fn touch(&mut self, database: u16, key: &[u8], exists: impl FnOnce() -> bool) {
        if self.count == 0 {
            return;
        }
        let keys = self.keys.get_mut(usize::from(database));
        let Some(watches) = keys.and_then(|keys| keys.get_mut(key)) else { return };
        let exists = exists();
        for watch in watches {
            match watch.is_expired {
                false => watch.watcher.tell(),
                true if exists => break,
                // What was expired is deleted now, which is no change.
                true => watch.is_expired = false,
            }
        }
    }

    /// Tells those who watch a key of `emptied`, which is about to lose its keys, or to have those
    /// of another database.
    pub(super) fn touch_all(
        &mut self,
        database: u16,
        emptied: &Database,
        replaced: Option<&Database>,
        now: u64,
    ) {
        let Some(keys) = self.keys.get_mut(usize::from(database)) else { return };
        for (key, watches) in keys {
            let is_there = emptied.get(key).is_some();
            let new = replaced.and_then(|database| database.get(key));
            if !is_there && new.is_none() {
                continue;
            }
            for watch in watches {
                let is_over = new.is_some_and(|entry| entry.is_expired(now));
                match (watch.is_expired, new) {
                    // What was expired is deleted now, which is no change.
                    (true, None) => watch.is_expired = false,
                    (true, Some(_)) if is_over => {}
                    // What was not there is now, but expired.
                    (false, Some(_)) if !is_there && is_over => watch.is_expired = true,
                    _ => watch.watcher.tell(),
                }
            }
        }
    }
}

impl Watch {
    fn is_of(&self, watcher: &Arc<Watcher>) -> bool {
        Arc::ptr_eq(&self.watcher, watcher)
    }
}
