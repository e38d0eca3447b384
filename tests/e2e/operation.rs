//! Actions of operators on a running server and on its process.

use std::process::Command;

use harness::{Client, DEADLINE, Process};
use harness::{array, broker_bin, eventually, free_port, ok, request, simple, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::server;

#[tokio::test]
async fn a_unix_socket_serves_clients_and_is_removed_with_the_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("broker.sock");
    let shown = path.display().to_string();
    let mut server = server(&["--unixsocket", &shown, "--unixsocketperm", "700"]).await;
    let mut socket = within(DEADLINE, UnixStream::connect(&path)).await.expect("it listens");
    socket.write_all(b"PING\r\n").await.expect("it reads");
    let mut reply = [0; 7];
    within(DEADLINE, socket.read_exact(&mut reply)).await.expect("it answers");
    assert_eq!(&reply, b"+PONG\r\n");
    assert_eq!(server.stop(DEADLINE).await, 0);
    assert!(!path.exists(), "the socket file is left");
}

#[tokio::test]
async fn shutdown_ends_the_process() {
    let mut server = server(&[]).await;
    let mut client = server.client().await;
    client.send(&["SHUTDOWN", "NOSAVE"]).await;
    client.expect_closed().await;
    assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn the_file_of_config_rewrite_starts_a_server_with_the_same_settings() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("broker.conf");
    std::fs::write(&path, "# mine\ntimeout 5\nappendonly no\n").expect("a file");
    let file = path.display().to_string();
    let mut first = server(&[&file]).await;
    let mut client = first.client().await;
    let set = ["CONFIG", "SET", "timeout", "7", "requirepass", "a b", "maxclients", "50"];
    assert_eq!(client.command(&set).await, ok());
    assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
    first.stop(DEADLINE).await;

    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(text.starts_with("# mine\ntimeout 7\nappendonly no\n"), "{text}");
    let second = server(&[&file]).await;
    let mut client = second.stranger().await;
    assert_eq!(client.command(&["AUTH", "a b"]).await, ok());
    let get = ["CONFIG", "GET", "maxclients"];
    assert_eq!(client.command(&get).await, array!["maxclients", "50"]);
}

#[tokio::test]
async fn config_rewrite_keeps_users_and_comments_byte_by_byte() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("broker.conf");
    std::fs::write(&path, b"# caf\xe9\n").expect("a file");
    let file = path.display().to_string();
    let first = server(&[&file]).await;
    let mut client = first.client().await;
    let users: [&[&[u8]]; 5] = [
        &[b"u\xff", b"~k\xff", b"&c\xff"],
        &[b"q\"uote", b"on"],
        &[b"it's", b"~a\"b"],
        &[b"", b"on"],
        &[b"ann", b"skip-sanitize-payload", b"+@all", b"+client|id", b"-get"],
    ];
    for user in users {
        let words = [&[&b"ACL"[..], b"SETUSER"], user].concat();
        assert_eq!(client.command(&words).await, ok());
    }
    assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
    let before = client.command(&["ACL", "LIST"]).await;
    drop(first);

    assert!(std::fs::read(&path).expect("the file").starts_with(b"# caf\xe9\n"));
    let second = server(&[&file]).await;
    assert_eq!(second.client().await.command(&["ACL", "LIST"]).await, before);
}

#[tokio::test]
async fn config_rewrite_refuses_a_file_that_includes_users() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (path, included) = (dir.path().join("broker.conf"), dir.path().join("users.conf"));
    std::fs::write(&included, "user ann on nopass +@all\n").expect("a file");
    let text = format!("include {}\n", included.display());
    std::fs::write(&path, &text).expect("a file");
    let server = server(&[&path.display().to_string()]).await;
    let reply = server.client().await.command(&["CONFIG", "REWRITE"]).await;
    assert!(reply.is_error() && reply.text().contains("includes other files"), "{reply:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
}

