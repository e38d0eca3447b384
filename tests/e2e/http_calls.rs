//! Commands over HTTP: the rights of a caller, the form of replies, and what remains afterwards.

use std::net::SocketAddr;

use harness::{Client, SLOW_DEADLINE, eventually, ok, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::http_site::{HttpSite, head_and_body};

const JSON: &str = "content-type: application/json\r\n";

impl HttpSite {
    /// Sends a request with these lines of its head, and returns the connection.
    async fn send(&self, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the port");
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).await.expect("a request");
        stream
    }

    /// Returns the status and the body of a response.
    async fn post(&self, headers: &str, body: &str) -> (u16, String) {
        let headers = format!("connection: close\r\n{headers}");
        response(self.send("/command", &headers, body).await).await
    }

    /// Runs a command, and returns the status and the JSON of the response.
    async fn call(&self, headers: &str, words: Value) -> (u16, Value) {
        let headers = format!("host: localhost\r\n{JSON}{headers}");
        let (status, body) = self.post(&headers, &words.to_string()).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
    }

    async fn reply(&self, words: Value) -> Value {
        let (status, mut body) = self.call("", words).await;
        assert_eq!(status, 200, "{body}");
        body["reply"].take()
    }
}

/// Returns the status and the body of a response.
async fn response(stream: TcpStream) -> (u16, String) {
    let (head, body) = head_and_body(stream).await;
    (head[9..12].parse().expect("a status"), body)
}

/// Waits until only the asking client is connected.
async fn all_are_gone(client: &mut Client) {
    eventually(async || {
        let info = client.command(&["INFO", "clients"]).await;
        info.text().contains("connected_clients:1\r\n")
    })
    .await;
}

#[tokio::test]
async fn replies_are_json() {
    for threads in ["1", "4"] {
        let site = HttpSite::start(&["--io-threads", threads]).await;
        let mut subscriber = site.client().await;
        subscriber.subscribe(&["news"]).await;
        for (words, expected) in [
            (json!(["PUBLISH", "news", "hi"]), json!(1)),
            (json!(["SET", "k", 10, "EX", 100]), json!("OK")),
            (json!(["GET", "k"]), json!("10")),
            (json!(["GET", "none"]), json!(null)),
            (json!(["CONFIG", "GET", "maxclients"]), json!({"maxclients": "10000"})),
            (json!(["PUBSUB", "NUMSUB", "news"]), json!(["news", 1])),
            (json!(["ACL", "WHOAMI"]), json!("default")),
        ] {
            assert_eq!(site.reply(words.clone()).await, expected, "{words}");
        }
        subscriber.expect_message("news", "hi").await;
        drop(subscriber);
        all_are_gone(&mut site.client().await).await;
    }
}

#[tokio::test]
async fn an_error_has_a_status_and_its_text() {
    let site = HttpSite::start(&[]).await;
    let mut client = site.client().await;
    assert_eq!(client.command(&["ACL", "SETUSER", "default", "-get"]).await, ok());
    for (words, status, text) in [
        (json!(["NOSUCH"]), 400, "ERR unknown command"),
        (json!(["SET", "k"]), 400, "ERR wrong number of arguments"),
        (json!(["GET", "k"]), 403, "NOPERM"),
        (json!(["AUTH", "ann", "wrong"]), 401, "WRONGPASS"),
        (json!([]), 400, "expected the words of a command"),
    ] {
        let (found, body) = site.call("", words.clone()).await;
        assert_eq!(found, status, "{words} {body}");
        assert!(body["error"].as_str().is_some_and(|found| found.starts_with(text)), "{body}");
    }
    let json = format!("host: localhost\r\n{JSON}");
    for body in ["", "{}", "[[]]", "[null]", "[\"PING\"", "\u{0}", "[1.5]"] {
        let (status, reason) = site.post(&json, body).await;
        assert_eq!(status, 400, "{body:?} {reason}");
        assert!(reason.starts_with("{\"error\":\""), "{reason}");
    }
    let long = format!("[\"ECHO\", \"{}\"]", "x".repeat(1024 * 1024));
    assert_eq!(site.post(&json, &long).await.0, 413);
    let many = format!("[\"DEL\"{}]", ", \"k\"".repeat(20_000));
    assert_eq!(site.post(&json, &many).await.0, 400);
    all_are_gone(&mut client).await;
}

