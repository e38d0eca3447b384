//! The settings of a broker, typed, with their defaults.
//!
//! [`directive`] has a row for each directive of redis.conf, and [`source`] reads files, flags and
//! standard input. [`ignored`] and [`promises`] list the directives without an effect.

#[cfg(test)]
pub(crate) mod compatibility;
pub(crate) mod directive;
mod flags;
pub(crate) mod http;
pub(crate) mod ignored;
#[cfg(test)]
mod manual;
pub(crate) mod parse;
pub(crate) mod promises;
pub(crate) mod reloaded;
pub(crate) mod replication;
pub(crate) mod source;
pub(crate) mod sources;
pub(crate) mod tls;

use std::path::PathBuf;
use std::time::Duration;

use crate::acl::ChannelsDefault;
use crate::acl::users::UserSources;
use crate::address::{Address, Port};
use crate::config::http::HttpSettings;
use crate::config::replication::ReplicationSettings;
use crate::config::tls::TlsSettings;
use crate::keyspace::EventClasses;

/// The settings of a [`Server`](crate::Server).
///
/// The defaults are those of Redis. Each field is a directive of redis.conf; `redis.conf.example`
/// explains the effect and the cost of each.
///
/// ```
/// let config = broker::Config::default();
/// assert_eq!(config.port, broker::Port::from(6379));
/// assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses to listen on; those of the loopback interface by default. One that begins with `-` may
    /// be missing on this machine. Files and flags start from another default, see
    /// [`ConfigFile`](crate::ConfigFile).
    pub bind: Vec<String>,
    /// The TCP port; 6379 by default.
    pub port: Port,
    /// Clients with TLS; none by default.
    pub tls: TlsSettings,
    /// The HTTP port of metrics and checks.
    pub http: HttpSettings,
    /// The password of the default user for `AUTH`; none by default.
    pub requirepass: Option<Vec<u8>>,
    /// The file that [`requirepass`](Self::requirepass) was read from.
    pub requirepass_file: Option<PathBuf>,
    /// Threads that serve clients, 1 to 128.
    pub io_threads: usize,
    /// Maximum number of clients. Further connections receive an error and are closed.
    pub maxclients: usize,
    /// Closes a client without subscriptions after this time without a request; zero is never.
    pub timeout: Duration,
    /// Interval of the kernel's probes to a silent peer; zero is never.
    pub tcp_keepalive: Duration,
    /// The time over which the clients end before the program does, after SIGTERM or SIGINT; zero ends
    /// all at once. A [`Server`](crate::Server) of another program uses
    /// [`Server::drain`](crate::Server::drain).
    pub shutdown_drain: Duration,
    /// Maximum number of connections that the kernel queues until they are accepted.
    pub tcp_backlog: u32,
    /// The lowest level of events in the log.
    pub loglevel: LogLevel,
    /// The lines of the log.
    pub log_format: LogFormat,
    /// The times in the log.
    pub log_timestamp_format: LogTime,
    /// The log file; standard output by default.
    pub logfile: Option<PathBuf>,
    /// Whether the log also goes to the log of the system.
    pub syslog_enabled: bool,
    /// The name of the program in the log of the system.
    pub syslog_ident: Vec<u8>,
    /// The kind of program in the log of the system.
    pub syslog_facility: SyslogFacility,
    /// Refuses clients from other machines while the default user has no password.
    pub protected_mode: bool,
    /// Limits of unread output; a client beyond them is closed.
    pub client_output_buffer_limit: OutputLimits,
    /// Maximum bytes of an incomplete request.
    pub client_query_buffer_limit: usize,
    /// Maximum bytes of one argument of a request.
    pub proto_max_bulk_len: usize,
    /// Maximum bytes of the process with its keys; 0 is no limit.
    pub maxmemory: usize,
    /// Maximum number of keys that `CLIENT TRACKING` tracks; 0 is no limit.
    pub tracking_table_max_keys: usize,
    /// Maximum memory of all clients; beyond it the largest clients are closed.
    pub maxmemory_clients: ClientMemory,
    /// The path of a socket file to listen on, in addition to TCP.
    pub unixsocket: Option<PathBuf>,
    /// The permissions of the socket file, such as `0o700`; 0 applies the umask of the process.
    pub unixsocketperm: u32,
    /// Number of databases; `SELECT` accepts 0 to this minus one.
    pub databases: u16,
    /// The file that keeps counters across restarts; none by default.
    pub counters_file: Option<PathBuf>,
    /// The changes of keys that are published.
    pub notify_keyspace_events: EventClasses,
    /// The clients that may run `DEBUG`.
    pub enable_debug_command: ProtectedAction,
    /// The clients that may change `dir` while the server runs.
    pub enable_protected_configs: ProtectedAction,
    /// Runs in the background.
    pub daemonize: bool,
    /// Replaces the flags in the list of processes by a title, since they may hold a password.
    pub set_proc_title: bool,
    /// The file with the process id.
    pub pidfile: Option<PathBuf>,
    /// The working directory.
    pub dir: Option<PathBuf>,
    /// The words of each `user` line: a name and rules.
    pub users: Vec<Vec<Vec<u8>>>,
    /// The file that defines the users.
    pub aclfile: Option<PathBuf>,
    /// Allows all channels to new users (`acl-pubsub-default allchannels`).
    pub acl_pubsub_default_allows: bool,
    /// Maximum entries of the ACL log.
    pub acllog_max_len: usize,
    /// Records commands in `SLOWLOG` from this many microseconds on; negative is never.
    pub slowlog_log_slower_than: i64,
    /// Time after which a running script is late, and other clients receive `BUSY`; zero is never.
    pub busy_reply_threshold: Duration,
    /// Maximum entries of `SLOWLOG`.
    pub slowlog_max_len: usize,
    /// Records commands for `LATENCY` from this many milliseconds on; 0 is never.
    pub latency_monitor_threshold: u64,
    /// Records latency histograms per command.
    pub latency_tracking: bool,
    /// The percentiles in `INFO latencystats`, as decimal numbers.
    pub latency_tracking_info_percentiles: Vec<String>,
    /// Renamed or disabled commands: the old name and the new one, which may be empty.
    pub rename_command: Vec<(String, String)>,
    /// Masters and replicas.
    pub replication: ReplicationSettings,
    /// Channels with a replay buffer; none by default.
    pub pubsub_replay: Vec<ReplayRule>,
    /// What the clients of single users may take. For a user with several entries, the last one counts.
    pub user_limits: Vec<UserLimits>,
    /// The events that are published about the subscriptions of channels, at most one a second for each
    /// channel. The message is the channel's name. Channels that begin with `__` have no events.
    pub notify_pubsub_events: ChannelEvents,
    /// What happens to subscribers that reach their limit. The first rule with a matching pattern
    /// counts; without one, they are closed.
    pub pubsub_slow_policy: Vec<SlowRule>,
}

