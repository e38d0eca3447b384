//! Users that expire or are renewed, redirects and hosts.

use std::time::{Duration, SystemTime};

use axum::http::{Request, StatusCode, request::Parts};
use serde_json::{Value, json};
use signalr::{AuthError, Caller, Hub, Options, Redirect, User};
use tokio::sync::mpsc;

use crate::{
    http_client::Requests,
    server::{Client, TestServer, backplane, duration},
};

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_its_user_expires_and_may_come_back() {
    let server = server(|options| options.close_on_expiry = true);
    let mut client = server.connect_with(&[("x-user", "ann"), ("x-seconds", "100")]).await;
    let (waited, close) = duration(client.receive_past_pings()).await;
    assert_eq!(close, json!({"type": 7, "allowReconnect": true}));
    assert!((98..=100).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_user_may_expire_without_the_option() {
    let server = server(|_| {});
    let mut client = server.connect_with(&[("x-user", "ann"), ("x-seconds", "100")]).await;
    tokio::time::sleep(Duration::from_secs(200)).await; // on the paused clock
    client.send(json!({"type": 1, "invocationId": "1", "target": "Color", "arguments": []})).await;
    assert_eq!(client.receive_past_pings().await["result"], "");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_renews_the_user_and_its_expiry() {
    let server = server(|options| {
        options.auth_refresh = true;
        options.close_on_expiry = true;
    });
    let red = [("x-user", "ann"), ("x-color", "red"), ("x-seconds", "100")];
    let (token, negotiated) = negotiate(&server, &red).await;
    let lifetime = negotiated["tokenLifetimeSeconds"].as_u64().unwrap();
    assert!((98..=100).contains(&lifetime), "{lifetime}");
    let mut client = open(&server, &token, &red).await;
    assert_eq!(client.call("Color", json!([])).await["result"], "red");

    let blue = [("x-user", "ann"), ("x-color", "blue"), ("x-seconds", "200")];
    let (status, answer) = refresh(&server, &token, &blue).await;
    assert_eq!(status, 200);
    let lifetime = answer["tokenLifetimeSeconds"].as_u64().unwrap();
    assert!((198..=200).contains(&lifetime), "{lifetime}");
    assert_eq!(client.receive().await["arguments"], json!(["blue"]));
    assert_eq!(client.call("Color", json!([])).await["result"], "blue");
    let (waited, close) = duration(client.receive_past_pings()).await;
    assert_eq!(close, json!({"type": 7, "allowReconnect": true}));
    assert!((197..=200).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_user_without_an_expiry_has_no_lifetime() {
    let server = server(|options| options.auth_refresh = true);
    let ann = [("x-user", "ann")];
    let (token, negotiated) = negotiate(&server, &ann).await;
    assert_eq!(negotiated.get("tokenLifetimeSeconds"), None);
    let _client = open(&server, &token, &ann).await;
    assert_eq!(refresh(&server, &token, &ann).await, (StatusCode::OK, json!({})));
}

#[tokio::test(start_paused = true)]
async fn refused_refreshes_have_the_codes_of_asp_net_core() {
    let ann = [("x-user", "ann"), ("x-seconds", "100")];
    let off = server(|_| {});
    let (token, negotiated) = negotiate(&off, &ann).await;
    assert_eq!(negotiated.get("tokenLifetimeSeconds"), None);
    expect_error(refresh(&off, &token, &ann).await, 404, "refresh_disabled");

    let server = server(|options| options.auth_refresh = true);
    let get = Request::get("/hub/refresh?id=x");
    let (status, headers, _) = server.request(get).await;
    assert_eq!((status.as_u16(), &headers["content-type"]), (405, &"text/plain".parse().unwrap()));
    expect_error(refresh(&server, "", &ann).await, 400, "missing_connection_token");
    expect_error(refresh(&server, "x", &ann).await, 404, "connection_not_found");
    let (token, _) = negotiate(&server, &ann).await;
    expect_error(refresh(&server, &token, &ann).await, 404, "connection_not_found");
    let (_, _, body) =
        server.request(Request::post("/hub/negotiate").header("x-user", "ann")).await;
    let old: Value = serde_json::from_str(&body).unwrap();
    let old = old["connectionId"].as_str().unwrap();
    expect_error(refresh(&server, old, &ann).await, 400, "unsupported_negotiate_version");

    let mut client = open(&server, &token, &ann).await;
    expect_error(refresh(&server, &token, &[]).await, 401, "invalid_token");
    let denied = refresh(&server, &token, &[("x-user", "denied")]).await;
    expect_error(denied, 403, "permission_change_rejected");
    assert_eq!(client.call("Color", json!([])).await["result"], "");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_with_another_user_ends_the_connection() {
    let server = server(|options| options.auth_refresh = true);
    let ann = [("x-user", "ann")];
    let (token, _) = negotiate(&server, &ann).await;
    let mut client = open(&server, &token, &ann).await;
    let other = refresh(&server, &token, &[("x-user", "bob")]).await;
    expect_error(other, 403, "permission_change_rejected");
    assert_eq!(client.receive().await, json!({"type": 7}));
}

#[tokio::test(start_paused = true)]
async fn the_hook_of_a_refresh_waits_for_the_running_call() {
    let (open_gate, gate) = mpsc::channel(1);
    let gate = std::sync::Arc::new(tokio::sync::Mutex::new(gate));
    let server = server_with(
        |options| options.auth_refresh = true,
        move |hub| {
            hub.method("Wait", move |user: User<String>, (): ()| {
                let gate = gate.clone();
                async move {
                    gate.lock().await.recv().await;
                    Ok((*user).clone())
                }
            })
        },
    );
    let red = [("x-user", "ann"), ("x-color", "red")];
    let (token, _) = negotiate(&server, &red).await;
    let mut client = open(&server, &token, &red).await;
    client.send(json!({"type": 1, "invocationId": "1", "target": "Wait", "arguments": []})).await;
    client.send(json!({"type": 1, "invocationId": "2", "target": "Color", "arguments": []})).await;
    // The call has begun before the next message of this client is read.
    tokio::task::yield_now().await;
    let blue = [("x-user", "ann"), ("x-color", "blue")];
    assert_eq!(refresh(&server, &token, &blue).await.0, 200);
    open_gate.send(()).await.unwrap();
    // A running call keeps its user. The next one has the new user, after the hook.
    assert_eq!(client.receive().await["result"], "red");
    assert_eq!(client.receive().await["arguments"], json!(["blue"]));
    assert_eq!(client.receive().await["result"], "blue");
}

#[tokio::test(start_paused = true)]
async fn of_two_refreshes_the_later_start_wins() {
    let (open_gate, gate) = mpsc::channel::<()>(1);
    let gate = std::sync::Arc::new(tokio::sync::Mutex::new(gate));
    let mut options = Options::default();
    options.auth_refresh = true;
    let backplane = backplane();
    let hub = Hub::new("Hub", backplane.clone())
        .with_options(options)
        .authenticate(move |parts: Parts| {
            let gate = gate.clone();
            async move {
                let color = text(&parts, "x-color");
                if color == "slow" {
                    gate.lock().await.recv().await;
                }
                Ok(Some(User::new("ann", color)))
            }
        })
        .method("Color", |user: User<String>, (): ()| async move { Ok((*user).clone()) });
    let server = TestServer::serve(hub, backplane);
    let (token, _) = negotiate(&server, &[]).await;
    let mut client = open(&server, &token, &[]).await;
    let slow = refresh(&server, &token, &[("x-color", "slow")]);
    let fast = async {
        let answer = refresh(&server, &token, &[("x-color", "fast")]).await;
        open_gate.send(()).await.unwrap();
        answer
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!((slow.0, fast.0), (StatusCode::OK, StatusCode::OK));
    assert_eq!(client.call("Color", json!([])).await["result"], "fast");
}

#[tokio::test(start_paused = true)]
async fn a_poll_with_new_credentials_renews_the_user() {
    let server = server(|options| options.auth_refresh = true);
    let red = [("x-user", "ann"), ("x-color", "red")];
    let (token, _) = negotiate(&server, &red).await;
    let mut client =
        Requests { server: &server, connection_id: String::new(), token, headers: red.to_vec() };
    client.connect_polling().await;
    client.headers = vec![("x-user", "ann"), ("x-color", "blue")];
    assert!(client.poll_messages().await.contains("blue"));
}

#[tokio::test(start_paused = true)]
async fn a_negotiation_can_be_sent_elsewhere() {
    let backplane = backplane();
    let hub = Hub::new("Hub", backplane.clone()).redirect(|parts| {
        let away = parts.headers.get("x-away")?.to_str().ok()?.to_owned();
        Some(Redirect::new(away))
    });
    let server = TestServer::serve(hub, backplane);
    assert_eq!(server.negotiate().await["negotiateVersion"], 1);
    let request = Request::post("/hub/negotiate").header("x-away", "https://other/hub");
    let (status, headers, body) = server.request(request).await;
    assert_eq!((status.as_u16(), &*body), (200, r#"{"url":"https://other/hub"}"#));
    assert_eq!(headers["cache-control"], "no-store");
}

#[tokio::test(start_paused = true)]
async fn an_old_version_of_the_negotiation_can_be_refused() {
    let server = TestServer::with_options(|options| options.negotiate_version_min = 1, |hub| hub);
    let error = "The client requested version '0', but the server does not support this version.";
    for path in ["/hub/negotiate", "/hub/negotiate?negotiateVersion=0"] {
        let (status, _, body) = server.request(Request::post(path)).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body), (StatusCode::OK, json!({"error": error})));
    }
    assert_eq!(server.negotiate().await["negotiateVersion"], 1);
}

#[tokio::test(start_paused = true)]
async fn only_listed_hosts_are_served() {
    let backplane = backplane();
    let options = Options::default().allow_host("Chat.test").allow_host("[::1]");
    let hub = Hub::new("Hub", backplane.clone()).with_options(options);
    let server = TestServer::serve(hub, backplane);
    for (host, status) in [
        (Some("chat.test"), 200),
        (Some("CHAT.test.:8080"), 200),
        (Some("[::1]:5001"), 200),
        (Some("evil.test"), 403),
        (Some("chat.test.evil.test"), 403),
        (Some("127.0.0.1"), 403),
        (None, 403),
    ] {
        let mut request = Request::post("/hub/negotiate");
        if let Some(host) = host {
            let origin = format!("http://{}", host.trim_end_matches('.'));
            request = request.header("host", host);
            if status != 200 {
                request = request.header("origin", origin);
            }
        }
        assert_eq!(server.request(request).await.0, status, "{host:?}");
    }
    let refused = server.open("", &[("origin", "http://server")]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

/// Returns a server whose users are read from headers: the id, the color and the lifetime.
fn server(set: impl FnOnce(&mut Options)) -> TestServer {
    server_with(set, |hub| hub)
}

fn server_with(set: impl FnOnce(&mut Options), build: impl FnOnce(Hub) -> Hub) -> TestServer {
    TestServer::with_options(set, |hub| {
        build(hub)
            .authenticate(|parts| async move { user_of(&parts) })
            .method("Color", |user: User<String>, (): ()| async move { Ok((*user).clone()) })
            .on_refreshed(|caller: Caller, user: User<String>| async move {
                let _ = caller.clients().caller().invoke("color", (&*user,)).await;
            })
    })
}

fn user_of(parts: &Parts) -> Result<Option<User<String>>, AuthError> {
    let id = text(parts, "x-user");
    match &*id {
        "" => return Err(AuthError::Missing),
        "denied" => return Err(AuthError::Denied),
        _ => {}
    }
    let color = text(parts, "x-color");
    let user = User::new(id, color.clone()).with_role(color);
    let seconds = text(parts, "x-seconds").parse().map(Duration::from_secs);
    Ok(Some(match seconds {
        Ok(seconds) => user.with_expiry(SystemTime::now() + seconds),
        Err(_) => user,
    }))
}

fn text(parts: &Parts, name: &str) -> String {
    let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Returns the connection token and the whole answer.
async fn negotiate(server: &TestServer, headers: &[(&'static str, &str)]) -> (String, Value) {
    let request = Request::post("/hub/negotiate?negotiateVersion=1");
    let (status, _, body) = server.request(with(request, headers)).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    (answer["connectionToken"].as_str().unwrap().to_owned(), answer)
}

async fn open(server: &TestServer, token: &str, headers: &[(&'static str, &str)]) -> Client {
    let mut client = server.open(&format!("?id={token}"), headers).await.unwrap();
    client.handshake().await;
    client
}

async fn refresh(
    server: &TestServer,
    token: &str,
    headers: &[(&'static str, &str)],
) -> (StatusCode, Value) {
    let request = Request::post(format!("/hub/refresh?id={token}"));
    let (status, headers, body) = server.request(with(request, headers)).await;
    assert_eq!(headers["content-type"], "application/json");
    (status, serde_json::from_str(&body).unwrap())
}

fn with(
    request: axum::http::request::Builder,
    headers: &[(&'static str, &str)],
) -> axum::http::request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

fn expect_error((status, body): (StatusCode, Value), expected: u16, code: &str) {
    assert_eq!((status.as_u16(), body), (expected, json!({"error": code})));
}
