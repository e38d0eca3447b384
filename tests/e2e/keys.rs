//! Keys: expiry, notifications, and atomic commands.

use std::collections::BTreeSet;

use harness::{Client, DEADLINE, SLOW_DEADLINE};
use harness::{array, error, eventually, null, ok, within};

use super::server;

#[tokio::test]
async fn keys_expire_after_a_pause_of_writes_not_during_it() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads]).await;
        let mut client = server.client().await;
        let mut other = server.client().await;
        client.command(&["SET", "k", "v", "PX", "2000"]).await;
        assert_eq!(other.command(&["CLIENT", "PAUSE", "100000", "WRITE"]).await, ok());
        eventually(async || client.command(&["GET", "k"]).await == null()).await;
        assert_eq!(client.command(&["EXISTS", "k"]).await, 0);
        assert_eq!(client.command(&["DBSIZE"]).await, 1);
        assert_eq!(other.command(&["CLIENT", "UNPAUSE"]).await, ok());
        eventually(async || client.command(&["DBSIZE"]).await == 0).await;
    }
}

#[tokio::test]
async fn info_counts_the_changes_of_keys() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let mut last = 0;
    for (request, changes) in [
        ("SET a 1", 1),
        ("INCR a", 1),
        ("DECRBY a 3", 1),
        ("DEL a", 1),
        ("DEL a", 0),
        ("MSET a 1 b 2 c 3", 3),
        ("DEL a b c", 3),
        ("SET a 1 EX 100", 1),
        ("EXPIRE a 50", 1),
        ("PERSIST a", 1),
        ("PERSIST a", 0),
        ("GETDEL a", 1),
        ("SET a x", 1),
        ("RENAME a b", 1),
        ("COPY b c", 1),
        ("APPEND c x", 1),
        ("SETRANGE c 0 y", 1),
        ("GETSET c 1", 1),
        ("SETNX c 2", 0),
        ("MSETNX d 1 e 2", 2),
        ("SWAPDB 0 1", 1),
        ("SWAPDB 1 0", 1),
        ("GETEX c EX 10", 1),
        ("GETEX c", 0),
        ("MOVE c 3", 1),
        ("INCRBYFLOAT f 1.5", 1),
        ("FLUSHDB", 4),
        ("FLUSHALL", 1),
        ("FLUSHALL", 0),
        ("SET a 1 PXAT 1", 1),
    ] {
        let words: Vec<&str> = request.split(' ').collect();
        client.command(&words).await;
        let info = client.command(&["INFO", "persistence"]).await;
        let field = "rdb_changes_since_last_save:";
        let line = info.text().lines().find_map(|line| line.strip_prefix(field));
        let count: i64 = line.expect("a field").parse().expect("a number");
        assert_eq!(count - last, changes, "{request}");
        last = count;
    }
    client.command(&["SET", "b", "1", "PX", "1"]).await;
    eventually(async || client.command(&["DBSIZE"]).await == 0).await;
    let info = client.command(&["INFO", "persistence"]).await;
    let expected = format!("rdb_changes_since_last_save:{}\r\n", last + 1);
    assert!(info.text().contains(&expected), "an expired key does not count: {info:?}");
}

#[tokio::test]
async fn an_unused_key_expires_and_subscribers_receive_the_event() {
    let server = server(&["--notify-keyspace-events", "Ex"]).await;
    let mut subscriber = server.client().await;
    subscriber.subscribe(&["__keyevent@0__:expired"]).await;
    let mut client = server.client().await;
    for key in ["a", "b", "c"] {
        assert_eq!(client.command(&["SET", key, "v", "PX", "30"]).await, ok());
        assert_eq!(client.command(&["SET", "stays", "v"]).await, ok());
    }
    let mut expired = Vec::new();
    for _ in 0..3 {
        let message = within(DEADLINE, subscriber.read_reply()).await;
        expired.push(message.items()[2].text().to_owned());
    }
    expired.sort();
    assert_eq!(expired, ["a", "b", "c"]);
    assert_eq!(client.command(&["KEYS", "*"]).await, array!["stays"]);
}

#[tokio::test]
async fn thousands_of_keys_that_expire_at_once_are_removed_in_a_short_time() {
    const KEYS: usize = 20_000;

    let server = server(&[]).await;
    let mut client = server.client().await;
    let requests: String = (0..KEYS).map(|key| format!("SET key:{key} v PX 100\r\n")).collect();
    client.pipeline(requests.as_bytes(), KEYS).await;
    eventually(async || client.command(&["DBSIZE"]).await == 0).await;
    let info = client.command(&["INFO", "stats"]).await;
    assert!(info.text().contains(&format!("\nexpired_keys:{KEYS}\r")), "{}", info.text());
}

#[tokio::test]
async fn a_scan_returns_every_key_that_stays_while_others_are_added_and_deleted() {
    const KEYS: usize = 2_000;

    let server = server(&[]).await;
    let mut client = server.client().await;
    let stay: String = (0..KEYS).map(|key| format!("SET stay:{key} v\r\n")).collect();
    client.pipeline(stay.as_bytes(), KEYS).await;
    for (change, name) in [("SET k v", "more keys"), ("DEL k", "fewer keys")] {
        let found = within(SLOW_DEADLINE, scan_during_changes(&mut client, change)).await;

        let all_found = (0..KEYS).all(|key| found.contains(&format!("stay:{key}")));
        assert!(all_found, "{name}: {} found", found.len());
    }
}

