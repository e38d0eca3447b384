//! `INFO` and `MEMORY STATS`: state and statistics of the server, with Redis' names of sections and
//! fields.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::info_fields::SECTIONS;
use super::info_replication;
use super::latency::timed_calls;
use super::spec::Outcome;
use super::table::SPECS;
use crate::config::Config;
use crate::keyspace::{Report, Summary};
use crate::observe::clock::since_1970;
use crate::observe::disconnect::Disconnect;
use crate::observe::memory::system_bytes;
use crate::observe::stats::Counter;
use crate::protocol::reply::Reply;
use crate::pubsub::message::ChannelKind;
use crate::pubsub::order::OrderGuard;
use crate::session::server_state::ServerState;
use crate::tls::certificate::Certificate;
use crate::version::{REDIS_VERSION, VERSION};

/// `INFO [section [section ...]]`
pub(super) fn info(order: &mut OrderGuard<'_>) -> Outcome {
    Outcome::Reported(report(order), |session, context, report, request| {
        let wanted = request.arguments_from(1);
        Reply::Verbatim(describe(&session.server, &context.config, report, wanted).into())
    })
}

/// `MEMORY STATS`
pub(super) fn memory_stats(order: &mut OrderGuard<'_>) -> Outcome {
    Outcome::Reported(report(order), |session, _, report, _| {
        describe_memory(&session.server, report)
    })
}

/// Returns all sections.
#[cfg(feature = "http")]
pub(super) fn everything(server: &ServerState, config: &Config, keys: &Report) -> String {
    describe(server, config, keys, std::iter::once(b"everything".as_slice()))
}

/// Returns the figures of the keys.
pub(crate) fn report(order: &mut OrderGuard<'_>) -> Box<Report> {
    let now = order.now();
    Box::new(order.keyspace().report(now))
}

fn describe<'a>(
    server: &ServerState,
    config: &Config,
    keys: &Report,
    wanted: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> String {
    let subject = Subject { server, config, keys };
    let mut text = String::new();
    let has_tls = server.tls.material().is_some();
    for (name, fields) in SECTIONS.iter().filter(|(name, _)| *name != "TLS" || has_tls) {
        // As in Redis, only a request that names them includes them. Redis lacks the last one, which
        // looks at each client.
        let is_default = !matches!(*name, "Commandstats" | "Latencystats" | "Pubsub");
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let is_wanted = wanted.len() == 0 && is_default
            || wanted.clone().any(|word| {
                is(word, name)
                    || is(word, "everything")
                    || is(word, "all") && *name != "Modules"
                    || is(word, "default") && is_default
            });
        if is_wanted {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            subject.section(name, fields, &mut text);
        }
    }
    text
}

fn describe_memory(server: &ServerState, keys: &Report) -> Reply {
    let resident = server.process.get().resident_bytes;
    let count = keys.databases.iter().map(|summary| summary.keys).sum::<usize>() as u64;
    let bytes = keys.bytes as u64;
    let fields = [
        ("peak.allocated", server.peak_bytes() as u64),
        ("total.allocated", server.used_bytes() as u64),
        ("clients.normal", server.clients.known_bytes() as u64),
        ("keys.count", count),
        ("keys.bytes-per-key", bytes.checked_div(count).unwrap_or(0)),
        ("dataset.bytes", bytes),
        ("allocator.resident", resident),
    ];
    let pair =
        |(name, value): (&str, u64)| (Reply::bulk(name), Reply::Integer(value.cast_signed()));
    Reply::Map(fields.into_iter().map(pair).collect())
}

/// The sources of the fields.
struct Subject<'a> {
    server: &'a ServerState,
    config: &'a Config,
    keys: &'a Report,
}

