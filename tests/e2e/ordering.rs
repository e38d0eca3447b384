//! Every message once and all in one order, however many threads deliver them.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::{Client, Server, array, request, within};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::server;

const SUBSCRIBERS: usize = 100;
const PUBLISHERS: usize = 4;
const MESSAGES: usize = 100_000;
const MESSAGES_OF_ONE: usize = MESSAGES / PUBLISHERS;
/// Messages are compared in blocks of this many.
const BLOCK: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_subscribers_see_one_order_with_one_thread() {
    one_order(&server(&["--io-threads", "1"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_subscribers_see_one_order_with_two_threads() {
    one_order(&server(&["--io-threads", "2"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_subscribers_see_one_order_with_four_threads() {
    one_order(&server(&["--io-threads", "4"]).await).await;
}

/// All frames have one length, so that subscribers need not decode ten million of them: their
/// streams must be equal byte by byte, and one of them is looked at closely.
async fn one_order(server: &Server) {
    let mut subscribers = JoinSet::new();
    for _ in 1..SUBSCRIBERS {
        let mut client = subscriber(server).await;
        subscribers.spawn(async move {
            let mut stream = Vec::new();
            for _ in 0..MESSAGES / BLOCK {
                stream.push(hash(&read_block(&mut client).await));
            }
            client.expect_silence().await;
            stream
        });
    }
    let mut client = subscriber(server).await;
    let witness = tokio::spawn(async move {
        let mut stream = Vec::new();
        for _ in 0..MESSAGES / BLOCK {
            stream.push(read_block(&mut client).await);
        }
        client.expect_silence().await;
        stream
    });

    let publishers = publish_all(server).await;
    let (publishers, witness, others) = within(Duration::from_secs(120), async move {
        (publishers.join_all().await, witness.await, subscribers.join_all().await)
    })
    .await;

    assert_eq!(publishers.len(), PUBLISHERS);
    let witness: Vec<Bytes> = witness.expect("the witness has seen everything");
    expect_every_message_once_in_each_publishers_order(&witness.concat());
    let expected: Vec<u64> = witness.iter().map(hash).collect();
    assert_eq!(others.len(), SUBSCRIBERS - 1);
    assert!(others.iter().all(|stream| *stream == expected), "two subscribers saw two orders");
}

async fn subscriber(server: &Server) -> Client {
    let mut client = server.client().await;
    client.subscribe(&["news"]).await;
    client
}

async fn publish_all(server: &Server) -> JoinSet<()> {
    let start = Arc::new(Barrier::new(PUBLISHERS));
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let mut client = server.client().await;
        let start = Arc::clone(&start);
        publishers.spawn(async move {
            start.wait().await;
            for first in (0..MESSAGES_OF_ONE).step_by(100) {
                let numbers = first..first + 100;
                let requests: Vec<u8> = numbers
                    .flat_map(|number| request(&["PUBLISH", "news", &payload(publisher, number)]))
                    .collect();
                for receivers in client.pipeline(&requests, 100).await {
                    assert_eq!(receivers, SUBSCRIBERS as i64);
                }
            }
        });
    }
    publishers
}

fn payload(publisher: usize, number: usize) -> String {
    format!("{publisher}:{number:06}")
}

fn frame(payload: &str) -> Vec<u8> {
    request(&["message", "news", payload])
}

async fn read_block(client: &mut Client) -> Bytes {
    client.read_bytes(BLOCK * frame(&payload(0, 0)).len()).await
}

fn hash(block: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(block);
    hasher.finish()
}

fn expect_every_message_once_in_each_publishers_order(stream: &[u8]) {
    let mut next = [0; PUBLISHERS];
    for found in stream.chunks_exact(frame(&payload(0, 0)).len()) {
        let publisher = (0..PUBLISHERS)
            .find(|publisher| found == frame(&payload(*publisher, next[*publisher])));
        let publisher =
            publisher.unwrap_or_else(|| panic!("after {next:?} came \"{}\"", found.escape_ascii()));
        next[publisher] += 1;
    }
    assert_eq!(next, [MESSAGES_OF_ONE; PUBLISHERS]);
}

#[tokio::test]
async fn what_one_publisher_sends_arrives_in_order_across_channels() {
    let server = server(&["--io-threads", "4"]).await;
    let channels = ["a", "b", "c"];
    let mut subscriber = server.client().await;
    subscriber.subscribe(&channels).await;
    let mut publisher = server.client().await;
    let requests: Vec<u8> = (0..3_000)
        .flat_map(|number| request(&["PUBLISH", channels[number % 3], &number.to_string()]))
        .collect();
    publisher.pipeline(&requests, 3_000).await;
    for number in 0..3_000 {
        subscriber.expect_message(channels[number % 3], number.to_string()).await;
    }
}

#[tokio::test]
async fn an_answer_arrives_after_what_it_answers() {
    let server = server(&["--io-threads", "4"]).await;
    let mut witnesses = Vec::new();
    for _ in 0..8 {
        let mut witness = server.client().await;
        witness.subscribe(&["question", "answer"]).await;
        witnesses.push(witness);
    }
    let (mut asker, mut answerer) = (server.client().await, server.client().await);
    let mut ear = server.client().await;
    ear.subscribe(&["question"]).await;

    for number in 0..300 {
        let number = number.to_string();
        asker.send(&["PUBLISH", "question", &number]).await;
        ear.expect_message("question", number.as_str()).await;
        assert_eq!(answerer.publish("answer", &number).await, 8);
        assert_eq!(asker.read_reply().await, 9);
    }

    for witness in &mut witnesses {
        for number in 0..300 {
            let number = number.to_string();
            witness.expect_message("question", number.as_str()).await;
            witness.expect_message("answer", number.as_str()).await;
        }
        assert_eq!(witness.command(&["PING"]).await, array!["pong", ""]);
    }
}
