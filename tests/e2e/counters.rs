//! `counters-file`: after any end of the process, counters continue at or above their last values.

use std::path::PathBuf;
use std::process::Command;

use harness::{Client, Process, Server, Value};
use harness::{DEADLINE, broker_bin, eventually, free_port, null, ok, request, simple, within};

use super::server;

const FILE: &[&str] = &["--counters-file", "counters"];

fn file(server: &Server) -> PathBuf {
    server.dir().join("counters")
}

async fn count(client: &mut Client, times: usize) -> i64 {
    let replies = client.pipeline("INCR id\r\n".repeat(times).as_bytes(), times).await;
    replies.last().expect("it counts").integer()
}

#[tokio::test]
async fn after_a_kill_counters_go_on_above_every_number_given_out() {
    let mut server = server(FILE).await;
    let mut highest = 0;
    for round in 1..6 {
        let mut client = server.client().await;
        let first = count(&mut client, 1).await;
        assert!(first > highest, "round {round}: {first} after {highest}");
        highest = count(&mut client, 1_000 * round).await;
        server.restart().await;
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_counting_gives_no_number_twice() {
    let mut server = server(FILE).await;
    let mut client = server.client().await;
    // Beyond the reserved numbers, so the file is written while the client counts.
    client.command(&["INCRBY", "id", "499000"]).await;
    client.send_raw("INCR id\r\n".repeat(20_000).as_bytes()).await;
    let mut highest = 0;
    for _ in 0..5_000 {
        highest = client.read_reply().await.integer();
    }
    server.kill();
    // The end of a killed server may cut a reply.
    let rest = client.read_to_close().await;
    let whole = rest.rsplitn(2, |&byte| byte == b'\n').nth(1).unwrap_or_default();
    if let Some(last) = whole.rsplit(|&byte| byte == b':').next().filter(|last| !last.is_empty()) {
        highest = std::str::from_utf8(last).expect("digits").trim().parse().expect("a number");
    }
    server.restart().await;
    let next = count(&mut server.client().await, 1).await;
    assert!(next > highest, "{next} after {highest}");
}

/// A script of an operator starts the next server when the last one has closed its clients, which is before
/// it has written the file and ended.
#[tokio::test]
async fn the_next_server_waits_for_the_file_of_the_last_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("counters");
    let flags = ["--counters-file", path.to_str().expect("a path")];
    let mut server = server(&flags).await;
    for expected in 1..=10 {
        let mut client = server.client().await;
        assert_eq!(count(&mut client, 1).await, expected);
        client.send(&["SHUTDOWN"]).await;
        client.expect_closed().await;
        server = super::server(&flags).await;
    }
}

/// A subscriber on another thread may receive a number before the publisher gets its reply.
#[tokio::test]
async fn after_a_kill_no_number_that_was_delivered_is_given_out_again() {
    const SEND: &str = "local newId = redis.call('INCR', KEYS[1]) \
                        redis.call('PUBLISH', KEYS[1], newId) return newId";
    const SET: &str = "redis.call('SET', KEYS[1], 41) redis.call('PUBLISH', KEYS[1], 41)";

    let mut server = server(&[FILE, &["--io-threads", "3"]].concat()).await;
    for round in 0..4 {
        let mut subscriber = server.client().await;
        subscriber.psubscribe(&["*"]).await;
        for (number, script) in [SEND, SET].into_iter().cycle().take(6).enumerate() {
            let mut publisher = server.client().await;
            let calls = (0..3_000).flat_map(|index| {
                let key = format!("{round}:{number}:{index}");
                request(&["EVAL", script, "1", &key])
            });
            let calls: Vec<u8> = calls.collect();
            tokio::spawn(async move {
                publisher.send_raw(&calls).await;
                // Closed earlier, it would take unread requests along.
                while publisher.next_reply().await.is_some() {}
            });
        }
        let mut delivered = Vec::new();
        while let Some(message) = subscriber.next_reply().await {
            let [_, _, key, number] = message.items() else { panic!("no message: {message:?}") };
            delivered
                .push((key.text().to_owned(), number.text().parse::<i64>().expect("a number")));
            if delivered.len() == 1_000 {
                server.kill();
            }
        }
        server.restart().await;
        let mut client = server.client().await;
        for (key, number) in delivered {
            let next = client.command(&["INCR", &key]).await.integer();
            assert!(next > number, "{key}: {next} after {number}");
        }
    }
}

#[tokio::test]
async fn after_a_clean_end_every_counter_has_its_old_value() {
    let mut server = server(FILE).await;
    let mut client = server.client().await;
    count(&mut client, 42).await;
    for request in [
        "SET set 7",
        "SET text hello",
        "SET expires 5 EX 1000",
        "SET gone 5",
        "DEL gone",
        "SET down 10",
        "DECR down",
        "SET renamed 3",
        "RENAME renamed new",
        "SELECT 9",
        "INCRBY id -5",
        "SWAPDB 9 8",
    ] {
        let words: Vec<&str> = request.split(' ').collect();
        assert!(!client.command(&words).await.is_error(), "{request}");
    }
    assert_eq!(server.stop(DEADLINE).await, 0);
    server.restart().await;
    let mut client = server.client().await;
    for (key, number) in [("id", "42"), ("set", "7"), ("down", "9"), ("new", "3")] {
        assert_eq!(client.command(&["GET", key]).await, number, "{key}");
    }
    for key in ["text", "expires", "gone", "renamed"] {
        assert_eq!(client.command(&["GET", key]).await, null(), "{key}");
    }
    assert_eq!(client.command(&["SELECT", "8"]).await, ok());
    assert_eq!(client.command(&["GET", "id"]).await, "-5");
}

#[tokio::test]
async fn after_a_kill_values_that_were_set_are_exact_and_deleted_keys_stay_deleted() {
    let mut server = server(FILE).await;
    let mut client = server.client().await;
    count(&mut client, 10).await;
    for request in
        ["SET id 500", "SET flag 1", "INCR other", "DEL other", "INCR text", "SET text x"]
    {
        let words: Vec<&str> = request.split(' ').collect();
        client.command(&words).await;
    }
    server.restart().await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["GET", "id"]).await, "500");
    assert_eq!(client.command(&["GET", "flag"]).await, "1");
    assert_eq!(client.command(&["EXISTS", "other", "text"]).await, 0);
    client.command(&["FLUSHALL"]).await;
    server.restart().await;
    assert_eq!(server.client().await.command(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn after_a_kill_keys_with_an_expiry_are_gone_whatever_command_set_it() {
    let mut server = server(FILE).await;
    let mut client = server.client().await;
    for words in [
        &["SET", "ex", "1", "EX", "1000"][..],
        &["SET", "nx", "1", "NX", "EX", "1000"],
        &["SET", "px", "1", "PX", "1000000"],
        &["SET", "exat", "1", "EXAT", "99999999999"],
        &["SET", "pxat", "1", "PXAT", "99999999999999"],
        &["SETEX", "setex", "1000", "1"],
        &["PSETEX", "psetex", "1000000", "1"],
        &["SET", "source", "1", "EX", "1000"],
        &["COPY", "source", "copy"],
        &["EVAL", "return redis.call('set', KEYS[1], 1, 'EX', 1000)", "1", "script"],
        &["SET", "number", "1"],
        &["SET", "number", "1", "EX", "1000"],
        &["INCR", "counted"],
        &["SET", "counted", "1", "GET", "EX", "1000"],
        &["SET", "kept", "1", "EX", "1000"],
        &["SET", "kept", "2", "KEEPTTL"],
        &["SET", "later", "1"],
        &["EXPIRE", "later", "1000"],
        &["SET", "back", "1", "EX", "1000"],
        &["PERSIST", "back"],
        &["SET", "stays", "1", "EX", "1000"],
        &["SET", "stays", "1"],
    ] {
        assert!(!client.command(words).await.is_error(), "{words:?}");
    }
    server.restart().await;
    let reply = server.client().await.command(&["KEYS", "*"]).await;
    let mut keys: Vec<&str> = reply.items().iter().map(Value::text).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["back", "stays"]);
}

#[tokio::test]
async fn a_file_cut_off_by_a_crash_loads_its_whole_records() {
    let mut server = server(FILE).await;
    let mut client = server.client().await;
    client.command(&["SET", "first", "1"]).await;
    client.command(&["SET", "second", "2"]).await;
    server.kill();
    let whole = std::fs::read(file(&server)).expect("the file is there");
    std::fs::write(file(&server), &whole[..whole.len() - 3]).expect("it can be written");
    server.restart().await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["GET", "first"]).await, "1");
    assert_eq!(client.command(&["GET", "second"]).await, null());
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_unchanged() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("counters");
    std::fs::write(&path, "damaged\n").expect("it can be written");
    let arguments =
        ["--port".to_owned(), "any".to_owned(), "--counters-file".to_owned(), path_text(&path)];
    let finished = Process::run(Command::new(broker_bin()).args(&arguments), DEADLINE).await;
    assert_eq!(finished.code, Some(1));
    let error = "expected a counters file of version 1, found something else";
    assert!(finished.stderr.contains(error), "{finished:?}");
    assert!(!finished.stdout.contains("Failed listening"), "{finished:?}");
    assert!(!finished.stderr.contains("Failed listening"), "{finished:?}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"damaged\n");
}

