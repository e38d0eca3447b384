//! Clients that go on after the end of their server, by the cursor of their last message.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use backplane::Backplane;
use broker::Broker;
use serde_json::{Value, json};
use signalr::{Caller, Hub};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    any_server::farm,
    http_client::{HANDSHAKE, PLAIN, Requests},
    server::{Client, TestServer},
};

#[tokio::test]
async fn a_client_gets_all_that_it_has_missed_on_any_server() {
    let [a, b] = farm(chat).await;
    for (before, after) in [(&a, &b), (&b, &a), (&a, &a)] {
        let mut client = connect(before, "?cursor=", &ANN).await;
        let first = client.receive().await;
        assert_eq!((&first["target"], arguments(&first).len()), (&json!("groupsToken"), 2));
        let join = json!({"type": 1, "target": "Join", "arguments": ["red"]});
        client.send(join).await;
        let place = token(&client.receive().await);
        let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
        news(after, "seen").await;
        let seen = client.receive().await;
        assert_eq!(arguments(&seen)[0], "seen");
        let place = Place { cursor: cursor(&seen), ..place };
        drop(client);

        let clients = after.hub.clients();
        news(after, "to all").await;
        clients.group("red").invoke("news", ("to the group",)).await.unwrap();
        clients.group("blue").invoke("news", ("to another group",)).await.unwrap();
        clients.user("ann").invoke("news", ("to the user",)).await.unwrap();
        clients.user("bob").invoke("news", ("to another user",)).await.unwrap();
        clients.connection(&*id).invoke("news", ("to the connection",)).await.unwrap();
        clients.all_except([&*id]).invoke("news", ("to the others",)).await.unwrap();

        let mut client = connect(after, &place.query(), &ANN).await;
        // The first one with the new connection id.
        let renewed = token(&client.receive().await);
        for expected in ["to all", "to the group", "to the user", "to the connection"] {
            let missed = client.receive().await;
            assert_eq!(
                (arguments(&missed)[0].as_str(), arguments(&missed).len()),
                (Some(expected), 2)
            );
        }
        clients.group("red").invoke("news", ("later",)).await.unwrap();
        let later = client.receive().await;
        assert_eq!(arguments(&later)[0], "later");
        drop(client);

        // And again, with the next id.
        clients.group("red").invoke("news", ("away again",)).await.unwrap();
        let place = Place { cursor: cursor(&later), ..renewed };
        let mut client = connect(before, &place.query(), &ANN).await;
        client.receive().await;
        assert_eq!(arguments(&client.receive().await)[0], "away again");
    }
}

