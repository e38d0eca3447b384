//! `pubsub-slow-policy`: a subscriber at its limit loses messages in place of its connection.

use harness::{Client, DEADLINE, Protocol, Server, array, eventually, ok, simple, within};

use super::server;

const LIMIT: [&str; 5] = ["--client-output-buffer-limit", "pubsub", "200kb", "0", "0"];

async fn with(rules: &[&str]) -> Server {
    server(&[&LIMIT[..], rules].concat()).await
}

/// Subscribes, and returns the client with its id.
async fn subscriber(server: &Server, channels: &[&str]) -> (Client, i64) {
    let mut client = server.client().await;
    let id = client.command(&["CLIENT", "ID"]).await.integer();
    client.subscribe(channels).await;
    (client, id)
}

/// Messages that a subscriber cannot have in its sockets: they hold fewer bytes.
const COUNT: usize = 3_000;
/// Messages of one batch, with fewer bytes than the limit.
const BATCH: usize = 20;

/// Publishes [`COUNT`] messages. `reader` reads each batch before the next one.
async fn flood(publisher: &mut Client, channels: &[&str], mut reader: Option<&mut Client>) {
    let payload = "x".repeat(5_000);
    for batch in 0..COUNT / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let requests: Vec<u8> = numbers
            .clone()
            .flat_map(|number| {
                let message = format!("{number} {payload}");
                harness::request(&["PUBLISH", channels[number % channels.len()], &message])
            })
            .collect();
        publisher.pipeline(&requests, BATCH).await;
        if let Some(reader) = &mut reader {
            for number in numbers {
                let reply = reader.read_reply().await;
                let text = reply.items()[2].text();
                assert!(text.starts_with(&format!("{number} ")), "the other one lost some");
            }
        }
    }
}

/// Reads messages until the last one, and returns their channels and numbers.
async fn read_until(client: &mut Client, last: &str) -> Vec<(String, usize)> {
    let mut read = Vec::new();
    loop {
        let reply = client.read_reply().await;
        let items = reply.items();
        assert_eq!(items[0].text(), "message");
        let (channel, text) = (items[1].text().to_owned(), items[2].text());
        if text == last {
            return read;
        }
        let number = text.split(' ').next().and_then(|number| number.parse().ok());
        read.push((channel, number.expect("a number")));
    }
}

/// Returns the sum of the losses that notices tell for each channel.
async fn told(watcher: &mut Client, id: i64, channel: &str, expected: usize) {
    let start = format!("{{\"channel\":\"{channel}\",\"lost\":");
    let mut sum = 0;
    while sum < expected {
        let reply = watcher.read_reply().await;
        assert_eq!(reply.items()[1].text(), format!("__broker__:lost:{id}"));
        let count =
            reply.items()[2].text().strip_prefix(&start).and_then(|rest| rest.strip_suffix('}'));
        sum += count.and_then(|count| count.parse::<usize>().ok()).expect("a number");
    }
    assert_eq!(sum, expected);
}

async fn watcher(server: &Server) -> Client {
    let mut watcher = server.client().await;
    watcher.psubscribe(&["__broker__:lost:*"]).await;
    watcher
}

#[tokio::test]
async fn dropped_messages_are_counted_and_others_lose_nothing() {
    for policy in ["drop-oldest", "drop-newest"] {
        for threads in ["1", "4"] {
            let server =
                with(&["--pubsub-slow-policy", "ne*", policy, "--io-threads", threads]).await;
            let mut watcher = server.client().await;
            let (mut slow, id) = subscriber(&server, &["news"]).await;
            watcher.subscribe(&[&format!("__broker__:lost:{id}")]).await;
            let (mut quick, _) = subscriber(&server, &["news"]).await;
            let mut publisher = server.client().await;
            flood(&mut publisher, &["news"], Some(&mut quick)).await;
            assert_eq!(publisher.publish("news", "end").await, 2);
            quick.expect_message("news", "end").await;

            // Whatever was lost is lost before the slow one reads on, but the end may be, too.
            let seen = match policy {
                "drop-newest" => {
                    let mut seen = 0;
                    while publisher.publish("news", "end").await == 2 {
                        let reply = slow.read_reply().await;
                        if reply.items()[2].text() == "end" {
                            break;
                        }
                        seen += 1;
                    }
                    seen
                }
                _ => {
                    let read = read_until(&mut slow, "end").await;
                    assert!(read.is_sorted_by_key(|(_, number)| *number));
                    assert_eq!(read.last(), Some(&("news".to_owned(), COUNT - 1)));
                    read.len()
                }
            };
            assert!(seen < COUNT, "nothing was lost");
            if policy == "drop-oldest" {
                told(&mut watcher, id, "news", COUNT - seen).await;
            }
        }
    }
}

