//! What all sessions of a server share: the broker, the settings, the clients, and who the server
//! is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

use crate::acl::users::Users;
use crate::commands;
use crate::config::Config;
use crate::config::source::ConfigFile;
use crate::observe::latency::LatencyMonitor;
use crate::observe::memory::resident_bytes;
use crate::observe::slowlog::SlowLog;
use crate::observe::stats::{CommandStats, Tally};
use crate::pubsub::Broker;
use crate::script::Scripts;
use crate::session::client_info::{ClientInfo, ClientRegistry};
use crate::session::settings::Settings;

/// One server's surroundings, the same for all its sessions.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) broker: Broker,
    pub(crate) settings: Settings,
    pub(crate) clients: ClientRegistry,
    pub(crate) users: Users,
    pub(crate) pause: Pause,
    pub(crate) commands: CommandStats,
    pub(crate) slowlog: Mutex<SlowLog>,
    pub(crate) latency: Mutex<LatencyMonitor>,
    pub(crate) scripts: Scripts,
    /// Clients that said `MONITOR`.
    pub(crate) monitors: AtomicUsize,
    /// The port that is bound, which differs from the setting when that was 0 at the start.
    pub(crate) port: AtomicU16,
    /// 40 hexadecimal digits, new at every start: clients forget cached scripts when it changes.
    pub(crate) run_id: String,
    /// What the process took before there were clients or keys.
    base_bytes: usize,
    renamed: Renamed,
    started: Instant,
}

/// Commands under other names.
#[derive(Debug, Default)]
struct Renamed {
    /// From the new name to the old one.
    new: HashMap<Vec<u8>, &'static str>,
    /// Names that mean nothing any more.
    old: Vec<&'static str>,
}

/// `CLIENT PAUSE`: requests that are held back for a time.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    is_active: AtomicBool,
    until: Mutex<Paused>,
}

/// Until when requests are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) all: Option<Instant>,
    pub(crate) writes: Option<Instant>,
}

