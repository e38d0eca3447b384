//! Code outside of methods reaches connections, groups and users of all servers.

use serde_json::json;
use signalr::{Caller, Hub};

use crate::server::{Client, TestServer};

use backplane::{Backplane, PresenceChange, Target};
use broker::Broker;

#[tokio::test(start_paused = true)]
async fn several_groups_users_and_connections_of_two_servers_receive_one_invocation() {
    let [one, two] = servers();
    let mut ann = one.connect_with(&[("x-user", "ann")]).await;
    let mut bob = two.connect_with(&[("x-user", "bob")]).await;
    let mut cid = two.connect_with(&[("x-user", "cid")]).await;
    let ids = [id(&mut ann).await, id(&mut bob).await, id(&mut cid).await];
    one.hub.groups().add(&ids[0], "red").await.unwrap();
    one.hub.groups().add(&ids[1], "blue").await.unwrap();
    let clients = one.hub.clients();
    clients.groups(["red", "blue"]).invoke("groups", ()).await.unwrap();
    clients.users(["ann", "cid"]).invoke("users", ()).await.unwrap();
    clients.connections(&ids[1..]).invoke("connections", ()).await.unwrap();
    clients.all().except(&ids[..2]).invoke("others", ()).await.unwrap();
    clients.all().invoke("end", ()).await.unwrap();
    assert_eq!(targets(&mut ann).await, ["groups", "users", "end"]);
    assert_eq!(targets(&mut bob).await, ["groups", "connections", "end"]);
    assert_eq!(targets(&mut cid).await, ["users", "connections", "others", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_leaves_a_group_from_another_server() {
    let [one, two] = servers();
    let mut ann = two.connect().await;
    let id = id(&mut ann).await;
    one.hub.groups().add(&id, "red").await.unwrap();
    one.hub.groups().remove(&id, "red").await.unwrap();
    one.hub.clients().group("red").invoke("red", ()).await.unwrap();
    one.hub.clients().all().invoke("end", ()).await.unwrap();
    assert_eq!(targets(&mut ann).await, ["end"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_ends_a_connection_of_another_server() {
    let [one, two] = servers();
    let mut ann = two.connect().await;
    let id = id(&mut ann).await;
    one.hub.connection(&id).abort().await.unwrap();
    assert_eq!(ann.receive().await, json!({"type": 7}));
    ann.wait_for_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_of_two_servers_is_sent_away_with_a_reason() {
    let broker = Broker::new();
    let [one, two] = [(); 2].map(|()| {
        let builder = Backplane::builder("App").server_channel(true);
        of(builder.embedded(&broker).unwrap())
    });
    let tabs = [
        one.connect_with(&[("x-user", "ann")]).await,
        two.connect_with(&[("x-user", "ann")]).await,
    ];
    let mut bob = two.connect_with(&[("x-user", "bob")]).await;
    while one.backplane.servers().len() < 2 {
        tokio::task::yield_now().await;
    }
    let ended = one.hub.disconnect(Target::user("ann"), "signed out").await.unwrap();
    assert_eq!(ended.received.iter().map(|(_, count)| count).sum::<usize>(), 2);
    for mut tab in tabs {
        assert_eq!(tab.receive_past_pings().await, json!({"type": 7, "error": "signed out"}));
        tab.wait_for_end().await;
    }
    id(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn the_users_of_a_group_are_known_on_all_servers() {
    let broker = Broker::new();
    let [one, two] = [(); 2].map(|()| {
        let builder = Backplane::builder("App").presence(["red"]);
        of(builder.embedded(&broker).unwrap())
    });
    let mut watch = one.hub.presence().watch("red");
    watch.recv().await.unwrap();
    let mut tabs = [
        one.connect_with(&[("x-user", "ann")]).await,
        two.connect_with(&[("x-user", "ann")]).await,
    ];
    for tab in &mut tabs {
        one.hub.groups().add(&id(tab).await, "red").await.unwrap();
        watch.recv().await.unwrap();
    }
    for server in [&one, &two] {
        let presence = server.hub.presence();
        while presence.count("red").connections < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(presence.count("red").users, 1);
        assert!(presence.is_online("ann") && !presence.is_online("bob"));
    }
    drop(tabs);
    let mut last = watch.recv().await;
    while !matches!(last, Some(PresenceChange::Left { is_last: true, .. })) {
        last = watch.recv().await;
    }
    assert!(!one.hub.presence().is_online("ann"));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_unknown_connection_is_an_error() {
    let [one, _two] = servers();
    assert!(one.hub.groups().add("nobody", "red").await.is_err());
    assert!(one.hub.connection("nobody").abort().await.is_err());
}

fn servers() -> [TestServer; 2] {
    let broker = Broker::new();
    [(); 2].map(|()| of(Backplane::embedded(&broker, "ChatApp")))
}

fn of(backplane: Backplane) -> TestServer {
    let hub = Hub::new("Hub", backplane.clone())
        .user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
        .method("Id", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) });
    TestServer::serve(hub, backplane)
}

async fn id(client: &mut Client) -> String {
    client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned()
}

/// Receives up to the invocation `end`, and returns the names of the methods.
async fn targets(client: &mut Client) -> Vec<String> {
    let mut targets = Vec::new();
    while targets.last().is_none_or(|last| last != "end") {
        let message = client.receive_past_pings().await;
        targets.push(message["target"].as_str().unwrap().to_owned());
    }
    targets
}
