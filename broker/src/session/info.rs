//! `INFO`: what the server is and has done, under Redis' section and field names.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use crate::command;
use crate::config::Config;
use crate::host::{Host, REDIS_VERSION, VERSION};
use crate::message::Space;
use crate::resp::reply::Reply;
use crate::stats::Counter;

/// `INFO [section [section ...]]`
pub(super) fn info<'a>(
    host: &Host,
    config: &Config,
    wanted: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Reply {
    let mut text = String::new();
    for section in SECTIONS {
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let is_wanted = wanted.len() == 0 && section.is_default
            || wanted.clone().any(|word| {
                is(word, section.name)
                    || is(word, "everything")
                    || is(word, "all") && section.name != "Modules"
                    || is(word, "default") && section.is_default
            });
        if is_wanted {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {}\r\n", section.name);
            (section.fields)(&Subject { host, config }, &mut text);
        }
    }
    Reply::Verbatim(text)
}

/// `MEMORY STATS`
pub(super) fn memory_stats(host: &Host) -> Reply {
    let resident = resident_bytes();
    let fields = [
        ("peak.allocated", peak_bytes()),
        ("total.allocated", resident),
        ("clients.normal", client_bytes(host)),
        ("keys.count", 0),
        ("keys.bytes-per-key", 0),
        ("dataset.bytes", 0),
        ("allocator.resident", resident),
    ];
    let pair =
        |(name, value): (&str, u64)| (Reply::bulk(name), Reply::Integer(value.cast_signed()));
    Reply::Map(fields.into_iter().map(pair).collect())
}

/// What the fields are about.
struct Subject<'a> {
    host: &'a Host,
    config: &'a Config,
}

