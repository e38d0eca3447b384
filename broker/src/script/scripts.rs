//! The scripts of a server, shared by all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use locks::Mutex;

use super::cache::{Cache, Script};
use super::sha::Sha;

/// The scripts of a server.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    cache: Mutex<Cache>,
    /// Whether scripts may run commands with the flag `noscript`, for tests
    /// (`DEBUG SET-DISABLE-DENY-SCRIPTS`).
    allows_everything: AtomicBool,
    /// Number of flushes.
    flushes: AtomicU64,
    /// Memory of Lua on all workers.
    lua_bytes: AtomicUsize,
}

/// Figures for `INFO`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) scripts: usize,
    pub(crate) script_bytes: usize,
    pub(crate) lua_bytes: usize,
}

impl Scripts {
    pub(crate) fn find(&self, sha: Sha) -> Option<Arc<Script>> {
        self.cache.lock().by_sha(sha)
    }

    pub(crate) fn find_text(&self, text: &[u8]) -> Option<Arc<Script>> {
        self.cache.lock().by_text(text)
    }

    /// Adds a script that came with `EVAL`.
    pub(crate) fn add(&self, script: Arc<Script>) {
        self.cache.lock().add(script);
    }

    /// Adds a script of `SCRIPT LOAD`.
    pub(crate) fn keep(&self, script: Arc<Script>) {
        self.cache.lock().keep(script);
    }

    pub(crate) fn allow_everything(&self, allows: bool) {
        self.allows_everything.store(allows, Ordering::Relaxed);
    }

    #[cfg(feature = "lua")]
    pub(crate) fn allows_everything(&self) -> bool {
        self.allows_everything.load(Ordering::Relaxed)
    }

    /// Removes all scripts.
    pub(crate) fn flush(&self) {
        *self.cache.lock() = Cache::default();
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "lua")]
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// Records a change of Lua's memory on a worker.
    #[cfg(feature = "lua")]
    pub(crate) fn record_lua_bytes(&self, before: usize, now: usize) {
        self.lua_bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> Figures {
        let cache = self.cache.lock();
        Figures {
            scripts: cache.len(),
            script_bytes: cache.bytes(),
            lua_bytes: self.lua_bytes.load(Ordering::Relaxed),
        }
    }
}
