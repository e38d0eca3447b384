//! Every table with more and more rows: the processor time of an operation stays the same.
//!
//! A row of [`TABLES`] names requests that fill a table and requests that use it. Time is that of the
//! server's threads, so a busy machine changes it little. A search through all rows would take a
//! hundred times as long in a table of a hundred times as many rows.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use harness::{Server, request};

use super::filler::{Filler, Reads, at_rest, processor_time};
use super::server;

#[tokio::test]
#[ignore = "measures; `cargo xtask long` runs it"]
async fn an_operation_takes_no_longer_in_a_large_table() {
    check(&[500, 50_000]).await;
}

#[tokio::test]
#[ignore = "takes minutes; `cargo xtask long` runs it"]
async fn an_operation_takes_no_longer_in_a_huge_table() {
    check(&[1_000, 10_000, 100_000, 1_000_000]).await;
}

/// The rules of a user are such a table: each rule replaces an equal one.
#[tokio::test]
async fn a_rule_of_a_user_takes_no_longer_among_many() {
    let mut faults = Vec::new();
    for rule in ["~key{n}", "&channel{n}", ">password{n}", "+select|{n}"] {
        let server = server(&["--io-threads", "1"]).await;
        let few = time_of_rule(&server, rule, 10_000, 10).await;
        let many = time_of_rule(&server, rule, 100_000, 1).await;
        println!("{rule}: {few:?}, {many:?}");
        if many > few * GROWTH_MAX + NEGLIGIBLE {
            faults.push(format!("{rule}: {few:?} among 10,000, {many:?} among 100,000"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the time of one of so many rules in a request.
async fn time_of_rule(server: &Server, rule: &str, rules: usize, requests: usize) -> Duration {
    let all = (0..rules).map(|number| rule.replace("{n}", &number.to_string()));
    let words: Vec<String> =
        ["ACL", "SETUSER", "ann", "reset"].map(String::from).into_iter().chain(all).collect();
    let mut client = [Filler::connect(server, Reads::All).await];
    at_rest(server, &mut client, QUIET).await;
    let start = processor_time(server);
    client[0].send(&request(&words).repeat(requests)).await;
    at_rest(server, &mut client, QUIET).await;
    let count = u32::try_from(rules * requests).expect("a small number");
    (processor_time(server) - start) / count
}

/// A table with its operations. `{n}` is the number of a row.
struct Table {
    name: &'static str,
    /// The first request of the client that fills the table.
    first: &'static str,
    row: &'static str,
    operation: &'static str,
    by: By,
}

/// The client of the operations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The client that has filled the table.
    Owner,
    Other,
}

/// Measures each table with each number of rows, and fails with all faults.
async fn check(sizes: &[usize]) {
    let faults = stream::iter(TABLES).map(|table| fault(table, sizes));
    let faults: Vec<String> =
        faults.buffer_unordered(SERVERS).filter_map(std::future::ready).collect().await;
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), TABLES.len(), faults.join("\n"));
}

/// Returns the times of an operation if they grow with the table.
async fn fault(table: &Table, sizes: &[usize]) -> Option<String> {
    let mut times: Vec<(usize, Duration)> = Vec::new();
    for &rows in sizes {
        times.push((rows, time_of_operation(table, rows).await));
    }
    let (least, most) = (times[0].1, times[times.len() - 1].1);
    println!("{}: {times:?}", table.name);
    (most > least * GROWTH_MAX + NEGLIGIBLE).then(|| format!("{}: {times:?}", table.name))
}

async fn time_of_operation(table: &Table, rows: usize) -> Duration {
    let server = server(&["--io-threads", "1"]).await;
    let mut clients =
        [Filler::connect(&server, Reads::All).await, Filler::connect(&server, Reads::All).await];
    clients.iter_mut().for_each(|client| client.patience = PATIENCE);
    send(&mut clients[0], format!("{}\r\n", table.first)).await;
    let all = (0..rows).map(|row| requests(table.row, row));
    send(&mut clients[0], all.collect()).await;
    let actor = usize::from(table.by == By::Other);
    // A large step, so that neighbours in time are none in the table.
    let operations = |from: usize| {
        let numbers = (from..from + OPERATIONS).map(|number| number * 7_919 % rows);
        numbers.map(|row| requests(table.operation, row)).collect::<String>()
    };
    send(&mut clients[actor], operations(0)).await;
    at_rest(&server, &mut clients, QUIET).await;
    let start = processor_time(&server);
    send(&mut clients[actor], operations(OPERATIONS)).await;
    at_rest(&server, &mut clients, QUIET).await;
    (processor_time(&server) - start) / u32::try_from(OPERATIONS).expect("a small number")
}

/// A request that the server does not take would be measured as one that takes no time.
async fn send(client: &mut Filler, requests: String) {
    assert!(client.send(requests.as_bytes()).await, "the server takes no requests");
}

/// Returns one or more requests for a row.
fn requests(text: &str, row: usize) -> String {
    text.replace("{n}", &row.to_string()) + "\r\n"
}

const SERVERS: usize = 3;
const OPERATIONS: usize = 2_000;
/// More rows fit the processor's caches less well.
const GROWTH_MAX: u32 = 4;
const NEGLIGIBLE: Duration = Duration::from_micros(3);
const QUIET: Duration = Duration::from_millis(20);
/// A table of a million rows may grow for a second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const TABLES: &[Table] = &[
    Table {
        name: "subscriptions of channels",
        first: "PING",
        row: "SUBSCRIBE c{n}",
        operation: "SUBSCRIBE x{n}\r\nUNSUBSCRIBE x{n}",
        by: By::Owner,
    },
    Table {
        name: "messages beside many channels",
        first: "PING",
        row: "SUBSCRIBE c{n}",
        operation: "PUBLISH c{n} m\r\nPUBSUB NUMSUB c{n}",
        by: By::Other,
    },
    Table {
        name: "subscriptions of patterns",
        first: "PING",
        row: "PSUBSCRIBE p{n}:*",
        operation: "PSUBSCRIBE x{n}*\r\nPUNSUBSCRIBE x{n}*",
        by: By::Owner,
    },
    Table {
        name: "sharded channels",
        first: "PING",
        row: "SSUBSCRIBE c{n}",
        operation: "SPUBLISH c{n} m",
        by: By::Other,
    },
    Table {
        name: "watched keys of a client",
        first: "PING",
        row: "WATCH k{n}",
        operation: "WATCH x{n}",
        by: By::Owner,
    },
    Table {
        name: "changes of watched keys",
        first: "PING",
        row: "WATCH k{n}",
        operation: "SET k{n} v",
        by: By::Other,
    },
    Table {
        name: "reads of tracked keys",
        first: "HELLO 3\r\nCLIENT TRACKING ON",
        row: "GET k{n}",
        operation: "GET x{n}",
        by: By::Owner,
    },
    Table {
        name: "changes of tracked keys",
        first: "HELLO 3\r\nCLIENT TRACKING ON",
        row: "GET k{n}",
        operation: "SET k{n} v",
        by: By::Other,
    },
    Table {
        name: "changes beside many prefixes",
        first: "HELLO 3",
        row: "CLIENT TRACKING ON BCAST PREFIX p{n}:",
        operation: "SET k{n} v",
        by: By::Other,
    },
    Table {
        name: "keys",
        first: "PING",
        row: "SET k{n} v",
        operation: "SET k{n} w\r\nGET k{n}\r\nDEL k{n}\r\nSET k{n} v\r\nRANDOMKEY\r\nSCAN 0",
        by: By::Other,
    },
    Table {
        name: "keys that expire",
        first: "PING",
        row: "SET k{n} v EX 1000",
        operation: "SET k{n} v EX 2000\r\nTTL k{n}\r\nPERSIST k{n}\r\nEXPIRE k{n} 3000",
        by: By::Other,
    },
    Table {
        name: "users",
        first: "PING",
        row: "ACL SETUSER u{n} on nopass +ping",
        operation: "ACL SETUSER u{n} on\r\nAUTH default x",
        by: By::Other,
    },
];