struct Section {
    name: &'static str,
    /// Whether it is shown when nothing in particular is asked for.
    is_default: bool,
    fields: fn(&Subject<'_>, &mut String),
}

const SECTIONS: &[Section] = &[
    Section { name: "Server", is_default: true, fields: server },
    Section { name: "Clients", is_default: true, fields: clients },
    Section { name: "Memory", is_default: true, fields: memory },
    Section { name: "Persistence", is_default: true, fields: persistence },
    Section { name: "Stats", is_default: true, fields: stats },
    Section { name: "Replication", is_default: true, fields: replication },
    Section { name: "CPU", is_default: true, fields: cpu },
    Section { name: "Modules", is_default: true, fields: |_, _| {} },
    Section { name: "Commandstats", is_default: false, fields: commandstats },
    Section { name: "Errorstats", is_default: true, fields: errorstats },
    Section { name: "Cluster", is_default: true, fields: cluster },
    Section { name: "Keyspace", is_default: true, fields: |_, _| {} },
];

fn server(Subject { host, config }: &Subject<'_>, text: &mut String) {
    let uptime = host.uptime().as_secs();
    let executable = std::env::current_exe().unwrap_or_default();
    let file = host.settings.file.clone().unwrap_or_default();
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    field(text, "redis_version", REDIS_VERSION);
    field(text, "broker_version", VERSION);
    field(text, "redis_git_sha1", "00000000");
    field(text, "redis_git_dirty", 0);
    field(text, "redis_mode", "standalone");
    field(text, "os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    field(text, "arch_bits", usize::BITS);
    field(text, "multiplexing_api", "epoll");
    field(text, "process_id", std::process::id());
    field(text, "process_supervised", "no");
    field(text, "run_id", &host.run_id);
    field(text, "tcp_port", host.port);
    field(text, "server_time_usec", now.as_micros());
    field(text, "uptime_in_seconds", uptime);
    field(text, "uptime_in_days", uptime / (24 * 60 * 60));
    field(text, "hz", 10);
    field(text, "configured_hz", 10);
    field(text, "executable", executable.display());
    field(text, "config_file", file.display());
    field(text, "io_threads_active", u8::from(config.io_threads > 1));
}

fn clients(Subject { host, config }: &Subject<'_>, text: &mut String) {
    let cards = host.cards.all();
    let blocked = cards.iter().filter(|card| card.blocked.load(Ordering::Relaxed)).count();
    let subscribers = cards.iter().filter(|card| card.is_subscribed()).count();
    let tracking = cards.iter().filter(|card| card.is(crate::card::Mark::Tracking)).count();
    field(text, "connected_clients", host.broker.stats().connected_clients.get());
    field(text, "cluster_connections", 0);
    field(text, "maxclients", config.maxclients);
    field(text, "blocked_clients", blocked);
    field(text, "tracking_clients", tracking);
    field(text, "pubsub_clients", subscribers);
}

fn memory(Subject { host, .. }: &Subject<'_>, text: &mut String) {
    let (resident, peak) = (resident_bytes(), peak_bytes());
    field(text, "used_memory", resident);
    field(text, "used_memory_human", human(resident));
    field(text, "used_memory_rss", resident);
    field(text, "used_memory_rss_human", human(resident));
    field(text, "used_memory_peak", peak);
    field(text, "used_memory_peak_human", human(peak));
    field(text, "used_memory_dataset", 0);
    field(text, "maxmemory", 0);
    field(text, "maxmemory_human", "0B");
    field(text, "maxmemory_policy", "noeviction");
    field(text, "mem_fragmentation_ratio", "1.00");
    field(text, "mem_clients_slaves", 0);
    field(text, "mem_clients_normal", client_bytes(host));
    field(text, "mem_allocator", "mimalloc");
}

/// Nothing is kept, so nothing is ever being saved.
fn persistence(_: &Subject<'_>, text: &mut String) {
    for name in
        ["loading", "async_loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress"]
    {
        field(text, name, 0);
    }
    field(text, "rdb_last_save_time", 0);
    field(text, "rdb_last_bgsave_status", "ok");
    field(text, "aof_enabled", 0);
    field(text, "aof_rewrite_in_progress", 0);
    field(text, "aof_last_bgrewrite_status", "ok");
    field(text, "aof_last_write_status", "ok");
}

fn stats(Subject { host, .. }: &Subject<'_>, text: &mut String) {
    let broker = &host.broker;
    let stats = broker.stats();
    let errors: u64 = host.commands.errors().values().sum();
    field(text, "total_connections_received", stats.connections_received.get());
    field(text, "total_commands_processed", stats.commands_processed.get());
    field(text, "instantaneous_ops_per_sec", stats.rates.commands.get());
    field(text, "total_net_input_bytes", stats.input_bytes.get());
    field(text, "total_net_output_bytes", stats.output_bytes.get());
    field(text, "rejected_connections", stats.connections_rejected.get());
    field(text, "expired_keys", 0);
    field(text, "evicted_keys", 0);
    field(text, "evicted_clients", stats.evicted_clients.get());
    field(text, "keyspace_hits", 0);
    field(text, "keyspace_misses", 0);
    field(text, "pubsub_channels", broker.channel_count(Space::Channels));
    field(text, "pubsub_patterns", broker.pattern_count());
    field(text, "pubsubshard_channels", broker.channel_count(Space::Shards));
    field(text, "pubsub_messages_published", stats.messages_published.get());
    field(text, "pubsub_messages_delivered", stats.messages_delivered.get());
    field(text, "total_error_replies", errors);
    let query_limit = stats.query_limit_disconnections.get();
    field(text, "client_query_buffer_limit_disconnections", query_limit);
    let output_limit = stats.output_limit_disconnections.get();
    field(text, "client_output_buffer_limit_disconnections", output_limit);
}

fn replication(Subject { host, .. }: &Subject<'_>, text: &mut String) {
    field(text, "role", "master");
    field(text, "connected_slaves", 0);
    field(text, "master_failover_state", "no-failover");
    field(text, "master_replid", &host.run_id);
    field(text, "master_replid2", "0".repeat(40));
    field(text, "master_repl_offset", 0);
    field(text, "second_repl_offset", -1);
    field(text, "repl_backlog_active", 0);
    field(text, "repl_backlog_size", 1_048_576);
    field(text, "repl_backlog_first_byte_offset", 0);
    field(text, "repl_backlog_histlen", 0);
}

fn cpu(_: &Subject<'_>, text: &mut String) {
    let (user, system) = cpu_seconds();
    field(text, "used_cpu_sys", format_args!("{system:.6}"));
    field(text, "used_cpu_user", format_args!("{user:.6}"));
}

/// Commands that are sent all day are not timed, since a clock would cost much of what they cost.
fn commandstats(Subject { host, .. }: &Subject<'_>, text: &mut String) {
    for entry in command::entries() {
        let counters = host.commands.of(entry.number);
        let [calls, rejected, failed, micros] =
            [&counters.calls, &counters.rejected, &counters.failed, &counters.micros]
                .map(Counter::get);
        if calls + rejected > 0 {
            let name = entry.spec.name;
            let per_call = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
            let _ = write!(
                text,
                "cmdstat_{name}:calls={calls},usec={micros},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}\r\n"
            );
        }
    }
}

fn errorstats(Subject { host, .. }: &Subject<'_>, text: &mut String) {
    for (code, count) in host.commands.errors() {
        let _ = write!(text, "errorstat_{}:count={count}\r\n", String::from_utf8_lossy(&code));
    }
}

fn cluster(_: &Subject<'_>, text: &mut String) {
    field(text, "cluster_enabled", 0);
}

fn field(text: &mut String, name: &str, value: impl Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

fn client_bytes(host: &Host) -> u64 {
    let bytes = host.cards.all().iter().map(|card| card.bytes()).sum::<usize>();
    bytes as u64
}

fn resident_bytes() -> u64 {
    status_kilobytes("VmRSS:") * 1024
}

fn peak_bytes() -> u64 {
    status_kilobytes("VmHWM:") * 1024
}

/// Reads a figure that the kernel keeps of this process; 0 where it does not.
fn status_kilobytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[cfg(unix)]
fn cpu_seconds() -> (f64, f64) {
    /// What `/proc/self/stat` counts in, on every Linux.
    const TICKS_A_SECOND: f64 = 100.0;

    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold blanks, so fields are counted from its closing parenthesis.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let seconds = |index: usize| {
        let ticks: f64 = fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0.0);
        ticks / TICKS_A_SECOND
    };
    (seconds(11), seconds(12))
}

#[cfg(not(unix))]
fn cpu_seconds() -> (f64, f64) {
    (0.0, 0.0)
}

/// Writes a number of bytes for people, as Redis does.
fn human(bytes: u64) -> String {
    const UNITS: [(f64, &str); 3] =
        [(1024.0 * 1024.0 * 1024.0, "G"), (1024.0 * 1024.0, "M"), (1024.0, "K")];
    let bytes = bytes as f64;
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(human(512), "512B");
        assert_eq!(human(941_704), "919.63K");
        assert_eq!(human(25_276_502_016), "23.54G");
    }
}
