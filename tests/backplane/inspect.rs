//! Connections of all servers, on every bus: what they are, and their end.

use backplane::{Backplane, Connection, Disconnect, Target};
use harness::{SLOW_DEADLINE, eventually_within, within};

use crate::each_bus::on_each_bus;
use crate::farm::{Bus, builder, dialects};

on_each_bus!(conforms: embedded redis_server our_broker cluster);

async fn conforms(bus: &Bus) {
    for (app, dialect) in dialects() {
        let builder = || builder(app).dialect(dialect.clone()).server_channel(true);
        let (one, two) = (bus.join_with(builder()).await, bus.join_with(builder()).await);
        eventually_within(SLOW_DEADLINE, async || one.servers().len() == 2).await;
        connections_are_found_on_any_server(&one, &two).await;
        connections_are_ended_with_a_reason(&one, &two).await;
    }
}

async fn connections_are_found_on_any_server(one: &Backplane, two: &Backplane) {
    let tabs = [one.attach("ann-1", Some("ann")), two.attach("ann-2", Some("ann"))];
    // Otherwise a command of the other server may come before the channel that it is for.
    tabs[1].listening().await;
    let _bob = two.hub("Another").attach("bob-1", Some("bob"));
    for group in ["room", "hall"] {
        one.join("ann-2", group).await.expect("it is attached");
    }
    let ann = within(SLOW_DEADLINE, one.connection("ann-2")).await.expect("asked");
    let ann = ann.expect("it is attached");
    assert_eq!((&*ann.id, ann.user.as_deref()), ("ann-2", Some("ann")));
    assert_eq!(ann.groups, ["hall", "room"]);
    let id = ann.server.id;
    assert!(one.servers().iter().any(|server| server.id == id));
    let none = within(SLOW_DEADLINE, one.connection("bob-1")).await.expect("asked");
    assert_eq!(none, None, "it belongs to another hub");
    let of_ann = within(SLOW_DEADLINE, one.connections_of("ann")).await.expect("asked");
    assert!(of_ann.silent.is_empty() && of_ann.refused.is_empty());
    let mut ids: Vec<_> = of_ann.received.into_iter().flat_map(|(_, found)| found).collect();
    ids.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(ids.iter().map(|found| &*found.id).collect::<Vec<_>>(), ["ann-1", "ann-2"]);

    assert!(within(SLOW_DEADLINE, one.leave_all("ann-2")).await.expect("asked"));
    assert!(!within(SLOW_DEADLINE, one.leave_all("carl")).await.expect("asked"));
    let ann = within(SLOW_DEADLINE, one.connection("ann-2")).await.expect("asked");
    assert!(ann.expect("it is attached").groups.is_empty());
}

async fn connections_are_ended_with_a_reason(one: &Backplane, two: &Backplane) {
    let attach = |server: &Backplane, id: &str, user| server.attach(id, Some(user));
    let mut ann = [attach(one, "ann-1", "ann"), attach(two, "ann-2", "ann")];
    let mut bob = [attach(one, "bob-1", "bob"), attach(two, "bob-2", "bob")];
    let mut carl = attach(two, "carl-1", "carl");
    let mut dan = attach(two, "dan-1", "dan");
    dan.listening().await;
    one.join("dan-1", "room").await.expect("it is attached");
    let end = async |target: Target, reason: &str| {
        let ended = within(SLOW_DEADLINE, one.disconnect(target, reason)).await.expect("asked");
        assert!(ended.silent.is_empty() && ended.refused.is_empty());
        ended.received.into_iter().map(|(_, count)| count).sum::<usize>()
    };
    assert_eq!(end(Target::user("ann"), "signed out").await, 2);
    assert_eq!(end(Target::group("room"), "closed").await, 1);
    assert_eq!(end(Target::connection("carl-1"), "kicked").await, 1);
    assert_eq!(end(Target::all().except(["bob-2"]), "the end").await, 1);
    for connection in &mut ann {
        has_ended(connection, "signed out").await;
    }
    has_ended(&mut dan, "closed").await;
    has_ended(&mut carl, "kicked").await;
    has_ended(&mut bob[0], "the end").await;
    assert!(within(SLOW_DEADLINE, one.connection("bob-2")).await.expect("asked").is_some());
    assert_eq!(bob[1].abort_reason(), None);
}

async fn has_ended(connection: &mut Connection, reason: &str) {
    let end = within(SLOW_DEADLINE, connection.recv()).await.expect_err("ended");
    assert_eq!((end, connection.abort_reason().as_deref()), (Disconnect::Aborted, Some(reason)));
}
