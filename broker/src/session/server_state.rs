//! The state that all sessions of a server share: broker, settings, clients, users and logs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use locks::Mutex;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::acl::users::Users;
use crate::config::reloaded::{ReloadError, Reloaded};
use crate::config::source::ConfigFile;
use crate::ids::random_id;
use crate::observe::clock::since_1970;
use crate::observe::event_loops::EventLoops;
use crate::observe::latency::LatencyMonitor;
use crate::observe::memory::allocated_bytes;
use crate::observe::process::ProcessFigures;
use crate::observe::slowlog::SlowLog;
use crate::observe::stats::{CommandStats, Tally};
use crate::pubsub::{Broker, BrokerView};
use crate::script::Scripts;
use crate::session::client_info::{ClientInfo, ClientRegistry};
use crate::session::drain::Drain;
use crate::session::pause::Pause;
use crate::session::permission_checks::PermissionChecks;
use crate::session::replication::Replication;
use crate::session::settings::Settings;
use crate::session::user_rates::UserRates;
use crate::tls::{Reload, Tls};

/// The state of one server. All its workers and sessions share it.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) broker: BrokerView,
    pub(crate) settings: Settings,
    pub(crate) clients: ClientRegistry,
    pub(crate) users: Users,
    pub(crate) checks: PermissionChecks,
    pub(crate) pause: Pause,
    /// Held during the login of a user with a limit as well.
    pub(crate) user_rates: Mutex<UserRates>,
    pub(crate) drain: Drain,
    pub(crate) commands: CommandStats,
    pub(crate) slowlog: Mutex<SlowLog>,
    pub(crate) latency: Mutex<LatencyMonitor>,
    pub(crate) scripts: Arc<Scripts>,
    /// The number of clients in `MONITOR` mode.
    pub(crate) monitors: AtomicUsize,
    /// The bound port. It differs from the setting if the system chose a free port.
    pub(crate) port: AtomicU16,
    /// The bound port for clients with TLS, as `port`.
    pub(crate) tls_port: AtomicU16,
    pub(crate) tls: Tls,
    /// Places for clients that have not established TLS yet.
    pub(crate) handshakes: Arc<Semaphore>,
    /// Handshakes that failed.
    pub(crate) failed_handshakes: FailedHandshakes,
    pub(crate) replication: Replication,
    /// 40 hexadecimal digits, new at every start: clients forget cached scripts when it changes.
    pub(crate) run_id: String,
    /// Memory that the process had allocated at the start, before clients and keys.
    pub(crate) base_bytes: usize,
    /// The most used bytes that [`peak_bytes`](Self::peak_bytes) has seen.
    peak_bytes: AtomicUsize,
    started: Instant,
    /// Seconds since 1970 of the last save, or of the start.
    last_save: AtomicU64,
    /// Changes of keys until the last save.
    saved_changes: AtomicU64,
    is_saving: AtomicBool,
    last_reload: Mutex<Option<LastReload>>,
    /// The event loops of the workers.
    pub(crate) loops: EventLoops,
    /// The processor time and the memory of the process.
    pub(crate) process: ProcessFigures,
}

/// The last time that the files were read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastReload {
    pub(crate) has_worked: bool,
    /// Since 1970.
    pub(crate) time: Duration,
}

/// The bound ports; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// Clients that may establish TLS at once. Further ones wait in the backlog of the kernel.
const HANDSHAKES_MAX: usize = 1024;

/// Limits the log lines about failed handshakes, since strangers cause them.
#[derive(Debug, Default)]
pub(crate) struct FailedHandshakes(Mutex<FailuresOfSecond>);

#[derive(Debug, Default)]
struct FailuresOfSecond {
    /// Seconds since the start.
    second: u64,
    count: u64,
}

/// Failed handshakes with a log line of their own in one second.
const LOGGED_FAILURES_MAX: u64 = 10;

impl FailedHandshakes {
    /// Counts a failed handshake. Returns whether it gets a line of the log, and the number of those
    /// without one in an earlier second.
    pub(crate) fn count(&self, now: Duration) -> (bool, u64) {
        let mut failures = self.0.lock();
        let mut unlogged = 0;
        if failures.second != now.as_secs() {
            unlogged = failures.count.saturating_sub(LOGGED_FAILURES_MAX);
            *failures = FailuresOfSecond { second: now.as_secs(), count: 0 };
        }
        failures.count += 1;
        (failures.count <= LOGGED_FAILURES_MAX, unlogged)
    }
}