#[tokio::test]
async fn config_rewrite_keeps_included_files_and_overrides_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (path, included) = (dir.path().join("broker.conf"), dir.path().join("more.conf"));
    let more = "maxclients 500\ntimeout 60\nhz 20\nreplicaof 127.0.0.1 1\n";
    std::fs::write(&included, more).expect("a file");
    let text = format!("tcp-keepalive 100\ninclude {}\nmaxmemory 1gb\n", included.display());
    std::fs::write(&path, &text).expect("a file");
    let file = path.display().to_string();
    let first = server(&[&file]).await;
    let mut client = first.client().await;
    let settings = ["timeout", "90", "tcp-keepalive", "200", "slowlog-max-len", "7"];
    let words = [&["CONFIG", "SET"][..], &settings].concat();
    assert_eq!(client.command(&words).await, ok());
    assert_eq!(client.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
    for _ in 0..2 {
        assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
    }
    drop(first);

    assert_eq!(std::fs::read_to_string(&included).expect("the file"), more);
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(!text.contains("maxclients") && !text.contains("hz"), "{text}");
    let second = server(&[&file]).await;
    let mut client = second.client().await;
    for (name, value) in [("timeout", "90"), ("tcp-keepalive", "200"), ("slowlog-max-len", "7")] {
        let found = client.command(&["CONFIG", "GET", name]).await;
        assert_eq!(found, array![name, value]);
    }
    let found = client.command(&["CONFIG", "GET", "maxclients"]).await;
    assert_eq!(found, array!["maxclients", "500"]);
    assert!(client.command(&["INFO", "replication"]).await.text().contains("role:master"));
}

/// The last line of a setting counts, and those of an included file come after the rewritten ones.
#[tokio::test]
async fn config_rewrite_overrides_passwords_and_lists_of_included_files() {
    for password in ["z", ""] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (path, included) = (dir.path().join("broker.conf"), dir.path().join("more.conf"));
        let more = "requirepass y\npubsub-slow-policy a* conflate\n";
        std::fs::write(&included, more).expect("a file");
        let own = "requirepass x\npubsub-slow-policy b* conflate\n";
        let text = format!("{own}include {}\n", included.display());
        std::fs::write(&path, &text).expect("a file");
        let file = path.display().to_string();
        let first = server(&[&file]).await;
        let mut client = first.client().await;
        assert_eq!(client.command(&["AUTH", "y"]).await, ok());
        let policies = client.command(&["CONFIG", "GET", "pubsub-slow-policy"]).await;
        assert_eq!(client.command(&["CONFIG", "SET", "requirepass", password]).await, ok());
        for _ in 0..2 {
            assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
        }
        drop(first);

        let second = server(&[&file]).await;
        let mut client = second.client().await;
        if !password.is_empty() {
            assert!(client.command(&["AUTH", "y"]).await.is_error());
            assert_eq!(client.command(&["AUTH", password]).await, ok());
        }
        let found = client.command(&["CONFIG", "GET", "pubsub-slow-policy"]).await;
        assert_eq!(found, policies);
    }
}

/// Those who log in get the places of those who do not, however many come at once.
#[tokio::test]
async fn a_burst_of_clients_takes_the_places_of_strangers() {
    let server = server(&["--maxclients", "100", "--requirepass", "secret"]).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(server.stranger().await);
    }
    let burst = (0..60).map(|_| async {
        let mut client = server.stranger().await;
        let reply = client.command(&["AUTH", "secret"]).await;
        (client, reply)
    });
    let clients = futures_util::future::join_all(burst).await;
    assert!(clients.iter().all(|(_, reply)| *reply == ok()));
}

#[tokio::test]
#[cfg(unix)]
async fn without_descriptors_clients_are_refused_and_not_left_waiting() {
    let port = free_port();
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("ulimit -n 60; exec \"$@\"").arg("sh").arg(broker_bin());
    let process = Process::start(limited.args(["--port", &port.to_string()]));
    process.stdout_with(DEADLINE, |out| out.find("Ready to accept")).await;
    let mut operator = Client::connect(port).await;
    let reply = operator.command(&["CONFIG", "SET", "maxclients", "1000"]).await;
    let expected = "not able to handle the specified number of clients, try with 28";
    assert!(reply.is_error() && reply.text().contains(expected), "{reply:?}");

    // More than the limit allows, since the process needs fewer than it reserves.
    assert_eq!(operator.command(&["CONFIG", "SET", "maxclients", "28"]).await, ok());
    let mut clients = Vec::new();
    for _ in 0..80 {
        clients.push(Client::connect(port).await);
    }
    let mut refused = 0;
    for client in &mut clients {
        client.send(&["PING"]).await;
        let reply = client.read_bytes(6).await;
        assert!(reply == "+PONG\r" || reply == "-ERR m", "{reply:?}");
        refused += usize::from(reply == "-ERR m");
    }
    assert!(refused >= 80 - 27, "{refused}");
    drop(clients);
    eventually(async || {
        let mut client = Client::connect(port).await;
        client.send(&["PING"]).await;
        client.next_reply().await.is_some_and(|reply| reply == simple("PONG"))
    })
    .await;
}

