//! Stateful clients that come back to another server than the one that has their connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::{Request, StatusCode};
use backplane::Servers;
use futures_util::future::join;
use serde_json::{Value, json};
use signalr::{Caller, Hub, HubError, Local, Options, User};
use tokio::{sync::Notify, task::yield_now, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    any_server::farm,
    server::{Client, TestServer, within},
};

#[tokio::test]
async fn a_client_goes_on_at_any_server_and_loses_nothing() {
    let hooks = Hooks::default();
    let servers = farm::<3>(|hub| chat(hub, &hooks)).await;
    for [home, first, second, third] in [[0, 0, 1, 0], [0, 1, 0, 2], [0, 1, 2, 1], [2, 0, 1, 2]] {
        hooks.reset();
        let query = negotiate(&servers[home]).await;
        let mut client = connect(&servers[first], &query).await;
        assert_eq!(call(&mut client, "Count").await, 1);
        call(&mut client, "Join").await;
        assert_eq!(call(&mut client, "Count").await, 2);
        for (number, at) in (0_u64..).zip([second, third, first]) {
            drop(client);
            news(&servers[at], "while away").await;
            client = servers[at].open(&query, &[]).await.unwrap();
            // The last call again, which has run, and another one. Neither side has confirmed a message.
            resume(&mut client, number + 3).await;
            client.send(invocation("Count")).await;
            client.send(invocation("Count")).await;
            let received = receive_until(&mut client, number + 3).await;
            assert_eq!(received, expected(number));
        }
        assert_eq!((hooks.connected.load(Relaxed), hooks.disconnected.load(Relaxed)), (1, 0));
        client.send(json!({"type": 7})).await;
        client.wait_for_end().await;
        within(async {
            while hooks.disconnected.load(Relaxed) == 0 {
                yield_now().await
            }
        })
        .await;
        assert_eq!(hooks.disconnected.load(Relaxed), 1);
        for server in &servers {
            let refused = server.open(&query, &[]).await.err().unwrap();
            assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        }
    }
}

/// Returns all messages up to a round of the test above, in their order.
fn expected(rounds: u64) -> Vec<Value> {
    let mut all = vec![json!(1), json!(null), json!(2)];
    for round in 0..=rounds {
        all.extend([json!("while away"), json!(round + 3)]);
    }
    all
}

/// Receives invocations and results up to the result of a call of `Count`.
async fn receive_until(client: &mut Client, result: u64) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let message = client.receive_past_pings().await;
        match message["type"].as_u64() {
            Some(1) => all.push(message["arguments"][0].clone()),
            Some(3) => all.push(message["result"].clone()),
            // Confirmations.
            _ => continue,
        }
        if all.last() == Some(&json!(result)) {
            return all;
        }
    }
}

