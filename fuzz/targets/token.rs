//! Any tokens of clients of both families. Only a token that the server has issued opens a transport.

#![no_main]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use backplane::Backplane;
use broker::Broker;
use fuzz::{Client, DEADLINE};
use libfuzzer_sys::fuzz_target;
use signalr::{Classic, Hub};
use tokio::net::TcpListener;

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        fuzz::runtime().block_on(async {
            let hub = Hub::new("ChatHub", Backplane::embedded(&Broker::new(), "ChatApp"));
            let app = hub.router("/chatHub").merge(Classic::new().hub(&hub).router("/signalr"));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            started.send(listener.local_addr().expect("it is bound")).expect("the caller waits");
            axum::serve(listener, app).await
        })
    });
    address.recv_timeout(DEADLINE).expect("the server starts")
});

/// A token of each family, which are fresh.
static TOKENS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let negotiate = "POST /chatHub/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: a\r\n\
        Content-Length: 0\r\n\r\n";
    let classic = "GET /signalr/negotiate HTTP/1.1\r\nHost: a\r\n\r\n";
    [token(negotiate, "\"connectionToken\":\""), token(classic, "\"ConnectionToken\":\"")]
});

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let family = usize::from(bool::arbitrary(&mut input).unwrap_or_default());
    let issued = &TOKENS[family];
    let token = changed(issued, &mut input).unwrap_or_default();
    if token == issued.as_bytes() {
        return;
    }
    let token = token.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let path = match family {
        0 => format!("/chatHub?id={token}"),
        _ => format!("/signalr/connect?transport=longPolling&connectionToken={token}"),
    };
    let mut client = Client::connect(*ADDRESS);
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.send(head.as_bytes());
    let reply = client.read(DEADLINE).expect("the server answers");
    assert!(reply.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&reply));
});

/// Returns a token with some bytes replaced, inserted or removed, or other bytes.
fn changed(issued: &str, input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    if input.ratio(1, 8)? {
        return Vec::arbitrary(input);
    }
    let mut token = issued.as_bytes().to_vec();
    for _ in 0..input.int_in_range(1..=4)? {
        let at = input.choose_index(token.len())?;
        match input.int_in_range(0..=3)? {
            0 => token[at] = input.arbitrary()?,
            1 => token.insert(at, input.arbitrary()?),
            2 => token.truncate(at.max(1)),
            _ => token[at] ^= 1 << input.int_in_range(0..=7)?,
        }
    }
    Ok(token)
}

/// Sends a request and returns the token in its response.
fn token(request: &str, before: &str) -> String {
    let mut client = Client::connect(*ADDRESS);
    client.send(request.as_bytes());
    let mut reply = String::new();
    loop {
        reply.push_str(&String::from_utf8_lossy(
            &client.read(DEADLINE).expect("the server answers"),
        ));
        if let Some((_, rest)) = reply.split_once(before)
            && let Some((token, _)) = rest.split_once('"')
        {
            return token.to_owned();
        }
    }
}
