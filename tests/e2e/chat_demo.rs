//! The tutorial's chat as a program: its output, its pages, and the options that it refuses.

use std::net::TcpListener;
use std::process::Command;

use harness::{
    Chat, ChatFarm, Client, DEADLINE, Finished, Process, SLOW_DEADLINE, array, chat_demo_bin,
    eventually, free_port, ok, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server;

#[tokio::test]
async fn alone_it_starts_a_broker_and_prints_how_to_watch_it() {
    let port = free_port();
    let options = ["--broker-port", &port.to_string(), "--password", "secret"];
    let chat = Chat::start(&options).await;
    let line = format!("redis-cli -p {port} --askpass SUBSCRIBE ChatApp");
    assert!(chat.log().contains(&line), "{}", chat.log());
    assert!(!chat.log().contains("secret"), "{}", chat.log());

    let mut client = Client::connect(port).await;
    assert!(client.command(&["PING"]).await.is_error());
    assert_eq!(client.command(&["AUTH", "secret"]).await, ok());
    eventually(async || {
        client.command(&["PUBSUB", "NUMSUB", "ChatApp"]).await == array!["ChatApp", 2]
    })
    .await;
}

#[tokio::test]
async fn with_a_broker_elsewhere_it_subscribes_there_to_the_name_of_the_app() {
    let server = server(&["--requirepass", "secret"]).await;
    let chat = Chat::start(&["--redis", &server.url(), "--app-name", "Tutorial"]).await;
    let mut client = server.client().await;
    eventually(async || {
        client.command(&["PUBSUB", "NUMSUB", "Tutorial"]).await == array!["Tutorial", 2]
    })
    .await;
    let line = format!("redis-cli -p {} --askpass SUBSCRIBE Tutorial", server.port());
    assert!(chat.log().contains(&line), "{}", chat.log());
}

#[tokio::test]
async fn with_the_dialect_of_aspnetcore_its_clients_get_messages_of_such_a_server() {
    let server = server(&[]).await;
    let chat = Chat::start(&["--redis", &server.url(), "--dialect", "aspnetcore"]).await;
    assert!(chat.log().contains("SUBSCRIBE ChatApp.ChatHub:all"), "{}", chat.log());
    let page = &chat.pages()[0];
    let negotiated = post(page, "/chatHub/negotiate?negotiateVersion=1", host(page)).await;
    let (_, rest) = negotiated.split_once(r#""connectionToken":""#).expect("a token");
    let path = format!("/chatHub?id={}", rest.split('"').next().expect("its end"));
    // The first poll only opens the connection.
    assert!(get(page, &path).await.starts_with("HTTP/1.1 200"));
    let handshake = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
    let length = handshake.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n", host(page));
    assert!(exchange(page, &head, handshake).await.starts_with("HTTP/1.1 200"));
    assert!(get(page, &path).await.contains("{}\u{1e}"));

    let frame = r#"{"type":1,"target":"broadcastMessage","arguments":["bob","hi"]}"#;
    let payload = [b"\x92\x90\x81\xa4json\xc4\x40", frame.as_bytes(), b"\x1e"].concat();
    let mut publisher = server.client().await;
    // Both servers keep the history of messages to everyone.
    let channel = "ChatApp.ChatHub:all";
    eventually(async || {
        publisher.command(&["PUBSUB", "NUMSUB", channel]).await == array![channel, 2]
    })
    .await;
    assert_eq!(publisher.publish("ChatApp.ChatHub:all", &payload).await, 2);
    let polled = get(page, &path).await;
    assert!(polled.contains(frame), "{polled}");
}

#[tokio::test]
async fn every_server_serves_the_page_and_its_module() {
    let server = server(&[]).await;
    let chat = Chat::at(&server.url()).await;
    for page in chat.pages() {
        let answer = get(page, "/").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_lowercase().contains("content-type: text/html"), "{answer}");
        assert!(answer.contains(r#"type="module""#), "{answer}");
        assert!(get(page, "/nowhere").await.starts_with("HTTP/1.1 404"));
    }
}

#[tokio::test]
async fn every_server_serves_its_metrics() {
    let server = server(&[]).await;
    let chat = Chat::at(&server.url()).await;
    for page in chat.pages() {
        assert!(post(page, "/chatHub/negotiate", host(page)).await.starts_with("HTTP/1.1 200"));
        let metrics = get(page, "/metrics").await;
        let negotiated =
            r#"signalr_negotiations_total{app="ChatApp",hub="ChatHub",outcome="ok"} 1"#;
        let negotiated: Vec<&str> = negotiated.split(['{', ',', '}']).collect();
        let is_found =
            metrics.lines().any(|line| negotiated.iter().all(|part| line.contains(part)));
        assert!(is_found, "{metrics}");
        assert!(metrics.contains("backplane_connected"), "{metrics}");
    }
}

#[tokio::test]
async fn a_server_on_loopback_serves_listed_hosts_only() {
    let server = server(&[]).await;
    let chat = Chat::at(&server.url()).await;
    let page = &chat.pages()[0];
    let port = host(page).rsplit_once(':').expect("a port").1;
    for (name, status) in
        [("localhost", "200"), ("127.0.0.1", "200"), ("[::1]", "200"), ("evil.test", "403")]
    {
        let answer = post(page, "/chatHub/negotiate", &format!("{name}:{port}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        assert!(answer.to_lowercase().contains("x-content-type-options: nosniff"), "{answer}");
    }

    let options = ["--redis", &server.url(), "--allow-host", "chat.test"];
    let chat = Chat::start(&options).await;
    let page = &chat.pages()[0];
    for (name, status) in [("chat.test", "200"), ("127.0.0.1", "200"), ("evil.test", "403")] {
        let answer = post(page, "/chatHub/negotiate", name).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn the_status_of_an_unreachable_broker_is_one_sentence() {
    let server = server(&["--requirepass", "secret"]).await;
    let url = format!("redis://:wrong@127.0.0.1:{}", server.port());
    let chat = Chat::start(&["--redis", &url]).await;
    let page = &chat.pages()[0];
    eventually(async || {
        let status = get(page, "/status").await;
        assert!(!status.contains("WRONGPASS"), "{status}");
        status.contains("The broker is not reachable.")
    })
    .await;
}

#[tokio::test]
async fn the_error_of_a_taken_port_names_the_option_to_change() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = listener.local_addr().expect("it is bound");
    let (free, port) = (format!("127.0.0.1:{}", free_port()), taken.port().to_string());
    for (options, named) in [
        (["--broker-port", &port, "--listen", &free].as_slice(), "--broker-port"),
        (&["--redis", "redis://127.0.0.1:1", "--listen", &taken.to_string()], "--listen"),
        (&["--load-balancer", &taken.to_string(), "--listen", &free], "--load-balancer"),
    ] {
        let finished = run(options).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let error = &finished.stderr;
        assert!(error.contains(named) && error.contains(&port), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    drop(listener);
}

#[tokio::test]
async fn invalid_and_conflicting_options_are_refused() {
    for (options, named) in [
        (["--redis", "http://127.0.0.1"].as_slice(), "--redis"),
        (&["--redis", "redis-sentinel://a:1,b:2"], "no name of a master"),
        (&["--redis", "redis://a:1,b:2"], "more than one host"),
        (&["--redis", "redis://:x@127.0.0.1", "--password", "y"], "--password"),
        (&["--redis", "redis://127.0.0.1", "--broker-port", "7000"], "--broker-port"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--allow-origin", "nowhere"], "--allow-origin: expected an origin"),
        (&["--drain", "soon"], "--drain"),
        (&["--message-limit", "0"], "--message-limit"),
        (&["--behind", "127.0.0.1:1"], "--load-balancer"),
        (&["--port", "7000"], "--port"),
    ] {
        let finished = run(options).await;
        assert!(finished.code.is_some_and(|code| code != 0), "{options:?} {finished:?}");
        assert!(finished.stderr.contains(named), "{options:?}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn a_server_is_ready_while_its_broker_is_reachable() {
    let mut server = server(&["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    let page = &chat.pages()[0];
    eventually(async || get(page, "/readyz").await.starts_with("HTTP/1.1 200")).await;
    server.kill();
    eventually(async || get(page, "/readyz").await.starts_with("HTTP/1.1 503")).await;
    assert!(get(page, "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_load_balancer_before_its_own_servers_uses_all_of_them() {
    let (server, front) = (server(&[]).await, format!("127.0.0.1:{}", free_port()));
    let chat = Chat::start(&["--redis", &server.url(), "--load-balancer", &front]).await;
    let page = format!("http://{front}/");
    assert!(chat.log().contains(&page), "{}", chat.log());
    let mut expected: Vec<_> = chat.pages().iter().map(|page| host(page).to_owned()).collect();
    expected.sort();
    eventually(async || seen_behind(&page, 4).await == expected).await;
}

#[tokio::test]
async fn a_load_balancer_skips_a_server_that_was_killed_or_that_drains() {
    let server = server(&[]).await;
    let mut farm = ChatFarm::start(&server.url(), &[]).await;
    let page = farm.page().to_owned();
    let [first, second] = [0, 1].map(|index| farm.servers()[index].0.clone());
    let mut both = [first.clone(), second.clone()];
    both.sort();
    eventually(async || seen_behind(&page, 4).await == both).await;
    farm.servers()[0].1.kill();
    for _ in 0..4 {
        assert_eq!(seen_behind(&page, 2).await, [second.as_str()]);
    }

    let mut farm = ChatFarm::start(&server.url(), &["--drain", "60"]).await;
    let page = farm.page().to_owned();
    let [first, second] = [0, 1].map(|index| farm.servers()[index].0.clone());
    eventually(async || seen_behind(&page, 4).await.len() == 2).await;
    // A client holds the server, which would end at once otherwise.
    let mut held = websocket(&first).await;
    farm.servers()[0].1.terminate();
    let readiness = format!("http://{first}/");
    eventually(async || get(&readiness, "/readyz").await.contains("draining")).await;
    eventually(async || seen_behind(&page, 4).await == [second.as_str()]).await;
    // The second signal does not wait for the client.
    farm.servers()[0].1.terminate();
    assert_eq!(farm.servers()[0].1.exited(DEADLINE).await.code(), Some(0));
    let mut rest = Vec::new();
    // An error is an end, too.
    let _ = within(DEADLINE, held.read_to_end(&mut rest)).await;
}

/// Opens a connection to the hub of a server.
async fn websocket(server: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    let request = format!(
        "GET /chatHub?name=ann HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut status = [0; 12];
    within(DEADLINE, stream.read_exact(&mut status)).await.expect("the server answers");
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

/// Returns the servers that answer some requests behind a load balancer, in the order of their names.
async fn seen_behind(page: &str, requests: usize) -> Vec<String> {
    let mut servers = std::collections::BTreeSet::new();
    for _ in 0..requests {
        let status = get(page, "/status").await;
        let (_, rest) = status.split_once(r#""server":""#).expect("the name of a server");
        servers.insert(rest.split('"').next().expect("its end").to_owned());
    }
    servers.into_iter().collect()
}

#[tokio::test]
async fn it_ends_in_time_after_sigterm() {
    let server = server(&[]).await;
    let mut chat = Chat::at(&server.url()).await;
    chat.process().terminate();
    assert_eq!(chat.process().exited(DEADLINE).await.code(), Some(0));
}

async fn run(options: &[&str]) -> Finished {
    Process::run(Command::new(chat_demo_bin()).args(options), SLOW_DEADLINE).await
}

/// Returns the host and port of a page.
fn host(page: &str) -> &str {
    page.trim_start_matches("http://").trim_end_matches('/')
}

/// Returns the whole response to a request, head and body.
async fn get(page: &str, path: &str) -> String {
    request(page, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", host(page))).await
}

async fn post(page: &str, path: &str, host: &str) -> String {
    request(page, &format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n")).await
}

async fn request(page: &str, head: &str) -> String {
    exchange(page, head, "").await
}

async fn exchange(page: &str, head: &str, body: &str) -> String {
    let host = host(page);
    let request = format!("{head}Connection: close\r\n\r\n{body}");
    let answer = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    within(DEADLINE, answer).await.unwrap_or_else(|error| panic!("{host} answers {error}"))
}
