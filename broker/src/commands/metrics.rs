//! `/metrics`: the figures of `INFO`, `SLOWLOG` and `LATENCY` in the text format of Prometheus.
//!
//! The names are those of redis_exporter, so that its dashboards and alerts need no exporter. Figures
//! that Redis lacks begin with `broker_`.

mod fields;

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use self::fields::FIELDS;
use super::info;
use super::latency::{histogram, timed_calls};
use super::table::SPECS;
use crate::config::Config;
use crate::keyspace::Report;
use crate::observe::clock::since_1970;
use crate::observe::disconnect::Disconnect;
use crate::session::replication::Replica;
use crate::session::server_state::ServerState;
use crate::version::VERSION;

/// The kind of a metric.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// The text of all metrics.
struct Metrics(String);

/// Writes all metrics of a server. `keys` are the figures of its keys.
pub(crate) fn metrics(server: &ServerState, config: &Config, keys: &Report) -> String {
    let info = info::everything(server, config, keys);
    let lines: Vec<(&str, &str)> = info.lines().filter_map(|line| line.split_once(':')).collect();
    let fields: HashMap<&str, &str> = lines.iter().copied().collect();
    let mut text = Metrics(String::with_capacity(2 * info.len()));
    text.up(&fields);
    for (field, name, kind, help) in FIELDS {
        if let Some(value) = fields.get(field) {
            text.one(name, *kind, help, number(value));
        }
    }
    text.one("redis_config_maxclients", Kind::Gauge, "The setting maxclients.", config.maxclients);
    text.one("redis_config_maxmemory", Kind::Gauge, "The setting maxmemory.", config.maxmemory);
    let is_draining = u8::from(server.drain.is_under_way());
    text.one(
        "broker_draining",
        Kind::Gauge,
        "Whether SHUTDOWN DRAIN ends the clients.",
        is_draining,
    );
    let lag: f64 =
        fields.get("pubsub_slowest_lag_ms").and_then(|ms| ms.parse().ok()).unwrap_or(0.0);
    let help = "Age of the oldest unread byte of all clients.";
    text.one("broker_slowest_lag_seconds", Kind::Gauge, help, lag / 1000.0);
    let help = "Whether the settings were put in force when the files were last read again.";
    let has_worked = u8::from(server.last_reload().is_none_or(|reload| reload.has_worked));
    text.one("broker_reload_success", Kind::Gauge, help, has_worked);
    let about = ("broker_disconnections_total", Kind::Counter, "Ends of connections, by reason.");
    let stats = server.broker.stats();
    let ends = Disconnect::all().map(|reason| (reason.word(), stats.ends[reason as usize].get()));
    text.all(about, "reason", ends);
    let about = ("broker_tls_handshakes_total", Kind::Counter, "Handshakes of TLS, by result.");
    let results =
        [("established", stats.handshakes.get()), ("failed", stats.handshakes_failed.get())];
    text.all(about, "result", results);
    let help = "Time in which a thread that serves clients did not wait.";
    let about = ("broker_worker_busy_seconds_total", Kind::Counter, help);
    let busy = server.loops.busy().into_iter().enumerate();
    let busy: Vec<_> =
        busy.map(|(worker, time)| (worker.to_string(), time.as_secs_f64())).collect();
    text.all(about, "worker", busy.iter().map(|(worker, seconds)| (worker.as_str(), seconds)));
    text.databases(&lines);
    text.replicas(server);
    text.commands(&lines);
    text.errors(&lines);
    text.latencies(server);
    text.slow(server);
    text.certificates(&fields);
    text.0
}

/// Returns a value of `INFO` as a number: `ok` and `up` are 1, as redis_exporter has it.
fn number(value: &str) -> &str {
    match value {
        "ok" | "up" => "1",
        "down" => "0",
        value => value,
    }
}

impl Metrics {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a metric without labels.
    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// Writes the value of one set of labels.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, content) in labels {
            self.0.push(before);
            before = ',';
            let _ = write!(self.0, "{label}=\"");
            for character in content.chars() {
                match character {
                    '\\' | '"' => self.0.extend(['\\', character]),
                    '\n' => self.0.push_str("\\n"),
                    _ => self.0.push(character),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "}} {value}");
    }