/// The limits of the replay buffers of all channels that match a pattern. Subscribers can request
/// missed messages from them. Redis lacks this directive, `pubsub-replay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRule {
    /// The channels, as a glob of Redis.
    pub pattern: Vec<u8>,
    /// Maximum messages of each channel.
    pub messages_max: usize,
    /// Maximum bytes of all these channels together.
    pub bytes_max: usize,
    /// Maximum age of a message.
    pub age_max: Duration,
}

/// What happens to a subscriber of channels at the hard limit of
/// [`Config::client_output_buffer_limit`], or after its time at the soft one.
///
/// ```
/// use broker::{SlowPolicy, SlowRule};
///
/// let rule = SlowRule { pattern: b"prices:*".to_vec(), policy: SlowPolicy::Conflate };
/// # let config = broker::Config { port: broker::Port::Any, pubsub_slow_policy: vec![rule], ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRule {
    /// The channels, as a glob of Redis.
    pub pattern: Vec<u8>,
    /// What happens to messages on these channels.
    pub policy: SlowPolicy,
}

/// The events of [`Config::notify_pubsub_events`].
///
/// ```
/// use broker::{ChannelEvents, Config};
///
/// let events = ChannelEvents { occupied: true, vacated: true };
/// # let _ =
/// Config { notify_pubsub_events: events, ..Config::default() };
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelEvents {
    /// A channel got its first subscription: `__pubsub__:occupied`.
    pub occupied: bool,
    /// A channel lost its last subscription: `__pubsub__:vacated`.
    pub vacated: bool,
}

