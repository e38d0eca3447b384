//! The output of redis-cli, which must be the same for our broker and for Redis.

use std::process::Command;

use harness::{DEADLINE, Finished, Kind, Process, SLOW_DEADLINE, Server};

#[tokio::test]
async fn it_prints_the_messages_of_our_broker() {
    it_prints_messages(Kind::Ours).await;
}

#[tokio::test]
async fn it_prints_the_messages_of_redis_server() {
    it_prints_messages(Kind::Redis).await;
}

async fn it_prints_messages(kind: Kind) {
    let server = Server::start(kind, &["--requirepass", "secret"]).await;
    let cli = subscribed(server.port(), "secret", "ChatApp").await;
    let mut publisher = server.client().await;
    assert_eq!(publisher.publish("ChatApp", "hello from ann").await, 1);
    assert_eq!(publisher.publish("ChatApp", "a \"quoted\" word").await, 1);

    let printed =
        cli.stdout_with(DEADLINE, |text| text.contains("quoted").then(|| text.to_owned())).await;

    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    let expected = [
        ["subscribe", "ChatApp", "1"],
        ["message", "ChatApp", "hello from ann"],
        ["message", "ChatApp", "a \"quoted\" word"],
    ];
    assert_eq!(lines, expected.concat());
}

#[tokio::test]
async fn it_prints_the_same_replies_of_our_broker_as_of_redis_server() {
    let ours = Server::ours(&["--requirepass", "secret"]).await;
    let redis = Server::redis(&["--requirepass", "secret"]).await;
    for command in [
        ["PING"].as_slice(),
        &["PING", "hello"],
        &["ECHO", "a b\r\n\u{e9}\u{1}"],
        &["SELECT", "1"],
        &["PUBLISH", "news", "hello"],
        &["PUBLISH", "news"],
        &["PUBSUB", "CHANNELS"],
        &["PUBSUB", "NUMSUB", "news"],
        &["PUBSUB", "NUMPAT"],
        &["CLIENT", "SETNAME", "ann"],
        &["CLIENT", "GETNAME"],
        &["nosuchcommand", "a", "b"],
        &["QUIT"],
    ] {
        for format in ["--raw", "--no-raw", "--csv"] {
            let (one, other) =
                (cli(&ours, format, command).await, cli(&redis, format, command).await);
            assert_eq!(one.stdout, other.stdout, "{format} {command:?}");
            assert_eq!(one.code, other.code, "{format} {command:?}");
        }
    }
}

#[tokio::test]
async fn it_prints_the_error_of_a_missing_or_wrong_password() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let port = server.port().to_string();
    let without = run(&["-p", &port, "PING"]).await;
    assert!(without.stdout.contains("NOAUTH Authentication required."), "{without:?}");
    let wrong = run(&["-p", &port, "-a", "wrong", "PING"]).await;
    let output = format!("{}{}", wrong.stdout, wrong.stderr);
    assert!(output.contains("WRONGPASS"), "{wrong:?}");
}

#[tokio::test]
async fn info_names_a_redis_and_counts_clients() {
    let server = Server::ours(&[]).await;
    let port = server.port().to_string();
    for section in ["server", "clients", "stats"] {
        let info = run(&["-p", &port, "INFO", section]).await;
        assert_eq!(info.code, Some(0));
        let heading = format!("# {}{}", section[..1].to_uppercase(), &section[1..]);
        assert!(info.stdout.contains(&heading), "{info:?}");
    }
    let all = run(&["-p", &port, "INFO"]).await;
    assert!(all.stdout.contains("redis_version:7."), "{all:?}");
    assert!(all.stdout.contains("connected_clients:"), "{all:?}");
}

#[tokio::test]
async fn it_prints_messages_over_resp3() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &[]).await;
        let cli = forever(&server, &["-3", "SUBSCRIBE", "news"]);
        cli.stdout_with(DEADLINE, |text| text.contains('1').then_some(())).await;
        assert_eq!(server.client().await.publish("news", "hello").await, 1);
        let printed =
            cli.stdout_with(DEADLINE, |text| text.contains("hello").then(|| text.to_owned()));
        assert!(printed.await.contains("message\nnews\nhello\n"), "{kind:?}");
    }
}

