//! The settings of replication, typed, with their defaults.

use std::time::Duration;

/// The address of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddress {
    /// A name or an IP address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// The settings of a master and of a replica: the directives of redis.conf that begin with `repl` or
/// `master`.
///
/// ```
/// assert_eq!(broker::ReplicationSettings::default().master, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationSettings {
    /// The master whose keys and messages this server copies; none by default.
    pub master: Option<MasterAddress>,
    /// The user with whom the replica logs in; the default user if there is none.
    pub user: Option<Vec<u8>>,
    /// The password with which the replica logs in; none by default.
    pub password: Option<Vec<u8>>,
    /// Whether the connection to the master speaks TLS, with the files of the server.
    pub tls: bool,
    /// The rank in which Sentinel promotes replicas, lower first; 0 is never.
    pub priority: u32,
    /// The address under which the master knows the replica; that of its connection by default.
    pub announced_ip: Option<String>,
    /// The port under which the master knows the replica; 0 is the port that it listens on.
    pub announced_port: u16,
    /// Whether Sentinel shows the replica.
    pub is_announced: bool,
    /// Whether a replica refuses changes of keys by its clients.
    pub is_read_only: bool,
    /// Takes a copy of the master's keys that is larger than `maxmemory`.
    pub ignores_maxmemory: bool,
    /// Whether a replica without its master serves the keys that it has.
    pub serves_stale_data: bool,
    /// A master refuses changes with fewer replicas than this that have acknowledged within `lag_max`.
    pub good_replicas_min: usize,
    /// The longest time since the acknowledgement of a replica that counts.
    pub lag_max: Duration,
    /// A master or a replica that is silent for this time is taken for lost.
    pub timeout: Duration,
    /// The interval in which a master sends `PING` to its replicas.
    pub ping_interval: Duration,
    /// Bytes of the stream that a master keeps for replicas that return after a short loss.
    pub backlog_bytes: usize,
    /// The time for which a master without replicas keeps them; zero is for ever.
    pub backlog_time: Duration,
}

impl Default for ReplicationSettings {
    fn default() -> Self {
        Self {
            master: None,
            user: None,
            password: None,
            tls: false,
            priority: 100,
            announced_ip: None,
            announced_port: 0,
            is_announced: true,
            is_read_only: true,
            ignores_maxmemory: true,
            serves_stale_data: true,
            good_replicas_min: 0,
            lag_max: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(10),
            backlog_bytes: 1024 * 1024,
            backlog_time: Duration::from_secs(3600),
        }
    }
}
