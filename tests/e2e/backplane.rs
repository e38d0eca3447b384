//! Several servers on one broker: a message of one server reaches the connections of all servers,
//! and a backplane reconnects after a restart of the broker.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, ConnectError, Connection, Invocation, State, Target};
use harness::{DEADLINE, SLOW_DEADLINE, eventually_within, free_port, within};

use super::server;

const APP: &str = "ChatApp";

#[tokio::test]
async fn connections_of_every_server_receive_each_message_to_all_once_and_in_order() {
    let server = server(&["--requirepass", "secret"]).await;
    let (one, two) = (join(&server.url()).await, join(&server.url()).await);
    let (mut ann, mut bob) = (one.attach("ann-1", None), two.attach("bob-1", None));

    for number in 0..100 {
        let sender = if number % 2 == 0 { &one } else { &two };
        send(sender, Target::all(), number).await;
    }

    let at_ann = receive(&mut ann, 100).await;
    assert_eq!(receive(&mut bob, 100).await, at_ann, "two connections saw two orders");
    let mut sorted = at_ann.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    for parity in [0, 1] {
        let of_one: Vec<_> = at_ann.iter().filter(|number| *number % 2 == parity).collect();
        assert!(
            of_one.is_sorted(),
            "the messages of one server arrived in another order: {at_ann:?}"
        );
    }
    nothing_more(&one, &mut [&mut ann, &mut bob]).await;
}

#[tokio::test]
async fn the_four_arguments_of_the_tutorial_connect() {
    let server = server(&["--requirepass", "secret"]).await;
    let one =
        Backplane::use_redis("127.0.0.1", server.port(), "secret", APP).await.expect("joined");
    let two = join(&server.url()).await;
    assert_eq!(one.app_name(), APP);
    let mut bob = two.attach("bob-1", None);
    send(&one, Target::all(), 7).await;
    assert_eq!(receive(&mut bob, 1).await, [7]);
}

#[tokio::test]
async fn a_server_without_a_password_needs_none() {
    let server = server(&[]).await;
    let one = Backplane::use_redis("127.0.0.1", server.port(), "", APP).await.expect("joined");
    let mut ann = one.attach("ann-1", None);
    send(&one, Target::all(), 7).await;
    assert_eq!(receive(&mut ann, 1).await, [7]);
}