    /// Writes a metric with one label: its contents, each with a value.
    fn all<'a, V: std::fmt::Display>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        self.head(name, kind, help);
        for (content, value) in values {
            self.value(name, &[(label, content)], value);
        }
    }

    fn up(&mut self, fields: &HashMap<&str, &str>) {
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        self.one("redis_up", Kind::Gauge, "Always 1.", 1);
        let uptime = Duration::from_secs(field("uptime_in_seconds").parse().unwrap_or(0));
        let started = since_1970().saturating_sub(uptime).as_secs();
        self.one("redis_start_time_seconds", Kind::Gauge, "Time of the start.", started);
        self.head("redis_instance_info", Kind::Gauge, "The server that is running.");
        let names = ["role", "redis_version", "redis_build_id", "redis_mode", "os"];
        let more = ["maxmemory_policy", "tcp_port", "run_id", "process_id", "master_replid"];
        let labels: Vec<_> = names.iter().chain(&more).map(|name| (*name, field(name))).collect();
        self.value("redis_instance_info", &labels, 1);
        self.head("broker_build_info", Kind::Gauge, "The version of the broker.");
        self.value("broker_build_info", &[("version", VERSION)], 1);
    }

    fn databases(&mut self, lines: &[(&str, &str)]) {
        let databases: Vec<(&str, [&str; 3])> = lines
            .iter()
            .filter(|(name, _)| name.starts_with("db"))
            .filter_map(|(name, values)| {
                Some((*name, parts(values, ["keys", "expires", "avg_ttl"])?))
            })
            .collect();
        for (index, name, help) in [
            (0, "redis_db_keys", "Keys of a database."),
            (1, "redis_db_keys_expiring", "Keys of a database that expire."),
        ] {
            let counts = databases.iter().map(|(database, values)| (*database, values[index]));
            self.all((name, Kind::Gauge, help), "db", counts);
        }
        let seconds = databases.iter().map(|(database, [_, _, milliseconds])| {
            (*database, milliseconds.parse().unwrap_or(0.0) / 1000.0)
        });
        let help = "Average time until a key expires.";
        self.all(("redis_db_avg_ttl_seconds", Kind::Gauge, help), "db", seconds);
    }

    fn replicas(&mut self, server: &ServerState) {
        let replicas = server.replication.replicas();
        let name = "redis_connected_slave_offset_bytes";
        self.head(name, Kind::Gauge, "Bytes of the stream that a replica has acknowledged.");
        for replica in &replicas {
            self.of_replica(name, replica, replica.acked);
        }
        let name = "redis_connected_slave_lag_seconds";
        self.head(name, Kind::Gauge, "Time since a replica has last acknowledged.");
        for replica in &replicas {
            self.of_replica(name, replica, replica.lag().as_secs());
        }
    }

    fn of_replica(&mut self, name: &str, replica: &Replica, value: u64) {
        let port = replica.port.to_string();
        let labels =
            [("slave_ip", &*replica.ip), ("slave_port", &*port), ("slave_state", replica.state())];
        self.value(name, &labels, value);
    }

    fn commands(&mut self, lines: &[(&str, &str)]) {
        const PARTS: [&str; 4] = ["calls", "usec", "rejected_calls", "failed_calls"];
        let commands: Vec<(&str, [&str; 4])> = lines
            .iter()
            .filter_map(|(name, values)| {
                Some((name.strip_prefix("cmdstat_")?, parts(values, PARTS)?))
            })
            .collect();
        for (index, name, help) in [
            (0, "redis_commands_total", "Calls of a command."),
            (2, "redis_commands_rejected_calls_total", "Calls that did not run."),
            (3, "redis_commands_failed_calls_total", "Calls that ended with an error."),
        ] {
            let counts = commands.iter().map(|(command, values)| (*command, values[index]));
            self.all((name, Kind::Counter, help), "cmd", counts);
        }
        let seconds = commands
            .iter()
            .map(|(command, [_, micros, ..])| (*command, micros.parse().unwrap_or(0.0) / 1e6));
        let help = "Time that the calls took.";
        self.all(("redis_commands_duration_seconds_total", Kind::Counter, help), "cmd", seconds);
        let name = "redis_latency_percentiles_usec";
        self.head(name, Kind::Summary, "Percentiles of the time of a call.");
        for (command, values) in lines.iter().filter_map(|(line, values)| {
            Some((line.strip_prefix("latency_percentiles_usec_")?, *values))
        }) {
            for (percentile, micros) in values.split(',').filter_map(|part| part.split_once('=')) {
                let percentile = percentile.trim_start_matches('p');
                self.value(name, &[("cmd", command), ("quantile", percentile)], micros);
            }
            let known = commands.iter().find(|(known, _)| *known == command);
            let [calls, micros, ..] = known.map_or(["0"; 4], |(_, values)| *values);
            self.value(&format!("{name}_sum"), &[("cmd", command)], micros);
            self.value(&format!("{name}_count"), &[("cmd", command)], calls);
        }
    }

    fn errors(&mut self, lines: &[(&str, &str)]) {
        let counts = lines.iter().filter_map(|(line, value)| {
            let [count] = parts(value, ["count"])?;
            Some((line.strip_prefix("errorstat_")?, count))
        });
        let help = "Replies with an error, by its first word.";
        self.all(("redis_errors_total", Kind::Counter, help), "err", counts);
    }

    fn latencies(&mut self, server: &ServerState) {
        let name = "redis_commands_latencies_usec";
        self.head(name, Kind::Histogram, "Time of the calls of a command.");
        for spec in &SPECS {
            let Some((calls, steps)) = histogram(server, spec) else { continue };
            let bucket = format!("{name}_bucket");
            for (micros, within) in steps {
                let bound = micros.to_string();
                self.value(&bucket, &[("cmd", spec.name), ("le", &bound)], within);
            }
            self.value(&bucket, &[("cmd", spec.name), ("le", "+Inf")], calls);
            let micros = server.commands.of(spec.id).micros.get();
            let micros = timed_calls(server, spec).map_or(micros, |timed| timed.scaled(micros));
            self.value(&format!("{name}_sum"), &[("cmd", spec.name)], micros);
            self.value(&format!("{name}_count"), &[("cmd", spec.name)], calls);
        }
    }

    fn slow(&mut self, server: &ServerState) {
        let log = server.slowlog.lock();
        let newest = log.entries().next();
        let (id, took) = newest.map_or((0, 0.0), |entry| (entry.id, entry.took.as_secs_f64()));
        let length = log.entries().len();
        drop(log);
        self.one("redis_slowlog_length", Kind::Gauge, "Entries of the slow log.", length);
        self.one("redis_slowlog_last_id", Kind::Gauge, "The id of its newest entry.", id);
        let name = "redis_last_slow_execution_duration_seconds";
        self.one(name, Kind::Gauge, "The time that the newest entry took.", took);
        let monitor = server.latency.lock();
        let spikes: Vec<_> = monitor
            .events()
            .filter_map(|(event, samples)| Some((event, *samples.all.back()?)))
            .collect();
        drop(monitor);
        let times = spikes.iter().map(|(event, sample)| (*event, sample.time));
        let help = "Time of the last slow event.";
        self.all(("redis_latency_spike_last", Kind::Gauge, help), "event_name", times);
        let seconds = spikes.iter().map(|(event, sample)| {
            (*event, Duration::from_millis(sample.milliseconds).as_secs_f64())
        });
        let name = "redis_latency_spike_duration_seconds";
        let help = "The time that the last slow event took.";
        self.all((name, Kind::Gauge, help), "event_name", seconds);
    }

    fn certificates(&mut self, fields: &HashMap<&str, &str>) {
        let name = "redis_tls_certificate_info";
        self.head(name, Kind::Gauge, "The certificates in force.");
        for certificate in ["server", "ca"] {
            if let Some(serial) = fields.get(format!("tls_{certificate}_cert_serial").as_str()) {
                self.value(name, &[("certificate", certificate), ("serial", serial)], 1);
            }
        }
    }
}

/// Returns the values of `name=value` parts of a field, if it has all of them.
fn parts<'a, const COUNT: usize>(text: &'a str, names: [&str; COUNT]) -> Option<[&'a str; COUNT]> {
    let find = |name: &str| {
        let mut all = text.split(',').filter_map(|part| part.split_once('='));
        all.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let mut values = [""; COUNT];
    for (value, name) in values.iter_mut().zip(names) {
        *value = find(name)?;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name() {
        assert_eq!(parts("a=1,b=2", ["b", "a"]), Some(["2", "1"]));
        assert_eq!(parts("a=1", ["a", "b"]), None);
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Metrics(String::new());
        text.value("name", &[("a", "x\"\\\ny"), ("b", "")], 1);
        assert_eq!(text.0, "name{a=\"x\\\"\\\\\\ny\",b=\"\"} 1\n");
    }
}