impl ServerState {
    /// Creates the state from the settings.
    ///
    /// # Errors
    ///
    /// A description of the error in the users of the settings.
    pub(crate) fn new(
        broker: Broker,
        loaded: ConfigFile,
        ports: Ports,
        commands: usize,
    ) -> Result<Self, String> {
        let config = loaded.config.clone();
        broker.remember(&config.pubsub_replay);
        let replication = Replication::new(config.replication.master.clone());
        broker.view().set_read_only(replication.is_replica());
        Ok(Self {
            users: Users::new(config.user_sources())?,
            broker: broker.view(),
            settings: Settings::new(loaded),
            clients: ClientRegistry::default(),
            checks: PermissionChecks::default(),
            pause: Pause::default(),
            user_rates: Mutex::default(),
            drain: Drain::default(),
            commands: CommandStats::new(commands),
            slowlog: Mutex::default(),
            latency: Mutex::default(),
            scripts: Arc::default(),
            monitors: AtomicUsize::new(0),
            port: AtomicU16::new(ports.plain),
            tls_port: AtomicU16::new(ports.tls),
            tls: Tls::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            failed_handshakes: FailedHandshakes::default(),
            replication,
            run_id: random_id(),
            base_bytes: usize::try_from(allocated_bytes()).unwrap_or(0),
            peak_bytes: AtomicUsize::new(0),
            started: Instant::now(),
            last_save: AtomicU64::new(since_1970().as_secs()),
            saved_changes: AtomicU64::new(0),
            is_saving: AtomicBool::new(false),
            last_reload: Mutex::default(),
            loops: EventLoops::default(),
            process: ProcessFigures::default(),
        })
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the last reload, if there was one.
    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        *self.last_reload.lock()
    }

    /// Reads the files and flags again, and records a failure as that of the reload. Blocks the thread.
    pub(crate) fn read_again(&self) -> Result<ConfigFile, ReloadError> {
        let read = self.settings.read_again();
        read.inspect_err(|error| self.record_reload(&Err(error.clone())))
    }

    /// Records the outcome of a reload, for `INFO`, metrics and the log.
    pub(crate) fn record_reload(&self, outcome: &Result<Reloaded, ReloadError>) {
        let has_worked = outcome.is_ok();
        *self.last_reload.lock() = Some(LastReload { has_worked, time: since_1970() });
        match outcome {
            Ok(Reloaded { changed, needs_restart }) => {
                if !changed.is_empty() {
                    info!("settings changed: {}", changed.join(" "));
                }
                if !needs_restart.is_empty() {
                    warn!("settings that need a restart: {}", needs_restart.join(" "));
                }
            }
            Err(error) => warn!("no setting changed: {error}"),
        }
    }

    /// Reads the files of TLS again, if there is TLS. Blocks the thread.
    pub(crate) fn reload_tls(&self) {
        let settings = self.settings.get();
        if !settings.needs_tls() {
            return;
        }
        match self.tls.reload(&settings.tls) {
            Reload::Unchanged => {}
            Reload::Changed => info!("TLS materials reloaded successfully"),
            Reload::Failed => warn!("Background TLS reload failed"),
        }
    }

    /// Returns the time since 1970 of the last save. Without one, it is the start, as in Redis.
    pub(crate) fn last_save(&self) -> Duration {
        Duration::from_secs(self.last_save.load(Ordering::Relaxed))
    }

    /// Returns the number of changes since the last save, of `changes` since the start.
    pub(crate) fn unsaved(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.saved_changes.load(Ordering::Relaxed))
    }

    /// Begins a save. Returns false if another one runs.
    pub(crate) fn begin_save(&self) -> bool {
        !self.is_saving.swap(true, Ordering::Relaxed)
    }

    /// Saves the counters and ends the save. The order must not be held.
    pub(crate) fn end_save(&self) -> io::Result<()> {
        let changes = self.broker.changes();
        let result = self.broker.save_counters();
        if result.is_ok() {
            self.saved_changes.store(changes, Ordering::Relaxed);
            self.last_save.store(since_1970().as_secs(), Ordering::Relaxed);
        }
        self.cancel_save();
        result
    }

    /// Ends a save that did not happen.
    pub(crate) fn cancel_save(&self) {
        self.is_saving.store(false, Ordering::Relaxed);
    }

    /// Returns the bytes that `maxmemory` limits: those of the keys and of the process at its
    /// start.
    pub(crate) fn used_bytes(&self) -> usize {
        self.base_bytes + self.broker.key_bytes()
    }

    /// Returns the peak of the used bytes. Call it about once a second, since it looks at them only
    /// then.
    pub(crate) fn peak_bytes(&self) -> usize {
        let used = self.used_bytes();
        self.peak_bytes.fetch_max(used, Ordering::Relaxed).max(used)
    }

    /// Adds the counts of a worker to the shared statistics.
    pub(crate) fn flush_stats(&self, tally: &mut Tally) {
        tally.flush_stats(self.broker.stats(), &self.commands);
    }

    pub(crate) fn has_monitors(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// Counts and logs that a client is closed for `maxmemory-clients`.
    pub(crate) fn record_eviction(&self, info: &ClientInfo) {
        self.broker.stats().evicted_clients.add(1);
        warn!(client.id = info.id, client.addr = %info.peer, "client evicted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerState {
        ServerState::new(Broker::new(), ConfigFile::from_text(text).unwrap(), Ports::default(), 1)
            .unwrap()
    }

    #[test]
    fn ten_failed_handshakes_a_second_are_logged_and_the_rest_is_counted() {
        let failures = FailedHandshakes::default();
        let logged = |seconds| failures.count(Duration::from_secs(seconds));
        assert_eq!((0..15).filter(|_| logged(7) == (true, 0)).count(), 10);
        assert_eq!(logged(8), (true, 5));
        assert_eq!(logged(9), (true, 0));
    }

    #[test]
    fn each_run_has_an_id_of_its_own() {
        let ids = [server("").run_id, server("").run_id];
        assert_ne!(ids[0], ids[1]);
        let is_hex = |id: &String| id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(ids.iter().all(|id| id.len() == 40 && is_hex(id)));
    }
}