/// A browser sends none of these for a page of this port.
#[tokio::test]
async fn pages_of_other_sites_run_nothing() {
    let site = HttpSite::start(&["--http-names", "broker.example", "other.example"]).await;
    let mut client = site.client().await;
    let host = "host: 127.0.0.1\r\n";
    for (headers, status) in [
        (format!("{host}{JSON}"), 200),
        (format!("host: broker.example:80\r\n{JSON}"), 200),
        (format!("{host}{JSON}origin: http://127.0.0.1\r\n"), 200),
        (host.to_owned(), 415),
        (format!("{host}content-type: text/plain\r\n"), 415),
        (format!("host: evil.example\r\n{JSON}"), 403),
        (JSON.to_owned(), 403),
        (format!("{host}{JSON}origin: http://evil.example\r\n"), 403),
        (format!("{host}{JSON}origin: null\r\n"), 403),
    ] {
        let key = format!(r#"["INCR", "{status}"]"#);
        assert_eq!(site.post(&headers, &key).await.0, status, "{headers}");
    }
    assert_eq!(client.command(&["KEYS", "*"]).await.items(), ["200".into()]);
}

#[tokio::test]
async fn a_token_stands_for_a_user() {
    let site = HttpSite::start(&["--http-token", "secret", "ann", "--requirepass", "other"]).await;
    let mut client = site.client().await;
    let token = "authorization: Bearer secret\r\n";
    let whoami = || json!(["ACL", "WHOAMI"]);
    assert_eq!(site.call("", whoami()).await.0, 401);
    assert_eq!(site.call("authorization: Bearer wrong\r\n", whoami()).await.0, 401);
    let (status, body) = site.call(token, whoami()).await;
    assert_eq!(
        (status, &body["error"]),
        (403, &json!("the user 'ann' of http-token is off or missing"))
    );
    let rules = ["ACL", "SETUSER", "ann", "on", "+acl|whoami", "+client|list", "+hello"];
    assert_eq!(client.command(&rules).await, ok());
    assert_eq!(site.call(token, whoami()).await, (200, json!({"reply": "ann"})));
    assert_eq!(site.call(token, json!(["GET", "k"])).await.0, 403);
    let (_, list) = site.call(token, json!(["CLIENT", "LIST"])).await;
    let list = list["reply"].as_str().expect("a list").to_owned();
    let own = list.lines().find(|line| line.contains("user=ann")).expect("the caller");
    assert!(own.contains("addr=127.0.0.1:") && own.contains(&format!(":{} ", site.port)), "{own}");
    let limits = ["CONFIG", "SET", "user-limits", "ann clients 1"];
    assert_eq!(client.command(&limits).await, ok());
    let mut other = site.client().await;
    assert_eq!(client.command(&["ACL", "SETUSER", "ann", ">secret"]).await, ok());
    assert_eq!(other.command(&["AUTH", "ann", "secret"]).await, ok());
    let (status, body) = site.call(token, whoami()).await;
    let reason = body["error"].as_str().unwrap_or_default();
    assert!(status == 429 && reason.starts_with("QUOTA "), "{status} {body}");
    drop(other);
    assert_eq!(client.command(&["ACL", "SETUSER", "ann", "off"]).await, ok());
    assert_eq!(site.call(token, whoami()).await.0, 403);
    assert_eq!(client.command(&["CONFIG", "SET", "http-token", "new default"]).await, ok());
    assert_eq!(site.call(token, whoami()).await.0, 401);
    let new = "authorization: Bearer new\r\n";
    assert_eq!(site.call(new, whoami()).await, (200, json!({"reply": "default"})));
    // Without a user it is for the metrics.
    assert_eq!(client.command(&["CONFIG", "SET", "http-token", "new"]).await, ok());
    assert_eq!(site.call(new, whoami()).await.0, 403);
    all_are_gone(&mut client).await;
}

/// Without a token, a caller is a client that has not logged in.
#[tokio::test]
async fn a_caller_without_a_token_has_the_rights_of_any_client() {
    let site = HttpSite::start(&["--requirepass", "secret"]).await;
    let (status, body) = site.call("", json!(["PING"])).await;
    assert_eq!((status, &body["error"]), (401, &json!("NOAUTH Authentication required.")));
    let site = HttpSite::start(&["--http-bind", "127.0.0.1"]).await;
    let mut client = site.client().await;
    let from = |address: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        let bound: SocketAddr = format!("{address}:0").parse().expect("an address");
        socket.bind(bound).expect("a local address");
        socket.connect(SocketAddr::from(([127, 0, 0, 1], site.port)))
    };
    for (address, status) in [("127.0.0.1", 200), ("127.0.0.2", 403)] {
        let mut stream = from(address).await.expect("the port");
        let head =
            format!("POST /command HTTP/1.1\r\nhost: localhost\r\n{JSON}connection: close\r\n");
        let request = format!("{head}content-length: 8\r\n\r\n[\"PING\"]");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let (found, body) = response(stream).await;
        assert_eq!(found, status, "{body}");
        assert_eq!(body.contains("DENIED Redis is running in protected mode"), status == 403);
    }
    assert_eq!(client.command(&["CONFIG", "SET", "maxclients", "1"]).await, ok());
    let (status, body) = site.call("", json!(["PING"])).await;
    assert_eq!((status, &body["error"]), (503, &json!("ERR max number of clients reached")));
    all_are_gone(&mut client).await;
}

