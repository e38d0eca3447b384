//! The command line and the files: accepted forms, and the errors of mistakes.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use harness::{
    DEADLINE, Finished, Process, Server, array, broker_bin, eventually, free_port, ok, simple,
};

use super::server;

#[tokio::test]
async fn flags_are_directives() {
    let server = server(&["--requirepass", "a b", "--maxclients", "10", "--io-threads", "2"]).await;
    let mut client = server.stranger().await;
    assert_eq!(client.command(&["AUTH", "a b"]).await, ok());
}

#[tokio::test]
async fn a_flag_may_hold_its_values_in_one_argument_or_in_several() {
    for limits in [
        ["--client-output-buffer-limit", "pubsub 1mb 0 0"].as_slice(),
        &["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"],
        &["--client-output-buffer-limit pubsub 1mb 0 0"],
    ] {
        server(limits).await.client().await.expect_silence().await;
    }
}

#[tokio::test]
async fn a_file_is_read_and_flags_come_after_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "redis.conf", "# a comment\n\nport 1\nrequirepass from-file\n");
    let server = Server::ours(&[&file, "--requirepass", "from-flag"]).await;
    let mut client = server.stranger().await;
    assert!(client.command(&["AUTH", "from-file"]).await.is_error());
    assert_eq!(client.command(&["AUTH", "from-flag"]).await, ok());
}

#[tokio::test]
async fn quotes_in_a_file_are_those_of_redis() {
    for (written, password) in [
        (r#"requirepass "a\x00b""#, b"a\0b".as_slice()),
        (r#"requirepass "a \"b\"\n""#, b"a \"b\"\n"),
        (r"requirepass 'a \'b\'\n'", br"a 'b'\n"),
        ("  REQUIREPASS   plain#1  ", b"plain#1"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = write(dir.path(), "redis.conf", &format!("{written}\n"));
        let server = Server::ours(&[&file]).await;
        let mut client = server.stranger().await;
        assert!(client.command(&["PING"]).await.is_error(), "{written}");
        assert_eq!(client.command(&[b"AUTH", password]).await, ok(), "{written}");
    }
}

#[tokio::test]
async fn a_file_may_include_others() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inner = write(dir.path(), "inner.conf", "requirepass inner\nmaxclients 7\n");
    let outer = format!("requirepass outer\ninclude {inner}\n");
    let file = write(dir.path(), "outer.conf", &outer);
    let server = Server::ours(&[&file]).await;
    assert_eq!(server.stranger().await.command(&["AUTH", "inner"]).await, ok());
}

#[tokio::test]
async fn a_dash_reads_the_file_from_standard_input() {
    let port = free_port();
    let mut command = broker(&["-", "--loglevel", "notice"]);
    let text = format!("port {port}\nrequirepass \"from stdin\"\n");
    let process = Process::start_with_input(&mut command, text.as_bytes());
    ready(&process).await;
    let mut client = harness::Client::connect(port).await;
    assert_eq!(client.command(&["AUTH", "from stdin"]).await, ok());
}

#[tokio::test]
async fn unsupported_directives_are_logged_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = "appendonly yes\nsave 900 1\nsave 300 10\nlfu-log-factor 9\nhz 10\n";
    let file = write(dir.path(), "redis.conf", text);
    let mut server = Server::ours(&[&file]).await;
    ready(server.process()).await;
    let log = server.stdout();
    for name in ["appendonly", "save", "lfu-log-factor", "hz"] {
        let mentions = log.lines().filter(|line| line.contains(name)).count();
        assert_eq!(mentions, 1, "{name} in\n{log}");
    }
}

#[tokio::test]
async fn an_unknown_directive_is_refused_with_its_place_and_the_nearest_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "redis.conf", "port 0\n\nmaxcleints 10\n");
    refused(&[&file], &[&format!("{file}:3:"), "maxcleints", "maxclients"]).await;
    refused(&["--requirepas", "x"], &["requirepas", "'requirepass'"]).await;
}

