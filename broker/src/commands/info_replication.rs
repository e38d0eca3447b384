//! The section `Replication` of `INFO`, which Sentinel reads.

use std::fmt::Write;
use std::time::Instant;

use crate::config::Config;
use crate::config::replication::MasterAddress;
use crate::session::replication::Phase;
use crate::session::server_state::ServerState;

/// Writes the lines of the section.
pub(super) fn describe(server: &ServerState, config: &Config, text: &mut String) {
    let mut lines = Lines(text);
    match server.replication.master() {
        None => lines.line("role", "master"),
        Some(master) => describe_link(server, config, &master, &mut lines),
    }
    let replicas = server.replication.replicas();
    lines.line("connected_slaves", replicas.len());
    let settings = &config.replication;
    if settings.good_replicas_min > 0 {
        let good = server.replication.good_replicas(settings.lag_max);
        lines.line("min_slaves_good_slaves", good);
    }
    for (number, replica) in replicas.iter().enumerate() {
        let (state, lag) = (replica.state(), replica.lag().as_secs());
        let _ = write!(
            lines.0,
            "slave{number}:ip={},port={},state={state},offset={},lag={lag}\r\n",
            replica.ip, replica.port, replica.acked
        );
    }
    describe_stream(server, config, &mut lines);
}

/// Writes the role of a replica.
fn describe_link(server: &ServerState, config: &Config, master: &MasterAddress, lines: &mut Lines) {
    let (settings, now) = (&config.replication, Instant::now());
    let link = server.replication.link();
    let is_up = link.phase == Phase::Connected;
    let seconds = |since: Instant| now.saturating_duration_since(since).as_secs().cast_signed();
    let applied = server.replication.applied();
    lines.line("role", "slave");
    lines.line("master_host", &master.host);
    lines.line("master_port", master.port);
    lines.line("master_link_status", if is_up { "up" } else { "down" });
    lines.line("master_last_io_seconds_ago", if is_up { seconds(link.last_read) } else { -1 });
    lines.line("master_sync_in_progress", u8::from(link.phase == Phase::Sync));
    lines.line("slave_read_repl_offset", applied);
    lines.line("slave_repl_offset", applied);
    if !is_up {
        lines.line("master_link_down_since_seconds", seconds(link.down_since));
    }
    lines.line("slave_priority", settings.priority);
    lines.line("slave_read_only", u8::from(settings.is_read_only));
    lines.line("replica_announced", u8::from(settings.is_announced));
}

/// Writes the state of the stream: that of the master which a replica follows, or the server's own.
fn describe_stream(server: &ServerState, config: &Config, lines: &mut Lines) {
    let replication = &server.replication;
    // A replica without replicas has no stream of its own, and shows that of its master.
    let is_followed = replication.is_replica() && server.broker.backlog_bytes().is_none();
    let followed = is_followed.then(|| replication.link().stream).flatten();
    let offset = match followed {
        Some(_) => replication.applied(),
        None => server.broker.stream_offset(),
    };
    let id = followed.unwrap_or_else(|| server.broker.stream_id());
    let id = if id.is_empty() { server.run_id.clone() } else { id };
    let backlog = server.broker.backlog_bytes();
    let bytes = backlog.unwrap_or(0) as u64;
    let first = match bytes {
        0 => 0,
        bytes => server.broker.stream_offset() - bytes + 1,
    };
    lines.line("master_failover_state", "no-failover");
    lines.line("master_replid", id);
    lines.line("master_replid2", "0000000000000000000000000000000000000000");
    lines.line("master_repl_offset", offset);
    lines.line("second_repl_offset", -1);
    lines.line("repl_backlog_active", u8::from(backlog.is_some()));
    lines.line("repl_backlog_size", config.replication.backlog_bytes);
    lines.line("repl_backlog_first_byte_offset", first);
    lines.line("repl_backlog_histlen", bytes);
}

struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}