#[tokio::test]
async fn it_monitors_the_requests_of_others_without_passwords() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &["--requirepass", "secret"]).await;
        let cli = forever(&server, &["-a", "secret", "--no-auth-warning", "MONITOR"]);
        cli.stdout_with(DEADLINE, |text| text.contains("OK").then_some(())).await;
        let mut client = server.client().await;
        client.publish("news", "a \"quoted\" word").await;
        let seen = |text: &str| text.contains("quoted").then(|| text.to_owned());
        let printed = cli.stdout_with(DEADLINE, seen).await;
        let line = printed.lines().last().unwrap_or_default();
        assert!(line.ends_with(r#"] "PUBLISH" "news" "a \"quoted\" word""#), "{kind:?}: {line}");
        assert!(!printed.contains("secret"), "{kind:?}: {printed}");
    }
}

#[tokio::test]
async fn it_shows_statistics_as_they_change() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &[]).await;
        let cli = forever(&server, &["--stat", "-i", "0.05"]);
        let lines = |text: &str| (text.lines().count() >= 5).then(|| text.to_owned());
        let printed = cli.stdout_with(DEADLINE, lines).await;
        let mut lines = printed.lines().skip_while(|line| !line.starts_with("keys"));
        let heading = "keys mem clients blocked requests connections";
        assert_eq!(lines.next().map(words), Some(heading.into()), "{kind:?}: {printed}");
        let first = words(lines.next().unwrap_or_default());
        let fields: Vec<&str> = first.split(' ').collect();
        assert_eq!((fields[0], fields[2], fields[3]), ("0", "1", "0"), "{kind:?}: {printed}");
    }
}

#[tokio::test]
async fn it_measures_latency() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &[]).await;
        let port = server.port().to_string();
        // Without a terminal it measures for one interval and prints minimum, maximum, mean and
        // count.
        let found = run(&["-p", &port, "--raw", "--latency", "-i", "0.2"]).await;
        assert_eq!(found.code, Some(0), "{kind:?}: {found:?}");
        let numbers = found.stdout.split_whitespace().map(str::parse::<f64>);
        let numbers: Vec<f64> = numbers.collect::<Result<_, _>>().expect("numbers");
        assert!(numbers.len() == 4 && numbers[3] >= 1.0, "{kind:?}: {found:?}");
    }
}

/// Starts redis-cli with a command that does not end by itself.
fn forever(server: &Server, arguments: &[&str]) -> Process {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string()]).args(arguments);
    Process::start(&mut command)
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At a terminal redis-cli first gets the server's commands, to complete and explain them.
#[tokio::test]
async fn it_starts_at_a_terminal() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &[]).await;
        let line = format!("redis-cli -p {}", server.port());
        let mut terminal = Command::new("script");
        terminal.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "dumb");
        let process = Process::start_with_input(&mut terminal, b"echo ready-to-type\nquit\n");
        let finished = process.finish(SLOW_DEADLINE).await;
        // In quotes, unlike the terminal's echo, which may come before the prompt or behind it.
        let answer = "\"ready-to-type\"";
        assert!(finished.stdout.contains(answer), "{kind:?}: {finished:?}");
    }
}

/// Starts redis-cli as in the README, and waits until it is subscribed.
pub(crate) async fn subscribed(port: u16, password: &str, channel: &str) -> Process {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string(), "-a", password, "SUBSCRIBE", channel]);
    let process = Process::start(&mut command);
    let confirmed = |text: &str| (text.lines().count() >= 3).then_some(());
    process.stdout_with(DEADLINE, confirmed).await;
    process
}

async fn cli(server: &Server, format: &str, command: &[&str]) -> Finished {
    let port = server.port().to_string();
    let options = ["-p", &port, "-a", "secret", "--no-auth-warning", format];
    run(&[&options, command].concat()).await
}

async fn run(arguments: &[&str]) -> Finished {
    Process::run(Command::new("redis-cli").args(arguments), DEADLINE).await
}
