//! Tests of `signalr::testing`, from the view of an application.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::cell::RefCell;

use backplane::Backplane;
use broker::Broker;
use futures_util::{TryStreamExt, stream};
use signalr::{
    AuthError, Caller, Hub, HubError, Upload, User, bearer_token,
    testing::{TestClient, TestFarm},
};

#[tokio::test(start_paused = true)]
async fn clients_of_both_encodings_meet_on_two_servers() {
    let farm = TestFarm::start(2, chat);
    let mut ann = farm.server(0).connect(TestClient::messagepack().user("ann")).await;
    let mut bob = farm.server(1).connect(TestClient::json().user("bob")).await;
    ann.invoke::<()>("Join", ("red",)).await.unwrap();
    bob.invoke::<()>("Join", ("red",)).await.unwrap();
    assert_eq!(ann.invoke::<u64>("Say", ("red", "hi")).await.unwrap(), 2);
    // A message of more than 127 bytes has a length prefix of two bytes.
    let long = "x".repeat(300);
    assert_eq!(bob.invoke::<u64>("Say", ("red", &long)).await.unwrap(), 300);
    for client in [&mut ann, &mut bob] {
        client.expect("said", ("ann", "hi")).await;
        client.expect("said", ("bob", &long)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_method_is_an_error_of_the_call() {
    let farm = TestFarm::start(1, chat);
    for client in [TestClient::json(), TestClient::messagepack()] {
        let mut ann = farm.server(0).connect(client).await;
        let error = ann.invoke::<()>("Say", ("red", "")).await.unwrap_err();
        assert!(error.to_string().ends_with("HubException: the text is empty"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_travel_both_ways_in_both_encodings() {
    let farm = TestFarm::start(1, |backplane| {
        Hub::new("Hub", backplane)
            .stream("Count", |(end,): (u32,)| async move {
                let error = (end > 3).then(|| Err(HubError::new("too many")));
                Ok(stream::iter((0..end).map(Ok).take(3).chain(error)))
            })
            .method("Join", |parts: Upload<String>, (by,): (String,)| async move {
                Ok(parts.try_collect::<Vec<_>>().await?.join(&by))
            })
    });
    for client in [TestClient::json(), TestClient::messagepack()] {
        let mut ann = farm.server(0).connect(client).await;
        assert_eq!(ann.stream::<u32>("Count", (3,)).await.unwrap(), [0, 1, 2]);
        let error = ann.stream::<u32>("Count", (4,)).await.unwrap_err();
        assert!(error.to_string().ends_with("HubException: too many"), "{error}");
        let joined = ann.upload::<String>("Join", ("-",), ["a", "b"]).await.unwrap();
        assert_eq!(joined, "a-b");
        assert_eq!(ann.upload::<String>("Join", ("-",), [""; 0]).await.unwrap(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_answers_in_both_encodings() {
    let farm = TestFarm::start(1, chat);
    for client in [TestClient::json(), TestClient::messagepack()] {
        let mut ann = farm.server(0).connect(client).await;
        ann.send_call("Ask", ()).await;
        ann.expect_and_answer("age", (), 41).await;
        ann.expect("older", (42,)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_another_server_returns_its_result() {
    let (broker, backplanes) = (Broker::new(), RefCell::new(Vec::new()));
    let farm = TestFarm::start(2, |_| {
        let builder = Backplane::builder("Chat").server_channel(true);
        let backplane = builder.embedded(&broker).unwrap();
        backplanes.borrow_mut().push(backplane.clone());
        curious(backplane)
    });
    while backplanes.borrow().iter().any(|backplane| backplane.servers().len() < 2) {
        tokio::task::yield_now().await;
    }
    for client in [TestClient::json(), TestClient::messagepack()] {
        let mut ann = farm.server(0).connect(TestClient::json()).await;
        let mut bob = farm.server(1).connect(client).await;
        let id: String = bob.invoke("Id", ()).await.unwrap();
        ann.send_call("AskOther", (&id,)).await;
        bob.expect("soon", ()).await;
        bob.expect_and_answer("age", (), 41).await;
        ann.expect("older", (42,)).await;
        ann.send_call("AskOther", (&id,)).await;
        bob.expect("soon", ()).await;
        drop(bob);
        ann.expect("failed", ("the client is not connected",)).await;
        ann.send_call("AskOther", (&id,)).await;
        ann.expect("failed", ("the client is not connected",)).await;
    }
}

/// Returns a hub whose method asks another client.
fn curious(backplane: Backplane) -> Hub {
    let hub = Hub::new("ChatHub", backplane);
    let hub =
        hub.method("Id", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) });
    hub.method("AskOther", |caller: Caller, (id,): (String,)| async move {
        let other = caller.clients().connection(id);
        other.clone().invoke("soon", ()).await?;
        let me = caller.clients().caller();
        match other.invoke_with_result::<u32>("age", ()).await {
            Ok(age) => me.invoke("older", (age + 1,)).await?,
            Err(error) => me.invoke("failed", (error.to_string(),)).await?,
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn the_test_sets_the_user_or_the_authenticator_finds_it() {
    let farm = TestFarm::start(1, |backplane| {
        let authenticate = |parts: axum::http::request::Parts| async move {
            match bearer_token(&parts).as_deref() {
                Some("secret") => Ok(Some(User::new("bob", 7))),
                _ => Err(AuthError::Missing),
            }
        };
        Hub::new("Hub", backplane).authenticate(authenticate).method(
            "Me",
            |user: User<i32>, ()| async move { Ok(format!("{} {}", user.id(), *user)) },
        )
    });
    let server = farm.server(0);
    let mut ann = server.connect(TestClient::json().authenticated(User::new("ann", 3))).await;
    assert_eq!(ann.invoke::<String>("Me", ()).await.unwrap(), "ann 3");
    let client = TestClient::json().header("authorization", "Bearer secret");
    let mut bob = server.connect(client).await;
    assert_eq!(bob.invoke::<String>("Me", ()).await.unwrap(), "bob 7");
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_ends_and_others_learn_of_it() {
    let farm = TestFarm::start(2, chat);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    let mut bob = farm.server(1).connect(TestClient::json().user("bob")).await;
    ann.invoke::<()>("Join", ("red",)).await.unwrap();
    bob.invoke::<()>("Join", ("red",)).await.unwrap();
    ann.cut();
    bob.expect("left", ("ann",)).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_server_closes_without_a_message_and_the_other_goes_on() {
    let mut farm = TestFarm::start(2, chat);
    let ann = farm.server(0).connect(TestClient::messagepack()).await;
    let mut bob = farm.server(1).connect(TestClient::json()).await;
    farm.kill(0);
    ann.expect_lost().await;
    bob.invoke::<()>("Join", ("red",)).await.unwrap();
    farm.server(1).hub().clients().group("red").invoke("news", ()).await.unwrap();
    bob.expect("news", ()).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_a_close_without_an_error() {
    let farm = TestFarm::start(1, chat);
    let mut ann = farm.server(0).connect(TestClient::json()).await;
    ann.send_call("Leave", ()).await;
    assert_eq!(ann.expect_close().await, None);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "said")]
async fn another_invocation_than_the_expected_one_fails_the_test() {
    let farm = TestFarm::start(1, chat);
    let mut ann = farm.server(0).connect(TestClient::json().user("ann")).await;
    ann.invoke::<()>("Join", ("red",)).await.unwrap();
    ann.invoke::<u64>("Say", ("red", "hi")).await.unwrap();
    ann.expect("left", ("ann",)).await;
}

fn chat(backplane: Backplane) -> Hub {
    Hub::new("ChatHub", backplane)
        .method("Join", |caller: Caller, (room,): (String,)| async move {
            caller.groups().add(&room).await?;
            Ok(())
        })
        .method("Say", |caller: Caller, (room, text): (String, String)| async move {
            if text.is_empty() {
                return Err(HubError::new("the text is empty"));
            }
            let by = caller.user().unwrap_or("guest").to_owned();
            caller.clients().group(room).invoke("said", (by, &text)).await?;
            Ok(text.len())
        })
        .method("Ask", |caller: Caller, ()| async move {
            let client = caller.clients().caller();
            let age: u32 = client.clone().invoke_with_result("age", ()).await?;
            client.invoke("older", (age + 1,)).await?;
            Ok(())
        })
        .method("Leave", |caller: Caller, ()| async move {
            caller.abort();
            Ok(())
        })
        .on_disconnected(|caller: Caller| async move {
            let user = caller.user().unwrap_or("guest").to_owned();
            // The hub has no other rooms.
            let _ = caller.clients().group("red").invoke("left", (user,)).await;
        })
}
