//! The figures of a server, its channels and its clients.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use redis::{Cmd, Connection, ErrorKind, FromRedisValue, RedisError, RedisResult, Value, cmd};

use crate::table::{Table, harmless, short};

/// The figures of one moment.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Names and values about the whole server.
    pub(crate) server: Vec<(&'static str, String)>,
    pub(crate) channels: Part,
    pub(crate) clients: Part,
}

/// A table, or the reason of the server for which there is none, such as a missing permission.
pub(crate) type Part = Result<Table, String>;

/// Channels and clients that are shown.
const ROWS_MAX: usize = 200;
/// Channels of one question for their subscribers.
const CHANNELS_AT_ONCE: usize = 1000;

impl Figures {
    /// Asks a server.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the user may run none of the commands.
    pub(crate) fn read(connection: &mut Connection) -> RedisResult<Self> {
        let info = part(text_of(&cmd("INFO"), connection))?;
        let list = part(text_of(cmd("CLIENT").arg("LIST"), connection))?;
        let channels = part(channels(connection))?;
        match (info, list, channels) {
            (Err(error), Err(_), Err(_)) => Err(error),
            (info, list, channels) => Ok(Self {
                server: about_server(&info.unwrap_or_default()),
                channels: channels.map_err(|error| shown(&error)),
                clients: list.map(|list| clients(&list)).map_err(|error| shown(&error)),
            }),
        }
    }
}

/// Prints all of it, for scripts.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.server {
            writeln!(f, "{name}: {value}")?;
        }
        for part in [&self.channels, &self.clients] {
            match part {
                Ok(table) => write!(f, "\n{table}")?,
                Err(reason) => writeln!(f, "\n{reason}")?,
            }
        }
        Ok(())
    }
}

/// Returns an error as text without commands for the terminal.
pub(crate) fn shown(error: &RedisError) -> String {
    harmless(&error.to_string())
}

/// Separates a refusal of the server from a lost connection.
fn part<T>(outcome: RedisResult<T>) -> RedisResult<Result<T, RedisError>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Runs a command whose reply is text. Names in it may be of any bytes.
fn text_of(command: &Cmd, connection: &mut Connection) -> RedisResult<String> {
    Ok(match command.query::<Value>(connection)? {
        Value::VerbatimString { text, .. } => text,
        value => text(&Vec::<u8>::from_redis_value(value)?),
    })
}

fn about_server(info: &str) -> Vec<(&'static str, String)> {
    let fields: HashMap<&str, &str> =
        info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
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
    let value = |names: &[&str]| names.iter().find_map(|name| fields.get(name).copied());
    let found = known.into_iter().filter_map(|(name, fields)| Some((name, value(fields)?)));
    found.map(|(name, value)| (name, harmless(value))).collect()
}

/// Returns the rates of the busiest channels, or the subscribers of each if the server counts no rates,
/// or does not tell them to this user.
fn channels(connection: &mut Connection) -> RedisResult<Table> {
    let mut stats = cmd("PUBSUB");
    stats.arg("STATS").arg("*").arg("TOP").arg(ROWS_MAX);
    if let Ok(rates) = part(stats.query::<Vec<HashMap<String, Value>>>(connection))? {
        return Ok(with_rates(&rates));
    }
    let names: Vec<Vec<u8>> = cmd("PUBSUB").arg("CHANNELS").query(connection)?;
    let mut counts = Vec::with_capacity(names.len());
    for names in names.chunks(CHANNELS_AT_ONCE) {
        let some: Vec<(Vec<u8>, u64)> = cmd("PUBSUB").arg("NUMSUB").arg(names).query(connection)?;
        counts.extend(some);
    }
    Ok(with_counts(counts))
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
        [harmless(&name)].into_iter().chain(numbers.map(|name| number(rate, name))).collect()
    };
    let headings =
        vec!["channel", "messages/s", "in/s", "out/s", "receivers", "dropped", "last ms"];
    Table { headings, texts: 1, rows: rates.iter().map(row).collect() }
}

/// Returns the channels with the most subscribers.
fn with_counts(mut counts: Vec<(Vec<u8>, u64)>) -> Table {
    counts
        .sort_by(|(name, count), (other, others)| others.cmp(count).then_with(|| name.cmp(other)));
    counts.truncate(ROWS_MAX);
    let rows =
        counts.into_iter().map(|(name, count)| vec![harmless(&text(&name)), count.to_string()]);
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
        let kinds = ["sub", "psub", "ssub"].iter().map(|name| number(client, name));
        let subscriptions = kinds.fold(0_u64, u64::saturating_add);
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
    String::from_utf8_lossy(bytes).into_owned()
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
        let large = clients("id=1 sub=18446744073709551615 psub=5\n");
        assert_eq!(large.rows[0][5], u64::MAX.to_string());
    }

    #[test]
    fn channels_with_the_most_subscribers_come_first() {
        let mut counts: Vec<_> =
            (0..ROWS_MAX).map(|n| (format!("a{n:03}").into_bytes(), 1)).collect();
        counts.push((b"b\x1b".to_vec(), 2));
        let rows = with_counts(counts).rows;
        assert_eq!((rows.len(), &rows[0]), (ROWS_MAX, &vec!["b?".to_owned(), "2".to_owned()]));
        assert_eq!(rows[1], ["a000", "1"]);
    }
}
