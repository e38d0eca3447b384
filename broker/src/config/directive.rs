//! The directives of redis.conf that have a meaning here, one row each.
//!
//! A row knows how to read its values and how to show the setting in force. The words for what is
//! wrong are Redis', since tools look for them; what was expected stands beside them in ours.

use std::time::Duration;

use super::ignored::Change;
use super::parse::{
    Invalid, choice, flag, integer, memory, memory_within, path_bytes, path_from, port, seconds,
    seconds_of, signed, split_blanks, texts, unsigned,
};
use super::{ClientMemory, Config, LogLevel, OutputLimit, ProtectedAction, ReplayRule};
use crate::acl::users::add_users;
use crate::acl::{Acl, AclError, RuleError};
use crate::keyspace::EventClasses;

/// One directive.
pub(crate) struct Directive {
    pub(crate) name: &'static str,
    /// What its values must be, to complete the sentence "expects …".
    pub(crate) expects: &'static str,
    pub(crate) change: Change,
    /// Whether `CONFIG` knows it; Redis shows some directives in files only.
    pub(crate) is_shown: bool,
    kind: Kind,
}

enum Kind {
    Integer {
        min: i64,
        max: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    },
    Memory {
        min: i64,
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    Flag {
        at: fn(&mut Config) -> &mut bool,
        get: fn(&Config) -> bool,
    },
    Choice {
        names: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    Text {
        get: fn(&Config) -> Vec<u8>,
        set: fn(&mut Config, &[u8]) -> Result<(), Invalid>,
    },
    List {
        get: fn(&Config) -> Vec<Vec<u8>>,
        set: fn(&mut Config, &[Vec<u8>]) -> Result<(), Invalid>,
    },
}

/// Finds a directive, in whatever case it is written.
pub(crate) fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|directive| directive.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Directive {
    /// Changes the setting to `values`.
    pub(crate) fn set(&self, config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
        if let Kind::List { set, .. } = &self.kind {
            // As in Redis, one value may hold them all.
            return match values {
                [all] => set(config, &split_blanks(all)),
                values => set(config, values),
            };
        }
        let [value] = values else { return Err(Invalid::ArgumentCount) };
        match &self.kind {
            Kind::Integer { min, max, set, .. } => set(config, integer(value, *min, *max)?),
            Kind::Memory { min, set, .. } => set(config, memory_within(value, *min)?),
            Kind::Flag { at, .. } => *at(config) = flag(value)?,
            Kind::Choice { names, set, .. } => set(config, choice(value, names)?),
            Kind::Text { set, .. } => set(config, value)?,
            Kind::List { .. } => unreachable!("handled above"),
        }
        Ok(())
    }

    /// Returns the values in force, as they would stand in a file, without quotes.
    pub(crate) fn show(&self, config: &Config) -> Vec<Vec<u8>> {
        let text = |text: String| vec![text.into_bytes()];
        match &self.kind {
            Kind::Integer { get, .. } => text(get(config).to_string()),
            Kind::Memory { get, .. } => text(get(config).to_string()),
            Kind::Flag { get, .. } => text(if get(config) { "yes" } else { "no" }.to_owned()),
            Kind::Choice { names, get, .. } => text(names[get(config)].to_owned()),
            Kind::Text { get, .. } => vec![get(config)],
            Kind::List { get, .. } => get(config),
        }
    }
}

/// Every directive with a meaning here.
pub(crate) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "bind",
        change: Change::Free,
        is_shown: true,
        expects: "up to 16 addresses of this machine, a '-' in front of each that may be missing",
        kind: Kind::List { get: |config| texts(&config.bind), set: set_bind },
    },
    Directive {
        name: "port",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 0 to 65535, or 'any'",
        kind: Kind::Text {
            get: |config| config.port.to_string().into_bytes(),
            set: |config, value| {
                config.port = port(value)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "requirepass",
        change: Change::Free,
        is_shown: true,
        expects: "a password, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.requirepass.clone().unwrap_or_default(),
            set: |config, password| {
                config.requirepass = (!password.is_empty()).then(|| password.to_vec());
                Ok(())
            },
        },
    },
    Directive {
        name: "io-threads",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number from 1 to 128",
        kind: Kind::Integer {
            min: 1,
            max: 128,
            get: |config| signed(config.io_threads),
            set: |config, threads| config.io_threads = unsigned(threads),
        },
    },
    Directive {
        name: "maxclients",
        change: Change::Free,
        is_shown: true,
        expects: "a number from 1 to 4294967295",
        kind: Kind::Integer {
            min: 1,
            max: u32::MAX as i64,
            get: |config| signed(config.maxclients),
            set: |config, clients| config.maxclients = unsigned(clients),
        },
    },
    Directive {
        name: "timeout",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for never",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.timeout),
            set: |config, value| config.timeout = seconds(value),
        },
    },
    Directive {
        name: "tcp-keepalive",
        change: Change::Free,
        is_shown: true,
        expects: "a number of seconds, 0 for never",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| seconds_of(config.tcp_keepalive),
            set: |config, value| config.tcp_keepalive = seconds(value),
        },
    },
    Directive {
        name: "tcp-backlog",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number of connections",
        kind: Kind::Integer {
            min: 0,
            max: i32::MAX as i64,
            get: |config| config.tcp_backlog.into(),
            set: |config, backlog| config.tcp_backlog = u32::try_from(backlog).unwrap_or(u32::MAX),
        },
    },
    Directive {
        name: "loglevel",
        change: Change::Free,
        is_shown: true,
        expects: "debug, verbose, notice, warning or nothing",
        kind: Kind::Choice {
            names: LOG_LEVELS,
            get: |config| config.loglevel as usize,
            set: |config, index| {
                config.loglevel = match index {
                    0 => LogLevel::Debug,
                    1 => LogLevel::Verbose,
                    2 => LogLevel::Notice,
                    3 => LogLevel::Warning,
                    _ => LogLevel::Nothing,
                }
            },
        },
    },
    Directive {
        name: "logfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for standard output",
        kind: Kind::Text {
            get: |config| config.logfile.as_deref().map_or_else(Vec::new, path_bytes),
            set: |config, path| {
                config.logfile = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "protected-mode",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.protected_mode,
            get: |config| config.protected_mode,
        },
    },
    Directive {
        name: "client-output-buffer-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a class (normal, replica or pubsub), a hard limit, a soft limit and its seconds",
        kind: Kind::List { get: show_output_limits, set: set_output_limits },
    },
    Directive {
        name: "client-query-buffer-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value of 1mb or more",
        kind: Kind::Memory {
            min: 1024 * 1024,
            get: |config| config.client_query_buffer_limit,
            set: |config, bytes| config.client_query_buffer_limit = bytes,
        },
    },
    Directive {
        name: "proto-max-bulk-len",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value of 1mb or more",
        kind: Kind::Memory {
            min: 1024 * 1024,
            get: |config| config.proto_max_bulk_len,
            set: |config, bytes| config.proto_max_bulk_len = bytes,
        },
    },
    Directive {
        name: "maxmemory",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value",
        kind: Kind::Memory {
            min: 0,
            get: |config| config.maxmemory,
            set: |config, bytes| config.maxmemory = bytes,
        },
    },
    Directive {
        name: "tracking-table-max-keys",
        change: Change::Free,
        is_shown: true,
        expects: "a number",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| i64::try_from(config.tracking_table_max_keys).unwrap_or(i64::MAX),
            set: |config, count| {
                config.tracking_table_max_keys = usize::try_from(count).unwrap_or(0);
            },
        },
    },
    Directive {
        name: "maxmemory-clients",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value, or a percentage of maxmemory",
        kind: Kind::Text { get: show_client_memory, set: set_client_memory },
    },
    Directive {
        name: "unixsocket",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a socket, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.unixsocket.as_deref().map_or_else(Vec::new, path_bytes),
            set: |config, path| {
                config.unixsocket = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "unixsocketperm",
        change: Change::Immutable,
        is_shown: true,
        expects: "permissions such as 700",
        kind: Kind::Text {
            get: |config| format!("{:o}", config.unixsocketperm).into_bytes(),
            set: |config, value| {
                let text = std::str::from_utf8(value).map_err(|_| Invalid::NotOctal)?;
                let mode = u32::from_str_radix(text, 8).map_err(|_| Invalid::NotOctal)?;
                config.unixsocketperm =
                    if mode <= 0o777 { mode } else { return Err(Invalid::NotOctal) };
                Ok(())
            },
        },
    },
    Directive {
        name: "databases",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number from 1 to 65535",
        kind: Kind::Integer {
            min: 1,
            max: 65_535,
            get: |config| config.databases.into(),
            set: |config, count| config.databases = u16::try_from(count).unwrap_or(16),
        },
    },
    Directive {
        name: "counters-file",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.counters_file.as_deref().map_or_else(Vec::new, path_bytes),
            set: |config, path| {
                config.counters_file = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "notify-keyspace-events",
        change: Change::Free,
        is_shown: true,
        expects: "letters of Ag$lshzxeKEtmdn",
        kind: Kind::Text {
            get: |config| config.notify_keyspace_events.letters(),
            set: |config, letters| {
                config.notify_keyspace_events =
                    EventClasses::parse(letters).ok_or(Invalid::EventClass)?;
                Ok(())
            },
        },
    },
    Directive {
        name: "enable-debug-command",
        change: Change::Immutable,
        is_shown: true,
        expects: "no, yes or local",
        kind: Kind::Choice {
            names: ProtectedAction::NAMES,
            get: |config| config.enable_debug_command as usize,
            set: |config, index| config.enable_debug_command = ProtectedAction::from(index),
        },
    },
    Directive {
        name: "enable-protected-configs",
        change: Change::Immutable,
        is_shown: true,
        expects: "no, yes or local",
        kind: Kind::Choice {
            names: ProtectedAction::NAMES,
            get: |config| config.enable_protected_configs as usize,
            set: |config, index| config.enable_protected_configs = ProtectedAction::from(index),
        },
    },
    Directive {
        name: "daemonize",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag { at: |config| &mut config.daemonize, get: |config| config.daemonize },
    },
    Directive {
        name: "set-proc-title",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.set_proc_title,
            get: |config| config.set_proc_title,
        },
    },
    Directive {
        name: "pidfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.pidfile.as_deref().map_or_else(Vec::new, path_bytes),
            set: |config, path| {
                config.pidfile = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "dir",
        change: Change::Protected,
        is_shown: true,
        expects: "the path of a directory",
        kind: Kind::Text {
            get: |config| {
                let current = || std::env::current_dir().unwrap_or_default();
                path_bytes(&config.dir.clone().unwrap_or_else(current))
            },
            set: |config, path| {
                config.dir = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "always-show-logo",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.always_show_logo,
            get: |config| config.always_show_logo,
        },
    },
    Directive {
        name: "aclfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file with users, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.aclfile.as_deref().map_or_else(Vec::new, path_bytes),
            set: |config, path| {
                config.aclfile = (!path.is_empty()).then(|| path_from(path));
                Ok(())
            },
        },
    },
    Directive {
        name: "acl-pubsub-default",
        change: Change::Free,
        is_shown: true,
        expects: "resetchannels or allchannels",
        kind: Kind::Choice {
            names: &["allchannels", "resetchannels"],
            get: |config| usize::from(!config.acl_pubsub_default_allows),
            set: |config, index| config.acl_pubsub_default_allows = index == 0,
        },
    },
    Directive {
        name: "acllog-max-len",
        change: Change::Free,
        is_shown: true,
        expects: "a number of entries",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| signed(config.acllog_max_len),
            set: |config, entries| config.acllog_max_len = unsigned(entries),
        },
    },
    Directive {
        name: "slowlog-log-slower-than",
        change: Change::Free,
        is_shown: true,
        expects: "a number of microseconds, -1 for never",
        kind: Kind::Integer {
            min: -1,
            max: i64::MAX,
            get: |config| config.slowlog_log_slower_than,
            set: |config, micros| config.slowlog_log_slower_than = micros,
        },
    },
    Directive {
        name: "busy-reply-threshold",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds, 0 for no limit",
        kind: BUSY_REPLY_THRESHOLD,
    },
    Directive {
        name: "lua-time-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds, 0 for no limit",
        kind: BUSY_REPLY_THRESHOLD,
    },
    Directive {
        name: "slowlog-max-len",
        change: Change::Free,
        is_shown: true,
        expects: "a number of commands",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| signed(config.slowlog_max_len),
            set: |config, count| config.slowlog_max_len = unsigned(count),
        },
    },
    Directive {
        name: "latency-monitor-threshold",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| config.latency_monitor_threshold.cast_signed(),
            set: |config, time| config.latency_monitor_threshold = time.cast_unsigned(),
        },
    },
    Directive {
        name: "latency-tracking",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.latency_tracking,
            get: |config| config.latency_tracking,
        },
    },
    Directive {
        name: "latency-tracking-info-percentiles",
        change: Change::Free,
        is_shown: true,
        expects: "numbers from 0 to 100",
        kind: Kind::List {
            get: |config| texts(&config.latency_tracking_info_percentiles),
            set: set_percentiles,
        },
    },
    Directive {
        name: "user",
        change: Change::Immutable,
        is_shown: false,
        expects: "a name and rules, such as: user ann on >secret ~* &news:* +@all",
        kind: Kind::List { get: |_| Vec::new(), set: set_user },
    },
    Directive {
        name: "pubsub-replay",
        change: Change::Immutable,
        is_shown: true,
        expects: "a pattern, a number of messages, bytes such as 16mb, and seconds; or \"\" for none",
        kind: Kind::List { get: show_replay, set: set_replay },
    },
    Directive {
        name: "rename-command",
        change: Change::Immutable,
        is_shown: false,
        expects: "a command and its new name, or \"\" to remove it",
        kind: Kind::List { get: |_| Vec::new(), set: set_rename },
    },
];

