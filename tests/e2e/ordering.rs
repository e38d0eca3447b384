//! Each message arrives once and in one order for all subscribers, on one and on several threads.

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

/// All frames have one length, so subscribers read blocks of bytes and need not decode ten million
/// messages. The streams of all subscribers must be equal, and that of the observer is checked
/// message by message.
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
    let observer = tokio::spawn(async move {
        let mut stream = Vec::new();
        for _ in 0..MESSAGES / BLOCK {
            stream.push(read_block(&mut client).await);
        }
        client.expect_silence().await;
        stream
    });

    let publishers = publish_all(server, SUBSCRIBERS).await;
    let (publishers, observer, others) = within(Duration::from_secs(120), async move {
        (publishers.join_all().await, observer.await, subscribers.join_all().await)
    })
    .await;

    assert_eq!(publishers.len(), PUBLISHERS);
    let observer: Vec<Bytes> = observer.expect("the observer has received all messages");
    expect_every_message_once_in_each_publishers_order(&observer.concat());
    let expected: Vec<u64> = observer.iter().map(hash).collect();
    assert_eq!(others.len(), SUBSCRIBERS - 1);
    assert!(others.iter().all(|stream| *stream == expected), "two subscribers received two orders");
}

async fn subscriber(server: &Server) -> Client {
    let mut client = server.client().await;
    client.subscribe(&["news"]).await;
    client
}

async fn publish_all(server: &Server, receivers_each: usize) -> JoinSet<()> {
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
                    assert_eq!(receivers, receivers_each as i64);
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

/// The numbers of threads with which each of the following tests runs.
const THREADS: [&str; 3] = ["1", "2", "4"];

#[tokio::test]
async fn messages_of_one_publisher_arrive_in_order_across_channels() {
    for threads in THREADS {
        let server = server(&["--io-threads", threads]).await;
        let channels = ["a", "b", "c"];
        let mut subscriber = server.client().await;
        subscriber.subscribe(&channels).await;
        let mut publisher = server.client().await;
        // Neighbors are sometimes on the same channel, and sometimes on different ones.
        let channel = |number: usize| channels[number * number / 7 % 3];
        let requests: Vec<u8> = (0..3_000)
            .flat_map(|number| request(&["PUBLISH", channel(number), &number.to_string()]))
            .collect();
        publisher.pipeline(&requests, 3_000).await;
        for number in 0..3_000 {
            subscriber.expect_message(channel(number), number.to_string()).await;
        }
    }
}

#[tokio::test]
async fn an_answer_arrives_after_its_question_at_every_subscriber() {
    for threads in THREADS {
        let server = server(&["--io-threads", threads]).await;
        let mut observers = Vec::new();
        for _ in 0..8 {
            let mut observer = server.client().await;
            observer.subscribe(&["question", "answer"]).await;
            observers.push(observer);
        }
        let (mut asker, mut answerer) = (server.client().await, server.client().await);
        let mut receiver = server.client().await;
        receiver.subscribe(&["question"]).await;

        for number in 0..300 {
            let number = number.to_string();
            asker.send(&["PUBLISH", "question", &number]).await;
            receiver.expect_message("question", number.as_str()).await;
            assert_eq!(answerer.publish("answer", &number).await, 8);
            assert_eq!(asker.read_reply().await, 9);
        }

        for observer in &mut observers {
            for number in 0..300 {
                let number = number.to_string();
                observer.expect_message("question", number.as_str()).await;
                observer.expect_message("answer", number.as_str()).await;
            }
            assert_eq!(observer.command(&["PING"]).await, array!["pong", ""]);
        }
    }
}

/// Eight relays on any threads: each receives messages on its channel and publishes them on the
/// next one's. The observers subscribe to all channels, half of them by pattern, under full load.
#[tokio::test(flavor = "multi_thread")]
async fn cause_arrives_before_effect_through_a_chain_of_clients() {
    const RELAYS: usize = 8;
    const ROUNDS: usize = 100;
    for threads in THREADS {
        let server = server(&["--io-threads", threads]).await;
        let channel = |relay: usize| format!("chain:{relay}");
        let mut observers = Vec::new();
        for index in 0..8 {
            let mut observer = server.client().await;
            match index % 2 {
                0 => observer.psubscribe(&["chain:*"]).await,
                _ => {
                    let channels: Vec<String> = (0..=RELAYS).map(channel).collect();
                    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
                    observer.subscribe(&channels).await;
                }
            }
            observers.push(observer);
        }
        let load = publish_all(&server, 0).await;
        let mut ends = server.client().await;
        ends.subscribe(&[&channel(RELAYS)]).await;
        let mut relays = JoinSet::new();
        for relay in 0..RELAYS {
            let (mut receiver, mut sender) = (server.client().await, server.client().await);
            receiver.subscribe(&[&channel(relay)]).await;
            relays.spawn(async move {
                for round in 0..ROUNDS {
                    let round = round.to_string();
                    receiver.expect_message(&channel(relay), round.as_str()).await;
                    sender.publish(&channel(relay + 1), &round).await;
                }
            });
        }
        let mut starter = server.client().await;
        for round in 0..ROUNDS {
            starter.publish(&channel(0), &round.to_string()).await;
            ends.expect_message(&channel(RELAYS), round.to_string()).await;
        }
        relays.join_all().await;
        for (index, observer) in observers.iter_mut().enumerate() {
            for round in 0..ROUNDS {
                let round = round.to_string();
                for relay in 0..=RELAYS {
                    let (channel, round) = (channel(relay), round.as_str());
                    let expected = match index % 2 {
                        0 => array!["pmessage", "chain:*", channel, round],
                        _ => array!["message", channel, round],
                    };
                    assert_eq!(observer.read_reply().await, expected, "{threads} threads");
                }
            }
        }
        load.join_all().await;
    }
}

/// A thread that publishes faster than another one delivers must wait for it. Threads that wait for
/// each other must not deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn threads_that_flood_each_other_lose_nothing() {
    const CLIENTS: usize = 8;
    const FLOOD: usize = 400;
    const PAYLOAD_BYTES: usize = 16 * 1024;

    for threads in ["2", "4"] {
        let limits = ["--client-output-buffer-limit", "pubsub 0 0 0"];
        let server = server(&[&["--io-threads", threads][..], &limits].concat()).await;
        let mut subscribers = JoinSet::new();
        for _ in 0..CLIENTS {
            let mut client = subscriber(&server).await;
            subscribers.spawn(async move {
                let payload = "x".repeat(PAYLOAD_BYTES);
                let frame = frame(&payload).len();
                for _ in 0..CLIENTS * FLOOD {
                    client.read_bytes(frame).await;
                }
                client.expect_silence().await;
            });
        }
        let mut publishers = JoinSet::new();
        for _ in 0..CLIENTS {
            let mut client = server.client().await;
            publishers.spawn(async move {
                let payload = vec![b'x'; PAYLOAD_BYTES];
                let flood = request(&[&b"PUBLISH"[..], b"news", &payload]).repeat(FLOOD);
                let replies = client.pipeline(&flood, FLOOD).await;
                assert!(replies.iter().all(|reply| reply.integer() == CLIENTS as i64));
            });
        }
        within(Duration::from_secs(60), async move {
            publishers.join_all().await;
            subscribers.join_all().await;
        })
        .await;
    }
}
