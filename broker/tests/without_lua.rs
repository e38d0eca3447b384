//! Scripts in a broker without Lua: `cargo test -p broker --no-default-features`.

#![cfg(not(feature = "lua"))]

use std::time::Duration;

use broker::{Broker, Config, Port, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The script with which ASP.NET SignalR 2 sends.
const SEND: &str = "local newId = redis.call('INCR', KEYS[1])
                  local payload = newId .. ' ' .. ARGV[1]
                  redis.call('PUBLISH', KEYS[1], payload)
                  return {newId, ARGV[1], payload}";
const NO_LUA: &str =
    "-ERR this broker was built without Lua and runs the scripts of SignalR 2 only\r\n";

/// The deadline for an event that normally takes milliseconds, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends requests, and returns as many bytes of replies as are expected.
async fn asked(client: &mut TcpStream, request: &[&str], expected: &str) {
    let mut bytes = Vec::new();
    resp::request::encode(&mut bytes, request);
    client.write_all(&bytes).await.expect("the server reads");
    let mut reply = vec![0; expected.len()];
    let read = timeout(DEADLINE, client.read_exact(&mut reply)).await;
    let said = String::from_utf8_lossy(&reply).into_owned();
    assert!(matches!(read, Ok(Ok(_))), "{request:?}: {said}");
    assert_eq!(said, expected, "{request:?}");
}

#[tokio::test]
async fn signalrs_scripts_run_and_others_are_refused() {
    let broker = Broker::new();
    let mut app = broker.subscribe("app");
    let config = Config { port: Port::Any, ..Config::default() };
    let server = Server::bind(broker, &config).await.expect("a port is free");
    let address = server.local_addr().expect("it has a TCP port");
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let name = "edeb7a3b4fb872b8a76ae281cc47bd2c4d2da9b0";
    asked(&mut client, &["SCRIPT", "LOAD", SEND], &format!("$40\r\n{name}\r\n")).await;
    asked(&mut client, &["EVAL", SEND, "1", "app", "hi"], "*3\r\n:1\r\n$2\r\nhi\r\n$4\r\n1 hi\r\n")
        .await;
    asked(
        &mut client,
        &["EVALSHA", name, "1", "app", "yo"],
        "*3\r\n:2\r\n$2\r\nyo\r\n$4\r\n2 yo\r\n",
    )
    .await;
    for expected in ["1 hi", "2 yo"] {
        let message = timeout(DEADLINE, app.recv()).await.expect("a message in time");
        assert_eq!(message.expect("it is delivered").payload(), expected);
    }
    asked(&mut client, &["EVAL", "return 1", "0"], NO_LUA).await;
    asked(&mut client, &["SCRIPT", "LOAD", "return 1"], NO_LUA).await;
    asked(&mut client, &["EVAL_RO", SEND, "1", "app", "x"], NO_LUA).await;
    asked(&mut client, &["GET", "app"], "$1\r\n2\r\n").await;
    timeout(DEADLINE, server.shutdown()).await.expect("the server ends");
}
