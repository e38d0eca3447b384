//! Masters and replicas.

use std::time::Duration;

use super::{Directive, Kind};
use crate::config::Config;
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, integer, signed, unsigned};
use crate::config::replication::MasterAddress;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "replicaof",
        change: Change::Immutable,
        is_shown: true,
        expects: "a host and a port, or 'no one'",
        kind: MASTER,
    },
    Directive {
        name: "slaveof",
        change: Change::Immutable,
        is_shown: true,
        expects: "a host and a port, or 'no one'",
        kind: MASTER,
    },
    Directive {
        name: "masteruser",
        change: Change::Free,
        is_shown: true,
        expects: "a name",
        kind: USER,
    },
    Directive {
        name: "masterauth",
        change: Change::Free,
        is_shown: true,
        expects: "a password",
        kind: PASSWORD,
    },
    Directive {
        name: "tls-replication",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: TLS,
    },
    Directive {
        name: "replica-priority",
        change: Change::Free,
        is_shown: true,
        expects: "a number, 0 for never",
        kind: PRIORITY,
    },
    Directive {
        name: "slave-priority",
        change: Change::Free,
        is_shown: true,
        expects: "a number, 0 for never",
        kind: PRIORITY,
    },
    Directive {
        name: "replica-announce-ip",
        change: Change::Free,
        is_shown: true,
        expects: "an address, or \"\" for that of the connection",
        kind: ANNOUNCED_IP,
    },
    Directive {
        name: "slave-announce-ip",
        change: Change::Free,
        is_shown: true,
        expects: "an address, or \"\" for that of the connection",
        kind: ANNOUNCED_IP,
    },
    Directive {
        name: "replica-announce-port",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 0 to 65535",
        kind: ANNOUNCED_PORT,
    },
    Directive {
        name: "slave-announce-port",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 0 to 65535",
        kind: ANNOUNCED_PORT,
    },
    Directive {
        name: "replica-announced",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: IS_ANNOUNCED,
    },
    Directive {
        name: "replica-read-only",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: IS_READ_ONLY,
    },
    Directive {
        name: "slave-read-only",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: IS_READ_ONLY,
    },
    Directive {
        name: "replica-ignore-maxmemory",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: IGNORES_MAXMEMORY,
    },
    Directive {
        name: "slave-ignore-maxmemory",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: IGNORES_MAXMEMORY,
    },
    Directive {
        name: "replica-serve-stale-data",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: SERVES_STALE_DATA,
    },
    Directive {
        name: "slave-serve-stale-data",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: SERVES_STALE_DATA,
    },
    Directive {
        name: "repl-timeout",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: TIMEOUT,
    },
    Directive {
        name: "repl-ping-replica-period",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: PING_INTERVAL,
    },
    Directive {
        name: "repl-ping-slave-period",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: PING_INTERVAL,
    },
    Directive {
        name: "repl-backlog-size",
        change: Change::Free,
        is_shown: true,
        expects: "bytes, such as 1mb",
        kind: BACKLOG_BYTES,
    },
    Directive {
        name: "repl-backlog-ttl",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for no limit",
        kind: BACKLOG_TIME,
    },
    Directive {
        name: "min-replicas-to-write",
        change: Change::Free,
        is_shown: true,
        expects: "a number of replicas, 0 for none",
        kind: GOOD_REPLICAS_MIN,
    },
    Directive {
        name: "min-slaves-to-write",
        change: Change::Free,
        is_shown: true,
        expects: "a number of replicas, 0 for none",
        kind: GOOD_REPLICAS_MIN,
    },
    Directive {
        name: "min-replicas-max-lag",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: LAG_MAX,
    },
    Directive {
        name: "min-slaves-max-lag",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds",
        kind: LAG_MAX,
    },
    Directive {
        name: "primaryuser",
        change: Change::Free,
        is_shown: true,
        expects: "a name",
        kind: USER,
    },
    Directive {
        name: "primaryauth",
        change: Change::Free,
        is_shown: true,
        expects: "a password",
        kind: PASSWORD,
    },
];

const GOOD_REPLICAS_MIN: Kind = Kind::Integer {
    min: 0,
    max: i32::MAX as i64,
    get: |config| signed(config.replication.good_replicas_min),
    set: |config, count| config.replication.good_replicas_min = unsigned(count),
};

