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

/// The HTTP port asks for no certificate, though clients of `tls-port` need one.
#[tokio::test]
async fn curl_reaches_the_http_port_over_tls() {
    for has_tls_port in [true, false] {
        let (certificates, ports) = (Certificates::new(), [free_port(), free_port()]);
        let mut flags = certificates.flags(ports[0]);
        if !has_tls_port {
            // Without clients of its own, TLS needs no authority.
            flags = ["--tls-cert-file", &certificates.file("server.crt")]
                .into_iter()
                .chain(["--tls-key-file", &certificates.file("server.key")])
                .map(str::to_owned)
                .collect();
        }
        let port = ports[1].to_string();
        let http = ["--http-port", &port, "--http-tls", "yes", "--http-token", "secret", "default"];
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(http).collect();
        let _server = Server::ours(&flags).await;
        let curl = async |scheme: &str, path: &str, more: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["-s", "--cacert", &certificates.file("ca.crt")]).args(more);
            curl.arg(format!("{scheme}://localhost:{port}{path}"));
            Process::run(&mut curl, SLOW_DEADLINE).await
        };
        let Finished { code, stdout, .. } = curl("https", "/readyz", &[]).await;
        assert_eq!((code, &*stdout), (Some(0), "ok\n"));
        let call = ["-H", "authorization: Bearer secret", "-H", "content-type: application/json"];
        let call = [&call[..], &["-d", r#"["ACL", "WHOAMI"]"#]].concat();
        let Finished { stdout, .. } = curl("https", "/command", &call).await;
        assert_eq!(stdout, r#"{"reply":"default"}"#);
        assert_ne!(curl("http", "/readyz", &[]).await.code, Some(0));
        assert_ne!(curl("https", "/readyz", &["--tls-max", "1.1"]).await.code, Some(0));
    }
}
