//! `broker top`: what it prints for scripts, and what it draws in a terminal.

use std::io::Write;
use std::process::Command;

use harness::{
    Certificates, Finished, Kind, Process, SLOW_DEADLINE, Server, broker_bin, broker_top_bin,
    eventually_within, free_port, ok,
};

async fn once(port: u16, options: &[&str]) -> Finished {
    let mut command = Command::new(broker_top_bin());
    command.args(["--once", "-p", &port.to_string()]).args(options).env_remove("REDISCLI_AUTH");
    Process::run(&mut command, SLOW_DEADLINE).await
}

#[tokio::test]
async fn it_shows_channels_and_clients_of_any_server() {
    for kind in [Kind::Ours, Kind::Redis] {
        let server = Server::start(kind, &["--requirepass", "secret"]).await;
        let mut subscriber = server.client().await;
        subscriber.command(&["CLIENT", "SETNAME", "web-1"]).await;
        subscriber.subscribe(&["news", "a\x1b[2Jb"]).await;
        let mut publisher = server.client().await;
        eventually_within(SLOW_DEADLINE, async || {
            publisher.publish("news", "hello").await;
            let Finished { code, stdout, stderr } = once(server.port(), &["-a", "secret"]).await;
            assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
            assert!(!stdout.contains('\x1b') && stdout.contains("version: "), "{stdout}");
            assert!(stdout.lines().any(|line| line.contains("web-1  default")), "{stdout}");
            let row = stdout.lines().find(|line| line.starts_with("news ")).unwrap_or_default();
            let numbers: Vec<&str> = row.split_whitespace().skip(1).collect();
            match kind {
                Kind::Ours => numbers.first().is_some_and(|rate| *rate != "0") && numbers[3] == "1",
                _ => numbers == ["1"] && stdout.contains("\na?[2Jb"),
            }
        })
        .await;
        for (options, text) in
            [(&[][..], "NOAUTH"), (&["-a", "wrong"], "Password authentication failed")]
        {
            let Finished { code, stderr, .. } = once(server.port(), options).await;
            assert!(code == Some(1) && stderr.contains(text), "{stderr}");
        }
    }
    let Finished { code, stderr, .. } = once(free_port(), &[]).await;
    assert!(code == Some(1) && stderr.contains("refused"), "{stderr}");
}

/// A user without a permission sees the rest, and no text of others commands the terminal.
#[tokio::test]
async fn it_shows_what_the_user_may_see() {
    let server = Server::ours(&[]).await;
    let mut client = server.client().await;
    let odd = ["ACL", "SETUSER", "odd", "on", "nopass", "+client|list", "+ping"];
    assert_eq!(client.command(&odd).await, ok());
    let strange: [&[u8]; 6] = [b"ACL", b"SETUSER", b"\xff\x1b", b"on", b"nopass", b"+ping"];
    assert_eq!(client.command(&strange).await, ok());
    let mut other = server.client().await;
    assert_eq!(other.command(&[&b"AUTH"[..], b"\xff\x1b", b"x"]).await, ok());
    let user = ["--user", "odd", "-a", "x"];
    let Finished { code, stdout, stderr } = once(server.port(), &user).await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("odd  ") && stdout.contains("pubsub"), "{stdout}");
    assert!(stdout.contains("\u{fffd}?") && !stdout.contains('\x1b'), "{stdout}");
    assert_eq!(client.command(&["ACL", "SETUSER", "odd", "-client|list"]).await, ok());
    let Finished { code, stderr, .. } = once(server.port(), &user).await;
    assert!(code == Some(1) && stderr.contains("no permissions"), "{stderr}");
    // A server that says what no server says.
    let liar = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = liar.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in liar.incoming().flatten() {
            let _ = stream.write_all(b"-NOPERM \x1b[31mred\x07\r\n".repeat(20).as_slice());
            std::mem::forget(stream);
        }
    });
    let Finished { code, stderr, .. } = once(port, &[]).await;
    assert!(code == Some(1) && stderr.contains("?[31mred?"), "{stderr}");
}

#[tokio::test]
async fn it_ends_without_a_word_when_nobody_reads() {
    let server = Server::ours(&[]).await;
    let mut shell = Command::new("bash");
    let top = broker_top_bin().display();
    let line = format!("set -o pipefail; {top} --once -p {} | true", server.port());
    shell.args(["-c", &line]);
    let Finished { code, stderr, .. } = Process::run(&mut shell, SLOW_DEADLINE).await;
    assert_eq!((code, &*stderr), (Some(0), ""));
}

#[tokio::test]
async fn it_uses_tls_with_a_certificate() {
    let (certificates, port) = (Certificates::new(), free_port());
    let flags = certificates.flags(port);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let _server = Server::ours(&flags).await;
    let [ca, cert, key] =
        ["ca.crt", "client.crt", "client.key"].map(|name| certificates.file(name));
    let trusted = ["-h", "localhost", "--tls", "--cacert", &ca];
    let known = [&trusted[..], &["--cert", &cert, "--key", &key]].concat();
    let Finished { code, stdout, stderr } = once(port, &known).await;
    assert!(code == Some(0) && stdout.contains("clients: 1"), "{stdout}{stderr}");
    assert_eq!(once(port, &trusted).await.code, Some(1));
    let Finished { code, stderr, .. } = once(port, &["--tls", "--cacert", "nothing.crt"]).await;
    assert!(code == Some(1) && stderr.contains("cannot read nothing.crt"), "{stderr}");
}

#[tokio::test]
async fn it_draws_on_a_terminal_until_a_key_ends_it() {
    let mut server = Server::ours(&["--io-threads", "1"]).await;
    let mut subscriber = server.client().await;
    subscriber.command(&["CLIENT", "SETNAME", "web-1"]).await;
    subscriber.subscribe(&["news"]).await;
    let mut publisher = server.client().await;
    let top = format!("exec {} top -i 0.1 -p {}", broker_bin().display(), server.port());
    let mut terminal = Command::new("script");
    terminal.args(["-qfec", &format!("stty rows 20 cols 150; {top}"), "/dev/null"]);
    terminal.env("TERM", "xterm-256color");
    let (keys, mut keyboard) = std::io::pipe().expect("a pipe");
    let mut shown = Process::start_on(&mut terminal, keys);
    eventually_within(SLOW_DEADLINE, async || {
        publisher.publish("news", "hello").await;
        let text = shown.stdout();
        text.contains("messages/s") && text.contains("news")
    })
    .await;
    keyboard.write_all(b"\t").expect("a key");
    let has = |wanted: &'static str| move |text: &str| text.contains(wanted).then_some(());
    shown.stdout_with(SLOW_DEADLINE, has("web-1")).await;
    // It goes on after a restart of the server.
    server.kill();
    shown.stdout_with(SLOW_DEADLINE, has("refused")).await;
    server.restart().await;
    let help = "Tab: channels or clients";
    eventually_within(SLOW_DEADLINE, async || shown.stdout().matches(help).count() == 2).await;
    // A server that does not answer leaves the keyboard alone.
    server.process().pause();
    keyboard.write_all(b"q").expect("a key");
    let status = shown.exited(SLOW_DEADLINE).await;
    // The usual screen is back, with its cursor.
    assert!(status.success(), "{status}");
    shown.stdout_with(SLOW_DEADLINE, has("\x1b[?1049l")).await;
    server.process().resume();
}
