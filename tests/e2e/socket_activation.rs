//! Sockets that systemd has opened, and its watchdog.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

use harness::{Client, DEADLINE, Process, broker_bin, eventually, free_port, ok, simple};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts our broker with an open socket, as systemd does.
fn start(socket: &OwnedFd, name: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new("sh");
    // The shell passes the socket on under the first number of the protocol.
    command.args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"]).arg(broker_bin()).args(arguments);
    command.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", name)]);
    let socket = socket.try_clone().expect("another handle");
    Process::start_on(&mut command, socket)
}

fn tcp() -> (OwnedFd, u16) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("its address").port();
    (socket.into(), port)
}

#[tokio::test]
async fn an_open_socket_takes_the_place_of_the_port() {
    let (socket, port) = tcp();
    let unused = free_port();
    for threads in ["1", "4"] {
        let arguments = ["--port", &unused.to_string(), "--io-threads", threads];
        let mut process = start(&socket, "broker.socket", &arguments);
        assert_eq!(Client::connect(port).await.command(&["PING"]).await, simple("PONG"));
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", unused)).await.is_err());
        process.terminate();
        assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn clients_that_come_between_two_servers_are_served_by_the_second_one() {
    let (socket, port) = tcp();
    let mut before = Vec::new();
    for _ in 0..3 {
        let mut process = start(&socket, "", &["--port", "any"]);
        for mut client in before.drain(..) {
            let client: &mut Client = &mut client;
            assert_eq!(client.command(&["PING"]).await, simple("PONG"));
        }
        assert_eq!(Client::connect(port).await.command(&["PING"]).await, simple("PONG"));
        process.terminate();
        assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
        for _ in 0..10 {
            before.push(Client::connect(port).await);
        }
    }
}

#[tokio::test]
async fn a_drain_leaves_open_sockets_open() {
    let (socket, port) = tcp();
    let mut process = start(&socket, "", &["--port", "any"]);
    let mut operator = Client::connect(port).await;
    assert_eq!(operator.command(&["SHUTDOWN", "DRAIN", "4000000"]).await, ok());
    // The kernel holds the client until another server, or this one, accepts it.
    let mut waiting = Client::connect(port).await;
    waiting.send(&["PING"]).await;
    assert_eq!(operator.command(&["PING"]).await, simple("PONG"));
    assert_eq!(operator.command(&["SHUTDOWN", "ABORT"]).await, ok());
    assert_eq!(waiting.read_reply().await, simple("PONG"));
    let elsewhere = free_port().to_string();
    assert_eq!(operator.command(&["CONFIG", "SET", "port", &elsewhere]).await, ok());
    let mut moved = Client::connect(elsewhere.parse().expect("a port")).await;
    assert_eq!(moved.command(&["PING"]).await, simple("PONG"));
    process.terminate();
    assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn an_open_socket_file_is_served_and_not_removed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("broker.sock");
    let socket = UnixListener::bind(&path).expect("a socket file").into();
    let mut process = start(&socket, "", &["--port", "0"]);
    let mut stream = tokio::net::UnixStream::connect(&path).await.expect("it is open");
    stream.write_all(b"PING\r\n").await.expect("it is served");
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await.expect("a reply");
    assert_eq!(&reply, b"+PONG\r\n");
    process.terminate();
    assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
    assert!(path.exists());
}

#[tokio::test]
async fn sockets_have_roles_by_their_names() {
    let (socket, port) = tcp();
    let clients = free_port();
    let mut process = start(&socket, "http", &["--port", &clients.to_string()]);
    eventually(async || tokio::net::TcpStream::connect(("127.0.0.1", clients)).await.is_ok()).await;
    assert_eq!(Client::connect(clients).await.command(&["PING"]).await, simple("PONG"));
    let mut watcher = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("HTTP");
    watcher.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.expect("it is served");
    let mut head = [0; 12];
    watcher.read_exact(&mut head).await.expect("a response");
    assert!(head.ends_with(b" 200"), "{}", head.escape_ascii());
    process.terminate();
    assert_eq!(process.exited(DEADLINE).await.code(), Some(0));

    let finished = start(&socket, "tls", &["--port", "any"]).finish(DEADLINE).await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("needs a 'tls-port'"), "{}", finished.stderr);
}

#[tokio::test]
async fn the_watchdog_of_systemd_hears_of_threads_that_make_turns() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("a socket that does not block");
    let mut command = Command::new(broker_bin());
    command.args(["--port", "any"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "40000");
    let mut process = Process::start(&mut command);
    let mut reports = 0;
    let mut count = || {
        let mut text = [0; 200];
        while let Ok(length) = socket.recv(&mut text) {
            reports += usize::from(text[..length].starts_with(b"WATCHDOG=1"));
        }
        reports
    };
    eventually(async || count() >= 10).await;
    process.terminate();
    assert_eq!(process.exited(DEADLINE).await.code(), Some(0));
}
