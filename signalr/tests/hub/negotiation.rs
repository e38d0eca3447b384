//! Negotiation, origins and handshake.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use signalr::{Hub, Options, TransportKind};
use tokio::time::{self, Duration};
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use crate::server::{TestServer, backplane, duration};

#[tokio::test(start_paused = true)]
async fn a_negotiated_connection_opens_its_websocket_with_the_token() {
    let server = TestServer::start(|hub| hub);
    let negotiated = server.negotiate().await;
    assert_eq!(negotiated["negotiateVersion"], 1);
    assert_eq!(
        negotiated["availableTransports"],
        json!([
            {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
            {"transport": "ServerSentEvents", "transferFormats": ["Text"]},
            {"transport": "LongPolling", "transferFormats": ["Text", "Binary"]},
        ])
    );
    let token = negotiated["connectionToken"].as_str().unwrap();
    assert_eq!(token.len(), 82);
    assert_ne!(negotiated["connectionId"], token);

    let mut client = server.open(&format!("?id={token}"), &[]).await.unwrap();
    client.handshake().await;
}

#[tokio::test(start_paused = true)]
async fn a_mounted_hub_ignores_case_and_a_slash_at_the_end() {
    let hub = Hub::new("Hub", backplane());
    let app = Router::new().fallback(|| async { "the app" });
    for (app, path) in [(hub.mount(app.clone(), "/chatHub"), "/chathub"), (hub.mount(app, "/"), "")]
    {
        for (request, text) in [
            (Request::post(format!("{path}/negotiate")), "negotiateVersion"),
            (Request::post(format!("{path}/NEGOTIATE/")), "negotiateVersion"),
            (Request::get(format!("{path}/")), "Connection ID required"),
            (Request::get(format!("{path}/?id=x")), "No Connection with that ID"),
            (Request::get(format!("{path}/other")), "the app"),
            (Request::get("/chatHubs"), "the app"),
        ] {
            let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.contains(text), "{path}: {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn version_0_has_one_id_for_both_purposes() {
    let server = TestServer::start(|hub| hub);
    let (_, _, body) = server.request(Request::post("/hub/negotiate")).await;
    let negotiated: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(negotiated["negotiateVersion"], 0);
    assert_eq!(negotiated.get("connectionToken"), None);
    let id = negotiated["connectionId"].as_str().unwrap();
    server.open(&format!("?id={id}"), &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_connection_id_does_not_open_a_connection_that_has_a_token() {
    let server = TestServer::start(|hub| hub);
    let negotiated = server.negotiate().await;
    let id = negotiated["connectionId"].as_str().unwrap();
    let refusal = server.open(&format!("?id={id}"), &[]).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_second_websocket_of_a_connection_is_refused() {
    let server = TestServer::start(|hub| hub);
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    let first = server.open(&format!("?id={token}"), &[]).await.unwrap();
    let refusal = server.open(&format!("?ID={token}"), &[]).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::CONFLICT);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_transport_expires_after_15_seconds() {
    let server = TestServer::start(|hub| hub);
    let early = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    time::sleep(Duration::from_secs(14)).await; // on the paused clock
    let late = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    time::sleep(Duration::from_secs(2)).await;
    let refusal = server.open(&format!("?id={early}"), &[]).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
    server.open(&format!("?id={late}"), &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_requests_get_the_texts_of_asp_net_core() {
    let transports = vec![TransportKind::WebSockets];
    let server = TestServer::with_options(|options| options.transports = transports, |hub| hub);
    assert_eq!(server.negotiate().await["availableTransports"].as_array().unwrap().len(), 1);
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    let known = format!("/hub?id={token}");
    for (request, status, text) in [
        (Request::get("/hub"), 400, "Connection ID required"),
        (Request::post("/hub"), 400, "Connection ID required"),
        (Request::get("/hub?id=x"), 404, "No Connection with that ID"),
        (Request::post("/hub?id=x"), 404, "No Connection with that ID"),
        (
            Request::get(&known).header("accept", "text/event-stream"),
            404,
            "ServerSentEvents transport not supported by this end point type",
        ),
        (Request::get(&known), 404, "LongPolling transport not supported by this end point type"),
        (Request::post(&known), 405, "POST requests are not allowed for WebSocket connections."),
        (
            Request::delete(&known),
            400,
            "Cannot terminate this connection using the DELETE endpoint.",
        ),
        (Request::delete("/hub?id=x"), 404, "No Connection with that ID"),
        (Request::put("/hub"), 405, "the hub expects GET, POST or DELETE"),
        (Request::get("/hub/negotiate"), 405, "negotiate expects POST"),
    ] {
        let (found_status, headers, found_text) = server.request(request).await;
        assert_eq!((found_status.as_u16(), found_text.as_str()), (status, text));
        assert_eq!(headers["content-type"], "text/plain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_the_hub_does_not_offer_is_refused() {
    let transports = vec![TransportKind::LongPolling];
    let server = TestServer::with_options(|options| options.transports = transports, |hub| hub);
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    for query in ["", &*format!("?id={token}")] {
        let refusal = server.open(query, &[]).await.err().unwrap();
        assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
    }
    // The refusal does not use the token.
    let (status, _, _) = server.request(Request::get(format!("/hub?id={token}"))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_negotiations_leaves_others_alone() {
    let server = TestServer::start(|hub| hub);
    let first = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    for _ in 0..20_000 {
        server.negotiate().await;
    }
    server.open(&format!("?id={first}"), &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_empty_id_is_no_id() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.open("?id=", &[]).await.unwrap();
    client.handshake().await;
    let (status, _, text) = server.request(Request::get("/hub?id=")).await;
    assert_eq!((status.as_u16(), text.as_str()), (400, "Connection ID required"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_refuses_negotiation() {
    let server = TestServer::start(|hub| hub);
    let client = server.connect().await;
    let ((), ()) = tokio::join!(server.hub.shutdown(), async {
        let (status, headers, _) = server.request(Request::post("/hub/negotiate")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers["retry-after"], "1");
        drop(client);
    });
}

#[tokio::test(start_paused = true)]
async fn a_trusted_proxy_forwards_the_host_of_a_page() {
    let page = [("origin", "https://chat.example"), ("x-forwarded-host", "chat.example")];
    let server = TestServer::start(|hub| hub);
    let refusal = server.open("", &page).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::FORBIDDEN);

    let server = TestServer::with_options(|options| options.trust_forwarded_host = true, |hub| hub);
    server.open("", &page).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_foreign_page_may_neither_negotiate_nor_connect() {
    let server = TestServer::start(|hub| hub);
    let foreign = [("origin", "http://evil.example")];
    let (name, value) = foreign[0];
    let (status, headers, _) = server
        .request(Request::post("/hub/negotiate").header("host", "server").header(name, value))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers.get("access-control-allow-origin"), None);
    let refusal = server.open("", &foreign).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::FORBIDDEN);

    server.open("", &[("origin", "http://server")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listed_page_may_connect_and_gets_cors_headers() {
    let options = Options::default().allow_origin("https://friend.example").unwrap();
    let server = TestServer::start(|hub| hub.with_options(options));
    let preflight = Request::options("/hub/negotiate")
        .header("origin", "https://friend.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-trace,authorization");
    let (status, headers, _) = server.request(preflight).await;
    assert!(status.is_success());
    assert_eq!(headers["access-control-allow-methods"], "GET,POST,DELETE");
    assert_eq!(headers["access-control-allow-headers"], "x-trace,authorization");

    let negotiate = Request::post("/hub/negotiate").header("origin", "https://friend.example");
    let (status, headers, _) = server.request(negotiate).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], "https://friend.example");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert!(headers["vary"].to_str().unwrap().to_lowercase().contains("origin"));
    server.open("", &[("origin", "https://friend.example")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_come_in_pieces_and_in_binary() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.open("", &[]).await.unwrap();
    client.send_frame(Message::text(r#"{"protocol":"#)).await;
    client.send_frame(Message::binary(&b"\"json\",\"version\":1}\x1e{\"type\":6}"[..])).await;
    assert_eq!(client.receive().await, json!({}));
    client.send_frame(Message::text("\u{1e}")).await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_handshake_gets_an_error_and_a_close() {
    let server = TestServer::start(|hub| hub);
    let long = " ".repeat(32 * 1024);
    for (request, error) in [
        (r#"{"protocol":"xml","version":1}"#, "The protocol 'xml' is not supported."),
        (
            r#"{"protocol":"json","version":9}"#,
            "The server does not support version 9 of the 'json' protocol.",
        ),
        ("{", "An unexpected error occurred during connection handshake."),
        (&*long, "An unexpected error occurred during connection handshake."),
    ] {
        let mut client = server.open("", &[]).await.unwrap();
        client.send(request).await;
        assert_eq!(client.receive().await, json!({ "error": error }));
        assert_eq!(client.receive_close().await, 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_handshake_is_closed_after_15_seconds() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.open("", &[]).await.unwrap();
    let (waited, answer) = duration(client.receive()).await;
    assert_eq!(answer, json!({"error": "Handshake was canceled."}));
    assert_eq!(waited.as_secs(), 15);
    assert_eq!(client.receive_close().await, 1000);
}
