//! The settings of a broker, typed, with their defaults.
//!
//! What the lines of a redis.conf mean is said in [`directive`], one row each; where they come
//! from (files, flags, standard input) in [`source`].

#[cfg(test)]
pub(crate) mod compatibility;
pub(crate) mod directive;
pub(crate) mod ignored;
pub(crate) mod parse;
pub(crate) mod promises;
pub(crate) mod source;

use std::path::PathBuf;
use std::time::Duration;

use crate::acl::ChannelsDefault;
use crate::acl::users::UserSources;
use crate::address::{Address, Port};
use crate::keyspace::EventClasses;

/// The settings of a [`Server`](crate::Server).
///
/// The defaults are Redis'. Every field is a directive of redis.conf, and `redis.conf.example`
/// tells what each means and costs.
///
/// ```
/// let config = broker::Config::default();
/// assert_eq!(config.port, broker::Port::from(6379));
/// assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses to listen on. One that begins with `-` may be missing on this machine. By default
    /// those of the loopback interface; a server started without a file or flag that says otherwise
    /// has another default, see [`ConfigFile`](crate::Loaded).
    pub bind: Vec<String>,
    /// The TCP port; 6379 by default.
    pub port: Port,
    /// The password that clients must give with `AUTH`; none by default.
    pub requirepass: Option<Vec<u8>>,
    /// Threads that serve clients, 1 to 128.
    pub io_threads: usize,
    /// Connections beyond this number are told so and closed.
    pub maxclients: usize,
    /// A client without subscriptions that is silent for this long is closed; zero is never.
    pub timeout: Duration,
    /// How often the kernel probes a silent peer; zero is never.
    pub tcp_keepalive: Duration,
    /// Connections that the kernel queues until they are accepted.
    pub tcp_backlog: u32,
    /// How much is logged.
    pub loglevel: LogLevel,
    /// Where the log goes; standard output by default.
    pub logfile: Option<PathBuf>,
    /// Refuses clients from other machines as long as there is no password.
    pub protected_mode: bool,
    /// What a client may have unread before it is closed.
    pub client_output_buffer_limit: OutputLimits,
    /// Bytes of one request that is not complete yet.
    pub client_query_buffer_limit: usize,
    /// Bytes of one argument of a request.
    pub proto_max_bulk_len: usize,
    /// What keys may take together with what the process takes without any; 0 is no limit.
    pub maxmemory: usize,
    /// Keys that `CLIENT TRACKING` remembers the readers of; 0 is no limit.
    pub tracking_table_max_keys: usize,
    /// What all clients together may hold before the largest are closed; 0 is no limit.
    pub maxmemory_clients: ClientMemory,
    /// The path of a socket to listen on as well.
    pub unixsocket: Option<PathBuf>,
    /// The permissions of that socket's file, as in `700`; 0 leaves them to the process.
    pub unixsocketperm: u32,
    /// Numbers that `SELECT` accepts, less one.
    pub databases: u16,
    /// The file that counters are kept in; none by default.
    pub counters_file: Option<PathBuf>,
    /// Changes of keys that are published.
    pub notify_keyspace_events: EventClasses,
    /// Whether `DEBUG` may be used.
    pub enable_debug_command: ProtectedAction,
    /// Who may change `dir` while the server runs.
    pub enable_protected_configs: ProtectedAction,
    /// Runs in the background.
    pub daemonize: bool,
    /// Replaces the flags in the list of processes by a title, since they may hold a password.
    pub set_proc_title: bool,
    /// Where the number of the process is written.
    pub pidfile: Option<PathBuf>,
    /// The directory to work in.
    pub dir: Option<PathBuf>,
    /// Users as `user` lines give them: a name and rules each.
    pub users: Vec<Vec<Vec<u8>>>,
    /// The file that users come from.
    pub aclfile: Option<PathBuf>,
    /// Whether new users may use all channels (`acl-pubsub-default`).
    pub acl_pubsub_default_allows: bool,
    /// Entries of the ACL log.
    pub acllog_max_len: usize,
    /// Microseconds from which on a command is noted for `SLOWLOG`; negative for never.
    pub slowlog_log_slower_than: i64,
    /// How long others wait for a script before they are told that the server is busy; zero is for
    /// ever.
    pub busy_reply_threshold: Duration,
    /// Commands that `SLOWLOG` keeps.
    pub slowlog_max_len: usize,
    /// From how many milliseconds on a command is told by `LATENCY`; 0 for none.
    pub latency_monitor_threshold: u64,
    /// Whether it is kept how the times of each command are distributed.
    pub latency_tracking: bool,
    /// Which percentiles `INFO latencystats` shows, as it writes them.
    pub latency_tracking_info_percentiles: Vec<String>,
    /// Commands under other names, or under none.
    pub rename_command: Vec<(String, String)>,
    /// Channels whose messages are remembered for a while; none by default.
    pub pubsub_replay: Vec<ReplayRule>,
}

/// What is remembered of the channels that match a pattern, so that subscribers can ask for what
/// they missed. A directive of our own, `pubsub-replay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRule {
    /// Which channels, in Redis' glob.
    pub pattern: Vec<u8>,
    /// Messages of each channel.
    pub messages_max: usize,
    /// Bytes of all these channels together.
    pub bytes_max: usize,
    /// How long a message is remembered.
    pub age_max: Duration,
}

/// Who may do what is dangerous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtectedAction {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Clients of this machine.
    Local,
}

impl ProtectedAction {
    /// As directives write it.
    pub(crate) const NAMES: &[&str] = &["no", "yes", "local"];

    pub(crate) fn allows(self, peer: &Address) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => peer.is_local(),
        }
    }
}

