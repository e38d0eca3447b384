//! The members of groups, and the users that are online, on every bus.

use std::process::Command;

use backplane::{Backplane, Builder, Connection, LeftReason, PresenceChange, Watch};
use harness::{Process, SLOW_DEADLINE, Server, eventually_within, within};

use crate::each_bus::on_each_bus;
use crate::farm::{
    Bus, LEASE_DEADLINE, builder, dialects, is_connected, is_disconnected, join_with,
};
use crate::observer::kill_clients;

const APP: &str = "ChatApp";
/// The URL for [`a_server_that_is_killed`].
const URL_VARIABLE: &str = "PRESENCE_TEST_URL";

on_each_bus!(conforms: embedded redis_server our_broker sentinel cluster);

async fn conforms(bus: &Bus) {
    for (app, dialect) in dialects() {
        let builder = || of_rooms(builder(app)).dialect(dialect.clone());
        members_of_all_servers_are_known(bus, builder).await;
        a_watch_reports_each_change(bus, builder).await;
    }
}

fn of_rooms(builder: Builder) -> Builder {
    builder.presence(["room:*", "lobby"])
}

async fn members_of_all_servers_are_known(bus: &Bus, builder: impl Fn() -> Builder) {
    const ROOM: &str = "room:1";
    let (one, two) = (bus.join_with(builder()).await, bus.join_with(builder()).await);
    let ann = [one.attach("ann-1", Some("ann")), two.attach("ann-2", Some("ann"))];
    let bob = two.attach("bob-1", Some("bob"));
    let nobody = two.attach("nobody", None);
    // Otherwise a command of the other server may come before the channel that it is for.
    for connection in ann.iter().chain([&bob, &nobody]) {
        connection.listening().await;
    }
    for id in ["ann-1", "ann-2", "bob-1", "nobody"] {
        one.join(id, ROOM).await.expect("it is attached");
    }
    one.join("ann-1", "hall").await.expect("it is attached");
    // Its own members are known at once.
    assert_eq!(connections(&one, ROOM)[0], "ann-1");
    let three = bus.join_with(builder()).await;
    for server in [&one, &two, &three] {
        members(server, ROOM, &["ann-1", "ann-2", "bob-1", "nobody"]).await;
        let count = server.presence().count(ROOM);
        assert_eq!((count.connections, count.users), (4, 3));
        let presence = server.presence();
        assert!(presence.is_online("ann") && presence.is_online("bob"));
        assert!(!presence.is_online("carl"));
        let of_ann: Vec<_> = presence.members_of_user("ann");
        assert_eq!(
            of_ann.iter().map(|member| &*member.connection).collect::<Vec<_>>(),
            ["ann-1", "ann-2"]
        );
        let at: Vec<_> = of_ann.iter().map(|member| &*member.server).collect();
        assert_eq!(at, [&*id(&one).await, &*id(&two).await]);
        assert!(presence.members("hall").is_empty(), "its presence is not wanted");
        assert!(server.hub("Another").presence().members(ROOM).is_empty());
    }
    drop((ann, nobody));
    two.leave("bob-1", ROOM).await.expect("it is attached");
    for server in [&one, &two, &three] {
        members(server, ROOM, &[]).await;
        eventually_within(SLOW_DEADLINE, async || !server.presence().is_online("ann")).await;
        assert!(server.presence().is_online("bob"));
    }
    drop(bob);
}

async fn a_watch_reports_each_change(bus: &Bus, builder: impl Fn() -> Builder) {
    const ROOM: &str = "room:2";
    let (one, two) = (bus.join_with(builder()).await, bus.join_with(builder()).await);
    let (_ann_1, ann_2) = (one.attach("ann-1", Some("ann")), two.attach("ann-2", Some("ann")));
    let _bob = two.attach("bob-1", Some("bob"));
    one.join("ann-1", ROOM).await.expect("it is attached");
    eventually_within(SLOW_DEADLINE, async || one.servers().len() == 2).await;
    let mut watch = one.presence().watch(ROOM);
    assert_eq!(next(&mut watch).await, "= ann-1");
    two.join("ann-2", ROOM).await.expect("it is attached");
    expect(&mut watch, "+ ann-2 false", "= ann-1 ann-2").await;
    two.join("bob-1", ROOM).await.expect("it is attached");
    expect(&mut watch, "+ bob-1 true", "= ann-1 ann-2 bob-1").await;
    drop(ann_2);
    expect(&mut watch, "- ann-2 false Left", "= ann-1 bob-1").await;
    two.join("bob-1", ROOM).await.expect("it is attached");
    one.leave("ann-1", ROOM).await.expect("it is attached");
    expect(&mut watch, "- ann-1 true Left", "= bob-1").await;
    within(SLOW_DEADLINE, two.shutdown()).await;
    // Its connections may end before the message that it leaves.
    expect(&mut watch, "- bob-1 true ", "= ").await;
    within(SLOW_DEADLINE, one.shutdown()).await;
    assert_eq!(within(SLOW_DEADLINE, watch.recv()).await, None);
}

