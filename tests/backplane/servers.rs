//! The channel between servers, on every bus: who is there, messages and questions.

use std::collections::BTreeSet;
use std::time::Duration;

use backplane::{Backplane, Builder, Dialect, Servers, Target};
use harness::{Cluster, Fault, Proxy, SLOW_DEADLINE, Sentinel, Server, eventually_within, within};
use tokio::sync::mpsc;
use tracing::Level;

use crate::each_bus::on_each_bus;
use crate::farm::{
    Bus, LEASE_DEADLINE, builder, is_connected, is_disconnected, join_with, receive, send,
};
use crate::log::Log;

const APP: &str = "ChatApp";

on_each_bus!(conforms: embedded redis_server our_broker);

#[tokio::test]
async fn sentinel() {
    let mut sentinel = Sentinel::start().await;
    conforms(&Bus::Url(sentinel.url())).await;
    let bus = Bus::Url(sentinel.url());
    let (one, two) = (join(&bus, "failover", "1").await, join(&bus, "failover", "2").await);
    know_each_other(&[&one, &two]).await;
    sentinel.kill_master().await;
    answers(&one, &two).await;
}

#[tokio::test]
async fn cluster() {
    let cluster = Cluster::start().await;
    conforms(&Bus::Url(cluster.url())).await;
    let mut client = cluster.nodes()[cluster.owner(APP).await].client().await;
    let bus = Bus::Url(cluster.url());
    let one = join(&bus, APP, "1").await;
    let channel = format!("{{{APP}}}.server.{}", one.servers()[0].id);
    let mut slot = async |name: &str| client.command(&["CLUSTER", "KEYSLOT", name]).await;
    assert_eq!(slot(&channel).await, slot(APP).await, "one node has all channels");
}

async fn conforms(bus: &Bus) {
    servers_know_each_other(bus).await;
    messages_arrive_in_order(bus).await;
    answers_are_complete_early_or_partial(bus).await;
    apps_and_dialects_are_separate(bus).await;
}

fn named(builder: Builder, name: &str) -> Builder {
    builder.server_channel(true).client_name(name)
}

async fn join(bus: &Bus, app: &str, name: &str) -> Backplane {
    bus.join_with(named(builder(app), name)).await
}

fn names(backplane: &Backplane) -> BTreeSet<String> {
    backplane.servers().into_iter().filter_map(|server| server.name).collect()
}

async fn know_each_other(servers: &[&Backplane]) {
    let all = || servers.iter().all(|server| server.servers().len() == servers.len());
    eventually_within(SLOW_DEADLINE, async || all()).await;
}

async fn servers_know_each_other(bus: &Bus) {
    let app = "who";
    let (one, two) = (join(bus, app, "web-1").await, join(bus, app, "web-2").await);
    let three = join(bus, app, "web-3").await;
    know_each_other(&[&one, &two, &three]).await;
    let all = ["web-1", "web-2", "web-3"].map(str::to_owned).into();
    assert!([&one, &two, &three].iter().all(|server| names(server) == all));
    assert_eq!(
        one.servers().iter().map(|server| &server.id).collect::<Vec<_>>(),
        two.servers().iter().map(|server| &server.id).collect::<Vec<_>>(),
    );
    within(SLOW_DEADLINE, three.shutdown()).await;
    know_each_other(&[&one, &two]).await;
    let silent = bus.join_with(builder(app)).await;
    assert!(silent.servers().is_empty());
    assert!(silent.send_to(Servers::all(), "config", &1).await.is_err());
}

async fn messages_arrive_in_order(bus: &Bus) {
    const COUNT: u32 = 200;
    let app = "messages";
    let (one, two) = (join(bus, app, "1").await, join(bus, app, "2").await);
    let received = |server: &Backplane| {
        let (sender, numbers) = mpsc::unbounded_channel();
        server.on_message("number", move |from: backplane::Server, number: u32| {
            let sender = sender.clone();
            async move { _ = sender.send((from.name, number)) }
        });
        numbers
    };
    let (mut at_one, mut at_two) = (received(&one), received(&two));
    know_each_other(&[&one, &two]).await;
    let id = one.servers().into_iter().find(|server| server.name.as_deref() == Some("2"));
    let id = id.expect("it is there").id;
    for number in 0..COUNT {
        let to = match number % 3 {
            0 => Servers::all(),
            1 => Servers::others(),
            _ => Servers::one(&*id),
        };
        within(SLOW_DEADLINE, one.send_to(to, "number", &number)).await.expect("sent");
    }
    for number in 0..COUNT {
        let received = within(SLOW_DEADLINE, at_two.recv()).await;
        assert_eq!(received, Some((Some("1".to_owned()), number)));
    }
    for number in (0..COUNT).step_by(3) {
        let received = within(SLOW_DEADLINE, at_one.recv()).await;
        assert_eq!(received, Some((Some("1".to_owned()), number)));
    }
}