/// Values of one section, in the order of [`SECTIONS`]. They replace the defaults there; fields that
/// Redis lacks come last.
type Values = Vec<(&'static str, String)>;

impl Subject<'_> {
    /// Writes a section: Redis' fields, then our own.
    fn section(&self, name: &str, fields: &[(&str, &str)], text: &mut String) {
        let values = match name {
            "Server" => self.server(),
            "Clients" => self.clients(),
            "Memory" => self.memory(),
            "Persistence" => {
                let changes = self.server.unsaved(self.keys.changes);
                let last_save = self.server.last_save().as_secs();
                vec![
                    ("rdb_changes_since_last_save", changes.to_string()),
                    ("rdb_last_save_time", last_save.to_string()),
                ]
            }
            "Stats" => self.stats(),
            "Replication" => {
                return info_replication::describe(self.server, self.config, text);
            }
            "CPU" => self.cpu(),
            "Pubsub" => self.pubsub(),
            "TLS" => self.tls(),
            "Keyspace" => return self.keyspace(text),
            "Commandstats" => return self.commandstats(text),
            "Errorstats" => return self.errorstats(text),
            "Latencystats" => return self.latencystats(text),
            _ => Vec::new(),
        };
        let mut values = values.iter().peekable();
        for (name, default) in fields {
            let value = values.next_if(|(known, _)| known == name);
            field(text, name, value.map_or(*default, |(_, value)| value));
        }
        for (name, value) in values {
            debug_assert!(fields.iter().all(|(known, _)| known != name), "{name} is out of order");
            field(text, name, value);
        }
    }

    fn server(&self) -> Values {
        let Self { server, config, .. } = self;
        let uptime = server.uptime().as_secs();
        let file = server.settings.file.clone().unwrap_or_default();
        let now = since_1970();
        let os = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let mut values = vec![
            ("redis_version", REDIS_VERSION.to_owned()),
            ("os", os),
            ("arch_bits", usize::BITS.to_string()),
            ("process_id", std::process::id().to_string()),
            ("process_supervised", supervisor().to_owned()),
            ("run_id", server.run_id.clone()),
            ("tcp_port", self.port().to_string()),
            ("server_time_usec", now.as_micros().to_string()),
            ("uptime_in_seconds", uptime.to_string()),
            ("uptime_in_days", (uptime / (24 * 60 * 60)).to_string()),
            // Of 24 bits, as in Redis.
            ("lru_clock", (now.as_secs() & 0xff_ffff).to_string()),
            ("executable", executable().display().to_string()),
            ("config_file", file.display().to_string()),
            ("io_threads_active", u8::from(config.io_threads > 1).to_string()),
        ];
        values.extend(self.listeners());
        values.push(("broker_version", VERSION.to_owned()));
        if let Some(reload) = server.last_reload() {
            let status = if reload.has_worked { "ok" } else { "err" };
            values.push(("config_last_reload_status", status.to_owned()));
            values.push(("config_last_reload_time", reload.time.as_secs().to_string()));
        }
        values
    }

    /// Returns the plain port, or that with TLS if there is no plain one.
    fn port(&self) -> u16 {
        match self.server.port.load(Ordering::Relaxed) {
            0 => self.server.tls_port.load(Ordering::Relaxed),
            port => port,
        }
    }

    /// Returns a field for each kind of listener. As in Redis, a kind keeps its number.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { server, config, .. } = self;
        let port = server.port.load(Ordering::Relaxed);
        let tls_port = server.tls_port.load(Ordering::Relaxed);
        let addresses: String = config.bind.iter().map(|name| format!("bind={name},")).collect();
        let tcp = (port != 0).then(|| format!("name=tcp,{addresses}port={port}"));
        let unix = config.unixsocket.as_ref();
        let unix = unix.map(|path| format!("name=unix,bind={}", path.display()));
        let tls = (tls_port != 0).then(|| format!("name=tls,{addresses}port={tls_port}"));
        let all = [("listener0", tcp), ("listener1", unix), ("listener2", tls)];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Returns the fields of Valkey.
    fn tls(&self) -> Values {
        let Some(material) = self.server.tls.material() else { return Vec::new() };
        let left = |certificate: &Certificate| certificate.seconds_left().max(0).to_string();
        let mut values = vec![
            ("tls_server_cert_serial", material.server.serial.clone()),
            ("tls_server_cert_expires_in_seconds", left(&material.server)),
        ];
        if let Some(authority) = &material.authority {
            values.push(("tls_ca_cert_serial", authority.serial.clone()));
            values.push(("tls_ca_cert_expires_in_seconds", left(authority)));
        }
        if self.server.tls.has_failed() {
            values.push(("tls_last_reload_status", "err".to_owned()));
        }
        values
    }

    fn clients(&self) -> Values {
        let buffers = &self.server.broker.stats().buffers;
        let states = &self.server.clients.states;
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed).to_string();
        // As in Redis, replicas do not count.
        let replicas = self.server.replication.replicas().len() as u64;
        let clients = self.server.broker.stats().connected_clients.get().saturating_sub(replicas);
        vec![
            ("connected_clients", clients.to_string()),
            ("maxclients", self.config.maxclients.to_string()),
            ("client_recent_max_input_buffer", buffers.input.get().to_string()),
            ("client_recent_max_output_buffer", buffers.output.get().to_string()),
            ("blocked_clients", count(&states.blocked)),
            ("tracking_clients", count(&states.tracking)),
            ("pubsub_clients", count(&states.subscribed)),
        ]
    }

    fn memory(&self) -> Values {
        let (resident, system) = (self.server.process.get().resident_bytes, system_bytes());
        let (used, peak) = (self.server.used_bytes() as u64, self.server.peak_bytes() as u64);
        let startup = self.server.base_bytes as u64;
        let dataset = self.keys.bytes as u64;
        let maximum = self.config.maxmemory as u64;
        let scripts = self.server.scripts.figures();
        let script_bytes = scripts.script_bytes as u64;
        let lua_bytes = scripts.lua_bytes as u64;
        // The allocator does not tell what it holds, so it counts with all resident memory.
        let [ratio, beyond] = [
            format!("{:.2}", resident as f64 / used.max(1) as f64),
            (resident.cast_signed() - used.cast_signed()).to_string(),
        ];
        vec![
            ("used_memory", used.to_string()),
            ("used_memory_human", human(used)),
            ("used_memory_rss", resident.to_string()),
            ("used_memory_rss_human", human(resident)),
            ("used_memory_peak", peak.to_string()),
            ("used_memory_peak_human", human(peak)),
            ("used_memory_peak_perc", percent(used, peak)),
            ("used_memory_overhead", used.saturating_sub(dataset).to_string()),
            ("used_memory_startup", startup.to_string()),
            ("used_memory_dataset", dataset.to_string()),
            ("used_memory_dataset_perc", percent(dataset, used.saturating_sub(startup))),
            ("allocator_allocated", used.to_string()),
            ("allocator_active", resident.to_string()),
            ("allocator_resident", resident.to_string()),
            ("total_system_memory", system.to_string()),
            ("total_system_memory_human", human(system)),
            ("used_memory_lua", lua_bytes.to_string()),
            ("used_memory_vm_eval", lua_bytes.to_string()),
            ("used_memory_lua_human", human(lua_bytes)),
            ("used_memory_scripts_eval", script_bytes.to_string()),
            ("number_of_cached_scripts", scripts.scripts.to_string()),
            ("used_memory_vm_total", lua_bytes.to_string()),
            ("used_memory_vm_total_human", human(lua_bytes)),
            ("used_memory_scripts", script_bytes.to_string()),
            ("used_memory_scripts_human", human(script_bytes)),
            ("maxmemory", maximum.to_string()),
            ("maxmemory_human", human(maximum)),
            ("allocator_frag_ratio", ratio.clone()),
            ("allocator_frag_bytes", beyond.clone()),
            ("allocator_rss_ratio", "1.00".to_owned()),
            ("rss_overhead_ratio", "1.00".to_owned()),
            ("mem_fragmentation_ratio", ratio),
            ("mem_fragmentation_bytes", beyond),
            ("mem_clients_normal", self.server.clients.known_bytes().to_string()),
            ("mem_allocator", "mimalloc".to_owned()),
        ]
    }

    fn stats(&self) -> Values {
        let broker = &self.server.broker;
        let stats = broker.stats();
        let syncs = &self.server.replication.syncs;
        let errors: u64 = self.server.commands.errors().values().sum();
        let turns = self.server.loops.turns();
        let (recent_turns, recent_micros) =
            (stats.rates.turns.a_second.get(), stats.rates.turn_micros.a_second.get());
        let mut values = vec![
            ("total_connections_received", stats.connections_received.get().to_string()),
            ("total_commands_processed", stats.commands_processed.get().to_string()),
            ("instantaneous_ops_per_sec", stats.rates.commands.a_second.get().to_string()),
            ("total_net_input_bytes", stats.input_bytes.get().to_string()),
            ("total_net_output_bytes", stats.output_bytes.get().to_string()),
            ("instantaneous_input_kbps", format!("{:.2}", stats.rates.input.kilo())),
            ("instantaneous_output_kbps", format!("{:.2}", stats.rates.output.kilo())),
            ("rejected_connections", stats.connections_rejected.get().to_string()),
            ("sync_full", syncs.full.get().to_string()),
            ("sync_partial_ok", syncs.partial.get().to_string()),
            ("sync_partial_err", syncs.denied.get().to_string()),
            ("expired_keys", self.keys.counts.expired.to_string()),
            ("evicted_clients", stats.evicted_clients.get().to_string()),
            ("keyspace_hits", self.keys.counts.hits.to_string()),
            ("keyspace_misses", self.keys.counts.misses.to_string()),
            ("pubsub_channels", broker.channel_count(ChannelKind::Channels).to_string()),
            ("pubsub_patterns", broker.pattern_count().to_string()),
            ("pubsubshard_channels", broker.channel_count(ChannelKind::Shards).to_string()),
            ("tracking_total_keys", self.keys.tracked.keys.to_string()),
            ("tracking_total_items", self.keys.tracked.items.to_string()),
            ("tracking_total_prefixes", self.keys.tracked.prefixes.to_string()),
            ("total_error_replies", errors.to_string()),
            ("total_reads_processed", stats.reads.get().to_string()),
            ("total_writes_processed", stats.writes.get().to_string()),
            ("eventloop_cycles", turns.count.to_string()),
            ("eventloop_duration_sum", turns.time.as_micros().to_string()),
            ("eventloop_duration_cmd_sum", (stats.command_nanos.get() / 1000).to_string()),
            ("instantaneous_eventloop_cycles_per_sec", recent_turns.to_string()),
            (
                "instantaneous_eventloop_duration_usec",
                recent_micros.checked_div(recent_turns).unwrap_or(0).to_string(),
            ),
            ("acl_access_denied_auth", stats.denied.logins.get().to_string()),
            ("acl_access_denied_cmd", stats.denied.commands.get().to_string()),
            ("acl_access_denied_key", stats.denied.keys.get().to_string()),
            ("acl_access_denied_channel", stats.denied.channels.get().to_string()),
            (
                "client_query_buffer_limit_disconnections",
                stats.ends[Disconnect::RequestTooBig as usize].get().to_string(),
            ),
            (
                "client_output_buffer_limit_disconnections",
                stats.ends[Disconnect::SlowSubscriber as usize].get().to_string(),
            ),
        ];
        if self.server.tls.material().is_some() {
            let denied = stats.denied.certificates.get().to_string();
            values.push(("acl_access_denied_tls_cert", denied));
        }
        values
    }

    fn pubsub(&self) -> Values {
        let stats = self.server.broker.stats();
        let now = Instant::now();
        let (mut slowest, mut unread) = (Duration::ZERO, 0);
        for info in self.server.clients.all() {
            slowest = slowest.max(info.lag(now));
            unread += info.counts.output_bytes.load(Ordering::Relaxed);
        }
        vec![
            ("pubsub_messages_published", stats.messages_published.get().to_string()),
            ("pubsub_messages_delivered", stats.messages_delivered.get().to_string()),
            ("pubsub_messages_dropped", stats.messages_dropped.get().to_string()),
            ("pubsub_taps", stats.taps.get().to_string()),
            ("pubsub_slowest_lag_ms", slowest.as_millis().to_string()),
            ("pubsub_outbox_bytes", unread.to_string()),
        ]
    }

    fn cpu(&self) -> Values {
        let process = self.server.process.get();
        let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
        vec![
            ("used_cpu_sys", seconds(process.system)),
            ("used_cpu_user", seconds(process.user)),
            ("used_cpu_sys_main_thread", seconds(process.main_system)),
            ("used_cpu_user_main_thread", seconds(process.main_user)),
        ]
    }

    /// Writes the statistics of commands. Frequent commands are timed by sample, so their time is
    /// scaled to all calls.
    fn commandstats(&self, text: &mut String) {
        let server = self.server;
        for spec in &SPECS {
            let counters = server.commands.of(spec.id);
            let [calls, rejected, failed, micros] =
                [&counters.calls, &counters.rejected, &counters.failed, &counters.micros]
                    .map(Counter::get);
            let micros = timed_calls(server, spec).map_or(micros, |timed| timed.scaled(micros));
            if calls + rejected > 0 {
                let name = spec.name;
                let per_call = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
                let _ = write!(
                    text,
                    "cmdstat_{name}:calls={calls},usec={micros},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}\r\n"
                );
            }
        }
    }

    fn latencystats(&self, text: &mut String) {
        for spec in &SPECS {
            let counters = self.server.commands.of(spec.id);
            let Some(times) = counters.times.get().filter(|times| times.total() > 0) else {
                continue;
            };
            let percentile = |name: &String| {
                let percent = name.parse().unwrap_or_default();
                let micros = times.at_percentile(percent) as f64 / 1000.0;
                format!("p{name}={micros:.3}")
            };
            let percentiles: Vec<String> =
                self.config.latency_tracking_info_percentiles.iter().map(percentile).collect();
            let name = spec.name;
            field(text, &format!("latency_percentiles_usec_{name}"), &percentiles.join(","));
        }
    }

    fn keyspace(&self, text: &mut String) {
        for Summary { database, keys, expiring, average_ttl } in &self.keys.databases {
            let _ = write!(
                text,
                "db{database}:keys={keys},expires={expiring},avg_ttl={average_ttl}\r\n"
            );
        }
    }

    fn errorstats(&self, text: &mut String) {
        let server = self.server;
        for (code, count) in server.commands.errors() {
            let _ = write!(text, "errorstat_{}:count={count}\r\n", String::from_utf8_lossy(&code));
        }
    }
}

/// Returns the path of the program, which stays the same even if the file moves.
fn executable() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::current_exe().unwrap_or_default())
}

/// Returns who watches the process, as Redis names it.
fn supervisor() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| std::env::var_os("NOTIFY_SOCKET").map_or("no", |_| "systemd"))
}

fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push(':');
    text.push_str(value);
    text.push_str("\r\n");
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Returns a number of bytes in a readable form, as Redis does.
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
    fn sizes_are_readable() {
        assert_eq!(human(512), "512B");
        assert_eq!(human(941_704), "919.63K");
        assert_eq!(human(25_276_502_016), "23.54G");
    }
}
