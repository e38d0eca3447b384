//! The settings in force, which `CONFIG SET` changes while the server runs.
//!
//! Each worker keeps a reference to the current settings and compares its generation in each turn.
//! So reading a setting takes no lock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use locks::{Mutex, RwLock};

use crate::config::Config;
use crate::config::reloaded::ReloadError;
use crate::config::source::ConfigFile;
use crate::config::sources::Sources;

/// The settings of a server.
#[derive(Debug)]
pub(crate) struct Settings {
    current: RwLock<Arc<Config>>,
    /// Values of ignored directives, as they were given.
    others: RwLock<BTreeMap<String, Vec<Vec<u8>>>>,
    /// The settings as the files and flags had them when they were read last.
    read: Mutex<Config>,
    /// The file that `CONFIG REWRITE` writes.
    pub(crate) file: Option<PathBuf>,
    sources: Mutex<Sources>,
    generation: AtomicU64,
}

impl Settings {
    pub(crate) fn new(loaded: ConfigFile) -> Self {
        let ConfigFile { config, others, file, sources, read, .. } = loaded;
        Self {
            read: Mutex::new(read),
            current: RwLock::new(Arc::new(config)),
            others: RwLock::new(others),
            file,
            sources: Mutex::new(sources),
            generation: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self) -> Arc<Config> {
        self.current.read().clone()
    }

    /// Returns a number that differs after each change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts changed settings in force.
    pub(crate) fn set(&self, config: Config) {
        *self.current.write() = Arc::new(config);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns the settings as the files and flags had them when they were read last.
    pub(crate) fn last_read(&self) -> Config {
        self.read.lock().clone()
    }

    /// Reads the files and flags again. A server whose settings came from a program has none, and keeps
    /// its settings. Blocks the thread.
    pub(crate) fn read_again(&self) -> Result<ConfigFile, ReloadError> {
        let sources = self.sources.lock().clone();
        if sources.is_empty() {
            return Ok(ConfigFile::from(self.last_read()));
        }
        sources.read().map_err(|mistake| ReloadError(mistake.without_values()))
    }

    /// Returns whether this password came from outside of files and flags.
    pub(crate) fn is_from_outside(&self, password: Option<&[u8]>) -> bool {
        self.sources.lock().have_password(password)
    }

    /// Records that the files have these settings.
    pub(crate) fn set_last_read(&self, config: Config) {
        *self.read.lock() = config;
    }

    /// Records another reading of the files and flags.
    pub(crate) fn set_read(&self, read: ConfigFile) {
        self.set_last_read(read.config);
        *self.sources.lock() = read.sources;
    }

    /// Returns the value that was given for an ignored directive.
    pub(crate) fn other(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        self.others.read().get(name).cloned()
    }

    /// Returns all ignored directives with their values.
    pub(crate) fn others(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        self.others.read().clone()
    }

    pub(crate) fn set_other(&self, name: &str, values: Vec<Vec<u8>>) {
        self.others.write().insert(name.to_owned(), values);
    }
}