/// The slow client itself learns what it has lost, in a push between its messages.
#[tokio::test]
async fn a_client_that_asks_for_it_gets_its_losses() {
    let server = with(&["--pubsub-slow-policy", "news", "drop-oldest"]).await;
    let mut slow = server.client().await;
    slow.decode_as(Protocol::Resp3);
    slow.command(&["HELLO", "3"]).await;
    assert_eq!(slow.command(&["CLIENT", "CAPA", "pubsub-lost"]).await, ok());
    slow.subscribe(&["news"]).await;
    let mut publisher = server.client().await;
    flood(&mut publisher, &["news"], None).await;
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < COUNT {
        let push = slow.read_reply().await;
        match push.items() {
            [kind, channel, count] if kind.text() == "pubsub-lost" => {
                assert_eq!(channel.text(), "news");
                lost += usize::try_from(count.integer()).expect("a number");
            }
            _ => seen += 1,
        }
    }
    assert!(lost > 0 && seen + lost == COUNT, "{seen} seen, {lost} lost");
}

#[tokio::test]
async fn the_last_message_of_each_channel_arrives() {
    let server = with(&["--pubsub-slow-policy", "*", "conflate"]).await;
    let channels = ["a", "b", "c"];
    let (mut slow, id) = subscriber(&server, &channels).await;
    let mut watcher = watcher(&server).await;
    let mut publisher = server.client().await;
    flood(&mut publisher, &channels, None).await;
    assert_eq!(publisher.publish("a", "end").await, 1);
    let read = read_until(&mut slow, "end").await;
    for (index, channel) in channels.into_iter().enumerate() {
        let last = read.iter().rfind(|(name, _)| name == channel).map(|(_, number)| *number);
        assert_eq!(last, Some(COUNT - channels.len() + index), "of {channel}");
    }
    assert!(read.len() < COUNT);
    let notice = watcher.read_reply().await;
    assert_eq!(notice.items()[2].text(), format!("__broker__:lost:{id}"));
}

#[tokio::test]
async fn a_client_without_a_rule_is_closed_and_rules_can_be_changed() {
    let server = with(&["--pubsub-slow-policy", "other", "drop-oldest"]).await;
    let (mut slow, _) = subscriber(&server, &["news"]).await;
    let mut publisher = server.client().await;
    let connected = async |publisher: &mut Client| publisher.publish("news", "x").await == 1;
    flood(&mut publisher, &["news"], None).await;
    eventually(async || !connected(&mut publisher).await).await;
    within(DEADLINE, slow.read_to_close()).await;

    let get = ["CONFIG", "GET", "pubsub-slow-policy"];
    for (rules, shown) in [
        ("n* drop-newest x conflate", "n* drop-newest x conflate"),
        ("news DROP-OLDEST", "news drop-oldest"),
    ] {
        assert_eq!(publisher.command(&["CONFIG", "SET", "pubsub-slow-policy", rules]).await, ok());
        assert_eq!(publisher.command(&get).await, array!["pubsub-slow-policy", shown]);
    }
    let (mut slow, _) = subscriber(&server, &["news"]).await;
    flood(&mut publisher, &["news"], None).await;
    assert_eq!(publisher.publish("news", "end").await, 1);
    read_until(&mut slow, "end").await;

    for wrong in ["news", "news drop", "a disconnect b"] {
        let reply = publisher.command(&["CONFIG", "SET", "pubsub-slow-policy", wrong]).await;
        assert!(reply.is_error(), "{wrong}: {reply:?}");
    }
    assert_eq!(publisher.command(&["CONFIG", "SET", "pubsub-slow-policy", ""]).await, ok());
    assert_eq!(publisher.command(&get).await, array!["pubsub-slow-policy", ""]);
}

#[tokio::test]
async fn replies_are_never_dropped() {
    let server = with(&["--pubsub-slow-policy", "*", "drop-oldest"]).await;
    let (mut slow, _) = subscriber(&server, &["news"]).await;
    let mut publisher = server.client().await;
    let confirmations = 100;
    for number in 0..confirmations {
        slow.send(&["SUBSCRIBE", &format!("more-{number}")]).await;
    }
    flood(&mut publisher, &["news"], None).await;
    for number in 0..confirmations {
        slow.send(&["UNSUBSCRIBE", &format!("more-{number}")]).await;
    }
    slow.send(&["PING", "end"]).await;
    let mut others = Vec::new();
    loop {
        let reply = slow.read_reply().await;
        match reply.items()[0].text() {
            "message" => {}
            "pong" => break,
            kind => others.push(kind.to_owned()),
        }
    }
    let subscribed = others.iter().filter(|kind| *kind == "subscribe").count();
    assert_eq!((subscribed, others.len()), (confirmations, 2 * confirmations));
    assert_eq!(publisher.command(&["PING"]).await, simple("PONG"));
}
