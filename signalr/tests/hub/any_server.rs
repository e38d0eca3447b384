//! Clients whose requests reach several servers of an app, in any order.

use axum::http::{Request, StatusCode};
use backplane::Backplane;
use broker::Broker;
use serde_json::json;
use signalr::{Caller, Hub, Options, User};

use crate::{
    http_client::{HANDSHAKE, NO_CACHE, OCTETS, PLAIN, Requests},
    server::{TestServer, within},
};

#[tokio::test]
async fn a_web_socket_opens_on_another_server_than_its_negotiation() {
    let [a, b] = farm(chat).await;
    let token = a.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    let mut client = b.open(&format!("?id={token}"), &[]).await.unwrap();
    client.handshake().await;
    assert_eq!(client.call("Length", json!(["hi"])).await, json!({"result": 2}));
    a.hub.clients().all().invoke("news", (1,)).await.unwrap();
    assert_eq!(client.receive().await["arguments"], json!([1]));

    // In version 0 the id is the token.
    let (_, _, body) = a.request(Request::post("/hub/negotiate")).await;
    let negotiated: serde_json::Value = serde_json::from_str(&body).unwrap();
    let id = negotiated["connectionId"].as_str().unwrap();
    let mut client = b.open(&format!("?id={id}"), &[]).await.unwrap();
    client.handshake().await;
    assert_eq!(client.call("Id", json!([])).await, json!({"result": id}));
}

#[tokio::test]
async fn a_web_socket_ends_when_its_client_opens_another_one_elsewhere() {
    let [a, b] = farm(chat).await;
    let [a, b] = [&a, &b];
    for [first, second] in [[a, b], [b, a]] {
        let token = a.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
        let mut older = first.open(&format!("?id={token}"), &[]).await.unwrap();
        older.handshake().await;
        let mut newer = second.open(&format!("?id={token}"), &[]).await.unwrap();
        newer.handshake().await;
        older.wait_for_end().await;
        assert_eq!(newer.call("Length", json!(["hi"])).await, json!({"result": 2}));
    }
}

/// In version 0 the id is the token, and others may know the id of a connection.
#[tokio::test]
async fn nobody_takes_over_a_connection_by_its_id() {
    let [a, b, c] = farm::<3>(chat).await;
    let [a, b, c] = [&a, &b, &c];
    for [first, second] in [[a, b], [b, a], [b, c]] {
        let (_, _, body) = a.request(Request::post("/hub/negotiate")).await;
        let negotiated: serde_json::Value = serde_json::from_str(&body).unwrap();
        let id = negotiated["connectionId"].as_str().unwrap();
        let mut client = first.open(&format!("?id={id}"), &[]).await.unwrap();
        client.handshake().await;
        let refusal = second.open(&format!("?id={id}"), &[]).await.err().unwrap();
        assert_eq!(refusal.status(), StatusCode::CONFLICT);
        assert_eq!(client.call("Id", json!([])).await, json!({"result": id}));
    }
}

#[tokio::test]
async fn a_token_of_another_app_opens_nothing() {
    let [a, b] = farm(chat).await;
    let stranger = TestServer::start(|hub| hub);
    let token = stranger.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    for server in [&a, &b] {
        let refusal = server.open(&format!("?id={token}"), &[]).await.err().unwrap();
        assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
        let (status, _, text) = server.request(Request::get(format!("/hub?id={token}"))).await;
        assert_eq!((status.as_u16(), &*text), (404, "No Connection with that ID"));
    }
}

