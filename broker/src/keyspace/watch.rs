//! `WATCH`: a transaction fails if one of its watched keys has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::database::Database;

/// All watches, by database index and key. A watch stays with the index if databases are swapped.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// By the index of the database.
    keys: Vec<Watches>,
    /// Number of watches.
    count: usize,
}

type Watches = HashMap<Box<[u8]>, SmallVec<[Watch; 1]>, RandomState>;

/// The watch of one client on one key.
#[derive(Debug)]
struct Watch {
    watcher: Arc<Watcher>,
    /// Whether the key existed but was expired. Its removal is no change then.
    is_expired: bool,
}

/// The result of a client's watches.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    has_changed: AtomicBool,
}

impl Watcher {
    /// Returns whether a watched key has changed.
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }

    fn tell(&self) {
        // All callers hold the order, which synchronizes the flag.
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

    /// Returns whether a key was expired at the start of the watch.
    pub(super) fn came_expired(&self, database: u16, key: &[u8], watcher: &Arc<Watcher>) -> bool {
        let watches = self.keys.get(usize::from(database)).and_then(|keys| keys.get(key));
        watches.is_some_and(|all| all.iter().any(|one| one.is_of(watcher) && one.is_expired))
    }

    /// Flags the watchers of a changed key. `exists` returns whether the key exists now.
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
                // The removal of an expired key is no change.
                true => watch.is_expired = false,
            }
        }
    }

    /// Flags the watchers of keys in `emptied`, which is about to lose its keys or to receive those
    /// of `replaced`.
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
                    // The removal of an expired key is no change.
                    (true, None) => watch.is_expired = false,
                    (true, Some(_)) if is_over => {}
                    // The new key is expired, so it does not exist yet.
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
