//! Connections over Server-Sent Events and forever frames.

use serde_json::json;

use crate::server::{TestServer, duration};

#[tokio::test(start_paused = true)]
async fn events_carry_the_frames() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let mut events = client.events("connect", "&tid=1").await;
    assert_eq!(events.header("x-accel-buffering"), "no");
    let init = events.event().await;
    assert!(init.starts_with("{\"C\":\"s-0,") && init.ends_with("\",\"S\":1,\"M\":[]}"), "{init}");
    client.start("serverSentEvents").await;
    assert_eq!(client.call("Send", json!(["ann", "x"])).await, json!({"I": "0"}));
    let message = json!({"H": "ChatHub", "M": "broadcastMessage", "A": ["ann", "x"]});
    assert_eq!(events.frame().await["M"], json!([message]));
    let (waited, event) = duration(events.event()).await;
    assert_eq!((waited.as_secs(), &*event), (10, "{}"));
}

#[tokio::test(start_paused = true)]
async fn events_go_on_where_the_client_was() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let mut events = client.events("connect", "").await;
    events.frame().await;
    client.start("serverSentEvents").await;
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    let cursor = events.frame().await["C"].as_str().unwrap().to_owned();
    drop(events);
    server.hub.clients().all().invoke("two", ()).await.unwrap();
    let more = format!("&messageId={}", crate::server::encode(&cursor));
    let mut events = client.events("reconnect", &more).await;
    assert_eq!(events.frame().await["M"][0]["M"], "two");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_fall_back_to_another_transport() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    let mut socket = client.open("connect", "").await;
    socket.receive().await;
    let mut events = client.events("connect", "").await;
    assert_eq!(events.frame().await["S"], 1);
    assert_eq!(socket.text().await, None);
    client.start("serverSentEvents").await;
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    assert_eq!(events.frame().await["M"][0]["M"], "one");
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_forever_frame_is_a_page_of_scripts() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let path = client.path("connect", "foreverFrame", "&frameId=3");
    let mut page = server.get(&path).await;
    assert_eq!(page.header("content-type"), "text/html; charset=UTF-8");
    let text = page.wait_for("\"S\":1,\"M\":[]});</script>\r\n").await;
    assert!(text.contains("getConnection(\"3\")"), "{text}");
    client.start("foreverFrame").await;
    client.call("Send", json!(["ann", "</script>"])).await;
    page.wait_for(r#""A":["ann","\u003c/script>"]}]});</script>"#).await;
    let bad = client.path("connect", "foreverFrame", "&frameId=%22);alert(1)");
    assert_eq!(server.get(&bad).await.status, 500);
}
