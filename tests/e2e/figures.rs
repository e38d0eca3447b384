//! Figures of `INFO` and `CLIENT LIST` that Redis 7.0 lacks, or that have a value of our own.

use harness::{Client, DEADLINE, Server, Value};
use harness::{eventually, ok, request};

use super::server;

/// Returns a field of a text of `name=value` or `name:value`.
fn figure(text: &str, name: &str) -> u64 {
    let words = text.split(|letter: char| letter.is_whitespace());
    let value = |word: &str| Some(word.strip_prefix(name)?.strip_prefix(['=', ':'])?.to_owned());
    let found = words.filter_map(value).next();
    found.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

async fn info(client: &mut Client, name: &str) -> u64 {
    figure(client.command(&["INFO"]).await.text(), name)
}

/// Returns the line of CLIENT LIST about the client with this name.
async fn line(operator: &mut Client, name: &str) -> String {
    let list = operator.command(&["CLIENT", "LIST"]).await;
    let is_named = |line: &&str| line.contains(&format!(" name={name} "));
    list.text().lines().find(is_named).expect("it is connected").to_owned()
}

#[tokio::test]
async fn client_list_counts_the_traffic_and_the_commands_of_a_client() {
    let server = server(&[]).await;
    let (mut ann, mut operator) = (server.client().await, server.client().await);
    let mut total = (0, 0);
    let mut send = async |arguments: &[&str], reply: &str| {
        let bytes = request(arguments);
        ann.send_raw(&bytes).await;
        assert_eq!(ann.read_bytes(reply.len()).await, reply);
        total = (total.0 + bytes.len() as u64, total.1 + reply.len() as u64);
    };
    send(&["CLIENT", "SETNAME", "ann"], "+OK\r\n").await;
    send(&["NOSUCH"], "-ERR unknown command 'NOSUCH', with args beginning with: \r\n").await;
    send(&["MULTI"], "+OK\r\n").await;
    send(&["SET", "a", "1"], "+QUEUED\r\n").await;
    send(&["EXEC"], "*1\r\n+OK\r\n").await;
    let script = "redis.call('SET', 'a', 2) return redis.call('GET', 'a')";
    send(&["EVAL", script, "0"], "$1\r\n2\r\n").await;
    send(&["SUBSCRIBE", "news"], "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
    let message = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
    operator.publish("news", "hi").await;
    assert_eq!(ann.read_bytes(message.len()).await, message);

    // Bytes are counted when they are written, so another thread may count them a little later.
    let written = total.1 + message.len() as u64;
    eventually(async || figure(&line(&mut operator, "ann").await, "tot-net-out") == written).await;
    let line = line(&mut operator, "ann").await;
    assert_eq!(figure(&line, "tot-net-in"), total.0);
    // As in Redis 8: SETNAME, MULTI, EXEC and its SET, EVAL and its two commands, SUBSCRIBE.
    assert_eq!(figure(&line, "tot-cmds"), 8);
}

#[tokio::test]
async fn client_list_shows_the_buffers_that_a_client_has() {
    let server = server(&[]).await;
    let (mut ann, mut operator) = (server.client().await, server.client().await);
    assert_eq!(ann.command(&["CLIENT", "SETNAME", "ann"]).await, ok());
    let idle = line(&mut operator, "ann").await;
    for name in ["qbuf", "qbuf-free", "argv-mem", "multi-mem", "rbs", "obl", "oll", "omem"] {
        assert_eq!(figure(&idle, name), 0, "{name} in {idle}");
    }
    assert_eq!(ann.command(&["MULTI"]).await, ok());
    ann.command(&["SET", "k", &"v".repeat(1000)]).await;
    let queued = line(&mut operator, "ann").await;
    assert!((1000..1200).contains(&figure(&queued, "multi-mem")), "{queued}");
    let more = figure(&queued, "tot-mem") - figure(&idle, "tot-mem");
    assert_eq!(more, figure(&queued, "multi-mem"), "{queued}");

    // The client that asks has the buffer of its worker.
    let own = operator.command(&["CLIENT", "INFO"]).await;
    let (used, free) = (figure(own.text(), "qbuf"), figure(own.text(), "qbuf-free"));
    assert_eq!((used, used + free), (26, 64 * 1024), "{own:?}");
}

#[tokio::test]
async fn client_list_shows_the_unread_replies_of_a_client() {
    let server = server(&[]).await;
    let (mut hog, mut operator) = (server.client().await, server.client().await);
    assert_eq!(hog.command(&["CLIENT", "SETNAME", "hog"]).await, ok());
    operator.command(&["SET", "k", &"v".repeat(100_000)]).await;
    hog.send_raw(&b"GET k\r\n".repeat(200)).await;
    let names = ["tot-net-out", "obl", "oll", "omem", "rbp", "tot-mem"];
    // The figures of a turn are there at its end.
    eventually(async || {
        let hogs = line(&mut operator, "hog").await;
        let [sent, first, .., memory, _, _] = names.map(|name| figure(&hogs, name));
        memory + first >= 200 * (100_000 + 11) + 5 - sent
    })
    .await;
    let hogs = line(&mut operator, "hog").await;
    let [sent, first, blocks, memory, peak, total] = names.map(|name| figure(&hogs, name));
    assert_eq!(figure(&hogs, "tot-cmds"), 201, "{hogs}");
    let unread = 200 * (100_000 + 11) + 5 - sent;
    assert_eq!(peak, 16 * 1024, "{hogs}");
    // Each reply fills the rest of a block and begins one of 98,304 bytes.
    assert!(first <= 16 * 1024 && blocks > 50 && memory / blocks >= 98_304, "{hogs}");
    assert!((unread..unread + unread / 10).contains(&(memory + first)), "{hogs}");
    assert!(total > unread, "{hogs}");
    assert!(info(&mut operator, "client_recent_max_output_buffer").await >= unread);
}

#[tokio::test]
async fn the_largest_buffers_are_remembered_for_some_seconds() {
    let server = server(&[]).await;
    let (mut ann, mut operator) = (server.client().await, server.client().await);
    let names = ["client_recent_max_input_buffer", "client_recent_max_output_buffer"];
    for name in names {
        assert_eq!(info(&mut operator, name).await, 0, "{name}");
    }
    ann.send_raw(b"*2\r\n$4\r\nECHO\r\n$1000000\r\n").await;
    ann.send_raw(&[b'x'; 500_000]).await;
    eventually(async || info(&mut operator, names[0]).await >= 500_000).await;
    ann.send_raw(&[b'x'; 500_000]).await;
    ann.send_raw(b"\r\n").await;
    assert_eq!(ann.read_reply().await.text().len(), 1_000_000);
    let largest = info(&mut operator, names[0]).await;
    assert!((500_000..3_000_000).contains(&largest), "{largest}");
    harness::eventually_within(2 * DEADLINE, async || info(&mut operator, names[0]).await == 0)
        .await;
}

#[tokio::test]
async fn the_numbers_of_clients_in_a_state_follow_each_change() {
    let server = server(&[]).await;
    let mut operator = server.client().await;
    let names = ["blocked_clients", "tracking_clients", "pubsub_clients"];
    let mut expect = async |numbers: [u64; 3], after: &str| {
        let info = operator.command(&["INFO", "clients"]).await;
        assert_eq!(names.map(|name| figure(info.text(), name)), numbers, "{after}");
        operator.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        eventually(async || {
            let info = operator.command(&["INFO", "clients"]).await;
            figure(info.text(), "pubsub_clients") == 0
        })
        .await;
    };
    let (mut ann, mut bob) = (server.client().await, server.client().await);
    ann.subscribe(&["a", "b"]).await;
    bob.psubscribe(&["a*"]).await;
    expect([0, 0, 2], "two subscribers").await;

    let mut ann = server.client().await;
    ann.subscribe(&["a"]).await;
    ann.command(&["UNSUBSCRIBE"]).await;
    ann.decode_as(harness::Protocol::Resp3);
    ann.command(&["HELLO", "3"]).await;
    ann.command(&["CLIENT", "TRACKING", "ON"]).await;
    expect([0, 1, 0], "tracking").await;
    ann.command(&["CLIENT", "TRACKING", "ON", "BCAST"]).await;
    ann.subscribe(&["a"]).await;
    expect([0, 1, 1], "tracking and subscribed").await;
    expect([0, 0, 0], "killed").await;

    let mut ann = server.client().await;
    let id = ann.command(&["CLIENT", "ID"]).await.integer().to_string();
    let mut operator = server.client().await;
    for end in ["UNBLOCK", "KILL"] {
        ann.send(&["WAIT", "1", "0"]).await;
        eventually(async || info(&mut operator, "blocked_clients").await == 1).await;
        let end =
            if end == "KILL" { vec!["CLIENT", end, "ID", &id] } else { vec!["CLIENT", end, &id] };
        assert_eq!(operator.command(&end).await.integer(), 1);
        assert_eq!(info(&mut operator, "blocked_clients").await, 0, "{end:?}");
        if end[1] == "UNBLOCK" {
            assert_eq!(ann.read_reply().await.integer(), 0);
        }
    }
}

#[tokio::test]
async fn the_memory_of_clients_and_of_the_process_is_shown() {
    let server = server(&[]).await;
    let (mut hog, mut operator) = (server.client().await, server.client().await);
    hog.send_raw(b"*2\r\n$4\r\nECHO\r\n$9000000\r\n").await;
    hog.send_raw(&vec![b'x'; 8_000_000]).await;
    eventually(async || info(&mut operator, "mem_clients_normal").await >= 8_000_000).await;
    drop(hog);
    eventually(async || info(&mut operator, "mem_clients_normal").await < 100_000).await;

    let text = operator.command(&["INFO", "memory"]).await;
    let [used, resident] = ["used_memory", "used_memory_rss"].map(|name| figure(text.text(), name));
    assert_eq!(figure(text.text(), "mem_fragmentation_bytes"), resident - used);
    let expected = format!("mem_fragmentation_ratio:{:.2}\r\n", resident as f64 / used as f64);
    assert!(text.text().contains(&expected), "{text:?}");
    let is_busy = async || {
        let cpu = operator.command(&["INFO", "cpu"]).await;
        !cpu.text().contains("used_cpu_user_main_thread:0.000000")
            || !cpu.text().contains("used_cpu_sys_main_thread:0.000000")
    };
    eventually(is_busy).await;
}

#[tokio::test]
async fn turns_of_the_workers_and_their_time_are_counted() {
    let server = server(&["--io-threads", "2"]).await;
    let mut client = server.client().await;
    let before = info(&mut client, "eventloop_cycles").await;
    for _ in 0..100 {
        client.command(&["KEYS", "*"]).await;
    }
    let cycles = info(&mut client, "eventloop_cycles").await - before;
    assert!(cycles >= 100, "{cycles}");
    let commands = info(&mut client, "eventloop_duration_cmd_sum").await;
    let all = info(&mut client, "eventloop_duration_sum").await;
    assert!(commands > 0 && commands < all, "{commands} of {all} us");
    let rate = "instantaneous_eventloop_cycles_per_sec";
    eventually(async || info(&mut client, rate).await > 0).await;
    eventually(async || info(&mut client, "instantaneous_eventloop_duration_usec").await > 0).await;
    assert_eq!(client.command(&["CONFIG", "RESETSTAT"]).await, ok());
    assert!(info(&mut client, "eventloop_cycles").await < before + cycles);
}

#[tokio::test]
async fn a_save_of_the_counters_file_resets_the_number_of_changes() {
    const NAME: &str = "rdb_changes_since_last_save";
    let server = server(&["--counters-file", "counters"]).await;
    let mut client = server.client().await;
    client.command(&["INCR", "id"]).await;
    client.command(&["MSET", "a", "1", "b", "2"]).await;
    assert_eq!(info(&mut client, NAME).await, 3);
    assert_eq!(client.command(&["SAVE"]).await, ok());
    assert_eq!(info(&mut client, NAME).await, 0);
    client.command(&["INCR", "id"]).await;
    assert_eq!(info(&mut client, NAME).await, 1);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_small_maxmemory_leaves_room_for_keys() {
    let server = server(&["--maxmemory", "2mb"]).await;
    let mut client = server.client().await;
    let value = "x".repeat(100_000);
    assert_eq!(client.command(&["SET", "k", &value]).await, ok());
    let used = info(&mut client, "used_memory").await;
    assert!((100_000..2_000_000).contains(&used), "{used}");
    let mut number = 0;
    let refused = loop {
        let reply = client.command(&["SET", &format!("k{number}"), &value]).await;
        if reply.is_error() {
            break reply;
        }
        number += 1;
        assert!(number < 30, "3 MB are kept");
    };
    assert!(refused.text().starts_with("OOM "), "{refused:?}");
    let peak = info(&mut client, "used_memory_peak").await;
    assert_eq!(client.command(&["FLUSHALL"]).await, ok());
    assert!(peak > 2_000_000 && info(&mut client, "used_memory").await < used);
    assert!(info(&mut client, "used_memory_peak").await >= peak);
}

/// Returns the number of open descriptors.
#[cfg(target_os = "linux")]
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count()
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn clients_that_leave_while_a_script_is_late_give_back_descriptor_and_place() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads, "--busy-reply-threshold", "50"]).await;
        let mut operator = server.client().await;
        let mut runner = server.client().await;
        for client in [&mut operator, &mut runner] {
            assert_eq!(client.command(&["ECHO", "x"]).await, "x");
        }
        let before = descriptors(&server);
        let mut leaving = Vec::new();
        for _ in 0..20 {
            let mut client = server.client().await;
            client.subscribe(&["news"]).await;
            leaving.push(client);
        }
        assert_eq!(descriptors(&server), before + 20);
        runner.send(&["EVAL", "while true do end", "0"]).await;
        eventually(async || operator.command(&["PING"]).await.text().starts_with("BUSY")).await;
        drop(leaving);
        eventually(async || descriptors(&server) == before).await;
        assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
        assert!(runner.read_reply().await.is_error());
        let numsub = ["PUBSUB", "NUMSUB", "news"];
        let none: Value = harness::array!["news", 0];
        eventually(async || operator.command(&numsub).await == none).await;
    }
}