/// Has an older name as well.
const BUSY_REPLY_THRESHOLD: Kind = Kind::Integer {
    min: 0,
    max: i64::MAX,
    get: |config| i64::try_from(config.busy_reply_threshold.as_millis()).unwrap_or(i64::MAX),
    set: |config, millis| {
        config.busy_reply_threshold = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    },
};

const LOG_LEVELS: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];

/// Redis' `CONFIG_BINDADDR_MAX`.
const BIND_ADDRESSES_MAX: usize = 16;

fn set_percentiles(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    let percentile = |value: &Vec<u8>| {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
        match number {
            None => Err(Invalid::NotPercentiles),
            Some(number) if (0.0..=100.0).contains(&number) => {
                // As Redis writes them: six places, without zeros at the end.
                let text = format!("{number:.6}");
                Ok(text.trim_end_matches('0').trim_end_matches('.').to_owned())
            }
            Some(_) => Err(Invalid::PercentileRange),
        }
    };
    let is_none = matches!(values, [only] if only.is_empty());
    let values = if is_none { &[] } else { values };
    config.latency_tracking_info_percentiles =
        values.iter().map(percentile).collect::<Result<_, _>>()?;
    Ok(())
}

fn set_bind(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.len() > BIND_ADDRESSES_MAX {
        return Err(Invalid::TooManyAddresses);
    }
    if values.is_empty() {
        return Err(Invalid::ArgumentCount);
    }
    let addresses = values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
    config.bind = addresses.filter(|address| !address.is_empty()).collect();
    Ok(())
}