#[tokio::test]
async fn a_client_of_messagepack_goes_on_at_another_server() {
    let [a, b] = farm(|hub| chat(hub, &Hooks::default())).await;
    let query = negotiate(&a).await;
    let mut client = b.open(&query, &[]).await.unwrap();
    client.send(r#"{"protocol":"messagepack","version":2}"#).await;
    assert_eq!(client.receive_binary().await, b"{}\x1e");
    // Count, as [1, {}, "7", "Count", []], and its result [3, {}, "7", 3, 1].
    let count = b"\x0c\x95\x01\x80\xa17\xa5Count\x90";
    client.send_frame(Message::binary(&count[..])).await;
    let result = |number: u8| vec![7, 0x95, 3, 0x80, 0xa1, b'7', 3, number];
    assert_eq!(client.receive_binary().await, result(1));
    drop(client);
    let mut client = a.open(&query, &[]).await.unwrap();
    client.send_frame(Message::binary(&b"\x03\x92\x09\x02"[..])).await;
    client.send_frame(Message::binary(&count[..])).await;
    let mut received = Vec::new();
    while received.len() < 4 + 8 + 8 {
        received.extend(client.receive_binary().await);
    }
    assert_eq!(received, [vec![3, 0x92, 9, 1], result(1), result(2)].concat());
}

#[tokio::test]
async fn only_the_user_of_a_connection_takes_it_along() {
    let [a, b] = farm(|hub| {
        let hub = hub.user_id(|parts| Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned()));
        chat(hub, &Hooks::default())
    })
    .await;
    let query = negotiate(&a).await;
    let ann = [("x-user", "ann")];
    let mut client = a.open(&query, &ann).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    for other in [&[][..], &[("x-user", "bob")]] {
        let refused = b.open(&query, other).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(call(&mut client, "Count").await, 1);
    let mut client = b.open(&query, &ann).await.unwrap();
    resume(&mut client, 2).await;
    assert_eq!(client.receive().await["result"], 1);
    // Messages to the user reach it on its new server.
    a.hub.clients().user("ann").invoke("news", ("hi",)).await.unwrap();
    assert_eq!(client.receive().await["arguments"], json!(["hi"]));
}

#[tokio::test]
async fn a_call_that_runs_ends_before_the_connection_leaves() {
    let hooks = Hooks::default();
    let [a, b] = farm(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&a).await;
    let mut client = connect(&a, &query).await;
    client.send(invocation("Wait")).await;
    client.send(invocation("Count")).await;
    hooks.began.notified().await;
    drop(client);
    let ending = async {
        yield_now().await;
        hooks.ends.notify_one();
    };
    let (client, ()) = join(b.open(&query, &[]), ending).await;
    let mut client = client.unwrap();
    // The second call may have waited behind the first one, or the client repeats it.
    client.send(json!({"type": 9, "sequenceId": 1})).await;
    client.send(invocation("Wait")).await;
    client.send(invocation("Count")).await;
    assert_eq!(client.receive().await["sequenceId"], 1);
    assert_eq!(client.receive().await["result"], "ended");
    assert_eq!(client.receive().await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_call_lasts_too_long_stays() {
    let hooks = Hooks::default();
    let [a, b] = farm(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&a).await;
    let mut client = connect(&a, &query).await;
    client.send(invocation("Wait")).await;
    hooks.began.notified().await;
    drop(client);
    let start = Instant::now();
    let refused = b.open(&query, &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let mut client = a.open(&query, &[]).await.unwrap();
    hooks.ends.notify_one();
    resume(&mut client, 2).await;
    assert_eq!(client.receive().await["result"], "ended");
}

#[tokio::test]
async fn a_connection_that_two_servers_want_at_once_has_one() {
    let hooks = Hooks::default();
    let servers = farm::<3>(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&servers[0]).await;
    let mut client = connect(&servers[0], &query).await;
    let mut sent = 1;
    assert_eq!(call(&mut client, "Count").await, 1);
    for round in 0..20 {
        drop(client);
        let open = |at: usize| servers[at % 3].open(&query, &[]);
        let (one, other) = join(open(round), open(round + 1)).await;
        // Whichever has it, the client goes on with its last WebSocket.
        drop((one, other));
        client = within(async {
            loop {
                if let Ok(client) = open(round + 2).await {
                    return client;
                }
                yield_now().await;
            }
        })
        .await;
        sent += 1;
        client.send(json!({"type": 9, "sequenceId": sent})).await;
        client.send(invocation("Count")).await;
        let result = u64::try_from(round).unwrap() + 2;
        let results = receive_until(&mut client, result).await;
        assert!(results.is_sorted_by_key(Value::as_u64), "{results:?}");
    }
    assert_eq!((hooks.connected.load(Relaxed), hooks.disconnected.load(Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_client_does_not_come_ends_once() {
    let hooks = Hooks::default();
    let [a, b] = farm(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&a).await;
    let mut client = connect(&a, &query).await;
    assert_eq!(call(&mut client, "Count").await, 1);
    drop(client);
    drop(b.open(&query, &[]).await.unwrap());
    tokio::time::sleep(Duration::from_secs(60)).await; // on the paused clock
    assert_eq!(hooks.disconnected.load(Relaxed), 1);
}

/// Messages between servers may be old, doubled or lost.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_given_and_not_confirmed_goes_on() {
    let hooks = Hooks::default();
    let [a, b, c] = farm::<3>(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&a).await;
    let token = query.strip_prefix("?id=").unwrap();
    let mut client = connect(&a, &query).await;
    assert_eq!(call(&mut client, "Count").await, 1);
    // A server answers others from its first request on.
    for server in [&b, &c] {
        negotiate(server).await;
    }
    let take = |number: u64| json!({"token": token, "number": number, "user_id": null});
    let confirm = |number: u64| json!({"token": token, "number": number});
    assert_eq!(ask(&b, "confirm", confirm(1)).await, [json!(false), json!(false)]);
    let given = ask(&b, "take", take(1)).await;
    assert_eq!(given, ask(&b, "take", take(1)).await, "the question came twice");
    client.wait_for_end().await;
    // Another server has asked since.
    let again = ask(&c, "take", take(2)).await;
    assert!(again.iter().any(|answer| answer.get("luggage").is_some()), "{again:?}");
    assert_eq!(ask(&b, "confirm", confirm(1)).await, [json!(false), json!(false)]);
    // None of them goes on, and the client comes back.
    let mut client = b.open(&query, &[]).await.unwrap();
    assert_eq!(ask(&c, "confirm", confirm(2)).await, [json!(false), json!(false)]);
    resume(&mut client, 2).await;
    assert_eq!(client.receive().await["result"], 1);
    assert_eq!(call(&mut client, "Count").await, 2);
    // A server that does not confirm costs the connection nothing but its transport.
    ask(&c, "take", take(3)).await;
    client.wait_for_end().await;
    tokio::time::sleep(Duration::from_secs(6)).await; // on the paused clock
    assert_eq!(ask(&c, "confirm", confirm(3)).await, [json!(false), json!(false)]);
    let mut client = b.open(&query, &[]).await.unwrap();
    resume(&mut client, 3).await;
    drop(client);
    ask(&c, "take", take(4)).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((hooks.connected.load(Relaxed), hooks.disconnected.load(Relaxed)), (1, 1));
    let other = json!({"token": "x", "number": 1, "user_id": null});
    assert_eq!(ask(&c, "take", other).await, [json!("unknown"), json!("unknown")]);
}

/// Asks all other servers, as a server of the app.
async fn ask(server: &TestServer, name: &str, question: Value) -> Vec<Value> {
    let name = format!("signalr.Hub.{name}");
    let asking = server.backplane.ask::<_, Value>(Servers::others(), &name, &question);
    asking.await.unwrap().received.into_iter().map(|(_, answer)| answer).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_server_that_is_gone_connects_anew_at_once() {
    let [a, b, c] = farm::<3>(|hub| chat(hub, &Hooks::default())).await;
    for [home, owner] in [[&a, &a], [&b, &c]] {
        let query = negotiate(home).await;
        let client = connect(owner, &query).await;
        drop(client);
        owner.backplane.clone().shutdown().await;
        let start = Instant::now();
        let opened = b.open(&query, &[]).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        // A fresh token opens a connection, since its client may have none yet.
        let Ok(mut client) = opened else { continue };
        client.send(json!({"type": 9, "sequenceId": 1})).await;
        assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 1}));
        assert_eq!(client.receive().await, json!({"type": 7, "allowReconnect": true}));
        client.wait_for_end().await;
        let refused = b.open(&query, &[]).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_client_of_messagepack_is_told_that_its_connection_is_gone() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.open(&negotiate(&server).await, &[]).await.unwrap();
    // 30 is also the separator of texts.
    client.send_frame(Message::binary(&b"\x03\x92\x09\x1e"[..])).await;
    let close = [&[3, 0x92, 9, 1][..], &[4, 0x93, 7, 0xc0, 0xc3]].concat();
    assert_eq!(client.receive_binary().await, close);
    client.wait_for_end().await;
}

#[tokio::test]
async fn code_of_an_earlier_call_ends_the_connection_on_its_new_server() {
    let later = Arc::new(Notify::new());
    let [a, b] = farm(|hub| {
        let later = later.clone();
        hub.method("Leave", move |caller: Caller, ()| {
            let later = later.clone();
            async move {
                tokio::spawn(async move {
                    later.notified().await;
                    caller.abort();
                });
                Ok(())
            }
        })
    })
    .await;
    let query = negotiate(&a).await;
    let mut client = connect(&a, &query).await;
    call(&mut client, "Leave").await;
    let mut client = b.open(&query, &[]).await.unwrap();
    resume(&mut client, 2).await;
    later.notify_one();
    within(async { while client.receive_past_pings().await != json!({"type": 7}) {} }).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_clients_to_another_server_without_a_close() {
    let hooks = Hooks::default();
    let [a, b] = farm(|hub| chat(hub, &hooks)).await;
    let query = negotiate(&a).await;
    let mut client = connect(&a, &query).await;
    assert_eq!(call(&mut client, "Count").await, 1);
    let moving = async {
        client.wait_for_end().await;
        let mut client = b.open(&query, &[]).await.unwrap();
        resume(&mut client, 2).await;
        assert_eq!(client.receive().await["result"], 1);
        client.send(invocation("Count")).await;
        assert_eq!(client.receive().await["result"], 2);
        client
    };
    let ((), _client) = join(a.hub.drain(Duration::from_secs(1)), moving).await;
    assert_eq!((hooks.connected.load(Relaxed), hooks.disconnected.load(Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_to_a_server_in_a_drain_connects_anew() {
    let [a, _b] = farm(|hub| chat(hub, &Hooks::default())).await;
    let query = negotiate(&a).await;
    let client = connect(&a, &query).await;
    let returning = async {
        client.wait_for_end().await;
        let mut client = a.open(&query, &[]).await.unwrap();
        client.send(json!({"type": 9, "sequenceId": 1})).await;
        assert_eq!(client.receive().await["type"], 9);
        assert_eq!(client.receive().await, json!({"type": 7, "allowReconnect": true}));
        client.wait_for_end().await;
    };
    join(a.hub.drain(Duration::from_secs(1)), returning).await;
}

#[tokio::test]
async fn the_user_is_that_of_the_last_request() {
    let [a, b] = farm(|hub| {
        hub.authenticate(|parts| async move {
            let color = parts.headers["x-color"].to_str().unwrap_or_default().to_owned();
            Ok(Some(User::new("ann", color)))
        })
        .method("Color", |user: User<String>, ()| async move { Ok((*user).clone()) })
    })
    .await;
    let negotiated = Request::post(NEGOTIATE).header("x-color", "red");
    let (_, _, body) = a.request(negotiated).await;
    let token = serde_json::from_str::<Value>(&body).unwrap()["connectionToken"].clone();
    let query = format!("?id={}", token.as_str().unwrap());
    let mut client = a.open(&query, &[("x-color", "red")]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    client.send(invocation("Color")).await;
    assert_eq!(client.receive().await["result"], "red");
    let mut client = b.open(&query, &[("x-color", "blue")]).await.unwrap();
    client.send(json!({"type": 8, "sequenceId": 1})).await;
    client.send(json!({"type": 9, "sequenceId": 2})).await;
    client.send(invocation("Color")).await;
    within(async { while client.receive().await["result"] != "blue" {} }).await;
}

/// What the hooks and methods of a hub do on all servers.
#[derive(Clone, Debug, Default)]
struct Hooks {
    connected: Arc<AtomicU32>,
    disconnected: Arc<AtomicU32>,
    began: Arc<Notify>,
    ends: Arc<Notify>,
}

impl Hooks {
    fn reset(&self) {
        self.connected.store(0, Relaxed);
        self.disconnected.store(0, Relaxed);
    }
}

fn chat(hub: Hub, hooks: &Hooks) -> Hub {
    let Hooks { connected, disconnected, began, ends } = hooks.clone();
    let mut options = Options::default();
    options.readiness_pause = Duration::ZERO;
    hub.with_options(options)
        .method(
            "Count",
            |own: Local<AtomicU32>, ()| async move { Ok(own.fetch_add(1, Relaxed) + 1) },
        )
        .method("Join", |caller: Caller, ()| async move { Ok(caller.groups().add("room").await?) })
        .method("Wait", move |_: Caller, ()| {
            let (began, ends) = (began.clone(), ends.clone());
            async move {
                began.notify_one();
                ends.notified().await;
                Ok::<_, HubError>("ended")
            }
        })
        .on_connected(move |_: Caller| {
            connected.fetch_add(1, Relaxed);
            async { Ok(()) }
        })
        .on_disconnected(move |_: Caller| {
            disconnected.fetch_add(1, Relaxed);
            async {}
        })
}

async fn negotiate(server: &TestServer) -> String {
    let (_, _, body) = server.request(Request::post(NEGOTIATE)).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    format!("?id={}", answer["connectionToken"].as_str().unwrap())
}

/// Opens the first transport of a stateful client.
async fn connect(server: &TestServer, query: &str) -> Client {
    let mut client = server.open(query, &[]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    client
}

/// Begins with the number of the next message of the client, which has sent all of them.
async fn resume(client: &mut Client, next: u64) {
    client.send(json!({"type": 9, "sequenceId": next})).await;
    assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 1}));
}

async fn call(client: &mut Client, method: &str) -> Value {
    client.send(invocation(method)).await;
    client.receive().await["result"].clone()
}

async fn news(server: &TestServer, text: &str) {
    server.hub.clients().group("room").invoke("news", (text,)).await.unwrap();
}

fn invocation(method: &str) -> Value {
    json!({"type": 1, "invocationId": "7", "target": method, "arguments": []})
}

const NEGOTIATE: &str = "/hub/negotiate?negotiateVersion=1&useStatefulReconnect=true";
