//! Clients whose requests reach several servers of an app, in any order.

use serde_json::{Value, json};

use crate::server::{Client, TestServer, encode, within};

#[tokio::test]
async fn each_poll_may_reach_another_server() {
    let mut servers = TestServer::farm::<3>().await;
    let client = servers[0].negotiate().await;
    let init: Value =
        serde_json::from_str(&client.at(&servers[1]).poll("connect", "").await.text().await)
            .unwrap();
    let mut cursor = init["C"].as_str().unwrap().to_owned();
    client.at(&servers[2]).start("longPolling").await;
    let mut groups = String::new();
    for number in 0..9 {
        let room = format!("room{}", number % 3);
        client.at(&servers[number % 2]).call("JoinRoom", json!([room])).await;
        let to = client.at(&servers[(number + 1) % 3]);
        let reply = to.call("SendToRoom", json!([room, number.to_string()])).await;
        assert_eq!(reply, json!({"I": "0"}));
        let mut messages = Vec::new();
        while messages.is_empty() {
            let form = format!("messageId={}&groupsToken={}", encode(&cursor), encode(&groups));
            let frame = poll(&client.at(&servers[number % 3]), &form).await;
            cursor = frame["C"].as_str().unwrap().to_owned();
            if let Some(token) = frame["G"].as_str() {
                groups = token.to_owned();
            }
            messages.extend(frame["M"].as_array().unwrap().iter().cloned());
        }
        let message = json!({"H": "ChatHub", "M": "roomMessage", "A": [room, number.to_string()]});
        assert_eq!(messages, [message]);
    }
    let id = client.id.clone();
    client.at(&servers[1]).abort().await;
    let mut events = Vec::new();
    within(async {
        while events.len() < 2 {
            servers.iter_mut().for_each(|server| events.extend(server.next_event()));
            tokio::task::yield_now().await;
        }
    })
    .await;
    events.sort_unstable();
    assert_eq!(events, [format!("connected {id}"), format!("disconnected {id}")]);
    assert!(servers.iter_mut().all(TestServer::is_quiet));
}

#[tokio::test]
async fn a_web_socket_goes_on_elsewhere_without_a_hook() {
    let mut servers = TestServer::farm::<2>().await;
    let client = servers[0].negotiate().await;
    let id = client.id.clone();
    let mut socket = client.at(&servers[1]).open("connect", "").await;
    let init = socket.receive().await;
    assert_eq!(init["S"], 1);
    client.at(&servers[0]).start("webSockets").await;
    socket.send(json!({"H": "chathub", "M": "JoinRoom", "A": ["red"], "I": 0})).await;
    let frame = socket.receive().await;
    let (cursor, groups) = (frame["C"].as_str().unwrap(), frame["G"].as_str().unwrap());
    drop(socket);
    servers[1].hub.clients().group("red").invoke("meanwhile", ()).await.unwrap();
    let more = format!("&messageId={}&groupsToken={}", encode(cursor), encode(groups));
    let mut socket = client.at(&servers[0]).open("reconnect", &more).await;
    let message = json!({"H": "ChatHub", "M": "meanwhile", "A": []});
    assert_eq!(socket.receive().await["M"], json!([message]));
    servers[1].hub.clients().group("red").invoke("again", ()).await.unwrap();
    assert_eq!(socket.receive().await["M"][0]["M"], "again");
    client.at(&servers[1]).abort().await;
    let [first, second] = &mut servers;
    assert_eq!(second.event().await, format!("connected {id}"));
    assert_eq!(first.event().await, format!("disconnected {id}"));
    assert!(first.is_quiet() && second.is_quiet());
}

#[tokio::test]
async fn calls_of_a_stream_of_events_reach_it_from_any_server() {
    let servers = TestServer::farm::<3>().await;
    let client = servers[0].negotiate().await;
    let mut events = client.at(&servers[1]).events("connect", "").await;
    assert_eq!(events.frame().await["S"], 1);
    client.at(&servers[2]).start("serverSentEvents").await;
    for (number, server) in servers.iter().enumerate() {
        let reply = client.at(server).call("Send", json!(["ann", number.to_string()])).await;
        assert_eq!(reply, json!({"I": "0"}));
        assert_eq!(events.frame().await["M"][0]["A"], json!(["ann", number.to_string()]));
    }
    let reply = client.at(&servers[0]).call("Refuse", json!([])).await;
    assert_eq!(reply["E"], "no", "{reply}");
}

#[tokio::test]
async fn a_call_without_a_connection_on_any_server_is_refused() {
    let servers = TestServer::farm::<2>().await;
    let client = servers[0].negotiate().await;
    let reply = client.at(&servers[1]).call("WhoAmI", json!([])).await;
    assert_eq!(reply["E"], "The connection has ended.", "{reply}");
}

async fn poll(client: &Client<'_>, form: &str) -> Value {
    let response = client.poll("poll", form).await;
    assert_eq!(response.header("content-type"), "application/json; charset=UTF-8");
    serde_json::from_str(&response.text().await).unwrap()
}