fn show_client_memory(config: &Config) -> Vec<u8> {
    match config.maxmemory_clients {
        ClientMemory::Bytes(bytes) => bytes.to_string(),
        ClientMemory::Percent(percent) => format!("{percent}%"),
    }
    .into_bytes()
}

fn set_client_memory(config: &mut Config, value: &[u8]) -> Result<(), Invalid> {
    config.maxmemory_clients = if let Some(digits) = value.strip_suffix(b"%") {
        let percent = integer(digits, 0, i64::MAX).map_err(|_| Invalid::NotMemoryOrPercent)?;
        let percent = u8::try_from(percent).ok().filter(|&percent| percent <= 100);
        match percent.ok_or(Invalid::PercentTooHigh)? {
            0 => ClientMemory::Bytes(0),
            percent => ClientMemory::Percent(percent),
        }
    } else {
        ClientMemory::Bytes(memory(value).ok_or(Invalid::NotMemoryOrPercent)?)
    };
    Ok(())
}

/// `user` adds up, line by line.
fn set_user(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    let mut users = config.users.clone();
    // The default user is there without a line, but two lines are as wrong as for others.
    if users.iter().any(|known| known.first() == values.first()) {
        return Err(Invalid::User(RuleError::DuplicateUser.to_string()));
    }
    users.push(values.to_vec());
    let mut acl = Acl::new(config.channels_default());
    add_users(&mut acl, &users).map_err(|error| match error {
        AclError::Rule { cause, .. } => Invalid::User(cause.to_string()),
        error => Invalid::User(error.to_string()),
    })?;
    config.users = users;
    Ok(())
}