impl From<usize> for ProtectedAction {
    /// Takes the place of a name.
    fn from(index: usize) -> Self {
        match index {
            0 => Self::No,
            1 => Self::Yes,
            _ => Self::Local,
        }
    }
}

/// What all clients together may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// So many bytes; 0 is no limit.
    Bytes(usize),
    /// A percentage of the directive `maxmemory`; no limit as long as that has none.
    Percent(u8),
}

impl ClientMemory {
    /// Returns the bytes, unless there is no limit.
    pub(crate) fn bytes(self, maxmemory: usize) -> Option<usize> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            // Not by multiplying first, which may overflow.
            Self::Percent(percent) => maxmemory / 100 * usize::from(percent),
        };
        (bytes != 0).then_some(bytes)
    }
}

/// What clients may have unread, by kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients without subscriptions.
    pub normal: OutputLimit,
    /// Replicas. The broker has none; kept so that files that set it are understood.
    pub replica: OutputLimit,
    /// Clients with subscriptions.
    pub pubsub: OutputLimit,
}

/// What one client may have unread. A zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once beyond this many bytes.
    pub hard_bytes: usize,
    /// Closed when beyond this many bytes for longer than `soft_time`.
    pub soft_bytes: usize,
    /// How long a client may stay beyond `soft_bytes`.
    pub soft_time: Duration,
}

impl OutputLimit {
    /// As in Redis, the first 16 KiB do not count.
    pub(crate) const FREE_BYTES: usize = 16 * 1024;

    /// Of a client that has still to log in: it can only be told to.
    pub(crate) const BEFORE_LOGIN: Self =
        Self { hard_bytes: 1024, soft_bytes: 0, soft_time: Duration::ZERO };

    /// Whether so many unread bytes close a client at once.
    pub(crate) fn is_hard_beyond(&self, bytes: usize) -> bool {
        self.hard_bytes != 0 && bytes.saturating_sub(Self::FREE_BYTES) > self.hard_bytes
    }

    /// Whether so many unread bytes close a client after a time.
    pub(crate) fn is_soft_beyond(&self, bytes: usize) -> bool {
        self.soft_bytes != 0 && bytes.saturating_sub(Self::FREE_BYTES) > self.soft_bytes
    }
}

/// How much is logged, in Redis' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything, one line for each connection.
    Debug,
    /// What is rarely useful.
    Verbose,
    /// Start, stop and settings.
    #[default]
    Notice,
    /// What may need somebody.
    Warning,
    /// Nothing at all.
    Nothing,
}

const MB: usize = 1024 * 1024;

impl Config {
    /// Returns the channels of new users: `acl-pubsub-default`.
    pub(crate) fn channels_default(&self) -> ChannelsDefault {
        match self.acl_pubsub_default_allows {
            true => ChannelsDefault::AllChannels,
            false => ChannelsDefault::ResetChannels,
        }
    }

    /// Returns the places that define users.
    pub(crate) fn user_sources(&self) -> UserSources<'_> {
        UserSources {
            requirepass: self.requirepass.as_deref(),
            lines: &self.users,
            file: self.aclfile.as_deref(),
            channels_default: self.channels_default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: vec!["127.0.0.1".into(), "-::1".into()],
            port: Port::from(6379),
            requirepass: None,
            io_threads: 1,
            maxclients: 10_000,
            timeout: Duration::ZERO,
            tcp_keepalive: Duration::from_secs(300),
            tcp_backlog: 511,
            loglevel: LogLevel::Notice,
            logfile: None,
            protected_mode: true,
            client_output_buffer_limit: OutputLimits::default(),
            client_query_buffer_limit: 1024 * MB,
            proto_max_bulk_len: 512 * MB,
            maxmemory: 0,
            tracking_table_max_keys: 1_000_000,
            maxmemory_clients: ClientMemory::Bytes(0),
            unixsocket: None,
            unixsocketperm: 0,
            databases: 16,
            counters_file: None,
            notify_keyspace_events: EventClasses::default(),
            enable_debug_command: ProtectedAction::No,
            enable_protected_configs: ProtectedAction::No,
            daemonize: false,
            set_proc_title: true,
            pidfile: None,
            dir: None,
            users: Vec::new(),
            aclfile: None,
            acl_pubsub_default_allows: false,
            acllog_max_len: 128,
            slowlog_log_slower_than: 10_000,
            busy_reply_threshold: Duration::from_secs(5),
            slowlog_max_len: 128,
            latency_monitor_threshold: 0,
            latency_tracking: true,
            latency_tracking_info_percentiles: ["50", "99", "99.9"].map(String::from).into(),
            rename_command: Vec::new(),
            pubsub_replay: Vec::new(),
        }
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            normal: OutputLimit::default(),
            replica: OutputLimit { hard_bytes: 256 * MB, soft_bytes: 64 * MB, soft_time: minute },
            pubsub: OutputLimit { hard_bytes: 32 * MB, soft_bytes: 8 * MB, soft_time: minute },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Config;
    use super::directive;
    use super::source::ConfigFile;

    const EXAMPLE: &str = include_str!("../../redis.conf.example");

    #[test]
    fn the_example_file_equals_the_defaults_on_this_machine_only() {
        let loaded = ConfigFile::from_text(EXAMPLE).unwrap();
        assert_eq!(loaded, ConfigFile::from(Config::default()));
    }

    #[test]
    fn the_example_file_tells_every_directive() {
        let lines = EXAMPLE.lines().filter(|line| !line.starts_with('#'));
        let told: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
        for directive in directive::all() {
            // These are the default when they are not there, or an older name of another.
            if matches!(directive.name, "dir" | "lua-time-limit" | "rename-command" | "user") {
                continue;
            }
            assert!(told.contains(directive.name), "{} is missing", directive.name);
        }
    }
}