#[tokio::test]
async fn events_open_on_any_server_and_posts_reach_them_from_all() {
    let servers = farm::<3>(chat).await;
    for owner in &servers {
        let requests = Requests::negotiate(&servers[0]).await;
        let at = |server| Requests { server, headers: Vec::new(), ..copy(&requests) };
        let mut events = at(owner).events().await;
        at(&servers[1]).post(HANDSHAKE).await.expect(200, &[PLAIN], "");
        assert_eq!(events.receive_chunk().await.as_deref(), Some("data: {}\u{1e}\r\n\r\n"));
        for server in &servers {
            at(server)
                .send_messages(&[json!({"type": 1, "target": "Say", "arguments": ["hi"]})])
                .await;
            let said = events.receive_chunk().await.unwrap();
            assert!(said.contains(r#""target":"said","arguments":["hi"]"#), "{said}");
            // The connection has its only transport.
            assert_eq!(at(server).begin_events().await.receive_head().await.status, 409);
        }
        drop(events);
        for server in &servers {
            within(async { while at(server).post("").await.status != 404 {} }).await;
        }
    }
}

#[tokio::test]
async fn the_requests_of_long_polling_reach_any_server() {
    let servers = farm::<3>(chat).await;
    for owner in 0..3 {
        let requests = Requests::negotiate(&servers[0]).await;
        let at = |n: usize| Requests { server: &servers[n % 3], ..copy(&requests) };
        assert_eq!(at(owner).poll_messages().await, "");
        at(owner + 1).post(HANDSHAKE).await.expect(200, &[PLAIN], "");
        assert_eq!(at(owner + 2).poll_messages().await, "{}\u{1e}");
        for n in 0..6 {
            let mut poll = at(n).begin_poll().await;
            at(n + 1)
                .send_messages(&[json!({"type": 1, "target": "Say", "arguments": [n.to_string()]})])
                .await;
            let reply = poll.receive().await;
            reply.expect(200, &[&[OCTETS][..], &NO_CACHE].concat(), &reply.body);
            assert!(reply.body.contains(&format!(r#""arguments":["{n}"]"#)), "{}", reply.body);
        }
        at(owner + 1).request("DELETE").await.expect(202, &[PLAIN], "");
        for n in 0..3 {
            assert_eq!(at(n).poll().await.status, 404);
        }
    }
}

#[tokio::test]
async fn a_post_may_precede_the_first_poll() {
    let servers = farm::<3>(chat).await;
    for first in 0..3 {
        let requests = Requests::negotiate(&servers[0]).await;
        let at = |n: usize| Requests { server: &servers[n % 3], ..copy(&requests) };
        at(first).post(HANDSHAKE).await.expect(200, &[PLAIN], "");
        assert_eq!(at(first + 1).poll_messages().await, "");
        assert_eq!(at(first + 2).poll_messages().await, "{}\u{1e}");
    }
}

#[tokio::test]
async fn a_large_body_passes_to_another_server_in_parts() {
    let [a, b] = farm(|hub| {
        let mut options = Options::default();
        options.message_bytes_max = 1024 * 1024;
        chat(hub).with_options(options)
    })
    .await;
    let requests = Requests::negotiate(&a).await;
    requests.connect_polling().await;
    let there = Requests { server: &b, ..copy(&requests) };
    let text = "x".repeat(300 * 1024);
    let call = json!({"type": 1, "invocationId": "1", "target": "Length", "arguments": [text]});
    there.send_messages(&[call]).await;
    let completion = r#"{"type":3,"invocationId":"1","result":307200}"#.to_owned() + "\u{1e}";
    assert_eq!(there.poll_messages().await, completion);
}

#[tokio::test]
async fn a_client_that_hangs_up_loses_no_message() {
    let [a, b] = farm(chat).await;
    let requests = Requests::negotiate(&a).await;
    requests.connect_polling().await;
    let there = Requests { server: &b, ..copy(&requests) };
    for number in 0..10 {
        drop(there.begin_poll().await);
        // The next poll takes the place of one whose end is still on its way.
        let mut poll = there.begin_poll().await;
        a.hub.clients().all().invoke("count", (number,)).await.unwrap();
        let body = poll.receive().await.body;
        let expected = format!(r#"{{"type":1,"target":"count","arguments":[{number}]}}"#);
        assert_eq!(body, expected + "\u{1e}");
    }
}

#[tokio::test]
async fn a_forwarded_request_needs_the_user_of_its_connection() {
    let [a, b] = farm(|hub| {
        chat(hub).user_id(|parts| Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned()))
    })
    .await;
    let mut requests = Requests::negotiate(&a).await;
    requests.headers.push(("x-user", "ann"));
    requests.connect_polling().await;
    let at_b = |user| Requests { server: &b, headers: vec![("x-user", user)], ..copy(&requests) };
    let text = "the connection belongs to another user";
    at_b("bob").request("DELETE").await.expect(403, &[PLAIN], text);
    at_b("bob").post("x").await.expect(403, &[PLAIN], text);
    assert_eq!(at_b("bob").poll().await.status, 403);
    at_b("ann").request("DELETE").await.expect(202, &[PLAIN], "");
}

#[tokio::test]
async fn a_client_renews_its_user_through_any_server() {
    let [a, b] = farm(|hub| {
        let mut options = Options::default();
        options.auth_refresh = true;
        hub.with_options(options)
            .authenticate(|parts| async move {
                let color = parts.headers["x-color"].to_str().unwrap_or_default().to_owned();
                Ok(Some(User::new("ann", color)))
            })
            .on_refreshed(|caller: Caller, user: User<String>| async move {
                let _ = caller.clients().caller().invoke("color", (&**user,)).await;
            })
    })
    .await;
    let negotiate = Request::post("/hub/negotiate?negotiateVersion=1").header("x-color", "red");
    let (_, _, body) = a.request(negotiate).await;
    let negotiated: serde_json::Value = serde_json::from_str(&body).unwrap();
    let token = negotiated["connectionToken"].as_str().unwrap();
    let mut client = b.open(&format!("?id={token}"), &[("x-color", "red")]).await.unwrap();
    client.handshake().await;
    let renew = |color| Request::post(format!("/hub/refresh?id={token}")).header("x-color", color);
    for (server, color) in [(&b, "green"), (&a, "blue")] {
        // The home learns of the WebSocket a moment later.
        within(async { while server.request(renew(color)).await.0 != StatusCode::OK {} }).await;
        assert_eq!(client.receive().await["arguments"], json!([color]));
    }
}

#[tokio::test]
async fn connections_go_on_without_the_server_that_has_negotiated_them() {
    let [a, b, c] = farm::<3>(chat).await;
    let early = Requests::negotiate(&a).await;
    let late = Requests::negotiate(&a).await;
    Requests { server: &b, ..copy(&early) }.connect_polling().await;
    a.backplane.clone().shutdown().await;
    within(async {
        while b.backplane.servers().len() + c.backplane.servers().len() > 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let at_c = Requests { server: &c, ..copy(&early) };
    at_c.send_messages(&[json!({"type": 1, "target": "Say", "arguments": ["hi"]})]).await;
    let said = Requests { server: &b, ..copy(&early) }.poll_messages().await;
    assert!(said.contains(r#""arguments":["hi"]"#), "{said}");

    // A fresh token of the server that is gone opens a connection.
    let at_b = Requests { server: &b, ..copy(&late) };
    at_b.connect_polling().await;
    Requests { server: &c, ..copy(&late) }.request("DELETE").await.expect(202, &[PLAIN], "");
}

#[tokio::test]
async fn a_client_returns_results_to_any_server() {
    let [a, b] = farm(|hub| {
        hub.method("Ask", |caller: Caller, (id,): (String,)| async move {
            let clients = caller.clients();
            clients.connection(&id).invoke("before", ()).await?;
            let result: Option<u32> =
                clients.connection(&id).invoke_with_result("age", (1,)).await?;
            Ok(result)
        })
        .method("Id", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    })
    .await;
    let mut ann = a.connect().await;
    let id = ann.call("Id", json!([])).await["result"].clone();
    for (field, answer) in [("result", json!(41)), ("error", json!("no"))] {
        let mut bob = b.connect().await;
        let call = json!({"type": 1, "invocationId": "1", "target": "Ask", "arguments": [id]});
        bob.send(call).await;
        assert_eq!(ann.receive().await["target"], "before");
        let question = ann.receive().await;
        assert_eq!((&question["target"], &question["arguments"]), (&json!("age"), &json!([1])));
        ann.send(json!({"type": 3, "invocationId": question["invocationId"], field: answer})).await;
        let completion = bob.receive().await;
        match field {
            "result" => assert_eq!(completion["result"], 41),
            _ => assert!(completion["error"].is_string(), "{completion}"),
        }
    }
    let mut bob = b.connect().await;
    let completion = bob.call("Ask", json!(["nobody"])).await;
    assert!(completion["error"].is_string(), "{completion}");
}

#[tokio::test]
async fn keys_of_the_application_need_no_channel_between_servers() {
    let broker = Broker::new();
    let server = |keys: &[[u8; 32]]| {
        let backplane = Backplane::embedded(&broker, "ChatApp");
        let options = Options::default().token_keys(keys).unwrap();
        TestServer::serve(Hub::new("Hub", backplane.clone()).with_options(options), backplane)
    };
    let (a, b, c) = (server(&[[1; 32]]), server(&[[2; 32], [1; 32]]), server(&[[2; 32]]));
    let token = a.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    b.open(&format!("?id={token}"), &[]).await.unwrap().handshake().await;
    let refusal = c.open(&format!("?id={token}"), &[]).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
}

/// Starts servers on one broker, and waits until each lists all of them.
pub(crate) async fn farm<const N: usize>(build: impl Fn(Hub) -> Hub) -> [TestServer; N] {
    let broker = Broker::new();
    let servers = [(); N].map(|()| {
        let builder = Backplane::builder("ChatApp").server_channel(true);
        let backplane = builder.embedded(&broker).unwrap();
        TestServer::serve(build(Hub::new("Hub", backplane.clone())), backplane)
    });
    within(async {
        while servers.iter().any(|server| server.backplane.servers().len() < N) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    servers
}

fn chat(hub: Hub) -> Hub {
    hub.method("Say", |caller: Caller, (text,): (String,)| async move {
        caller.clients().all().invoke("said", (&text,)).await?;
        Ok(text.len())
    })
    .method("Length", |(text,): (String,)| async move { Ok(text.len()) })
    .method("Id", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
}

fn copy<'a>(requests: &Requests<'a>) -> Requests<'a> {
    let Requests { server, connection_id, token, headers } = requests;
    let (connection_id, token) = (connection_id.clone(), token.clone());
    Requests { server, connection_id, token, headers: headers.clone() }
}
