//! Clients with TLS: redis-cli and redis-py.

use std::process::Command;

use harness::{Certificates, Finished, Kind, Process, SLOW_DEADLINE, Server, free_port, python};

async fn started(kind: Kind) -> (Server, Certificates, u16) {
    let (certificates, port) = (Certificates::new(), free_port());
    let flags = certificates.flags(port);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    (Server::start(kind, &flags).await, certificates, port)
}

#[tokio::test]
async fn redis_cli_prints_the_same_for_both_servers() {
    for kind in [Kind::Ours, Kind::Redis] {
        let (_server, certificates, port) = started(kind).await;
        let cli = |with_certificate: bool, words: &[&str]| {
            let mut command = Command::new("redis-cli");
            command.args(["--tls", "-h", "localhost", "-p", &port.to_string()]);
            command.args(["--cacert", &certificates.file("ca.crt")]);
            if with_certificate {
                command.args(["--cert", &certificates.file("client.crt")]);
                command.args(["--key", &certificates.file("client.key")]);
            }
            command.args(words);
            command
        };
        let Finished { stdout, .. } =
            Process::run(&mut cli(true, &["ECHO", "hello"]), SLOW_DEADLINE).await;
        assert_eq!(stdout.trim_end(), "hello", "{kind:?}");
        let Finished { stdout, code, .. } =
            Process::run(&mut cli(false, &["PING"]), SLOW_DEADLINE).await;
        assert!(!stdout.contains("PONG") && code != Some(0), "{kind:?}: {stdout}");

        let subscriber = Process::start(&mut cli(true, &["SUBSCRIBE", "news"]));
        let has = |wanted: &'static str| move |text: &str| text.contains(wanted).then_some(());
        subscriber.stdout_with(SLOW_DEADLINE, has("subscribe\n")).await;
        Process::run(&mut cli(true, &["PUBLISH", "news", "hello"]), SLOW_DEADLINE).await;
        subscriber.stdout_with(SLOW_DEADLINE, has("message\nnews\nhello\n")).await;
    }
}

#[tokio::test]
async fn redis_py_publishes_and_subscribes() {
    let (_server, certificates, port) = started(Kind::Ours).await;
    let mut command = python("tls.py");
    command.arg(port.to_string());
    command.args(["ca.crt", "client.crt", "client.key"].map(|name| certificates.file(name)));
    let finished = Process::run(&mut command, SLOW_DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
}
