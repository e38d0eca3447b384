//! The durations of commands in `LATENCY HISTOGRAM` and `INFO`, and the names in `COMMAND LIST`.

use harness::{Client, Value, ok};

use super::server;

#[tokio::test]
async fn each_call_is_in_the_histogram_of_its_command() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["CONFIG", "RESETSTAT"]).await, ok());
    for number in 0..300 {
        client.command(&["SET", "key", &number.to_string()]).await;
    }
    client.command(&["GET", "key"]).await;
    client.command(&["CLIENT", "ID"]).await;
    client.command(&["CLIENT", "GETNAME"]).await;

    assert_eq!(calls(&mut client, &["set"]).await, [("set".to_owned(), 300)]);
    assert_eq!(calls(&mut client, &["GET", "nosuch"]).await, [("get".to_owned(), 1)]);
    let mut subcommands = calls(&mut client, &["client"]).await;
    subcommands.sort();
    let expected = [("client|getname".to_owned(), 1), ("client|id".to_owned(), 1)];
    assert_eq!(subcommands, expected);
    assert_eq!(calls(&mut client, &["client|id"]).await, [("client|id".to_owned(), 1)]);
    assert_eq!(calls(&mut client, &["ping"]).await, []);

    let info = client.command(&["INFO", "latencystats"]).await;
    let line =
        info.text().lines().find_map(|line| line.strip_prefix("latency_percentiles_usec_set:"));
    let line = line.expect("SET has percentiles");
    assert!(
        line.starts_with("p50=") && line.contains(",p99=") && line.contains(",p99.9="),
        "{line}"
    );
}

#[tokio::test]
async fn subcommands_are_listed_as_commands_are() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let names = client.command(&["COMMAND", "LIST"]).await;
    for name in ["get", "client", "client|list", "config|set"] {
        assert!(names.items().contains(&name.into()), "{name}");
    }
}

/// Returns the commands in the reply to `LATENCY HISTOGRAM` with their numbers of calls.
async fn calls(client: &mut Client, commands: &[&str]) -> Vec<(String, i64)> {
    let reply = client.command(&[&["LATENCY", "HISTOGRAM"], commands].concat()).await;
    let described = |pair: &[Value]| {
        let Value::Array(fields) = &pair[1] else { panic!("{pair:?}") };
        assert_eq!(fields[0], "calls".into());
        assert_eq!(fields[2], "histogram_usec".into());
        (pair[0].text().to_owned(), fields[1].integer())
    };
    reply.items().chunks_exact(2).map(described).collect()
}