const LAG_MAX: Kind = Kind::Integer {
    min: 0,
    max: i32::MAX as i64,
    get: |config| seconds(config.replication.lag_max),
    set: |config, count| config.replication.lag_max = Duration::from_secs(count.unsigned_abs()),
};

const MASTER: Kind = Kind::List { get: show_master, set: set_master };

const USER: Kind = Kind::Text {
    get: |config| config.replication.user.clone().unwrap_or_default(),
    set: |config, value| {
        config.replication.user = (!value.is_empty()).then(|| value.to_vec());
        Ok(())
    },
};

const PASSWORD: Kind = Kind::Text {
    get: |config| config.replication.password.clone().unwrap_or_default(),
    set: |config, value| {
        config.replication.password = (!value.is_empty()).then(|| value.to_vec());
        Ok(())
    },
};

const TLS: Kind =
    Kind::Flag { at: |config| &mut config.replication.tls, get: |config| config.replication.tls };

const PRIORITY: Kind = Kind::Integer {
    min: 0,
    max: i32::MAX as i64,
    get: |config| config.replication.priority.into(),
    set: |config, rank| config.replication.priority = u32::try_from(rank).unwrap_or(0),
};

const ANNOUNCED_IP: Kind = Kind::Text {
    get: |config| config.replication.announced_ip.clone().unwrap_or_default().into_bytes(),
    set: |config, value| {
        let ip = String::from_utf8_lossy(value).into_owned();
        config.replication.announced_ip = (!ip.is_empty()).then_some(ip);
        Ok(())
    },
};

const ANNOUNCED_PORT: Kind = Kind::Integer {
    min: 0,
    max: 65_535,
    get: |config| config.replication.announced_port.into(),
    set: |config, port| config.replication.announced_port = u16::try_from(port).unwrap_or(0),
};

const IS_ANNOUNCED: Kind = Kind::Flag {
    at: |config| &mut config.replication.is_announced,
    get: |config| config.replication.is_announced,
};

const IGNORES_MAXMEMORY: Kind = Kind::Flag {
    at: |config| &mut config.replication.ignores_maxmemory,
    get: |config| config.replication.ignores_maxmemory,
};

const IS_READ_ONLY: Kind = Kind::Flag {
    at: |config| &mut config.replication.is_read_only,
    get: |config| config.replication.is_read_only,
};

const SERVES_STALE_DATA: Kind = Kind::Flag {
    at: |config| &mut config.replication.serves_stale_data,
    get: |config| config.replication.serves_stale_data,
};

const TIMEOUT: Kind = Kind::Integer {
    min: 1,
    max: i32::MAX as i64,
    get: |config| seconds(config.replication.timeout),
    set: |config, count| config.replication.timeout = Duration::from_secs(count.unsigned_abs()),
};

const PING_INTERVAL: Kind = Kind::Integer {
    min: 1,
    max: i32::MAX as i64,
    get: |config| seconds(config.replication.ping_interval),
    set: |config, count| {
        config.replication.ping_interval = Duration::from_secs(count.unsigned_abs())
    },
};

const BACKLOG_BYTES: Kind = Kind::Memory {
    min: 1,
    get: |config| config.replication.backlog_bytes,
    set: |config, bytes| config.replication.backlog_bytes = bytes,
};

const BACKLOG_TIME: Kind = Kind::Integer {
    min: 0,
    max: i64::MAX,
    get: |config| seconds(config.replication.backlog_time),
    set: |config, count| {
        config.replication.backlog_time = Duration::from_secs(count.unsigned_abs())
    },
};

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn show_master(config: &Config) -> Vec<Vec<u8>> {
    match &config.replication.master {
        Some(MasterAddress { host, port }) => {
            vec![host.clone().into_bytes(), port.to_string().into_bytes()]
        }
        None => vec![Vec::new()],
    }
}

/// Reads a host and a port, or `no one`.
fn set_master(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    config.replication.master = match values {
        [] => None,
        [none] if none.is_empty() => None,
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => None,
        [host, port] => {
            let port = integer(port, 0, 65_535).map_err(|_| Invalid::MasterPort)?;
            let port = u16::try_from(port).map_err(|_| Invalid::MasterPort)?;
            Some(MasterAddress { host: String::from_utf8_lossy(host).into_owned(), port })
        }
        _ => return Err(Invalid::ArgumentCount),
    };
    Ok(())
}