#[tokio::test]
async fn a_daemon_writes_its_pidfile_and_removes_it_at_its_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [pid, socket, log] =
        ["pid", "socket", "log"].map(|name| dir.path().join(name).display().to_string());
    let arguments =
        ["--port", "0", "--unixsocket", &socket, "--daemonize", "yes", "--pidfile", &pid];
    let mut command = Command::new(broker_bin());
    let started = Process::start(command.args(arguments).args(["--logfile", &log]));
    assert_eq!(started.finish(DEADLINE).await.code, Some(0));

    let mut client = None;
    eventually(async || {
        client = UnixStream::connect(&socket).await.ok();
        client.is_some()
    })
    .await;
    let mut client = client.expect("it listens");
    // It is written after the bind.
    let is_written =
        || std::fs::read_to_string(&pid).is_ok_and(|text| text.trim().parse::<u32>().is_ok());
    eventually(async || is_written()).await;
    client.write_all(b"SHUTDOWN\r\n").await.expect("it reads");
    let pid = std::path::Path::new(&pid);
    eventually(async || !pid.exists()).await;
}

/// Redis' tools search the log for these lines.
#[tokio::test]
async fn a_fault_is_reported_in_the_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let options = ["--enable-debug-command", "yes", "--loglevel", "warning", "--logfile"];
    let has = |text: &str| std::fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    for end in ["SEGFAULT", "SIGABRT"] {
        let server = server(&[&options[..], &[log.to_str().expect("UTF-8")]].concat()).await;
        let (mut ann, mut bob) = (server.client().await, server.client().await);
        // A panic ends only the client that caused it.
        ann.send(&["DEBUG", "PANIC"]).await;
        ann.expect_closed().await;
        assert!(has("DEBUG PANIC") && has("STACK TRACE"), "{end}");
        assert_eq!(bob.command(&["PING"]).await, simple("PONG"));
        match end {
            "SEGFAULT" => bob.send(&["DEBUG", "SEGFAULT"]).await,
            _ => {
                let pid = rustix::process::Pid::from_raw(server.pid().cast_signed());
                let signal = rustix::process::Signal::ABORT;
                rustix::process::kill_process(pid.expect("a pid"), signal).expect("it lives");
            }
        }
        eventually(async || has("crashed by signal: 6")).await;
        bob.read_to_close().await;
        std::fs::remove_file(&log).expect("it exists");
    }
}

#[tokio::test]
async fn a_file_with_all_settings_starts_the_same_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("redis.conf");
    std::fs::write(&file, "maxclients 77\nenable-debug-command yes\n").expect("it is written");
    let path = file.to_str().expect("UTF-8");
    let shown = async |server: &harness::Server| {
        let reply = server.client().await.command(&["CONFIG", "GET", "*"]).await;
        reply.into_value()
    };
    let port = free_port().to_string();
    let words = [path, "--port", &port, "--dir", dir.path().to_str().expect("UTF-8")];
    let first = server(&words).await;
    let reply = first.client().await.command(&["DEBUG", "CONFIG-REWRITE-FORCE-ALL"]).await;
    assert_eq!(reply, ok());
    let settings = shown(&first).await;
    drop(first);
    let written = std::fs::read_to_string(&file).expect("it exists");
    assert!(written.contains("\nmaxmemory 0\n"), "{written}");
    assert_eq!(shown(&server(&words).await).await, settings);
}