#[tokio::test]
async fn a_group_receives_its_messages_on_every_server() {
    let server = server(&[]).await;
    let (one, two) = (join(&server.url()).await, join(&server.url()).await);
    let (mut ann, mut bob) = (one.attach("ann-1", None), two.attach("bob-1", None));
    let mut eve = two.attach("eve-1", None);
    one.join("ann-1", "room").await.expect("ann joined");
    two.join("bob-1", "room").await.expect("bob joined");

    send(&one, Target::group("room"), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    assert_eq!(receive(&mut bob, 1).await, [1]);

    two.leave("bob-1", "room").await.expect("bob left");
    send(&two, Target::group("room"), 2).await;
    assert_eq!(receive(&mut ann, 1).await, [2]);
    nothing_more(&one, &mut [&mut ann, &mut bob, &mut eve]).await;
}

#[tokio::test]
async fn all_connections_of_a_user_receive_its_messages() {
    let server = server(&[]).await;
    let (one, two) = (join(&server.url()).await, join(&server.url()).await);
    let (mut phone, mut desk) = (one.attach("a1", Some("ann")), two.attach("a2", Some("ann")));
    let mut bob = two.attach("b1", Some("bob"));

    send(&two, Target::user("ann"), 3).await;

    assert_eq!(receive(&mut phone, 1).await, [3]);
    assert_eq!(receive(&mut desk, 1).await, [3]);
    nothing_more(&one, &mut [&mut phone, &mut desk, &mut bob]).await;
}

#[tokio::test]
async fn one_connection_receives_its_messages_from_another_server() {
    let server = server(&[]).await;
    let (one, two) = (join(&server.url()).await, join(&server.url()).await);
    let (mut ann, mut bob) = (one.attach("ann-1", None), two.attach("bob-1", None));

    send(&one, Target::connection("bob-1"), 4).await;

    assert_eq!(receive(&mut bob, 1).await, [4]);
    nothing_more(&one, &mut [&mut ann, &mut bob]).await;
}

#[tokio::test]
async fn apps_with_different_names_receive_no_messages_of_each_other() {
    let server = server(&[]).await;
    let one = join(&server.url()).await;
    let other = Backplane::builder("OtherApp").connect(&server.url()).await.expect("joined");
    let (mut ann, mut eve) = (one.attach("ann-1", None), other.attach("eve-1", None));

    send(&one, Target::all(), 5).await;
    assert_eq!(receive(&mut ann, 1).await, [5]);
    nothing_more(&other, &mut [&mut eve]).await;
}

#[tokio::test]
async fn a_message_is_readable_on_the_channel_of_the_app() {
    let server = server(&[]).await;
    let one = join(&server.url()).await;
    let mut watcher = server.client().await;
    watcher.subscribe(&[APP]).await;

    let invocation = Invocation::new("broadcastMessage", ("ann", "héllo")).expect("an array");
    within(DEADLINE, one.send(Target::all(), invocation)).await.expect("sent");

    let found = within(DEADLINE, async {
        loop {
            let message = watcher.read_reply().await;
            let payload = String::from_utf8_lossy(message.raw()).into_owned();
            // The server also publishes health probes to itself.
            if !payload.contains("PROBE") {
                break payload;
            }
        }
    })
    .await;
    assert!(found.contains(r#""M":"broadcastMessage","A":["ann","héllo"]"#), "{found}");
}

#[tokio::test]
async fn a_wrong_password_is_an_error_in_redis_words() {
    let server = server(&["--requirepass", "secret"]).await;
    for joined in [
        Backplane::use_redis("127.0.0.1", server.port(), "wrong", APP).await,
        Backplane::builder(APP).connect(&server.url_with_password("wrong")).await,
    ] {
        expect_error(joined, "WRONGPASS");
    }
    let without = Backplane::use_redis("127.0.0.1", server.port(), "", APP).await;
    expect_error(without, "NOAUTH");
}

#[tokio::test]
async fn a_closed_port_is_an_error_that_names_the_address() {
    let port = free_port();
    let joined = within(SLOW_DEADLINE, Backplane::use_redis("127.0.0.1", port, "", APP)).await;
    expect_error(joined, &port.to_string());
}

#[tokio::test]
async fn the_state_of_a_backplane_names_the_reason_why_it_is_not_connected() {
    let server = server(&["--requirepass", "secret"]).await;
    let url = server.url_with_password("wrong");
    let one = Backplane::builder(APP).connect_lazy(&url).expect("the URL is understood");
    within(SLOW_DEADLINE, async {
        let mut states = one.state_changes();
        states.wait_for(|state| disconnected_for(state, "WRONGPASS")).await.expect("a reason");
    })
    .await;
    assert!(one.send(Target::all(), invocation(1)).await.is_err());
}

#[tokio::test]
async fn a_backplane_reconnects_to_a_restarted_broker() {
    let mut server = server(&["--requirepass", "secret"]).await;
    let (one, two) = (join(&server.url()).await, join(&server.url()).await);
    let (mut ann, mut bob) = (one.attach("ann-1", None), two.attach("bob-1", Some("bob")));
    two.join("bob-1", "room").await.expect("bob joined");

    server.kill();
    for backplane in [&one, &two] {
        let mut states = backplane.state_changes();
        let lost = states.wait_for(|state| !matches!(state, State::Connected));
        within(DEADLINE, lost).await.expect("the loss is noticed");
    }
    let sent = within(SLOW_DEADLINE, one.send(Target::all(), invocation(0))).await;
    assert!(sent.is_err(), "a message was reported as sent without a broker");

    server.restart().await;
    for backplane in [&one, &two] {
        let mut states = backplane.state_changes();
        let back = states.wait_for(|state| matches!(state, State::Connected));
        within(SLOW_DEADLINE, back).await.expect("the broker is found again");
    }

    for (number, target) in
        [Target::all(), Target::group("room"), Target::user("bob"), Target::connection("bob-1")]
            .into_iter()
            .enumerate()
    {
        eventually_within(SLOW_DEADLINE, || {
            let (one, target) = (one.clone(), target.clone());
            async move { one.send(target, invocation(number + 1)).await.is_ok() }
        })
        .await;
    }
    assert_eq!(receive(&mut bob, 4).await, [1, 2, 3, 4]);
    assert_eq!(receive(&mut ann, 1).await, [1]);
}

#[tokio::test]
async fn after_a_shutdown_the_broker_has_no_subscription_left() {
    let server = server(&[]).await;
    let one = join(&server.url()).await;
    let mut ann = one.attach("ann-1", None);
    let mut asker = server.client().await;
    assert_eq!(asker.publish(APP, "not for us").await, 1);

    within(DEADLINE, one.shutdown()).await;

    assert!(within(DEADLINE, ann.recv()).await.is_err());
    eventually_within(Duration::from_secs(5), async || asker.publish(APP, "nobody").await == 0)
        .await;
}

async fn join(url: &str) -> Backplane {
    let joined = within(SLOW_DEADLINE, Backplane::builder(APP).connect(url)).await;
    joined.unwrap_or_else(|error| panic!("cannot join {url}: {error}"))
}

fn invocation(number: usize) -> Invocation {
    Invocation::new("number", (number,)).expect("a tuple is an array")
}

async fn send(backplane: &Backplane, target: Target, number: usize) {
    let sent = within(DEADLINE, backplane.send(target, invocation(number))).await;
    sent.unwrap_or_else(|error| panic!("{number} was not sent: {error}"));
}

async fn receive(connection: &mut Connection, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(number(&within(DEADLINE, connection.recv()).await.expect("attached")));
    }
    numbers
}

fn number(invocation: &Arc<Invocation>) -> usize {
    assert_eq!(invocation.method(), "number");
    let arguments: Vec<usize> =
        serde_json::from_str(invocation.arguments().get()).expect("an array of one number");
    arguments[0]
}

/// Sends a last message to all, behind every message in flight. It must be the next one of each
/// connection.
async fn nothing_more(backplane: &Backplane, connections: &mut [&mut Connection]) {
    const LAST: usize = 999_999;
    send(backplane, Target::all(), LAST).await;
    for connection in connections {
        assert_eq!(receive(connection, 1).await, [LAST], "connection {}", connection.id());
    }
}

fn disconnected_for(state: &State, reason: &str) -> bool {
    state.to_string().contains(reason)
}

/// Asserts that the error or one of its sources contains this text.
fn expect_error(joined: Result<Backplane, ConnectError>, expected: &str) {
    let error = joined.err().unwrap_or_else(|| panic!("expected {expected}, found it joined"));
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(text.contains(expected), "expected {expected}, found {text}");
}
