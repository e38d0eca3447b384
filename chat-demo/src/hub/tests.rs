//! Clients on two servers call the hub.

use broker::Broker;
use futures_util::StreamExt;
use serde_json::{Value, json};
use signalr::testing::{TestClient, TestConnection, TestFarm};

use super::*;

#[tokio::test(start_paused = true)]
async fn who_enters_a_room_gets_its_last_messages_from_each_server() {
    let farm = farm(2, 1_000);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    assert_eq!(enter(&mut ann, " red ").await, json!([]));
    for number in 0..60 {
        let text = format!("message {number}");
        ann.invoke::<()>("SendToRoom", ("red", "ann", &text)).await.unwrap();
        ann.expect("roomMessage", ("red", "ann", &text)).await;
    }
    let mut bob = farm.server(1).connect(TestClient::messagepack().user("bob")).await;
    let history = enter(&mut bob, "red").await;
    let history = history.as_array().unwrap();
    assert_eq!(history.len(), 50);
    assert_eq!((&history[0]["by"], &history[0]["text"]), (&json!("ann"), &json!("message 10")));
    assert_eq!(history[49]["text"], "message 59");
    assert_eq!(enter(&mut bob, "blue").await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_later_asks_the_others_for_the_history() {
    let broker = Broker::new();
    let first = TestFarm::start(1, |_| hub(&broker, "first", 10));
    let mut ann = first.server(0).connect(TestClient::json().user("ann")).await;
    enter(&mut ann, "red").await;
    ann.invoke::<()>("SendToRoom", ("red", "ann", "early")).await.unwrap();
    ann.invoke::<()>("Send", ("ann", "for everyone")).await.unwrap();

    let later = backplane(&broker, "later");
    let second = TestFarm::start(1, |_| chat(HUB, "later".to_owned(), &later, limit(10)));
    while later.servers().len() < 2 {
        tokio::task::yield_now().await;
    }
    ann.invoke::<()>("SendToRoom", ("red", "ann", "late")).await.unwrap();
    let mut bob = second.server(0).connect(TestClient::json().user("bob")).await;
    assert_eq!(texts(&enter(&mut bob, "red").await), ["early", "late"]);
    assert_eq!(texts(&enter(&mut bob, EVERYONE).await), ["for everyone"]);
}

#[tokio::test]
async fn a_message_to_everyone_is_the_one_of_the_tutorial() {
    let farm = farm(2, 10);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    let mut guest = farm.server(1).connect(TestClient::json()).await;
    ann.invoke::<()>("SendToRoom", (EVERYONE, "ann", "hello")).await.unwrap();
    guest.expect("broadcastMessage", ("ann", "hello")).await;
    guest.invoke::<()>("Send", ("guest", "hi")).await.unwrap();
    ann.expect("broadcastMessage", ("ann", "hello")).await;
    ann.expect("broadcastMessage", ("guest", "hi")).await;
    // A connection with a name cannot use another one.
    ann.invoke::<()>("Send", ("bob", "it is me")).await.unwrap();
    guest.expect("broadcastMessage", ("guest", "hi")).await;
    guest.expect("broadcastMessage", ("ann", "it is me")).await;
}

#[tokio::test]
async fn a_private_message_reaches_all_tabs_of_both_and_nobody_else() {
    let farm = farm(2, 10);
    let connect = |server, name| farm.server(server).connect(TestClient::json().user(name));
    let (mut ann, mut bob) = (connect(0, "ann").await, connect(1, "bob").await);
    let (mut tab, mut eve) = (connect(0, "bob").await, connect(1, "eve").await);
    ann.invoke::<()>("SendToUser", ("bob", "psst")).await.unwrap();
    ann.invoke::<()>("Send", ("ann", "end")).await.unwrap();
    for to in [&mut ann, &mut bob, &mut tab] {
        to.expect("privateMessage", ("ann", "bob", "psst")).await;
    }
    eve.expect("broadcastMessage", ("ann", "end")).await;
    check_refused(&mut ann, "SendToUser", ("ann", "x"), "choose another person").await;
    check_refused(&mut ann, "SendToUser", ("zoe", "x"), "zoe is not here").await;
}

#[tokio::test]
async fn others_in_a_room_see_who_types() {
    let farm = farm(2, 10);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    let mut bob = farm.server(1).connect(TestClient::json().user("bob")).await;
    enter(&mut ann, "red").await;
    enter(&mut bob, "red").await;
    ann.invoke::<()>("Typing", ("red",)).await.unwrap();
    bob.expect("typing", ("red", "ann")).await;
    bob.invoke::<()>("SendToRoom", ("red", "bob", "end")).await.unwrap();
    ann.expect("roomMessage", ("red", "bob", "end")).await;
    let mut guest = farm.server(0).connect(TestClient::json()).await;
    check_refused(&mut guest, "Typing", ("red",), "the name is empty").await;
}

#[tokio::test(start_paused = true)]
async fn a_person_sends_a_limited_number_of_messages_over_all_tabs() {
    let farm = farm(1, 2);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    let mut tab = farm.server(0).connect(TestClient::json().user("ann")).await;
    ann.invoke::<()>("Send", ("ann", "1")).await.unwrap();
    tab.invoke::<()>("SendToRoom", ("red", "ann", "2")).await.unwrap();
    check_refused(&mut ann, "SendToUser", ("bob", "3"), "too many calls").await;
    ann.invoke::<Value>("JoinRoom", ("red",)).await.unwrap();
    tokio::time::advance(Duration::from_secs(5)).await;
    ann.invoke::<()>("Send", ("ann", "4")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_tutorials_clients_send_without_limit() {
    let farm = farm(1, 2);
    let mut guest = farm.server(0).connect(TestClient::json()).await;
    for number in 0..300 {
        let text = number.to_string();
        guest.invoke::<()>("Send", ("guest", &text)).await.unwrap();
        guest.expect("broadcastMessage", ("guest", text)).await;
    }
}

#[tokio::test]
async fn the_people_of_a_room_are_those_of_all_servers_once_each() {
    let broker = Broker::new();
    let watching = backplane(&broker, "watching");
    let farm = TestFarm::start(2, |_| hub(&broker, "web", 10));
    let mut people = people::watch(watching.hub(HUB), group("red"));
    let mut clients = Vec::new();
    for (server, client) in [
        (0, TestClient::json().user("ann")),
        (1, TestClient::json().user("ann")),
        (1, TestClient::json().user("bob")),
        (0, TestClient::json()),
    ] {
        let mut client = farm.server(server).connect(client).await;
        enter(&mut client, "red").await;
        clients.push(client);
    }
    let names = async |people: &mut HubStream<Vec<Person>>| {
        let people = people.next().await.unwrap().unwrap();
        serde_json::to_value(people).unwrap()
    };
    let both = json!([
        {"name": "ann", "servers": ["web"]},
        {"name": "bob", "servers": ["web"]},
    ]);
    while names(&mut people).await != both {}
    clients.swap_remove(2).cut();
    let ann = json!([{"name": "ann", "servers": ["web"]}]);
    while names(&mut people).await != ann {}
}

#[tokio::test]
async fn a_connection_knows_its_server() {
    let broker = Broker::new();
    let backplane = backplane(&broker, "web-1");
    let state = server::watch("web-1".to_owned(), &backplane).next().await.unwrap().unwrap();
    let connected = json!({"state": "connected", "error": null});
    let expected = json!({"server": "web-1", "app": "Test", "backplane": connected});
    assert_eq!(serde_json::to_value(state).unwrap(), expected);
}

#[test]
fn the_name_of_a_connection_is_in_its_address() {
    let check = |address: &str, expected: Option<&str>| {
        let (parts, ()) = axum::http::Request::get(address).body(()).unwrap().into_parts();
        assert_eq!(user(&parts).as_deref(), expected, "{address}");
    };
    check("/chatHub?id=1&name=ann%20of+the%20hill", Some("ann of the hill"));
    check("/chatHub?name=", None);
    check("/chatHub", None);
    check(&format!("/chatHub?name={}", "x".repeat(41)), None);
}

fn farm(servers: usize, messages: u32) -> TestFarm {
    let broker = Broker::new();
    TestFarm::start(servers, |_| hub(&broker, "web", messages))
}

fn hub(broker: &Broker, server: &str, messages: u32) -> Hub {
    chat(HUB, server.to_owned(), &backplane(broker, server), limit(messages))
}

fn limit(messages: u32) -> CallLimit {
    CallLimit::per_user(messages, Duration::from_secs(5))
}

fn backplane(broker: &Broker, server: &str) -> Backplane {
    let builder = Backplane::builder("Test").client_name(server).presence([ROOMS]);
    builder.embedded(broker).unwrap()
}

/// Enters a room, and returns its history.
async fn enter(client: &mut TestConnection, room: &str) -> Value {
    let history = client.invoke("JoinRoom", (room,)).await.unwrap();
    client.expect("entered", (room.trim(),)).await;
    history
}

fn texts(history: &Value) -> Vec<&str> {
    history.as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

async fn check_refused(
    client: &mut TestConnection,
    method: &str,
    arguments: impl serde::Serialize,
    reason: &str,
) {
    let error = client.invoke::<()>(method, arguments).await.unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}
