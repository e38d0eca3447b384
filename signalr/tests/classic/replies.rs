//! Replies to requests by hand.

use axum::{Router, body::Body, http::Request};
use backplane::Backplane;
use broker::Broker;
use signalr::{Classic, Hub, Options};
use tower::ServiceExt;

use crate::server::{TestServer, encode};

#[tokio::test(start_paused = true)]
async fn negotiate_names_the_connection_and_the_times() {
    let server = TestServer::start();
    for (method, path, version, url) in [
        ("GET", "/signalr/negotiate", "1.2", "/signalr"),
        ("GET", "/signalr/negotiate?clientProtocol=1.3", "1.3", "/signalr"),
        ("GET", "/signalr/negotiate?clientProtocol=1.5", "1.5", "/signalr"),
        ("GET", "/signalr/negotiate?clientProtocol=2.1", "2.0", "/signalr"),
        ("GET", "/signalr/negotiate?clientProtocol=x", "1.2", "/signalr"),
        ("POST", "/signalr/negotiate?clientProtocol=2.1", "2.0", "/signalr"),
        ("GET", "/SIGNALR/NEGOTIATE?clientProtocol=2.1", "2.0", "/signalr/NEGOTIATE"),
        ("GET", "/signalr/signalr/negotiate?clientProtocol=2.1", "2.0", "/signalr/signalr"),
    ] {
        let response = server.request(method, path, "").await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("content-type"), "application/json; charset=UTF-8");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        let text = response.text().await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (token, id) =
            (value["ConnectionToken"].as_str().unwrap(), value["ConnectionId"].as_str().unwrap());
        assert_eq!(id.len(), 36);
        let expected = format!(
            "{{\"Url\":\"{url}\",\"ConnectionToken\":\"{token}\",\"ConnectionId\":\"{id}\",\
             \"KeepAliveTimeout\":20.0,\"DisconnectTimeout\":30.0,\"ConnectionTimeout\":110.0,\
             \"TryWebSockets\":true,\"ProtocolVersion\":\"{version}\",\
             \"TransportConnectTimeout\":5.0,\"LongPollDelay\":0.0}}"
        );
        assert_eq!(text, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn ping_and_start_have_their_exact_replies() {
    let server = TestServer::start();
    let pong = server.get("/signalr/ping").await;
    assert_eq!(pong.header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(pong.text().await, "{ \"Response\": \"pong\" }");
    server.connect().await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_refused_with_the_texts_of_signalr_2() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let token = &client.token;
    let data = encode("[{\"name\":\"chathub\"}]");
    let forged = encode("MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==");
    let unknown = encode("[{\"name\":\"nohub\"}]");
    let twice = encode("[{\"name\":\"chathub\"},{\"name\":\"CHATHUB\"}]");
    for (path, status, text) in [
        ("nothing".to_owned(), 400, "Protocol error: Unknown transport."),
        (String::new(), 400, "Protocol error: Unknown transport."),
        (
            format!("nothing?transport=longPolling&connectionToken={token}"),
            400,
            "Protocol error: Unknown transport.",
        ),
        (
            format!("connect?connectionToken={token}&connectionData={data}"),
            400,
            "Protocol error: Unknown transport.",
        ),
        (
            format!("connect?transport=pigeon&connectionToken={token}"),
            400,
            "Protocol error: Unknown transport.",
        ),
        (
            format!("connect?transport=serverSentEvents&connectionData={data}"),
            400,
            "Protocol error: Missing connection token.",
        ),
        (
            "connect?transport=serverSentEvents&connectionToken=abcd".to_owned(),
            400,
            "The ConnectionId is in the incorrect format.",
        ),
        (
            format!("connect?transport=serverSentEvents&connectionToken={forged}"),
            400,
            "The ConnectionId is in the incorrect format.",
        ),
        (
            format!("connect?transport=webSockets&connectionToken={token}"),
            400,
            "Not a valid web socket request.",
        ),
        (format!("negotiate?connectionData={unknown}"), 500, "'nohub' Hub could not be resolved."),
        (
            format!(
                "connect?transport=serverSentEvents&connectionToken={token}&connectionData={unknown}"
            ),
            500,
            "'nohub' Hub could not be resolved.",
        ),
        (format!("negotiate?connectionData={twice}"), 500, "Duplicate Hub names found."),
        ("negotiate?callback=f".to_owned(), 403, "JSONP is disabled."),
        (
            format!("start?transport=webSockets&connectionToken={token}"),
            500,
            "The connection has no transport.",
        ),
    ] {
        let response = server.get(&format!("/signalr/{path}")).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(response.text().await, text, "{path}");
    }
    assert_eq!(server.get("/signalr").await.text().await, "Protocol error: Unknown transport.");
    assert_eq!(server.get("/other").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_for_one_user() {
    let server = TestServer::start();
    let negotiated =
        server.request_with("GET", "/signalr/negotiate", "X-User: ann\r\n", "").await.text().await;
    let value: serde_json::Value = serde_json::from_str(&negotiated).unwrap();
    let token = value["ConnectionToken"].as_str().unwrap();
    let path = format!(
        "/signalr/connect?transport=longPolling&clientProtocol=2.1&connectionToken={token}"
    );
    for (user, status) in [("", 403), ("X-User: bob\r\n", 403), ("X-User: ann\r\n", 200)] {
        let response = server.request_with("GET", &path, user, "").await;
        assert_eq!(response.status, status, "{user}");
        if status == 403 {
            let text = "Unrecognized user identity.  The user identity cannot change during an \
                        active SignalR connection.";
            assert_eq!(response.text().await, text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn jsonp_calls_the_function_if_it_is_allowed() {
    let server = TestServer::with(|hub| hub, Classic::allow_jsonp);
    let response = server.get("/signalr/ping?callback=a.b1").await;
    assert_eq!(response.header("content-type"), "application/javascript; charset=UTF-8");
    assert_eq!(response.text().await, "a.b1({ \"Response\": \"pong\" });");
    assert_eq!(server.get("/signalr/ping?callback=alert(1)").await.status, 500);
    let client = server.negotiate().await;
    let path = client.path("connect", "longPolling", "&callback=f");
    let init = server.get(&path).await.text().await;
    assert!(
        init.starts_with("f({\"C\":\"s-0,") && init.ends_with(",\"S\":1,\"M\":[]});"),
        "{init}"
    );
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_are_refused_unless_all_hubs_list_them() {
    let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
    let hub = |name: &str, origins: &[&str]| {
        let allow = |options: Options, origin: &&str| options.allow_origin(origin).unwrap();
        let options = origins.iter().fold(Options::default(), allow);
        Hub::new(name, backplane.clone()).with_options(options)
    };
    let chat = hub("ChatHub", &["https://friend.test", "https://chat.test"]);
    let stock = hub("StockHub", &["https://friend.test"]);
    let router = Classic::new().hub(&chat).hub(&stock).router("/signalr");
    for (method, origin, status) in [
        ("GET", "https://friend.test", 200),
        ("GET", "https://chat.test", 403),
        ("GET", "https://evil.test", 403),
        ("GET", "http://server", 200),
        ("OPTIONS", "https://friend.test", 200),
    ] {
        let request = Request::builder().method(method).uri("/signalr/negotiate");
        let request = request.header("host", "server").header("origin", origin);
        let request = request.header("access-control-request-method", "GET");
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{method} {origin}");
        if origin == "https://friend.test" {
            let headers = response.headers();
            assert_eq!(headers["access-control-allow-origin"], origin);
            assert_eq!(headers["access-control-allow-credentials"], "true");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_nested_router_names_its_whole_path() {
    let hub = Hub::new("ChatHub", Backplane::embedded(&Broker::new(), "ChatApp"));
    let app = Router::new().nest("/api", Classic::new().hub(&hub).router("/signalr"));
    for (endpoint, expected) in
        [("negotiate", "{\"Url\":\"/api/signalr\","), ("hubs", "$.hubConnection(\"/api/signalr\",")]
    {
        let request = Request::get(format!("/api/signalr/{endpoint}")).body(Body::empty()).unwrap();
        let body = app.clone().oneshot(request).await.unwrap().into_body();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_script_has_a_proxy_for_each_hub() {
    let server = TestServer::start();
    for path in ["/signalr/hubs", "/signalr/js", "/signalr/HUBS"] {
        let response = server.get(path).await;
        assert_eq!(response.header("content-type"), "application/javascript; charset=UTF-8");
        let script = response.text().await;
        assert!(script.contains("addProxy(this, proxies, \"chatHub\", { \"add\": \"Add\", "));
        assert!(script.contains("\"whoAmI\": \"WhoAmI\" });"), "{script}");
        assert!(script.contains("addProxy(this, proxies, \"otherHub\", { \"endless\": \"Endless\", \"ping\": \"Ping\", \"untilGone\": \"UntilGone\" });"));
        assert!(script.contains("$.hubConnection(\"/signalr\", { useDefaultPath: false })"));
    }
    let server = TestServer::with(|hub| hub, Classic::without_script);
    assert_eq!(server.get("/signalr/hubs").await.status, 404);
}
