//! Replay of missed messages, on channels with a `pubsub-replay` rule.

use harness::{Client, DEADLINE, Reply, Server};
use harness::{array, error, within};

use super::server;

const REPLAY: &str = "app* 100 1mb 60";

async fn with_replay(threads: &str) -> Server {
    server(&["--io-threads", threads, "--pubsub-replay", REPLAY]).await
}

/// Returns the epoch, and the offset of the last message.
async fn offset(client: &mut Client, channel: &str) -> (String, i64) {
    let reply = client.command(&["PUBSUB", "OFFSET", channel]).await;
    let [epoch, offset] = reply.items() else { panic!("expected two items, found {reply:?}") };
    (epoch.text().to_owned(), offset.integer())
}

async fn replay(client: &mut Client, channel: &str, epoch: &str, after: i64) -> Reply {
    client.command(&["PUBSUB", "REPLAY", channel, epoch, &after.to_string()]).await
}

#[tokio::test]
async fn a_subscriber_that_was_away_can_fetch_the_messages_it_missed() {
    for threads in ["1", "4"] {
        let server = with_replay(threads).await;
        let (mut publisher, mut subscriber) = (server.client().await, server.client().await);
        publisher.publish("app", "before").await;
        subscriber.subscribe(&["app"]).await;
        let mut asker = server.client().await;
        let (epoch, last) = offset(&mut asker, "app").await;
        assert_eq!(last, 1);
        publisher.publish("app", "2").await;
        subscriber.expect_message("app", "2").await;
        drop(subscriber);
        for payload in ["3", "4"] {
            publisher.publish("app", payload).await;
        }
        let expected = array![epoch.clone(), 4, array![array![3, "3"], array![4, "4"]]];
        assert_eq!(replay(&mut asker, "app", &epoch, 2).await, expected);
        let one = asker.command(&["PUBSUB", "REPLAY", "app", &epoch, "2", "COUNT", "1"]).await;
        assert_eq!(one, array![epoch.clone(), 4, array![array![3, "3"]]]);
        assert_eq!(replay(&mut asker, "app", &epoch, 4).await, array![epoch, 4, array![]]);
    }
}

/// A subscriber receives each message exactly once, by replay or by subscription, while clients
/// publish on all threads.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_between_the_replay_and_the_subscription() {
    for threads in ["1", "2", "4"] {
        let server =
            server(&["--io-threads", threads, "--pubsub-replay", "app 100000 64mb 60"]).await;
        let mut asker = server.client().await;
        let (epoch, _) = offset(&mut asker, "app").await;
        let mut publishers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut publisher = server.client().await;
            publishers.spawn(async move {
                for number in 0..1_000 {
                    publisher.publish("app", &number.to_string()).await;
                }
            });
        }
        // With RESP3 one connection can do both, so the broker determines the order of its replies
        // and messages.
        let mut subscriber = server.client().await;
        subscriber.decode_as(harness::Protocol::Resp3);
        subscriber.command(&["HELLO", "3"]).await;
        subscriber.send(&["SUBSCRIBE", "app"]).await;
        subscriber.read_reply().await;
        subscriber.send(&["PUBSUB", "REPLAY", "app", &epoch, "0"]).await;
        let mut before = 0;
        let remembered = within(DEADLINE, async {
            loop {
                let reply = subscriber.read_reply().await;
                match reply.items() {
                    [kind, ..] if kind.text() == "message" => before += 1,
                    _ => break reply,
                }
            }
        })
        .await;
        let [_, last, messages] = remembered.items() else { panic!("found {remembered:?}") };
        let (last, messages) = (last.integer(), messages.items().len() as i64);
        assert_eq!(messages, last, "{threads} threads: the reply lacks messages");
        assert!(before <= last);
        for _ in last..4_000 {
            let message = subscriber.read_reply().await;
            assert_eq!(message.items()[0].text(), "message", "{threads} threads");
        }
        publishers.join_all().await;
        assert_eq!(offset(&mut asker, "app").await, (epoch, 4_000));
        subscriber.expect_silence().await;
    }
}

#[tokio::test]
async fn a_restart_begins_a_new_epoch() {
    let first = with_replay("1").await;
    let (epoch, _) = offset(&mut first.client().await, "app").await;
    drop(first);
    let second = with_replay("1").await;
    let mut client = second.client().await;
    client.publish("app", "1").await;
    let reply = replay(&mut client, "app", &epoch, 9).await;
    assert_ne!(reply.items()[0].text(), epoch);
    assert_eq!(reply.items()[1].integer(), 1);
    assert_eq!(reply.items()[2].items().len(), 1, "an unknown epoch replays all messages");
}

#[tokio::test]
async fn replay_of_other_or_forbidden_channels_is_an_error() {
    let server = with_replay("1").await;
    let mut client = server.client().await;
    let not_enabled = "ERR replay is not enabled for this channel; add a 'pubsub-replay' rule";
    for (request, expected) in [
        (&["OFFSET", "other"][..], not_enabled),
        (&["REPLAY", "other", "0123456789abcdef", "0"], not_enabled),
        (
            &["REPLAY", "app", "x", "0"],
            "ERR invalid epoch: expected the 16 hexadecimal digits of PUBSUB OFFSET",
        ),
        (
            &["REPLAY", "app", "0123456789abcdef", "-1"],
            "ERR value is not an integer or out of range",
        ),
        (&["REPLAY", "app", "0123456789abcdef", "0", "COUNT"], "ERR syntax error"),
        (&["OFFSET"], "ERR wrong number of arguments for 'pubsub|offset' command"),
    ] {
        let request = [&["PUBSUB"], request].concat();
        assert_eq!(client.command(&request).await, error(expected), "{request:?}");
    }
    client.command(&["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "&other"]).await;
    client.command(&["AUTH", "ann", "x"]).await;
    let refused = "NOPERM No permissions to access a channel";
    assert_eq!(client.command(&["PUBSUB", "OFFSET", "app"]).await, error(refused));
    let reply = replay(&mut client, "app", "0123456789abcdef", 0).await;
    assert_eq!(reply, error(refused));
}