/// Adds a line of `rename-command`. The server compares the names with its commands when it binds.
fn set_rename(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    let [old, new] = values else { return Err(Invalid::ArgumentCount) };
    let [old, new] = [old, new].map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    let mut earlier = config.rename_command.iter();
    if earlier.clone().any(|(known, _)| *known == old) {
        return Err(Invalid::NoSuchCommand);
    }
    if !new.is_empty() && earlier.any(|(_, taken)| *taken == new) {
        return Err(Invalid::NameTaken);
    }
    config.rename_command.push((old, new));
    Ok(())
}

fn show_replay(config: &Config) -> Vec<Vec<u8>> {
    let values = config.pubsub_replay.iter().flat_map(|rule| {
        let numbers = [rule.messages_max as u64, rule.bytes_max as u64, rule.age_max.as_secs()];
        let numbers = numbers.map(|number| number.to_string().into_bytes());
        std::iter::once(rule.pattern.clone()).chain(numbers)
    });
    values.collect()
}

/// `pubsub-replay` adds up, line by line; an empty one takes the others back.
fn set_replay(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.iter().all(Vec::is_empty) {
        config.pubsub_replay.clear();
        return Ok(());
    }
    if !values.len().is_multiple_of(4) {
        return Err(Invalid::ArgumentCount);
    }
    for rule in values.chunks(4) {
        config.pubsub_replay.push(ReplayRule {
            pattern: rule[0].clone(),
            messages_max: integer(&rule[1], 1, i64::MAX)?.try_into().unwrap_or(usize::MAX),
            bytes_max: memory_within(&rule[2], 1)?,
            age_max: Duration::from_secs(integer(&rule[3], 1, i64::MAX)?.unsigned_abs()),
        });
    }
    Ok(())
}

