//! Connections by long polling.

use serde_json::{Value, json};
use tokio::time::{self, Duration};

use crate::server::{Client, TestServer, duration, encode};

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_the_next_frame() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let cursor = client.connect_polling().await;
    let form = format!("messageId={}", encode(&cursor));
    let (frame, ()) = tokio::join!(poll(&client, &form), async {
        time::sleep(Duration::from_secs(5)).await; // on the paused clock
        assert_eq!(client.call("Send", json!(["ann", "x"])).await, json!({"I": "0"}));
    });
    let message = json!({"H": "ChatHub", "M": "broadcastMessage", "A": ["ann", "x"]});
    assert_eq!(frame["M"], json!([message]));
}

#[tokio::test(start_paused = true)]
async fn messages_between_two_polls_come_with_the_next_one() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let mut cursor = client.connect_polling().await;
    let mut next = 0;
    for round in 0..10 {
        for number in 0..round {
            server.hub.clients().all().invoke("count", (number,)).await.unwrap();
        }
        let mut left = round;
        while left > 0 {
            let frame = poll(&client, &format!("messageId={}", encode(&cursor))).await;
            cursor = frame["C"].as_str().unwrap().to_owned();
            left -= frame["M"].as_array().unwrap().len();
            next += frame["M"].as_array().unwrap().len();
        }
    }
    assert_eq!(next, 45);
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_after_110_seconds_with_an_empty_frame() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let cursor = client.connect_polling().await;
    let form = format!("messageId={}", encode(&cursor));
    let (waited, text) = duration(async { client.poll("poll", &form).await.text().await }).await;
    assert_eq!(waited.as_secs(), 110);
    // White space keeps the connection alive.
    assert!(text.starts_with("          {\"C\":\"s-0,") && text.ends_with("\"M\":[]}"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_cursor_or_groups_token_is_none() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    for form in ["", "messageId=zzz", "messageId=d-1%2C2", "groupsToken=abcd", "messageId=&x"] {
        let (frame, ()) = tokio::join!(poll(&client, form), async {
            time::sleep(Duration::from_millis(10)).await;
            server.hub.clients().all().invoke("one", ()).await.unwrap();
        });
        assert_eq!(frame["M"], json!([{"H": "ChatHub", "M": "one", "A": []}]), "{form}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_poll_ends_the_first() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    let (first, second, ()) = tokio::join!(
        poll(&client, ""),
        async {
            time::sleep(Duration::from_millis(10)).await;
            poll(&client, "").await
        },
        async {
            time::sleep(Duration::from_millis(20)).await;
            server.hub.clients().all().invoke("one", ()).await.unwrap();
        }
    );
    assert_eq!(first["M"], json!([]));
    assert_eq!(second["M"][0]["M"], "one");
}

#[tokio::test(start_paused = true)]
async fn an_abort_answers_the_open_poll() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    let (frame, ()) = tokio::join!(poll(&client, ""), async {
        time::sleep(Duration::from_millis(10)).await;
        client.abort().await.text().await;
    });
    assert_eq!(frame["M"], json!([]));
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert_eq!(server.event().await, format!("disconnected {id}"));
}

async fn poll(client: &Client<'_>, form: &str) -> Value {
    let response = client.poll("poll", form).await;
    assert_eq!(response.header("content-type"), "application/json; charset=UTF-8");
    serde_json::from_str(&response.text().await).unwrap()
}