/// Expects a change. A server that has to ask for all members meanwhile reports these instead.
async fn expect(watch: &mut Watch, change: &str, members: &str) {
    let found = next(watch).await;
    assert!(found.starts_with(change) || found == members, "{found}");
}

/// Returns a change in brief.
async fn next(watch: &mut Watch) -> String {
    match within(SLOW_DEADLINE, watch.recv()).await.expect("it is not shut down") {
        PresenceChange::Joined { member, is_first, .. } => {
            format!("+ {} {is_first}", member.connection)
        }
        PresenceChange::Left { member, is_last, reason, .. } => {
            format!("- {} {is_last} {reason:?}", member.connection)
        }
        PresenceChange::Reset(members) => {
            let members = members.into_iter().map(|member| member.connection);
            format!("= {}", members.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn connections(backplane: &Backplane, group: &str) -> Vec<String> {
    let members = backplane.presence().members(group);
    members.into_iter().map(|member| member.connection).collect()
}

/// Waits until a group has these members.
async fn members(backplane: &Backplane, group: &str, expected: &[&str]) {
    eventually_within(SLOW_DEADLINE, async || connections(backplane, group) == expected).await;
}

/// Returns the id of a server: a member of its own has it.
async fn id(backplane: &Backplane) -> String {
    let _own = backplane.attach(&format!("own-{:p}", backplane), Some("own"));
    let own = backplane.presence().members_of_user("own");
    let own = own.into_iter().find(|member| member.connection == _own.id());
    own.expect("it is attached").server
}

#[tokio::test]
async fn members_of_a_killed_server_leave_within_its_lease() {
    for server in [Server::ours(&[]).await, Server::redis(&[]).await] {
        let one = join_with(&server.url(), of_rooms(builder(APP))).await;
        let mut watch = one.presence().watch("lobby");
        assert_eq!(next(&mut watch).await, "= ");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["presence::a_server_that_is_killed", "--exact", "--ignored", "--nocapture"]);
        let mut process = Process::start(command.env(URL_VARIABLE, server.url()));
        members(&one, "lobby", &["other"]).await;
        let joined = next(&mut watch).await;
        assert!(["+ other true", "= other"].contains(&&*joined), "{joined}");
        let other = one.presence().members("lobby")[0].server.clone();
        process.kill();
        let left = within(LEASE_DEADLINE, watch.recv()).await.expect("it is not shut down");
        let PresenceChange::Left { member, reason, .. } = left else { panic!("{left:?}") };
        assert_eq!((member.server, reason), (other.clone(), LeftReason::ServerGone));
        assert!(one.servers().iter().all(|server| server.id != other));
        assert!(!one.presence().is_online("other"));
    }
}

/// A process of its own, for the test above.
#[tokio::test]
#[ignore = "another test starts and kills it"]
async fn a_server_that_is_killed() {
    let Ok(url) = std::env::var(URL_VARIABLE) else { return };
    let backplane = join_with(&url, of_rooms(builder(APP))).await;
    let _other = backplane.attach("other", Some("other"));
    backplane.join("other", "lobby").await.expect("it is attached");
    std::future::pending().await
}

#[tokio::test]
async fn members_are_right_again_after_a_gap() {
    for mut server in [Server::ours(&[]).await, Server::redis(&[]).await] {
        let builder = || of_rooms(builder(APP));
        let one = join_with(&server.url(), builder()).await;
        let two = join_with(&server.url(), builder()).await;
        let mut at_two: Vec<Connection> = Vec::new();
        let mut joins = async |id: &str| {
            at_two.push(two.attach(id, None));
            // It is attached here, so this needs no broker.
            two.join(id, "lobby").await.expect("it is attached");
        };
        joins("a").await;
        members(&one, "lobby", &["a"]).await;
        let mut client = server.client().await;
        kill_clients(&mut client, "pubsub").await;
        joins("b").await;
        joins("c").await;
        members(&one, "lobby", &["a", "b", "c"]).await;
        server.restart().await;
        is_disconnected(&one).await;
        joins("d").await;
        is_connected(&one).await;
        joins("e").await;
        members(&one, "lobby", &["a", "b", "c", "d", "e"]).await;
    }
}