#[tokio::test]
async fn the_broker_stops_reading_from_a_client_that_does_not_read_its_replies() {
    let server = server(&[]).await;
    let mut hog = server.client().await;
    // A reply is far larger than its request, so the broker must stop reading before the limit
    // below.
    let request = b"COMMAND DOCS\r\n".repeat(64);
    let mut sent = 0;
    while tokio::time::timeout(std::time::Duration::from_secs(1), hog.send_raw(&request))
        .await
        .is_ok()
    {
        sent += request.len();
        assert!(sent < 16 * 1024 * 1024, "the broker does not stop reading");
    }
    let mut other = server.client().await;
    let info = other.command(&["INFO", "memory"]).await;
    let resident = info.text().lines().find_map(|line| line.strip_prefix("used_memory_rss:"));
    let resident: u64 = resident.expect("a field").trim().parse().expect("a number");
    assert!(resident < 300 * 1024 * 1024, "{resident} bytes are held");
}

#[tokio::test]
async fn a_transaction_that_fails_is_counted_as_failed() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.command(&["EXEC"]).await;
    client.command(&["MULTI"]).await;
    client.command(&["SET"]).await;
    client.command(&["EXEC"]).await;
    let info = client.command(&["INFO", "commandstats"]).await;
    let info = info.text();
    let exec = info.lines().find(|line| line.starts_with("cmdstat_exec:"));
    let exec = exec.expect("EXEC was called");
    assert!(exec.contains("calls=2,") && exec.ends_with("failed_calls=2"), "{exec}");
}

#[tokio::test]
async fn subscriptions_watched_keys_and_prefixes_count_as_memory_of_a_client() {
    let server = server(&["--maxmemory-clients", "1mb"]).await;
    for start in [
        ["SUBSCRIBE"].as_slice(),
        &["PSUBSCRIBE"],
        &["SSUBSCRIBE"],
        &["WATCH"],
        &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX"],
    ] {
        let named = |number: usize| {
            let name = format!("{number:01000}");
            request(&[start, &[name.as_str()]].concat())
        };
        let requests: Vec<u8> = (0..1100).flat_map(named).collect();
        let mut client = server.client().await;
        // Without replies, since they would count as well.
        client.send(&["CLIENT", "REPLY", "OFF"]).await;
        client.send_raw(&requests).await;
        client.read_to_close().await;
    }
    let mut client = server.client().await;
    let info = client.command(&["INFO", "stats"]).await;
    assert!(info.text().contains("evicted_clients:5\r\n"), "{info:?}");
}

#[tokio::test]
async fn an_unfinished_argument_counts_with_its_bytes_and_no_more() {
    let server = server(&["--maxmemory-clients", "4mb"]).await;
    let mut operator = server.client().await;
    let length = 314_572;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = server.client().await;
        client.send_raw(format!("*2\r\n${length}\r\n").as_bytes()).await;
        client.send_raw(&vec![b'v'; length]).await;
        clients.push(client);
    }
    let unparsed = format!(" qbuf={length} ");
    eventually(async || {
        let list = operator.command(&["CLIENT", "LIST"]).await;
        list.text().matches(&unparsed).count() == clients.len()
    })
    .await;
}

/// The memory for a large argument counts once, whatever the pieces in which it arrives.
#[tokio::test]
async fn a_large_value_below_the_limit_is_stored() {
    let server = server(&["--maxmemory-clients", "1mb"]).await;
    for pieces in [1, 7, 13] {
        let mut client = server.client().await;
        let request = request(&["SET", "k", &"v".repeat(900_000)]);
        for piece in request.chunks(request.len().div_ceil(pieces)) {
            client.send_raw(piece).await;
        }
        assert_eq!(client.read_reply().await, ok(), "{pieces}");
    }
}

/// Redis allocates a large argument as soon as its length is known.
#[tokio::test]
async fn an_announced_argument_counts_for_the_limit_of_its_client() {
    let server = server(&["--maxmemory-clients", "1mb"]).await;
    for (length, fits) in
        [(400_000, true), (500_000, true), (1_048_576, false), (500_000_000, false)]
    {
        let mut client = server.client().await;
        client.send_raw(format!("*2\r\n$4\r\nECHO\r\n${length}\r\nv").as_bytes()).await;
        match fits {
            true => {
                client.send_raw(&vec![b'v'; length - 1]).await;
                client.send_raw(b"\r\n").await;
                assert_eq!(client.read_reply().await.text().len(), length);
            }
            false => client.expect_closed().await,
        }
    }
}

