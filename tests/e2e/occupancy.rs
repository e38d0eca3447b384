//! `notify-pubsub-events`: channels that get their first subscription or lose their last one.

use harness::{Client, Server, array, error, ok};

use super::server;

async fn watcher(server: &Server) -> Client {
    let mut watcher = server.client().await;
    watcher.psubscribe(&["__pubsub__:*"]).await;
    watcher
}

async fn expect(watcher: &mut Client, event: &str, channel: &str) {
    let expected = array!["pmessage", "__pubsub__:*", format!("__pubsub__:{event}"), channel];
    assert_eq!(watcher.read_reply().await, expected);
}

#[tokio::test]
async fn the_first_and_the_last_subscription_are_told() {
    for threads in ["1", "4"] {
        let server = server(&["--notify-pubsub-events", "ov", "--io-threads", threads]).await;
        let mut watcher = watcher(&server).await;
        let (mut one, mut two) = (server.client().await, server.client().await);
        for client in [&mut one, &mut two] {
            client.subscribe(&["news"]).await;
        }
        expect(&mut watcher, "occupied", "news").await;
        one.command(&["UNSUBSCRIBE", "news"]).await;
        one.subscribe(&["other", "__own"]).await;
        expect(&mut watcher, "occupied", "other").await;
        // A client that disappears leaves as well.
        drop(two);
        expect(&mut watcher, "vacated", "news").await;
    }
}

#[tokio::test]
async fn only_the_chosen_events_are_told() {
    let server = server(&["--notify-pubsub-events", "vo"]).await;
    let mut watcher = watcher(&server).await;
    let (mut client, mut operator) = (server.client().await, server.client().await);
    let set = async |operator: &mut Client, letters: &str| {
        operator.command(&["CONFIG", "SET", "notify-pubsub-events", letters]).await
    };
    client.subscribe(&["x"]).await;
    expect(&mut watcher, "occupied", "x").await;
    let refused = "ERR CONFIG SET failed (possibly related to argument 'notify-pubsub-events') - \
                   Invalid event character. Use 'ov'.";
    assert_eq!(set(&mut operator, "ox").await, error(refused));
    assert_eq!(set(&mut operator, "v").await, ok());
    let get = ["CONFIG", "GET", "notify-pubsub-events"];
    assert_eq!(operator.command(&get).await, array!["notify-pubsub-events", "v"]);
    client.subscribe(&["y"]).await;
    client.command(&["UNSUBSCRIBE", "x"]).await;
    expect(&mut watcher, "vacated", "x").await;
    client.command(&["UNSUBSCRIBE", "y"]).await;
    expect(&mut watcher, "vacated", "y").await;
    assert_eq!(set(&mut operator, "").await, ok());
    watcher.expect_silence().await;
}