#[tokio::test]
async fn on_a_full_disk_no_number_is_given_out_that_the_file_does_not_have() {
    for threads in ["1", "4"] {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let (port, path) = (free_port(), path_text(&dir.path().join("counters")));
        let arguments = ["--port", &port.to_string(), "--counters-file", &path];
        // A limit on the size of files stands in for the disk: 20 blocks of 512 or 1024 bytes.
        let mut limited = Command::new("sh");
        limited.arg("-c").arg("trap '' XFSZ; ulimit -f 20; exec \"$@\"").arg("sh");
        limited.arg(broker_bin()).args(arguments).args(["--io-threads", threads]);
        let mut process = Process::start(&mut limited);
        within(DEADLINE, process.stdout_with(DEADLINE, |out| out.find("Ready to accept"))).await;

        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(Client::connect(port).await);
        }
        // Beyond the reserved numbers, so each is written.
        let step = request(&["INCRBY", "id", "10000000"]).repeat(500);
        let (mut highest, mut refused) = (0, 0);
        for client in &mut clients {
            client.send_raw(&step).await;
        }
        for client in &mut clients {
            for _ in 0..500 {
                let reply = client.read_reply().await;
                match reply.is_error() {
                    true => {
                        assert!(reply.text().starts_with("MISCONF "), "{reply:?}");
                        refused += 1;
                    }
                    false => highest = reply.integer().max(highest),
                }
            }
        }
        assert!(highest > 0 && refused > 0, "{highest}, {refused} refused");
        let client = &mut clients[0];
        for words in [&["SET", "x", "1"][..], &["EVAL", "return redis.call('incr', 'x')", "0"]] {
            let reply = client.command(words).await;
            assert!(reply.is_error() && reply.text().contains("MISCONF"), "{words:?}: {reply:?}");
        }
        assert_eq!(client.publish("news", "still here").await, 0);
        process.kill();

        let server = Server::ours(&["--counters-file", &path]).await;
        let kept = server.client().await.command(&["INCR", "id"]).await.integer();
        assert!(kept > highest, "{threads} threads: {kept} after {highest}");
    }
}

