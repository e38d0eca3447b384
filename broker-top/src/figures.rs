//! What a server tells about itself, its channels and its clients.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use redis::{Cmd, Connection, ErrorKind, InfoDict, RedisResult, ServerErrorKind, Value, cmd};

use crate::table::{Table, harmless, short};

/// The figures of one moment.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Names and values about the whole server.
    pub(crate) server: Vec<(&'static str, String)>,
    pub(crate) channels: Table,
    pub(crate) clients: Table,
}

/// Channels and clients that are shown.
const ROWS_MAX: usize = 200;

impl Figures {
    /// Asks a server.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the user may not run a command.
    pub(crate) fn read(connection: &mut Connection) -> RedisResult<Self> {
        let info: InfoDict = cmd("INFO").query(connection)?;
        let list: String = cmd("CLIENT").arg("LIST").query(connection)?;
        Ok(Self {
            server: about_server(&info),
            channels: channels(connection)?,
            clients: clients(&list),
        })
    }
}

/// Prints all of it, for scripts.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.server {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}\n{}", self.channels, self.clients)
    }
}

fn about_server(info: &InfoDict) -> Vec<(&'static str, String)> {
    let known = [
        ("version", &["broker_version", "valkey_version", "redis_version"][..]),
        ("uptime", &["uptime_in_seconds"]),
        ("clients", &["connected_clients"]),
        ("subscribers", &["pubsub_clients"]),
        ("channels", &["pubsub_channels"]),
        ("patterns", &["pubsub_patterns"]),
        ("commands/s", &["instantaneous_ops_per_sec"]),
        ("in KB/s", &["instantaneous_input_kbps"]),
        ("out KB/s", &["instantaneous_output_kbps"]),
        ("memory", &["used_memory_human"]),
        ("closed as slow", &["client_output_buffer_limit_disconnections"]),
    ];
    let value = |fields: &[&str]| fields.iter().find_map(|field| info.get::<String>(field));
    let found = known.into_iter().filter_map(|(name, fields)| Some((name, value(fields)?)));
    found.map(|(name, value)| (name, harmless(&value))).collect()
}

/// Returns the rates of the busiest channels, or the subscribers of each if the server counts no rates.
fn channels(connection: &mut Connection) -> RedisResult<Table> {
    let rates = stats().query::<Vec<HashMap<String, Value>>>(connection);
    match rates {
        Ok(rates) => Ok(with_rates(&rates)),
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => {
            let mut names: Vec<Vec<u8>> = cmd("PUBSUB").arg("CHANNELS").query(connection)?;
            names.sort_unstable();
            names.truncate(ROWS_MAX);
            let counts: Vec<(Vec<u8>, u64)> =
                cmd("PUBSUB").arg("NUMSUB").arg(&names).query(connection)?;
            Ok(with_counts(counts))
        }
        Err(error) => Err(error),
    }
}

fn stats() -> Cmd {
    let mut stats = cmd("PUBSUB");
    stats.arg("STATS").arg("*").arg("TOP").arg(ROWS_MAX);
    stats
}

fn with_rates(rates: &[HashMap<String, Value>]) -> Table {
    let number = |rate: &HashMap<String, Value>, name| match rate.get(name) {
        Some(Value::Int(number)) => short(number.unsigned_abs()),
        _ => String::new(),
    };
    let row = |rate| {
        let name = match HashMap::get(rate, "channel") {
            Some(Value::BulkString(name)) => text(name),
            _ => String::new(),
        };
        let numbers = [
            "messages-per-sec",
            "bytes-in-per-sec",
            "bytes-out-per-sec",
            "receivers",
            "dropped",
            "last-ms",
        ];
        [name].into_iter().chain(numbers.map(|name| number(rate, name))).collect()
    };
    let headings =
        vec!["channel", "messages/s", "in/s", "out/s", "receivers", "dropped", "last ms"];
    Table { headings, texts: 1, rows: rates.iter().map(row).collect() }
}

fn with_counts(mut counts: Vec<(Vec<u8>, u64)>) -> Table {
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let rows = counts.into_iter().map(|(name, count)| vec![text(&name), count.to_string()]);
    Table { headings: vec!["channel", "subscribers"], texts: 1, rows: rows.collect() }
}

/// Reads the reply of CLIENT LIST. Its values have no blanks. Clients with the most unread bytes come
/// first.
fn clients(list: &str) -> Table {
    let mut clients: Vec<HashMap<&str, &str>> = list
        .lines()
        .map(|line| line.split(' ').filter_map(|field| field.split_once('=')).collect())
        .collect();
    let number = |client: &HashMap<&str, &str>, name| -> u64 {
        client.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    clients.sort_by_key(|client| (Reverse(number(client, "omem")), number(client, "id")));
    clients.truncate(ROWS_MAX);
    let row = |client: &HashMap<&str, &str>| {
        let text = |name| harmless(client.get(name).copied().unwrap_or_default());
        let subscriptions: u64 =
            ["sub", "psub", "ssub"].iter().map(|name| number(client, name)).sum();
        vec![
            text("addr"),
            text("name"),
            text("user"),
            text("cmd"),
            text("id"),
            subscriptions.to_string(),
            short(number(client, "omem")),
            text("lag"),
            text("age"),
        ]
    };
    let rows = clients.iter().map(row).collect();
    let texts = ["address", "name", "user", "command"];
    let numbers = ["id", "subscriptions", "unread", "lag ms", "age s"];
    Table { headings: [&texts[..], &numbers].concat(), texts: texts.len(), rows }
}

fn text(bytes: &[u8]) -> String {
    harmless(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_with_unread_bytes_come_first() {
        let list = "id=1 addr=a:1 name= omem=0 sub=1 psub=2 cmd=ping user=default\n\
                    id=2 addr=b:2 name=web omem=20504 sub=1 cmd=subscribe lag=7\n";
        let Table { rows, .. } = clients(list);
        assert_eq!(rows[0], ["b:2", "web", "", "subscribe", "2", "1", "20k", "7", ""]);
        assert_eq!(rows[1], ["a:1", "", "default", "ping", "1", "3", "0", "", ""]);
        assert!(clients("").rows.is_empty());
    }

    #[test]
    fn channels_with_subscribers_come_first() {
        let counts = vec![(b"a".to_vec(), 0), (b"b\x1b".to_vec(), 2)];
        assert_eq!(with_counts(counts).rows, [["b?", "2"], ["a", "0"]]);
    }
}
