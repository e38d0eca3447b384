//! The scripts of a server, and the thread that runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::cache::{Cache, Script};
#[cfg(feature = "lua")]
use super::engine::Engine;
use super::sha::Sha;
#[cfg(feature = "lua")]
use crate::host::Host;

/// What a server knows of scripts.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    cache: Mutex<Cache>,
    /// Whether scripts may run what they must not, for tests (`DEBUG SET-DISABLE-DENY-SCRIPTS`).
    allows_everything: AtomicBool,
    #[cfg(feature = "lua")]
    engine: Mutex<State>,
}

/// The thread, which starts with the first script.
#[cfg(feature = "lua")]
#[derive(Debug, Default)]
enum State {
    #[default]
    NotStarted,
    Started(Engine),
    Stopped,
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

    pub(crate) fn add(&self, script: Arc<Script>) {
        self.cache.lock().add(script);
    }

    pub(crate) fn allow_everything(&self, allows: bool) {
        self.allows_everything.store(allows, Ordering::Relaxed);
    }

    #[cfg(feature = "lua")]
    pub(crate) fn allows_everything(&self) -> bool {
        self.allows_everything.load(Ordering::Relaxed)
    }

    /// Forgets all scripts.
    pub(crate) fn flush(&self) {
        *self.cache.lock() = Cache::default();
        #[cfg(feature = "lua")]
        if let State::Started(engine) = &*self.engine.lock() {
            engine.reset();
        }
    }

    /// Lends the thread, which is started if need be: then the order must not be held.
    #[cfg(feature = "lua")]
    pub(crate) fn engine<R>(
        &self,
        host: &Arc<Host>,
        with: impl FnOnce(&Engine) -> R,
    ) -> Result<R, Vec<u8>> {
        let mut state = self.engine.lock();
        if matches!(*state, State::NotStarted) {
            *state = State::Started(Engine::start(host.clone())?);
        }
        match &*state {
            State::Started(engine) => Ok(with(engine)),
            _ => Err(b"ERR the server is shutting down".to_vec()),
        }
    }

    /// Lets the thread end, once it has nothing to do.
    pub(crate) fn stop(&self) {
        #[cfg(feature = "lua")]
        {
            *self.engine.lock() = State::Stopped;
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let cache = self.cache.lock();
        Figures {
            scripts: cache.len(),
            script_bytes: cache.bytes(),
            #[cfg(feature = "lua")]
            lua_bytes: match &*self.engine.lock() {
                State::Started(engine) => engine.used_bytes(),
                _ => 0,
            },
            #[cfg(not(feature = "lua"))]
            lua_bytes: 0,
        }
    }
}