/// The kind of program in the log of the system, by which its settings sort lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyslogFacility {
    /// `user`
    User,
    /// `local0` to `local7`.
    Local(u8),
}

/// The lines of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// The lines of Redis.
    #[default]
    Legacy,
    /// Pairs of a key and a value, as Valkey writes them.
    Logfmt,
    /// An object of JSON.
    Json,
}

/// The times in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogTime {
    /// The local time as Redis writes it.
    #[default]
    Legacy,
    /// The local time with its offset, as ISO 8601 has it.
    Iso8601,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// What the clients of one user may take. `None` is no limit.
///
/// ```
/// use broker::{Config, UserLimits};
///
/// let mut limits = UserLimits::of("chat");
/// limits.clients = Some(100);
/// # let _ =
/// Config { user_limits: vec![limits], ..Config::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserLimits {
    /// The name of the user.
    pub user: Vec<u8>,
    /// Clients at once. A further login is refused.
    pub clients: Option<usize>,
    /// Subscriptions of one client, those to patterns included.
    pub subscriptions: Option<usize>,
    /// Bytes of a published message.
    pub message_bytes: Option<usize>,
    /// Messages that all clients of the user publish in a second.
    pub messages: Option<usize>,
}

/// The place of one limit.
type LimitAt = fn(&mut UserLimits) -> &mut Option<usize>;

impl UserLimits {
    /// Returns the limits of a user without any limit.
    ///
    /// ```
    /// assert_eq!(broker::UserLimits::of("chat").clients, None);
    /// ```
    pub fn of(user: impl Into<Vec<u8>>) -> Self {
        Self { user: user.into(), ..Self::default() }
    }

    /// The limits by their names in redis.conf.
    pub(crate) const NAMES: [(&str, LimitAt); 4] = [
        ("clients", |limits| &mut limits.clients),
        ("subscriptions", |limits| &mut limits.subscriptions),
        ("message-bytes", |limits| &mut limits.message_bytes),
        ("messages", |limits| &mut limits.messages),
    ];
}

/// What happens to the messages of a slow subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// The subscriber is closed, as in Redis.
    #[default]
    Disconnect,
    /// The oldest messages are dropped.
    DropOldest,
    /// New messages are dropped until the subscriber has read some.
    DropNewest,
    /// All but the last message of each subscription are dropped, then the oldest.
    Conflate,
}

impl SlowPolicy {
    /// The names in redis.conf.
    pub(crate) const NAMES: [(&str, Self); 4] = [
        ("disconnect", Self::Disconnect),
        ("drop-oldest", Self::DropOldest),
        ("drop-newest", Self::DropNewest),
        ("conflate", Self::Conflate),
    ];

    /// Returns the name in redis.conf.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::NAMES.into_iter().find(|(_, policy)| *policy == self);
        found.map_or("disconnect", |(name, _)| name)
    }
}

/// The clients that may run a dangerous action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectedAction {
    /// No client.
    #[default]
    No,
    /// All clients.
    Yes,
    /// Clients of this machine.
    Local,
}

impl ProtectedAction {
    /// The names in redis.conf.
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
    /// Converts the index of a name.
    fn from(index: usize) -> Self {
        match index {
            0 => Self::No,
            1 => Self::Yes,
            _ => Self::Local,
        }
    }
}

/// The maximum memory of all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientMemory {
    /// This many bytes; 0 is no limit.
    Bytes(usize),
    /// A percentage of `maxmemory`; no limit if `maxmemory` is 0.
    Percent(u8),
}

