//! The hub calls its clients' methods.

use axum::http::request::Parts;
use backplane::{Invocation, Target};
use serde_json::json;
use signalr::{Caller, Hub};
use tokio::{runtime::Handle, task};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{TestServer, backplane, within};

#[tokio::test(start_paused = true)]
async fn all_clients_receive_broadcasts_in_one_order() {
    let server = TestServer::start(chat);
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    for text in ["one", "two", "three"] {
        ann.send(json!({"type": 1, "target": "Send", "arguments": ["ann", text]})).await;
    }
    for client in [&mut ann, &mut bob] {
        for text in ["one", "two", "three"] {
            let expected = json!({"type": 1, "target": "message", "arguments": ["ann", text]});
            assert_eq!(client.receive().await, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_reaches_members_and_not_former_members() {
    let server = TestServer::start(chat);
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    assert_eq!(ann.call("Join", json!(["room"])).await, json!({"result": null}));
    assert_eq!(bob.call("Join", json!(["room"])).await, json!({"result": null}));
    assert_eq!(bob.call("Leave", json!(["room"])).await, json!({"result": null}));
    server.hub.clients().group("room").invoke("room", ("x",)).await.unwrap();
    server.hub.clients().all().invoke("all", ("y",)).await.unwrap();
    assert_eq!(ann.receive().await["target"], "room");
    assert_eq!(ann.receive().await["target"], "all");
    assert_eq!(bob.receive().await["target"], "all");
}

#[tokio::test(start_paused = true)]
async fn a_user_is_all_connections_with_its_name() {
    let server = TestServer::start(chat);
    let mut phone = server.connect_with(&[("x-user", "ann")]).await;
    let mut laptop = server.connect_with(&[("x-user", "ann")]).await;
    let mut other = server.connect().await;
    assert_eq!(phone.call("WhoAmI", json!([])).await, json!({"result": "ann"}));
    assert_eq!(other.call("WhoAmI", json!([])).await, json!({"result": null}));
    server.hub.clients().user("ann").invoke("user", ()).await.unwrap();
    server.hub.clients().all().invoke("all", ()).await.unwrap();
    assert_eq!(phone.receive().await["target"], "user");
    assert_eq!(laptop.receive().await["target"], "user");
    assert_eq!(other.receive().await["target"], "all");
}

#[tokio::test(start_paused = true)]
async fn a_caller_can_address_itself_and_the_others() {
    let server = TestServer::start(chat);
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    ann.send(json!({"type": 1, "target": "Wave", "arguments": []})).await;
    assert_eq!(ann.receive().await["target"], "you");
    assert_eq!(bob.receive().await["target"], "others");
    server.hub.clients().all().invoke("all", ()).await.unwrap();
    assert_eq!(ann.receive().await["target"], "all");
    assert_eq!(bob.receive().await["target"], "all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_reply_comes_before_an_early_message() {
    let backplane = backplane();
    let sender = backplane.clone();
    let hub = Hub::new("Hub", backplane.clone()).on_connected(move |_: Caller| {
        // Blocks the task of the connection until the message is queued for it.
        task::block_in_place(|| {
            Handle::current().block_on(async {
                let mut other = sender.attach("other", None);
                let early = Invocation::new("early", ()).unwrap();
                sender.send(Target::all(), early).await.unwrap();
                within(other.recv()).await.unwrap();
            });
        });
        async { Ok(()) }
    });
    let server = TestServer::serve(hub, backplane);
    for _ in 0..32 {
        let mut client = server.connect().await;
        assert_eq!(client.receive().await["target"], "early");
    }
}

#[tokio::test(start_paused = true)]
async fn hubs_on_one_backplane_are_separate() {
    let backplane = backplane();
    let (chat, stock) = (Hub::new("Chat", backplane.clone()), Hub::new("Stock", backplane.clone()));
    let chat = TestServer::serve(self::chat(chat), backplane.clone());
    let stock = TestServer::serve(self::chat(stock), backplane);
    let mut ann = chat.connect_with(&[("x-user", "ann")]).await;
    let mut other_ann = stock.connect_with(&[("x-user", "ann")]).await;
    for client in [&mut ann, &mut other_ann] {
        assert_eq!(client.call("Join", json!(["room"])).await, json!({"result": null}));
    }
    for (server, name) in [(&chat, "chat"), (&stock, "stock")] {
        let clients = server.hub.clients();
        for recipients in [clients.all(), clients.group("room"), clients.user("ann")] {
            recipients.invoke(name, ()).await.unwrap();
        }
    }
    for (client, name) in [(&mut ann, "chat"), (&mut other_ann, "stock")] {
        for _ in 0..3 {
            assert_eq!(client.receive().await["target"], name);
        }
        assert_eq!(client.call("WhoAmI", json!([])).await, json!({"result": "ann"}));
    }
}

#[tokio::test(start_paused = true)]
async fn ready_messages_share_a_frame() {
    let server = TestServer::start(chat);
    let mut client = server.connect().await;
    for number in 0..10 {
        server.hub.clients().all().invoke("count", (number,)).await.unwrap();
    }
    assert_eq!(client.receive_frame().await.matches('\u{1e}').count(), 10);

    // Two of them do not fit one frame.
    for letter in ["a", "b"] {
        server.hub.clients().all().invoke("large", (letter.repeat(5000),)).await.unwrap();
    }
    for letter in ["aaa", "bbb"] {
        let frame = client.receive_frame().await;
        assert!(frame.contains(letter) && frame.matches('\u{1e}').count() == 1, "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_follows_the_messages_of_its_method() {
    let server = TestServer::start(chat);
    let mut client = server.connect().await;
    for number in 0..1000 {
        let arguments = json!(["ann", number.to_string()]);
        client
            .send(json!({"type": 1, "invocationId": "7", "target": "Send", "arguments": arguments}))
            .await;
        assert_eq!(client.receive().await["arguments"], arguments);
        assert_eq!(client.receive().await["invocationId"], "7");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_many_calls_follow_their_messages_in_order() {
    let server = TestServer::start(chat);
    let mut client = server.connect().await;
    let calls = (0..200).map(|number| {
        let id = number.to_string();
        json!({"type": 1, "invocationId": id, "target": "Send", "arguments": ["ann", id]})
    });
    let calls: String = calls.map(|call| format!("{call}\u{1e}")).collect();
    client.send_frame(Message::text(calls)).await;
    let (mut messages, mut results) = (0, 0);
    while results < 200 {
        let received = client.receive().await;
        if received["type"] == 1 {
            assert_eq!(received["arguments"][1], messages.to_string());
            messages += 1;
        } else {
            assert_eq!(received["invocationId"], results.to_string());
            results += 1;
        }
        assert!(results <= messages, "{received}");
    }
    assert_eq!(messages, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_follows_the_messages_of_the_last_method() {
    let server = TestServer::start(chat);
    for _ in 0..100 {
        let mut client = server.connect().await;
        client.send(json!({"type": 1, "target": "Kick", "arguments": []})).await;
        assert_eq!(client.receive().await["target"], "kicked");
        assert_eq!(client.receive().await, json!({"type": 7}));
    }
}

fn chat(hub: Hub) -> Hub {
    hub.user_id(|parts: &Parts| Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned()))
        .method("Send", |caller: Caller, (name, text): (String, String)| async move {
            caller.clients().all().invoke("message", (name, text)).await?;
            Ok(())
        })
        .method("Join", |caller: Caller, (room,): (String,)| async move {
            caller.groups().add(&room).await?;
            Ok(())
        })
        .method("Leave", |caller: Caller, (room,): (String,)| async move {
            caller.groups().remove(&room).await?;
            Ok(())
        })
        .method("Id", |caller: Caller, (): ()| async move { Ok(caller.connection_id().to_owned()) })
        .method(
            "WhoAmI",
            |caller: Caller, (): ()| async move { Ok(caller.user().map(str::to_owned)) },
        )
        .method("Kick", |caller: Caller, (): ()| async move {
            caller.clients().caller().invoke("kicked", ()).await?;
            caller.abort();
            Ok(())
        })
        .method("Wave", |caller: Caller, (): ()| async move {
            caller.clients().caller().invoke("you", ()).await?;
            caller.clients().others().invoke("others", ()).await?;
            Ok(())
        })
}