/// Scans all keys, and changes 300 others after each step. `change` is a request about a key `k`.
async fn scan_during_changes(client: &mut Client, change: &str) -> BTreeSet<String> {
    const CHANGES: usize = 300;

    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    for round in 0.. {
        let reply = client.command(&["SCAN", &cursor, "COUNT", "50"]).await;
        found.extend(reply.items()[1].items().iter().map(|key| key.text().to_owned()));
        cursor = reply.items()[0].text().to_owned();
        if cursor == "0" {
            break;
        }
        let others = round * CHANGES..(round + 1) * CHANGES;
        let requests: String =
            others.map(|key| change.replace(" k", &format!(" other:{key}")) + "\r\n").collect();
        client.pipeline(requests.as_bytes(), CHANGES).await;
    }
    found
}

#[tokio::test]
async fn concurrent_increments_are_all_counted() {
    const CLIENTS: usize = 8;
    const COUNTS: usize = 500;

    let server = server(&["--io-threads", "4"]).await;
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = server.client().await;
        tasks.push(tokio::spawn(async move {
            let replies = client.pipeline("INCR id\r\n".repeat(COUNTS).as_bytes(), COUNTS).await;
            replies.iter().map(harness::Reply::integer).collect::<Vec<_>>()
        }));
    }
    let mut ids = Vec::new();
    for task in tasks {
        let own = task.await.expect("the client counts");
        assert!(own.is_sorted(), "the numbers of one client go up");
        ids.extend(own);
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=(CLIENTS * COUNTS) as i64));
}

#[tokio::test]
async fn of_two_transactions_that_watch_one_key_one_fails() {
    const ROUNDS: i64 = 200;

    let server = server(&["--io-threads", "4"]).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let client = server.client().await;
        tasks.push(tokio::spawn(increment_by_watching(client, ROUNDS)));
    }
    for task in tasks {
        within(SLOW_DEADLINE, task).await.expect("the client counts");
    }
    let mut client = server.client().await;
    assert_eq!(client.command(&["GET", "sum"]).await, (4 * ROUNDS).to_string().as_str());
}

/// Increments with GET and SET. EXEC fails if another client has written meanwhile.
async fn increment_by_watching(mut client: Client, rounds: i64) {
    let mut done = 0;
    while done < rounds {
        assert_eq!(client.command(&["WATCH", "sum"]).await, ok());
        let old = client.command(&["GET", "sum"]).await;
        let old: i64 =
            if *old.value() == null() { 0 } else { old.text().parse().expect("a number") };
        assert_eq!(client.command(&["MULTI"]).await, ok());
        client.command(&["SET", "sum", &(old + 1).to_string()]).await;
        let result = client.command(&["EXEC"]).await;
        done += i64::from(result == array![ok()]);
    }
}

#[tokio::test]
async fn a_tracking_client_gets_the_invalidation_on_every_thread() {
    let server = server(&["--io-threads", "4"]).await;
    let mut writer = server.client().await;
    for _ in 0..8 {
        let mut reader = server.client().await;
        let mut redirected = server.client().await;
        let id = redirected.command(&["CLIENT", "ID"]).await.integer().to_string();
        redirected.subscribe(&["__redis__:invalidate"]).await;
        let tracking = reader.command(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id]).await;
        assert_eq!(tracking, ok());
        reader.command(&["GET", "copied"]).await;
        writer.command(&["SET", "copied", "v"]).await;
        let message = within(DEADLINE, redirected.read_reply()).await;
        assert_eq!(message, array!["message", "__redis__:invalidate", array!["copied"]]);
    }
}

#[tokio::test]
async fn keys_stop_growing_at_maxmemory_and_go_on_when_there_is_room() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let info = client.command(&["INFO", "memory"]).await;
    let used = info.text().lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: usize = used.and_then(|used| used.parse().ok()).expect("INFO has used_memory");
    let limit = (used + 8 * 1024 * 1024).to_string();
    assert_eq!(client.command(&["CONFIG", "SET", "maxmemory", &limit]).await, ok());
    let value = "x".repeat(64 * 1024);
    let mut stored = 0;
    let refusal = within(SLOW_DEADLINE, async {
        loop {
            let reply = client.command(&["SET", &format!("key:{stored}"), &value]).await;
            if reply != ok() {
                break reply;
            }
            stored += 1;
            assert!(stored < 1_000, "no SET is refused");
        }
    })
    .await;
    assert_eq!(refusal, error("OOM command not allowed when used memory > 'maxmemory'."));
    assert!(stored > 10, "only {stored} values of 64 KB in 8 MB");
    assert_eq!(client.command(&["FLUSHALL"]).await, ok());
    assert_eq!(client.command(&["SET", "key", "v"]).await, ok());
}