#[tokio::test]
async fn announced_arguments_count_for_the_sum_of_all_clients() {
    let server = server(&["--maxmemory-clients", "4mb"]).await;
    let mut operator = server.client().await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = server.client().await;
        client.send_raw(b"*2\r\n$4\r\nECHO\r\n$500000\r\nv").await;
        clients.push(client);
    }
    // Eight of them fit.
    eventually(async || {
        let info = operator.command(&["INFO", "stats"]).await;
        info.text().contains("evicted_clients:4\r\n")
    })
    .await;
    let list = operator.command(&["CLIENT", "LIST"]).await;
    assert_eq!(list.text().lines().count(), 9, "{list:?}");
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let server = server(&[]).await;
    let mut operator = server.client().await;
    let rules = ["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "-echo", "~k", "&c"];
    assert_eq!(operator.command(&rules).await, ok());
    let mut ann = server.client().await;
    assert!(ann.command(&["AUTH", "nobody", "x"]).await.is_error());
    assert!(ann.command(&["HELLO", "2", "AUTH", "nobody", "x"]).await.is_error());
    assert_eq!(ann.command(&["AUTH", "ann", "x"]).await, ok());
    for refused in [
        ["ECHO", "x"].as_slice(),
        &["EVAL", "return redis.pcall('echo', 'x')", "0"],
        &["GET", "other"],
        &["PUBLISH", "other", "x"],
        &["PSUBSCRIBE", "c*"],
        &["SUBSCRIBE", "c", "other"],
    ] {
        assert!(ann.command(refused).await.is_error(), "{refused:?}");
    }
    assert_eq!(ann.command(&["MULTI"]).await, ok());
    assert!(ann.command(&["ECHO", "x"]).await.is_error());

    // A dry run refuses nothing, and Redis' CONFIG RESETSTAT keeps these counts.
    operator.command(&["ACL", "DRYRUN", "ann", "ECHO", "x"]).await;
    assert_eq!(operator.command(&["CONFIG", "RESETSTAT"]).await, ok());
    let info = operator.command(&["INFO", "stats"]).await;
    for line in ["auth:2", "cmd:3", "key:1", "channel:3"] {
        assert!(info.text().contains(&format!("acl_access_denied_{line}\r\n")), "{info:?}");
    }
}

/// Waits for the last line of a server that has ended: it may be on its way.
async fn is_logged_whole(server: &harness::Server) {
    eventually(async || server.stdout().contains("bye bye...\"")).await;
}

#[tokio::test]
async fn the_log_is_readable_for_programs() {
    let mut json =
        server(&["--log-format", "json", "--log-timestamp-format", "milliseconds"]).await;
    let pid = json.pid();
    assert_eq!(json.stop(DEADLINE).await, 0);
    is_logged_whole(&json).await;
    let mut messages = Vec::new();
    for line in json.stdout().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(
            (line["pid"].as_u64(), line["role"].as_str()),
            (Some(pid.into()), Some("master"))
        );
        assert!(line["timestamp"].as_u64() > Some(1_000_000_000_000), "{line}");
        assert!(line["level"].is_string(), "{line}");
        messages.push(line["message"].as_str().expect("a text").to_owned());
    }
    assert!(messages.iter().any(|message| message == "Ready to accept connections"));

    let mut logfmt = server(&["--log-format", "logfmt", "--log-timestamp-format", "iso8601"]).await;
    assert_eq!(logfmt.stop(DEADLINE).await, 0);
    is_logged_whole(&logfmt).await;
    let ready = "level=notice message=\"Ready to accept connections\"";
    let log = logfmt.stdout();
    let line = log.lines().find(|line| line.ends_with(ready)).expect("a line");
    assert!(line.starts_with("pid=") && line.contains(" role=master timestamp=2"), "{line}");
}