#[tokio::test]
async fn a_stream_lasts_until_its_client_leaves_or_is_closed() {
    let site = HttpSite::start(&[]).await;
    let mut client = site.client().await;
    for ending in ["the client leaves", "an operator closes it"] {
        let headers = format!("host: localhost\r\n{JSON}");
        let words = r#"["PSUBSCRIBE", "__tap__:Chat*"]"#;
        let stream = site.send("/stream", &headers, words).await;
        let mut lines = BufReader::new(stream).lines();
        let mut next = async |start: &str| loop {
            let line = lines.next_line().await.expect("a line").expect("the stream goes on");
            if line.starts_with(start) {
                break serde_json::from_str::<Value>(&line).expect("JSON");
            }
        };
        assert_eq!(next("[").await, json!(["psubscribe", "__tap__:Chat*", 1]));
        for number in 0..100 {
            client.publish("ChatApp", format!("{{\"number\":{number}}}")).await;
        }
        for number in 0..100 {
            let line = next("[").await;
            let message: Value =
                serde_json::from_str(line[3].as_str().expect("a line")).expect("JSON");
            assert_eq!(message["payload"], json!({"number": number}));
        }
        if ending == "the client leaves" {
            drop(lines);
        } else {
            client.command(&["CLIENT", "KILL", "SKIPME", "yes"]).await;
            // The last piece of the response is empty.
            let ended = async {
                while lines.next_line().await.is_ok_and(|line| line.is_some_and(|line| line != "0"))
                {
                }
            };
            within(SLOW_DEADLINE, ended).await;
        }
        all_are_gone(&mut client).await;
    }
    let headers = format!("host: localhost\r\n{JSON}connection: close\r\n");
    let (status, body) = response(site.send("/stream", &headers, r#"["NOSUCH"]"#).await).await;
    assert!(status == 400 && body.contains("unknown command"), "{status} {body}");
    // The reply of a command without messages is all.
    for (words, line) in
        [(r#"["RESET"]"#, "\"RESET\"\n"), (r#"["UNSUBSCRIBE"]"#, "[\"unsubscribe\",null,0]\n")]
    {
        let (status, body) = response(site.send("/stream", &headers, words).await).await;
        assert_eq!((status, &*body), (200, line));
    }
}

/// A token that is replaced while a request arrives is worth nothing.
#[tokio::test]
async fn a_token_counts_until_the_command_begins() {
    let site = HttpSite::start(&["--http-token", "old", "default"]).await;
    let mut client = site.client().await;
    for path in ["/command", "/stream"] {
        let set = ["CONFIG", "SET", "http-token", "old default"];
        assert_eq!(client.command(&set).await, ok());
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).await.expect("the port");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{JSON}authorization: Bearer old\r\n\
             connection: close\r\nexpect: 100-continue\r\ncontent-length: 20\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("a head");
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.expect("an interim response");
        let set = ["CONFIG", "SET", "http-token", "new default"];
        assert_eq!(client.command(&set).await, ok());
        stream.write_all(br#"["SUBSCRIBE","news"]"#).await.expect("a body");
        assert_eq!(response(stream).await.0, 401, "{path}");
    }
}

/// Large requests that never arrive, and commands without a reply, keep no other caller waiting.
#[tokio::test]
async fn callers_that_wait_delay_no_others() {
    let site = HttpSite::start(&[]).await;
    let mut open = Vec::new();
    let headers = format!("host: localhost\r\n{JSON}");
    for _ in 0..10 {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).await.expect("the port");
        let head = format!("POST /command HTTP/1.1\r\n{headers}content-length: 1048576\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a head");
        open.push(stream);
        let silent = format!(r#"["WAIT","1","0"{}]"#, " ".repeat(100_000));
        open.push(site.send("/command", &headers, &silent).await);
    }
    let asked = std::time::Instant::now();
    assert_eq!(site.call("", json!(["PING"])).await.0, 200);
    assert!(asked.elapsed() < std::time::Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(site.call("", json!(["CLIENT", "REPLY", "OFF"])).await.0, 400);
}

/// Whoever holds as many streams as there may be, leaves places for checks.
#[tokio::test]
async fn streams_and_strangers_leave_places_for_checks() {
    let site = HttpSite::start(&["--http-token", "secret", "default"]).await;
    let token = "authorization: Bearer secret\r\n";
    let headers = format!("host: localhost\r\n{JSON}{token}");
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let mut stream = site.send("/stream", &headers, r#"["SUBSCRIBE", "news"]"#).await;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("a status");
        match &status[9..] {
            b"200" => open.push(stream),
            b"503" => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((open.len(), refused), (64, 36));
    assert_eq!(site.call(token, json!(["PING"])).await.0, 200);
    // A stranger's body is not read.
    for headers in [format!("host: localhost\r\n{JSON}"), format!("host: a.example\r\n{JSON}")] {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).await.expect("the port");
        let head = format!("POST /command HTTP/1.1\r\n{headers}content-length: 900000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a head");
        let (status, _) = response(stream).await;
        assert!([401, 403].contains(&status), "{status}");
    }
    // Another token ends the streams of the former one.
    let mut client = site.client().await;
    assert_eq!(client.command(&["CONFIG", "SET", "http-token", "new default"]).await, ok());
    assert_eq!(client.publish("news", "x").await, 64);
    all_are_gone(&mut client).await;
}

#[tokio::test]
async fn the_console_page_allows_scripts_of_this_port_only() {
    let site = HttpSite::start(&[]).await;
    for (path, kind) in [("/", "html"), ("/console.js", "javascript"), ("/console.css", "css")] {
        let (head, body) = site.get(path, "").await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("text/{kind}")),
            "{head}"
        );
        assert!(head.contains("default-src 'none'; script-src 'self'"), "{head}");
        for forbidden in ["innerHTML", "onclick", "eval(", "<script>", "style="] {
            assert!(!body.contains(forbidden), "{path} has {forbidden}");
        }
    }
}