#[tokio::test]
async fn save_and_bgsave_write_the_file() {
    let server = server(FILE).await;
    let mut client = server.client().await;
    client.command(&["SET", "id", "41"]).await;
    assert_eq!(client.command(&["SAVE"]).await, ok());
    assert!(std::fs::read_to_string(file(&server)).expect("a file").contains("\"id\" 41\n"));
    let saved = client.command(&["LASTSAVE"]).await.integer();
    assert_eq!(client.command(&["BGSAVE"]).await, simple("Background saving started"));
    assert!(client.command(&["LASTSAVE"]).await.integer() >= saved);
}

fn path_text(path: &std::path::Path) -> String {
    path.to_str().expect("temporary directories have plain names").to_owned()
}

/// Somebody removes the file, or its folder.
#[tokio::test]
#[cfg(unix)]
async fn a_file_that_is_removed_is_written_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("data");
    let path = folder.join("counters");
    std::fs::create_dir(&folder).expect("a folder");
    let mut server = server(&["--counters-file", &path.display().to_string()]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["SET", "a", "5"]).await, ok());
    std::fs::rename(&path, folder.join("old")).expect("it is there");
    assert_eq!(client.command(&["INCR", "a"]).await.integer(), 6);
    eventually(async || path.exists()).await;
    assert_eq!(client.command(&["SAVE"]).await, ok());
    std::fs::remove_dir_all(&folder).expect("it is there");
    for command in [&["SAVE"][..], &["SHUTDOWN"], &["SHUTDOWN", "SAVE"]] {
        assert!(client.command(command).await.is_error(), "{command:?}");
    }
    std::fs::create_dir(&folder).expect("a folder");
    eventually(async || path.exists()).await;
    server.restart().await;
    let kept = server.client().await.command(&["GET", "a"]).await;
    assert!(kept.text().parse::<i64>().expect("a number") >= 6, "{kept:?}");
}

/// Another server takes the place of a removed file before this one notices: one of them must give up.
#[tokio::test]
#[cfg(unix)]
async fn two_servers_never_share_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("counters");
    let file = ["--counters-file", &path.display().to_string()];
    let first = server(&file).await;
    let mut client = first.client().await;
    first.pause();
    std::fs::remove_file(&path).expect("it is there");
    let other = server(&file).await;
    first.resume();
    let mut there = other.client().await;
    eventually(async || client.command(&["SET", "one", "1"]).await.is_error()).await;
    assert_eq!(there.command(&["SET", "two", "2"]).await, ok());
    assert_eq!(there.command(&["SAVE"]).await, ok());
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(text.contains("\"two\""), "{text}");
    drop(first);
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
}