fn set_output_limits(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if let [empty] = values
        && empty.is_empty()
    {
        return Ok(());
    }
    if values.is_empty() || !values.len().is_multiple_of(4) {
        return Err(Invalid::LimitCount);
    }
    let mut limits = config.client_output_buffer_limit;
    for group in values.chunks_exact(4) {
        let class = match &*group[0].to_ascii_lowercase() {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => return Err(Invalid::LimitClass),
        };
        let bytes = |value: &[u8]| memory(value).ok_or(Invalid::LimitValue);
        let time = integer(&group[3], 0, i32::MAX.into()).map_err(|_| Invalid::LimitValue)?;
        *class = OutputLimit {
            hard_bytes: bytes(&group[1])?,
            soft_bytes: bytes(&group[2])?,
            soft_time: seconds(time),
        };
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

fn show_output_limits(config: &Config) -> Vec<Vec<u8>> {
    let limits = &config.client_output_buffer_limit;
    [("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub)]
        .into_iter()
        .flat_map(|(class, limit)| {
            let OutputLimit { hard_bytes, soft_bytes, soft_time } = limit;
            [
                class.into(),
                hard_bytes.to_string(),
                soft_bytes.to_string(),
                seconds_of(soft_time).to_string(),
            ]
        })
        .map(String::into_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Port;

    fn set(name: &str, values: &[&str]) -> Result<Config, Invalid> {
        let mut config = Config::default();
        let values: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        find(name.as_bytes()).expect("known").set(&mut config, &values)?;
        Ok(config)
    }

    #[test]
    fn what_is_shown_can_be_set() {
        for directive in
            DIRECTIVES.iter().filter(|each| !matches!(each.name, "rename-command" | "dir" | "user"))
        {
            let values = directive.show(&Config::default());
            let mut config = Config::default();
            assert_eq!(directive.set(&mut config, &values), Ok(()), "{}", directive.name);
            assert_eq!(config, Config::default(), "{}", directive.name);
        }
    }

    #[test]
    fn port_0_is_no_port_and_any_is_a_free_one() {
        assert_eq!(set("port", &["0"]).unwrap().port, Port::None);
        assert_eq!(set("port", &["ANY"]).unwrap().port, Port::Any);
    }

    #[test]
    fn names_and_values_are_read_in_any_case() {
        assert_eq!(set("PORT", &["7000"]).unwrap().port, Port::from(7000));
        assert!(!set("Protected-Mode", &["NO"]).unwrap().protected_mode);
        assert_eq!(set("loglevel", &["Debug"]).unwrap().loglevel, LogLevel::Debug);
        assert_eq!(
            set("proto-max-bulk-len", &["2MB"]).unwrap().proto_max_bulk_len,
            2 * 1024 * 1024
        );
    }

    #[test]
    fn bad_values_are_refused_in_redis_words() {
        for (name, values, expected) in [
            ("port", &["64k"][..], "argument couldn't be parsed into an integer"),
            ("port", &["65536"], "argument must be between 0 and 65535 inclusive"),
            ("port", &[], "wrong number of arguments"),
            ("port", &["1", "2"], "wrong number of arguments"),
            ("protected-mode", &["maybe"], "argument must be 'yes' or 'no'"),
            ("proto-max-bulk-len", &["1x"], "argument must be a memory value"),
            ("maxmemory-clients", &["1x%"], "argument must be a memory or percent value"),
            ("maxmemory-clients", &["101%"], "percentage argument must be less or equal to 100"),
            (
                "client-output-buffer-limit",
                &["pubsub"],
                "Wrong number of arguments in buffer limit configuration.",
            ),
        ] {
            assert_eq!(set(name, values).unwrap_err().to_string(), expected, "{name} {values:?}");
        }
    }

    #[test]
    fn an_output_limit_changes_its_class_only() {
        let limits = set("client-output-buffer-limit", &["pubsub", "1mb", "0", "0"])
            .unwrap()
            .client_output_buffer_limit;
        assert_eq!(
            limits.pubsub,
            OutputLimit { hard_bytes: 1024 * 1024, ..OutputLimit::default() }
        );
        assert_eq!(limits.replica, Config::default().client_output_buffer_limit.replica);
    }
}
