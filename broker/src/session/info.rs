//! `INFO`: what the server is and has done, under Redis' section and field names.

use std::fmt::Write;

use crate::host::{Host, REDIS_VERSION, VERSION};
use crate::resp::reply::Reply;

/// `INFO [section [section ...]]`
pub(super) fn info<'a>(
    host: &Host,
    wanted: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Reply {
    let is_wanted = |name: &str| {
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        wanted.len() == 0
            || wanted.clone().any(|word| {
                is(word, name) || is(word, "all") || is(word, "default") || is(word, "everything")
            })
    };
    let mut text = String::new();
    for (name, fields) in SECTIONS {
        if is_wanted(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            fields(host, &mut text);
        }
    }
    Reply::Verbatim(text)
}

/// Writes the fields of one section.
type Fields = fn(&Host, &mut String);

const SECTIONS: &[(&str, Fields)] =
    &[("Server", server), ("Clients", clients), ("Stats", stats), ("Replication", replication)];

fn server(host: &Host, text: &mut String) {
    let uptime = host.uptime().as_secs();
    field(text, "redis_version", REDIS_VERSION);
    field(text, "broker_version", VERSION);
    field(text, "redis_mode", "standalone");
    field(text, "os", std::env::consts::OS);
    field(text, "arch_bits", usize::BITS);
    field(text, "process_id", std::process::id());
    field(text, "run_id", &host.run_id);
    field(text, "tcp_port", host.port);
    field(text, "uptime_in_seconds", uptime);
    field(text, "uptime_in_days", uptime / (24 * 60 * 60));
    field(text, "io_threads_active", u8::from(host.config.io_threads > 1));
}

fn clients(host: &Host, text: &mut String) {
    field(text, "connected_clients", host.broker.stats().connected_clients.get());
    field(text, "maxclients", host.config.maxclients);
}

fn stats(host: &Host, text: &mut String) {
    let broker = &host.broker;
    let stats = broker.stats();
    field(text, "total_connections_received", stats.connections_received.get());
    field(text, "total_commands_processed", stats.commands_processed.get());
    field(text, "total_net_input_bytes", stats.input_bytes.get());
    field(text, "total_net_output_bytes", stats.output_bytes.get());
    field(text, "rejected_connections", stats.connections_rejected.get());
    field(text, "pubsub_channels", broker.channel_count());
    field(text, "pubsub_patterns", broker.pattern_count());
    field(text, "pubsub_messages_published", stats.messages_published.get());
    field(text, "pubsub_messages_delivered", stats.messages_delivered.get());
    let query_limit = stats.query_limit_disconnections.get();
    field(text, "client_query_buffer_limit_disconnections", query_limit);
    let output_limit = stats.output_limit_disconnections.get();
    field(text, "client_output_buffer_limit_disconnections", output_limit);
}

fn replication(_: &Host, text: &mut String) {
    field(text, "role", "master");
    field(text, "connected_slaves", 0);
}

fn field(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}