#[tokio::test]
async fn a_client_of_messagepack_gets_places_too() {
    let [a, b] = farm(chat).await;
    let mut client = a.open("?cursor=", &[]).await.unwrap();
    client.send(r#"{"protocol":"messagepack","version":1}"#).await;
    assert_eq!(client.receive_binary().await, b"{}\x1e");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let token = text(&client.receive_binary().await);
    // A text of more than 255 bytes has two bytes of length, and one of up to 255 has one.
    let groups = token.split("groupsToken").nth(1).expect("the token");
    let is_text = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let groups: String = groups.chars().skip_while(|letter| !is_text(letter)).collect();
    let groups: String = groups.chars().take_while(is_text).collect();
    news(&b, "hi").await;
    let said = text(&client.receive_binary().await);
    let at = said.find("s-0,").expect("a place");
    let is_digit = |letter: &char| letter.is_ascii_digit();
    let cursor = format!("s-0,{}", said[at + 4..].chars().take_while(is_digit).collect::<String>());
    drop(client);
    news(&a, "missed").await;
    let mut client = b.open(&format!("?cursor={cursor}&groups={groups}"), &[]).await.unwrap();
    client.send_frame(Message::text("{\"protocol\":\"messagepack\",\"version\":1}\u{1e}")).await;
    let mut received = String::new();
    while !received.contains("missed") {
        received.push_str(&text(&client.receive_binary().await));
    }
    assert!(!received.contains("hi") && !received.contains("null"), "{received}");
}

#[tokio::test]
async fn events_and_long_polls_go_on_as_well() {
    let [a, b] = farm(chat).await;
    let mut first = connect(&a, "?cursor=", &[]).await;
    let place = token(&first.receive().await);
    drop(first);
    news(&a, "missed").await;
    for is_polling in [false, true] {
        let mut requests = Requests::negotiate(&b).await;
        let query = place.query().replacen('?', "&", 1);
        requests.token.push_str(&query);
        let mut received = String::new();
        if is_polling {
            assert_eq!(requests.poll_messages().await, "");
            requests.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
            while !received.contains("missed") {
                received.push_str(&requests.poll_messages().await);
            }
        } else {
            let mut events = requests.events().await;
            requests.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
            while !received.contains("missed") {
                received.push_str(&events.receive_chunk().await.unwrap());
            }
        }
        assert!(received.contains("groupsToken"), "{received}");
    }
}

#[tokio::test]
async fn a_place_that_is_not_the_clients_is_refused() {
    let [a, b] = farm(chat).await;
    let mut client = connect(&a, "?cursor=", &ANN).await;
    let place = token(&client.receive().await);
    for (server, query, headers, status) in [
        (&b, "?cursor=yesterday".to_owned(), &ANN[..], StatusCode::BAD_REQUEST),
        (&b, "?cursor=s-0,1&groups=x".to_owned(), &ANN[..], StatusCode::FORBIDDEN),
        (&b, place.query() + "A", &ANN[..], StatusCode::FORBIDDEN),
    ] {
        let refused = server.open(&query, headers).await.err().expect("a refusal");
        assert_eq!(refused.status(), status, "{query}");
        let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
        let mut request = Request::get(format!("/hub?id={token}{}", query.replacen('?', "&", 1)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(server.request(request).await.0, status, "{query}");
    }
    connect(&b, &place.query(), &ANN).await;
}

/// It could not connect any more otherwise: its URL stays the same.
#[tokio::test]
async fn a_client_whose_place_is_unknown_begins_anew_and_learns_of_the_loss() {
    let [a, b] = farm(chat).await;
    let mut client = connect(&a, "?cursor=", &ANN).await;
    client.receive().await;
    client.send(json!({"type": 1, "target": "Join", "arguments": ["red"]})).await;
    let place = token(&client.receive().await);
    let stranger = TestServer::start(chat);
    let without_token = format!("?cursor={}", place.cursor);
    for (server, query, headers) in [
        (&b, place.query(), &[("x-user", "bob")][..]),
        (&b, place.query(), &[][..]),
        (&b, without_token, &ANN[..]),
        (&stranger, place.query(), &ANN[..]),
    ] {
        news(server, "before").await;
        let mut client = connect(server, &query, headers).await;
        let [missed, renewed] = [client.receive().await, client.receive().await];
        assert_eq!(missed["target"], "missed");
        assert_eq!(arguments(&missed)[..2], [Value::Null, Value::Null]);
        token(&renewed);
        server.hub.clients().group("red").invoke("news", ("for members",)).await.unwrap();
        news(server, "for all").await;
        assert_eq!(arguments(&client.receive().await)[0], "for all");
    }
}

/// A cursor is no way to messages of a time in which the client was not there.
#[tokio::test]
async fn a_client_gets_nothing_from_before_its_token() {
    let server = TestServer::start(chat);
    let mut other = connect(&server, "?cursor=", &[]).await;
    other.receive().await;
    news(&server, "before").await;
    other.receive().await;
    let mut client = connect(&server, "?cursor=", &[]).await;
    let place = token(&client.receive().await);
    drop(client);
    news(&server, "after").await;
    other.receive().await;
    for cursor in ["s-0,0", "s-0,1", "d-1", "s-0,FFFFFFFFFFFFFFFF"] {
        let place = Place { cursor: cursor.to_owned(), groups: place.groups.clone() };
        let mut client = connect(&server, &place.query(), &[]).await;
        client.receive().await;
        assert_eq!(arguments(&client.receive().await)[0], "after", "{cursor}");
    }
}

/// Otherwise a client that trusts the result is not in the group after a crash.
#[tokio::test]
async fn the_token_of_a_group_precedes_the_result_of_the_method_that_entered_it() {
    let server = TestServer::start(chat);
    let mut client = connect(&server, "?cursor=", &[]).await;
    client.receive().await;
    for number in 0..20 {
        let group = number.to_string();
        client
            .send(json!({"type": 1, "invocationId": "7", "target": "Join", "arguments": [group]}))
            .await;
        let [first, second] = [client.receive().await, client.receive().await];
        assert_eq!((&first["target"], &second["type"]), (&json!("groupsToken"), &json!(3)));
    }
}

#[tokio::test]
async fn a_loss_is_reported_and_the_connection_goes_on() {
    let builder = Backplane::builder("ChatApp").history_messages_max(2);
    let backplane = builder.embedded(&Broker::new()).unwrap();
    let server = TestServer::serve(chat(Hub::new("Hub", backplane.clone())), backplane);
    let mut client = connect(&server, "?cursor=", &[]).await;
    let place = token(&client.receive().await);
    drop(client);
    let mut other = connect(&server, "", &[]).await;
    for number in 1..=5 {
        news(&server, &number.to_string()).await;
        other.receive().await;
    }
    let mut client = connect(&server, &place.query(), &[]).await;
    client.receive().await;
    let missed = client.receive().await;
    assert_eq!(missed["target"], "missed");
    let [from, to, at] = &arguments(&missed)[..] else { panic!("{missed}") };
    assert!(from.as_u64() <= to.as_u64() && at.is_string(), "{missed}");
    for expected in ["4", "5"] {
        assert_eq!(arguments(&client.receive().await)[0], expected);
    }
    assert_eq!(client.call("Id", json!([])).await["type"], Value::Null);
}

#[tokio::test]
async fn only_clients_that_ask_on_a_resumable_hub_have_places() {
    let (resumable, other) = (TestServer::start(chat), TestServer::start(methods));
    for (server, query) in [(&resumable, ""), (&resumable, "?groups=x"), (&other, "?cursor=s-0,1")]
    {
        let mut client = connect(server, query, &[]).await;
        news(server, "hi").await;
        assert_eq!(client.receive().await["arguments"], json!(["hi"]), "{query}");
    }
}

#[tokio::test]
async fn a_stateful_client_keeps_its_places_on_another_server() {
    let [a, b] = farm(chat).await;
    let negotiate = "/hub/negotiate?negotiateVersion=1&useStatefulReconnect=true";
    let (_, _, body) = a.request(Request::post(negotiate)).await;
    let negotiated: Value = serde_json::from_str(&body).unwrap();
    let query = format!("?id={}&cursor=", negotiated["connectionToken"].as_str().unwrap());
    let mut client = a.open(&query, &[]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    let place = token(&client.receive().await);
    drop(client);
    news(&a, "while away").await;
    let mut client = b.open(&query, &[]).await.unwrap();
    client.send(json!({"type": 9, "sequenceId": 1})).await;
    let missed = loop {
        let message = client.receive().await;
        if message["target"] == "news" {
            break message;
        }
    };
    assert_eq!(arguments(&missed)[0], "while away");
    assert_ne!(cursor(&missed), place.cursor);
}

#[tokio::test]
async fn another_server_checks_a_token_after_the_end_of_the_one_that_signed_it() {
    let [a, b] = farm(chat).await;
    let mut client = connect(&a, "?cursor=", &[]).await;
    let place = token(&client.receive().await);
    // The keys reach the other server by themselves.
    let is_known = async || {
        let mut client = connect(&b, &place.query(), &[]).await;
        client.receive().await["target"] == "groupsToken"
    };
    let spread = async { while !is_known().await {} };
    timeout(Duration::from_secs(10), spread).await.expect("the other server gets the keys");
    drop((client, a));
    assert!(is_known().await);
}

/// What a client sends to go on.
struct Place {
    cursor: String,
    groups: String,
}

impl Place {
    fn query(&self) -> String {
        format!("?cursor={}&groups={}", self.cursor, self.groups)
    }
}

/// Returns the place in an invocation of `groupsToken`.
fn token(message: &Value) -> Place {
    assert_eq!(message["target"], "groupsToken", "{message}");
    let groups = arguments(message)[0].as_str().unwrap().to_owned();
    Place { cursor: cursor(message), groups }
}

/// Returns the last argument of an invocation.
fn cursor(message: &Value) -> String {
    let cursor = arguments(message).last().and_then(Value::as_str).unwrap();
    assert!(cursor.starts_with("s-0,") && !cursor.contains("FFFFFFFF"), "{message}");
    cursor.to_owned()
}

fn arguments(message: &Value) -> &Vec<Value> {
    message["arguments"].as_array().unwrap_or_else(|| panic!("{message}"))
}

async fn connect(server: &TestServer, query: &str, headers: &[(&'static str, &str)]) -> Client {
    let mut client = server.open(query, headers).await.unwrap();
    client.handshake().await;
    client
}

async fn news(server: &TestServer, text: &str) {
    server.hub.clients().all().invoke("news", (text,)).await.unwrap();
}

fn chat(hub: Hub) -> Hub {
    methods(hub).resumable()
}

fn methods(hub: Hub) -> Hub {
    hub.user_id(|parts| Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned()))
        .method("Id", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
        .method("Join", |caller: Caller, (group,): (String,)| async move {
            caller.groups().add(&group).await?;
            Ok(())
        })
}

const ANN: [(&str, &str); 1] = [("x-user", "ann")];