impl ServerState {
    /// # Errors
    ///
    /// The mistake in the users or in `rename-command`.
    pub(crate) fn new(broker: Broker, loaded: ConfigFile, port: u16) -> Result<Self, String> {
        let ConfigFile { config, others, file, .. } = loaded;
        let renamed = Renamed::new(&config)?;
        broker.remember(&config.pubsub_replay);
        Ok(Self {
            users: Users::new(config.user_sources())?,
            broker,
            settings: Settings::new(config, others, file),
            clients: ClientRegistry::default(),
            pause: Pause::default(),
            commands: CommandStats::new(commands::entries().len()),
            slowlog: Mutex::default(),
            latency: Mutex::default(),
            scripts: Scripts::default(),
            monitors: AtomicUsize::new(0),
            port: AtomicU16::new(port),
            run_id: run_id(),
            base_bytes: usize::try_from(resident_bytes()).unwrap_or(0),
            renamed,
            started: Instant::now(),
        })
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns what `maxmemory` bounds: keys, and what the process took without any.
    pub(crate) fn used_bytes(&self) -> usize {
        self.base_bytes + self.broker.key_bytes()
    }

    /// Adds what a worker has counted to what everybody sees.
    pub(crate) fn tell(&self, tally: &mut Tally) {
        tally.flush_stats(self.broker.stats(), &self.commands);
    }

    pub(crate) fn has_monitors(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// Returns the name in the command table for the one in a request, unless it means nothing.
    pub(crate) fn own_name<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        if self.renamed.old.is_empty() {
            return Some(name);
        }
        let lower = name.to_ascii_lowercase();
        if let Some(own) = self.renamed.new.get(&lower) {
            return Some(own.as_bytes());
        }
        let is_gone = self.renamed.old.iter().any(|old| old.as_bytes() == lower);
        (!is_gone).then_some(name)
    }

    /// Counts and tells that a client is closed for `maxmemory-clients`.
    pub(crate) fn record_eviction(&self, info: &ClientInfo) {
        self.broker.stats().evicted_clients.add(1);
        warn!(client.id = info.id, client.addr = %info.peer, "client evicted");
    }
}

impl Renamed {
    /// Resolves `rename-command`. Names that are no command of the broker are skipped: Redis has
    /// more commands, and its files may rename them.
    ///
    /// # Errors
    ///
    /// A new name is the name of another command.
    fn new(config: &Config) -> Result<Self, String> {
        let mut renamed = Self::default();
        for (old, new) in &config.rename_command {
            let Some(entry) = commands::find_full(old.as_bytes()) else { continue };
            let taken = commands::find_full(new.as_bytes()).map(|entry| entry.spec.name);
            if taken.is_some_and(|taken| !renamed.old.contains(&taken)) {
                return Err(format!(
                    "cannot rename command '{old}' to '{new}': a command has this name; choose \
                     another one in 'rename-command'"
                ));
            }
            renamed.old.push(entry.spec.name);
            if !new.is_empty() {
                renamed.new.insert(new.clone().into_bytes(), entry.spec.name);
            }
        }
        Ok(renamed)
    }
}

impl Pause {
    /// Holds back all requests, or writes only, for some time.
    pub(crate) fn begin(&self, time: Duration, all: bool) {
        let until = Instant::now().checked_add(time);
        let mut paused = self.until.lock();
        let end = if all { &mut paused.all } else { &mut paused.writes };
        *end = (*end).max(until);
        self.is_active.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        *self.until.lock() = Paused::default();
        self.is_active.store(false, Ordering::Release);
    }

    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// Returns until when such a request has to wait.
    pub(crate) fn holds_back(&self, is_write: bool) -> Option<Instant> {
        if !self.is_active() {
            return None;
        }
        let paused = *self.until.lock();
        let now = Instant::now();
        if paused.all.max(paused.writes).is_none_or(|end| end <= now) {
            self.end();
            return None;
        }
        let end = if is_write { paused.all.max(paused.writes) } else { paused.all };
        end.filter(|&end| end > now)
    }
}

fn run_id() -> String {
    use std::hash::BuildHasher;

    // A run id must differ between runs and need not be secret.
    let mut bytes = [0; 20];
    for (index, chunk) in bytes.chunks_mut(8).enumerate() {
        let seed = foldhash::fast::RandomState::default();
        let now = std::time::SystemTime::now();
        let hash = seed.hash_one((index, std::process::id(), now)).to_le_bytes();
        chunk.copy_from_slice(&hash[..chunk.len()]);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerState {
        ServerState::new(Broker::new(), ConfigFile::from_text(text).unwrap(), 0).unwrap()
    }

    #[test]
    fn each_run_has_an_id_of_its_own() {
        let ids = [server("").run_id, server("").run_id];
        assert_ne!(ids[0], ids[1]);
        let is_hex = |id: &String| id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(ids.iter().all(|id| id.len() == 40 && is_hex(id)));
    }

    #[test]
    fn a_renamed_command_has_its_new_name_only() {
        let server = server("rename-command flushdb badger\nrename-command config \"\"");
        assert_eq!(server.own_name(b"BADGER"), Some(&b"flushdb"[..]));
        assert_eq!(server.own_name(b"FlushDB"), None);
        assert_eq!(server.own_name(b"config"), None);
        assert_eq!(server.own_name(b"ping"), Some(&b"ping"[..]));
    }

    #[test]
    fn a_command_cannot_take_the_name_of_another() {
        let renamed = |text| {
            let config = ConfigFile::from_text(text).unwrap().config;
            Renamed::new(&config).map(|renamed| renamed.new.len())
        };
        let error = renamed("rename-command get ping").unwrap_err();
        assert!(error.starts_with("cannot rename command 'get' to 'ping'"), "{error}");
        assert_eq!(renamed("rename-command ping pong\nrename-command get ping"), Ok(2));
        assert_eq!(renamed("rename-command lpush ping"), Ok(0));
    }

    #[test]
    fn a_pause_of_writes_lets_the_rest_through() {
        let pause = Pause::default();
        pause.begin(Duration::from_secs(60), false);
        assert!(pause.holds_back(true).is_some());
        assert!(pause.holds_back(false).is_none());
        pause.begin(Duration::from_secs(60), true);
        assert!(pause.holds_back(false).is_some());
        pause.end();
        assert!(pause.holds_back(true).is_none());
    }
}
