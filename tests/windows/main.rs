//! The programs of Windows, run by wine: `cargo xtask windows test` builds them and runs these tests.
//!
//! The harness starts scripts that pass their words on to wine, so the programs take the paths of this
//! machine. No signal reaches them, so SHUTDOWN ends a server.

mod service;

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{
    Chat, Finished, Process, SLOW_DEADLINE, Server, broker_bin, eventually_within, free_port, node,
    ok, workspace_dir,
};
use serde_json::Value;

/// Runs the broker until it ends.
pub(crate) async fn run(words: &[&str], dir: &Path) -> Finished {
    Process::run(Command::new(broker_bin()).args(words).current_dir(dir), SLOW_DEADLINE).await
}

/// Ends a server as a user does.
async fn shut_down(server: &mut Server) {
    let mut client = server.client().await;
    client.send(&["SHUTDOWN"]).await;
    client.expect_closed().await;
    let status = server.process().exited(SLOW_DEADLINE).await;
    assert_eq!(status.code(), Some(0), "{}", server.process().transcript());
}

async fn cli(port: u16, words: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    let finished =
        Process::run(command.args(["-p", &port.to_string()]).args(words), SLOW_DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout
}

#[tokio::test]
async fn the_version_has_the_form_of_redis_server() {
    let finished = run(&["--version"], workspace_dir()).await;
    assert!(finished.stdout.starts_with("Redis server v=7.2.4 sha="), "{finished:?}");
    assert_eq!(finished.code, Some(0));
}

#[tokio::test]
async fn clients_log_in_and_change_settings_and_users() {
    let mut server = Server::ours(&["--requirepass", "secret"]).await;
    let mut stranger = server.stranger().await;
    assert!(stranger.command(&["PING"]).await.is_error());
    let mut client = server.client().await;
    let rules = ["ACL", "SETUSER", "ann", "on", ">pw", "+ping", "resetchannels"];
    assert_eq!(client.command(&rules).await, ok());
    assert_eq!(stranger.command(&["AUTH", "ann", "pw"]).await, ok());
    assert!(stranger.command(&["PUBLISH", "a", "b"]).await.is_error());
    let port = free_port();
    assert_eq!(client.command(&["CONFIG", "SET", "port", &port.to_string()]).await, ok());
    assert_eq!(cli(port, &["-a", "secret", "--no-auth-warning", "PING"]).await, "PONG\n");
    client.send(&["SHUTDOWN"]).await;
    assert_eq!(server.process().exited(SLOW_DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn redis_cli_sees_the_messages() {
    let mut server = Server::ours(&[]).await;
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string(), "SUBSCRIBE", "ChatApp"]);
    let subscriber = Process::start(&mut command);
    let mut client = server.client().await;
    eventually_within(SLOW_DEADLINE, async || client.publish("ChatApp", "hello").await == 1).await;
    let seen = |text: &str| text.contains("message\nChatApp\nhello").then_some(());
    subscriber.stdout_with(SLOW_DEADLINE, seen).await;
    shut_down(&mut server).await;
}

#[tokio::test]
async fn scripts_and_redis_benchmark_run() {
    let server = Server::ours(&["--io-threads", "2"]).await;
    let script = "local sum = 0 for i = 1, 1000000 do sum = sum + i end return sum";
    assert_eq!(cli(server.port(), &["EVAL", script, "0"]).await, "500000500000\n");
    // The `long` of C has 32 bits there.
    let script = "return string.format('%d', 3e9)";
    assert_eq!(cli(server.port(), &["EVAL", script, "0"]).await, "3000000000\n");
    let mut command = Command::new("redis-benchmark");
    command.args([
        "-p",
        &server.port().to_string(),
        "-q",
        "-P",
        "16",
        "-n",
        "20000",
        "PUBLISH",
        "a",
        "b",
    ]);
    let finished = Process::run(&mut command, 2 * SLOW_DEADLINE).await;
    assert!(finished.stdout.contains("requests per second"), "{finished:?}");
}

#[tokio::test]
async fn info_has_the_figures_of_the_system() {
    let server = Server::ours(&[]).await;
    let info = cli(server.port(), &["INFO", "everything"]).await;
    let figure = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {info}")).trim().to_owned()
    };
    assert_eq!(figure("os"), "windows x86_64");
    assert_eq!(figure("multiplexing_api"), "WinSock_IOCP");
    assert_eq!(figure("monotonic_clock"), "QueryPerformanceCounter");
    assert!(figure("used_memory_rss").parse::<u64>().expect("a number") > 1024 * 1024);
    eventually_within(SLOW_DEADLINE, async || {
        let cpu = cli(server.port(), &["INFO", "cpu"]).await;
        !cpu.contains("used_cpu_user:0.000000")
    })
    .await;
}

#[tokio::test]
async fn counters_survive_a_restart_and_their_file_is_rewritten() {
    let mut server = Server::ours(&["--counters-file", "counters"]).await;
    let mut client = server.client().await;
    for expected in 1..=3 {
        assert_eq!(client.command(&["INCR", "ChatApp"]).await.integer(), expected);
    }
    // A server that is killed has lost no number.
    server.restart().await;
    let mut client = server.client().await;
    let after = client.command(&["INCR", "ChatApp"]).await.integer();
    assert!(after > 3, "{after}");

    let dir = server.dir().to_owned();
    let second = run(&["--port", "any", "--counters-file", "counters"], &dir).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another server uses this counters file"), "{second:?}");

    // The file is rewritten while it is open once it has grown by a megabyte.
    let length = || fs::metadata(dir.join("counters")).expect("the file").len();
    let key = "k".repeat(4096);
    let script = "for i = 1, 300 do redis.call('SET', KEYS[1], i * 10000000) end return 1";
    assert_eq!(client.command(&["EVAL", script, "1", &key]).await.integer(), 1);
    eventually_within(SLOW_DEADLINE, async || length() < 100_000).await;
    assert_eq!(client.command(&["INCR", &key]).await.integer(), 3_000_000_001);
    shut_down(&mut server).await;
    server.restart().await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["INCR", &key]).await.integer(), 3_000_000_002);
    assert_eq!(client.command(&["INCR", "ChatApp"]).await.integer(), after + 1);
    let left: Vec<_> = fs::read_dir(&dir).expect("the folder").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn settings_are_read_again_and_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("redis.conf");
    fs::write(dir.path().join("password"), "first\r\n").expect("a file");
    fs::write(&file, "requirepass-file password\ntimeout 0\nlogfile log.txt\n").expect("a file");
    let port = free_port().to_string();
    let mut command = Command::new(broker_bin());
    command.args(["redis.conf", "--port", &port]).current_dir(dir.path());
    let mut server = Process::start(&mut command);
    let log = || fs::read_to_string(dir.path().join("log.txt")).unwrap_or_default();
    eventually_within(SLOW_DEADLINE, async || log().contains("Ready to accept connections")).await;
    let port = port.parse().expect("a number");
    let first = ["-a", "first", "--no-auth-warning"];
    let with = |words: &[&'static str]| [&first[..], words].concat();
    assert_eq!(cli(port, &with(&["CONFIG", "SET", "maxclients", "50"])).await, "OK\n");
    assert_eq!(cli(port, &with(&["CONFIG", "REWRITE"])).await, "OK\n");
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.contains("maxclients 50") && !text.contains("first"), "{text}");

    fs::write(dir.path().join("password"), "second").expect("a file");
    fs::write(&file, text.replace("timeout 0", "timeout 60")).expect("a file");
    assert_eq!(cli(port, &with(&["CONFIG", "RELOAD"])).await, "OK\n");
    let second = ["-a", "second", "--no-auth-warning", "CONFIG", "GET", "timeout"];
    assert_eq!(cli(port, &second).await, "timeout\n60\n");
    assert!(log().contains("settings changed: timeout requirepass"), "{}", log());
    cli(port, &["-a", "second", "--no-auth-warning", "SHUTDOWN"]).await;
    assert_eq!(server.exited(SLOW_DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn settings_without_a_meaning_there_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    for (words, reason) in [
        (&["--daemonize", "yes"][..], "use --service-install"),
        (&["--port", "0", "--unixsocket", "socket"], "this system has no socket files"),
    ] {
        let finished = run(words, dir.path()).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(reason), "{finished:?}");
    }
    // Windows shows the words of all processes to all users.
    let server = Server::ours(&["--requirepass", "secret"]).await;
    assert!(server.stdout().contains("requirepass-file"), "{}", server.stdout());
    assert!(!server.stdout().contains("secret"), "{}", server.stdout());
}

#[tokio::test]
async fn the_chat_runs_on_two_servers() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    let mut script = node("signalr.mjs");
    script.args(chat.pages()).args(["20", "WebSockets"]);
    let finished = Process::run(&mut script, 2 * SLOW_DEADLINE).await;
    let result: Value = serde_json::from_str(finished.stdout.trim())
        .unwrap_or_else(|error| panic!("{error}\n{finished:?}\n{}", chat.log()));
    let received = &result["received"];
    assert_eq!(received[0], received[1]);
    assert_eq!(received[0].as_array().map(Vec::len), Some(21), "{received}");
}