#[tokio::test]
async fn a_bad_value_is_refused_with_its_place_and_the_expected_values() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (line, expected) in [
        ("port 64k", r#"'port' expects a number from 0 to 65535, or 'any', found "64k""#),
        ("port 65536", r#"'port' expects a number from 0 to 65535, or 'any', found "65536""#),
        ("port", "'port' expects a number from 0 to 65535, or 'any', found nothing"),
        ("io-threads 0", "'io-threads' expects a number from 1 to 128"),
        ("protected-mode maybe", "'protected-mode' expects yes or no"),
        ("loglevel loud", "'loglevel' expects debug, verbose, notice, warning or nothing"),
        ("maxclients -1", "'maxclients' expects a number from 1"),
        ("requirepass \"open", "quote"),
        ("replicaof 127.0.0.1 abc", "Invalid master port"),
        ("shutdown-on-sigterm now soon", "must be one of the following: default, save, nosave"),
        ("shutdown-on-sigterm save nosave", "SAVE and NOSAVE can't be used simultaneously"),
        ("client-output-buffer-limit pubsub 1mb", "'client-output-buffer-limit' expects"),
    ] {
        let file = write(dir.path(), "redis.conf", &format!("# first\n{line}\n"));
        refused(&[&file], &[&format!("{file}:2:"), expected]).await;
    }
}

#[tokio::test]
async fn a_mistake_in_an_included_file_names_that_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inner = write(dir.path(), "inner.conf", "timeout 10\nport many\n");
    let outer = write(dir.path(), "outer.conf", &format!("include {inner}\n"));
    refused(&[&outer], &[&format!("{inner}:2:"), "many"]).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dir.path().join("nowhere.conf").display().to_string();
    refused(&[&missing], &[&missing]).await;
    let file = write(dir.path(), "redis.conf", &format!("include {missing}\n"));
    refused(&[&file], &[&format!("{file}:1:"), &missing]).await;
}

#[tokio::test]
async fn the_error_of_a_mistake_contains_redis_words() {
    for (arguments, expected) in [
        (["--port"].as_slice(), "wrong number of arguments"),
        (&["--user", "default", "on", "--user", "default", "off"], "Duplicate user found"),
        (&["--port", "6379", "6380"], r#"'port "6379" "6380"'"#),
        (&["--port", "abc"], "argument couldn't be parsed into an integer"),
        (&["--loglevel", "loud"], "argument(s) must be one of the following"),
    ] {
        refused(arguments, &["FATAL CONFIG FILE ERROR", expected]).await;
    }
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = busy.local_addr().expect("it is bound").port().to_string();
    let finished = run(&["--port", &port, "--bind", "127.0.0.1"]).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let output = format!("{}{}", finished.stdout, finished.stderr);
    assert!(output.contains(&port) && output.contains("in use"), "{output}");
}

#[tokio::test]
async fn version_and_help_are_printed() {
    let version = env!("CARGO_PKG_VERSION");
    for flag in ["--version", "-v"] {
        let finished = run(&[flag]).await;
        assert_eq!(finished.code, Some(0));
        assert!(finished.stdout.contains(&format!("broker {version}")), "{finished:?}");
        // Tools look for the version of Redis that the broker reports.
        assert!(finished.stdout.contains(" v=7."), "{finished:?}");
    }
    for flag in ["--help", "-h"] {
        let finished = run(&[flag]).await;
        assert_eq!(finished.code, Some(0));
        assert!(finished.stdout.contains("--port") && finished.stdout.contains("redis.conf"));
    }
}

#[tokio::test]
async fn it_listens_only_on_the_addresses_of_bind() {
    let port = free_port();
    let process =
        Process::start(&mut broker(&["--bind", "127.0.0.2", "--port", &port.to_string()]));
    ready(&process).await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.2", port)).await.is_ok());
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_log_goes_to_the_file_of_logfile() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("broker.log");
    let server = server(&["--logfile", &log.display().to_string()]).await;
    eventually(async || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("Ready to accept connections"))
    })
    .await;
    assert!(!server.stdout().contains("Ready to accept connections"));
}

#[tokio::test]
async fn a_silent_client_is_closed_after_its_timeout_and_a_subscriber_is_not() {
    let server = server(&[]).await;
    let (mut silent, mut subscriber) = (server.client().await, server.client().await);
    subscriber.subscribe(&["news"]).await;
    assert_eq!(silent.command(&["PING"]).await, simple("PONG"));
    let mut operator = server.client().await;
    assert_eq!(operator.command(&["CONFIG", "SET", "timeout", "1"]).await, ok());

    silent.expect_closed().await;

    assert_eq!(subscriber.command(&["PING"]).await, array!["pong", ""]);
}

#[tokio::test]
async fn an_empty_password_is_no_password() {
    let server = server(&["--requirepass", ""]).await;
    let mut client = server.stranger().await;
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

fn broker(arguments: &[&str]) -> Command {
    let mut command = Command::new(broker_bin());
    command.args(arguments);
    command
}

async fn run(arguments: &[&str]) -> Finished {
    Process::run(&mut broker(arguments), DEADLINE).await
}

async fn ready(process: &Process) {
    process.stdout_with(DEADLINE, |text| text.contains("Ready to accept").then_some(())).await;
}

/// Asserts that the broker ends with exit code 1 and prints all these texts on standard error.
async fn refused(arguments: &[&str], expected: &[&str]) {
    let finished = run(arguments).await;
    assert_eq!(finished.code, Some(1), "{arguments:?} {finished:?}");
    for expected in expected {
        let is_printed = finished.stderr.contains(expected);
        assert!(is_printed, "expected {expected:?} of {arguments:?}, found\n{}", finished.stderr);
    }
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a temporary file can be written");
    path.display().to_string()
}