async fn answers_are_complete_early_or_partial(bus: &Bus) {
    let app = "questions";
    let (one, two) = (join(bus, app, "1").await, join(bus, app, "2").await);
    let three = join(bus, app, "3").await;
    know_each_other(&[&one, &two, &three]).await;
    for (server, number) in [(&one, 1), (&two, 2), (&three, 3)] {
        server
            .on_question("plus", move |_, other: u32| async move { Ok::<_, &str>(other + number) });
    }
    // Far beyond the deadline of the test: it returns as soon as all have answered.
    let asked = one.ask::<_, u32>(Servers::all(), "plus", &10).within(10 * SLOW_DEADLINE);
    let answers = within(SLOW_DEADLINE, asked.into_future()).await.expect("asked");
    let mut received: Vec<_> = answers.received.into_iter().map(|(_, answer)| answer).collect();
    received.sort_unstable();
    assert_eq!(received, [11, 12, 13]);
    assert!(answers.silent.is_empty() && answers.refused.is_empty());

    two.on_question("plus", |_, _: u32| async move { Err::<u32, _>("not today") });
    three.on_question("plus", |_, _: u32| std::future::pending::<Result<u32, String>>());
    let asked = one.ask::<_, u32>(Servers::others(), "plus", &10);
    let asked = asked.within(Duration::from_secs(5));
    let answers = within(SLOW_DEADLINE, asked.into_future()).await.expect("asked");
    assert!(answers.received.is_empty());
    assert_eq!(answers.refused[0].1, "not today");
    assert_eq!(answers.silent[0].name.as_deref(), Some("3"));

    // A server that leaves is not waited for.
    let asked = one.ask::<_, u32>(Servers::others(), "plus", &10).within(10 * SLOW_DEADLINE);
    let (answers, ()) =
        within(SLOW_DEADLINE, async { tokio::join!(asked.into_future(), three.shutdown()) }).await;
    let answers = answers.expect("asked");
    assert_eq!((answers.refused.len(), answers.silent.len()), (1, 1));

    let refusals = async |name: &str, question: &str| {
        let asked = one.ask::<_, u32>(Servers::others(), name, question);
        let answers = within(SLOW_DEADLINE, asked.into_future()).await.expect("asked");
        answers.refused.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(refusals("minus", "x").await, "no function takes 'minus'");
    assert!(refusals("plus", "x").await.starts_with("the value does not fit: "));
    two.on_question("plus", |_, _: String| async move {
        assert_eq!(1, 2, "the test lets it panic");
        Ok::<_, String>(1)
    });
    assert_eq!(refusals("plus", "x").await, "the function panicked");
}

async fn apps_and_dialects_are_separate(bus: &Bus) {
    let channel_prefix = "P:".to_owned();
    let of_aspnetcore = builder("apart").dialect(Dialect::AspNetCore { channel_prefix });
    let (one, two) = (join(bus, "apart", "1").await, join(bus, "other", "2").await);
    let three = bus.join_with(named(of_aspnetcore.hub("App.Hub"), "3")).await;
    // The leases of the first three arrive before the answer.
    let four = join(bus, "apart", "4").await;
    know_each_other(&[&one, &four]).await;
    assert_eq!((two.servers().len(), three.servers().len()), (1, 1));
    let mut ann = one.attach("ann", None);
    send(&four, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    assert_eq!(one.health().lost, 0);
}

/// Asks until the other server answers: the first question may meet an outage.
async fn answers(one: &Backplane, two: &Backplane) {
    two.on_question("ready", |_, (): ()| async move { Ok::<_, String>(true) });
    eventually_within(SLOW_DEADLINE, async || {
        let asked = one.ask::<_, bool>(Servers::others(), "ready", &());
        let answers = asked.within(Duration::from_secs(2)).await;
        answers.is_ok_and(|answers| answers.received.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_without_a_word_is_gone_after_its_lease() {
    for server in [Server::ours(&[]).await, Server::redis(&[]).await] {
        let network = Proxy::to(server.port()).await;
        let bus = Bus::Url(server.url());
        let far = Bus::Url(format!("redis://127.0.0.1:{}", network.port()));
        let (one, two) = (join(&bus, APP, "1").await, join(&far, APP, "2").await);
        know_each_other(&[&one, &two]).await;
        network.set(Fault::Closed);
        eventually_within(LEASE_DEADLINE, async || one.servers().len() == 1).await;
        assert_eq!(two.servers().len(), 2, "it hears nobody, so it cannot know");
        network.set(Fault::None);
        know_each_other(&[&one, &two]).await;
        answers(&one, &two).await;
    }
}

#[tokio::test]
async fn servers_find_each_other_after_a_restart_of_the_broker() {
    for mut server in [Server::ours(&[]).await, Server::redis(&[]).await] {
        let bus = Bus::Url(server.url());
        let (one, two) = (join(&bus, APP, "1").await, join(&bus, APP, "2").await);
        know_each_other(&[&one, &two]).await;
        server.restart().await;
        answers(&one, &two).await;
        assert_eq!((one.servers().len(), two.servers().len()), (2, 2));
    }
}

#[tokio::test]
async fn a_broker_that_forbids_the_channels_costs_the_features_only() {
    for server in [Server::ours(&[]).await, Server::redis(&[]).await] {
        let log = Log::begin();
        let mut client = server.client().await;
        let rules = ["ACL", "SETUSER", "ann", "on", ">p", "~ChatApp", "&ChatApp", "+@all"];
        client.command(&rules).await;
        let url = format!("redis://ann:p@127.0.0.1:{}", server.port());
        let one = join_with(&url, named(builder(APP), "1")).await;
        const REFUSED: &str = "the broker refuses the channels of servers";
        eventually_within(SLOW_DEADLINE, async || !log.lines(REFUSED).is_empty()).await;
        let mut ann = one.attach("ann", None);
        send(&one, Target::all(), 1).await;
        assert_eq!(receive(&mut ann, 1).await, [1]);
        let error = one.send_to(Servers::all(), "config", &1).await.expect_err("forbidden");
        assert!(error.to_string().contains("NOPERM"), "{error}");
        client.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        is_disconnected(&one).await;
        is_connected(&one).await;
        send(&one, Target::all(), 2).await;
        assert_eq!(receive(&mut ann, 1).await, [2]);
        let lines = log.lines(REFUSED);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].level, Level::WARN);
        assert!(lines[0].field("reason").contains("NOPERM"), "{lines:?}");
        assert!(lines[0].field("features").contains("ask"), "{lines:?}");
    }
}