impl ClientMemory {
    /// Returns the bytes, or `None` without a limit.
    pub(crate) fn bytes(self, maxmemory: usize) -> Option<usize> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            // Multiplying first could overflow.
            Self::Percent(percent) => maxmemory / 100 * usize::from(percent),
        };
        (bytes != 0).then_some(bytes)
    }
}

/// The limits of unread output by class of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients without subscriptions.
    pub normal: OutputLimit,
    /// Replicas. The broker has none, but files may set the limit.
    pub replica: OutputLimit,
    /// Clients with subscriptions.
    pub pubsub: OutputLimit,
}

/// The limit of one client's unread output. A zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// A client beyond this many bytes is closed at once.
    pub hard_bytes: usize,
    /// A client beyond this many bytes for `soft_time` is closed.
    pub soft_bytes: usize,
    /// The time that a client may stay beyond `soft_bytes`.
    pub soft_time: Duration,
}

impl OutputLimit {
    /// The limit of a client before its login, which receives short errors only.
    pub(crate) const BEFORE_LOGIN: Self =
        Self { hard_bytes: 1024, soft_bytes: 0, soft_time: Duration::ZERO };

    /// Returns whether so many unread bytes, as Redis counts them, close a client at once.
    pub(crate) fn is_hard_beyond(&self, counted: usize) -> bool {
        self.hard_bytes != 0 && counted >= self.hard_bytes
    }

    /// Returns whether so many unread bytes, as Redis counts them, close a client after
    /// `soft_time`.
    pub(crate) fn is_soft_beyond(&self, counted: usize) -> bool {
        self.soft_bytes != 0 && counted >= self.soft_bytes
    }
}

/// The lowest level of events in the log, with the names of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogLevel {
    /// All events, with one line for each connection.
    Debug,
    /// The same as `Debug`.
    Verbose,
    /// Start, stop and settings.
    #[default]
    Notice,
    /// Events that may need an operator.
    Warning,
    /// No events.
    Nothing,
}

const MB: usize = 1024 * 1024;

impl Config {
    /// Returns whether a port speaks TLS.
    pub(crate) fn needs_tls(&self) -> bool {
        self.tls.port != Port::None || self.http.tls
    }

    /// Returns the channels of new users: `acl-pubsub-default`.
    pub(crate) fn channels_default(&self) -> ChannelsDefault {
        match self.acl_pubsub_default_allows {
            true => ChannelsDefault::AllChannels,
            false => ChannelsDefault::ResetChannels,
        }
    }

    /// Returns whether a line or a file defines the default user.
    pub(crate) fn defines_default_user(&self) -> bool {
        let mut users = self.users.iter().filter_map(|line| line.first());
        self.aclfile.is_some() || users.any(|name| name == b"default")
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
            tls: TlsSettings::default(),
            http: HttpSettings::default(),
            requirepass: None,
            requirepass_file: None,
            io_threads: 1,
            maxclients: 10_000,
            timeout: Duration::ZERO,
            tcp_keepalive: Duration::from_secs(300),
            shutdown_drain: Duration::ZERO,
            tcp_backlog: 511,
            loglevel: LogLevel::Notice,
            log_format: LogFormat::default(),
            log_timestamp_format: LogTime::default(),
            logfile: None,
            syslog_enabled: false,
            syslog_ident: b"redis".to_vec(),
            syslog_facility: SyslogFacility::Local(0),
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
            replication: ReplicationSettings::default(),
            pubsub_replay: Vec::new(),
            user_limits: Vec::new(),
            notify_pubsub_events: ChannelEvents::default(),
            pubsub_slow_policy: Vec::new(),
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
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.ignored_directives(), [""; 0]);
    }

    #[test]
    fn the_example_file_has_every_directive() {
        let lines = EXAMPLE.lines().filter(|line| !line.starts_with('#'));
        let found: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
        for directive in directive::all() {
            // Without a line these have their default.
            let is_left_out = matches!(directive.name, "dir" | "rename-command" | "user");
            if is_left_out || directive.is_older_name() {
                continue;
            }
            assert!(found.contains(directive.name), "{} is missing", directive.name);
        }
    }
}
