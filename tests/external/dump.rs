//! `redis-cli --rdb`: a copy of all keys, which Redis' own tools check and a `redis-server` loads.

use std::process::Command;

use harness::{Client, Finished, Process, SLOW_DEADLINE, Server};

/// Runs redis-cli with an option that writes a file.
async fn write_with_redis_cli(server: &Server, option: &str, path: &str) {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string(), option, path]);
    let finished = Process::run(&mut command, SLOW_DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

async fn check(path: &str) -> String {
    let Finished { code, stdout, stderr } =
        Process::run(Command::new("redis-check-rdb").arg(path), SLOW_DEADLINE).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    stdout
}

/// Returns the values of all keys, with their deadlines as seconds since 1970 in milliseconds.
async fn content(client: &mut Client, keys: &[(&str, Vec<u8>)]) -> Vec<String> {
    let mut content = Vec::new();
    for database in ["0", "3"] {
        client.command(&["SELECT", database]).await;
        content.push(format!("{:?}", client.command(&["DBSIZE"]).await));
        for (key, _) in keys {
            let value = client.command(&["GET", key]).await;
            let deadline = client.command(&["PEXPIRETIME", key]).await;
            content.push(format!("{value:?} {deadline:?}"));
        }
    }
    content
}

#[tokio::test]
async fn redis_cli_copies_all_keys_and_redis_server_loads_them() {
    let ours = Server::ours(&[]).await;
    let mut keys: Vec<(&str, Vec<u8>)> = vec![
        ("ChatApp", b"9223372036854775807".to_vec()),
        ("negative", b"-12".to_vec()),
        ("no number", b"007".to_vec()),
        ("binary", (0..=255).collect()),
        ("", b"no name".to_vec()),
    ];
    let lengths = [0, 1, 63, 64, 16_383, 16_384, 100_000];
    let names = lengths.map(|length| format!("length {length}"));
    keys.extend(names.iter().zip(lengths).map(|(name, length)| (&**name, vec![b'x'; length])));
    let mut client = ours.client().await;
    for database in ["0", "3"] {
        client.command(&["SELECT", database]).await;
        for (key, value) in &keys {
            let set = [b"SET", key.as_bytes(), value];
            client.command(&set).await;
        }
    }
    client.command(&["PEXPIREAT", "ChatApp", "99999999999999"]).await;
    let expected = content(&mut client, &keys).await;

    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("dump.rdb").to_str().expect("a plain path").to_owned();
    write_with_redis_cli(&ours, "--rdb", &path).await;
    let report = check(&path).await;
    for line in ["RDB looks OK!", "24 keys read", "1 expires"] {
        assert!(report.contains(line), "{report}");
    }
    let dir = dir.path().to_str().expect("a plain path");
    let redis = Server::redis(&["--dir", dir]).await;
    assert_eq!(content(&mut redis.client().await, &keys).await, expected);

    let functions = format!("{path}.functions");
    write_with_redis_cli(&ours, "--functions-rdb", &functions).await;
    assert!(check(&functions).await.contains("0 keys read"));
}
