//! Users of SignalR 2: the authenticator of each hub must allow each request.

use axum::http::request::Parts;
use serde_json::json;
use signalr::{AuthError, ConnectionInfo, Hub, TransportKind, User};

use crate::server::TestServer;

#[tokio::test(start_paused = true)]
async fn the_authenticator_refuses_each_request_but_the_script() {
    let server = TestServer::with_hooks(authenticated);
    for (endpoint, expected) in [
        ("negotiate", 401),
        ("ping", 401),
        ("connect", 401),
        ("reconnect", 401),
        ("poll", 401),
        ("start", 401),
        ("send", 401),
        ("abort", 401),
        ("nothing", 401),
        ("hubs", 200),
    ] {
        let path = format!("/signalr/{endpoint}?transport=longPolling");
        assert_eq!(server.request("POST", &path, "").await.status, expected, "{endpoint}");
    }
    assert_eq!(server.get("/signalr/negotiate?key=wrong").await.status, 403);
    assert_eq!(server.get("/signalr/negotiate?key=right").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn methods_read_the_user_and_the_connection() {
    let server = TestServer::with_hooks(authenticated);
    let client = server.negotiate_for("[{\"name\":\"chathub\"}]", "&key=right").await;
    client.connect_polling().await;
    assert_eq!(client.call("Name", json!([])).await, json!({"R": "Ann", "I": "0"}));
    assert_eq!(client.call("Transport", json!([])).await, json!({"R": true, "I": "0"}));
    assert_eq!(client.call("Secret", json!([])).await, json!({"R": "x", "I": "0"}));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_of_one_user() {
    let server = TestServer::with_hooks(authenticated);
    let ann = server.negotiate_for("[{\"name\":\"chathub\"}]", "&key=right").await;
    ann.connect_polling().await;
    let path = ann.path("send", "longPolling", "").replace("key=right", "key=bob");
    assert_eq!(server.request("POST", &path, "data=%7B%7D").await.status, 403);
}

fn authenticated(hub: Hub) -> Hub {
    hub.authenticate(|parts: Parts| async move {
        let query = parts.uri.query().unwrap_or_default();
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key="));
        match key {
            Some("right") => Ok(Some(User::new("ann", "Ann").with_role("admin"))),
            Some("bob") => Ok(Some(User::new("bob", "Bob"))),
            Some(_) => Err(AuthError::Denied),
            None => Err(AuthError::Missing),
        }
    })
    .method("Name", |user: User<&'static str>, (): ()| async move { Ok(*user) })
    .method("Transport", |info: ConnectionInfo, (): ()| async move {
        Ok(info.transport() == TransportKind::LongPolling && info.query("key").is_some())
    })
    .method("Secret", |(): ()| async { Ok("x") })
    .authorize("Secret", ["admin"])
}
