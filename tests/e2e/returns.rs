//! Many clients that return at once, each with one SUBSCRIBE for each of many channels, as the servers
//! of an ASP.NET Core farm do after an outage. Their confirmations come in order, and publishers go
//! on meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Server, request};

use super::server;

const CLIENTS: usize = 50;
/// The subscriptions of a client in the quick tests, and in the farm that the measurement stands for.
const CHANNELS: usize = 2_000;
const CHANNELS_OF_A_FARM: usize = 20_000;
/// The time within which .NET's client expects a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// For a debug build on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn clients_that_return_at_once_are_confirmed_in_order_on_one_thread() {
    return_at_once("1", CHANNELS, DEADLINE).await;
}

#[tokio::test]
async fn clients_that_return_at_once_are_confirmed_in_order_on_four_threads() {
    return_at_once("4", CHANNELS, DEADLINE).await;
}

#[tokio::test]
#[ignore = "measures; `cargo xtask long` runs it"]
async fn a_million_subscriptions_return_within_five_seconds() {
    for threads in ["1", "4"] {
        return_at_once(threads, CHANNELS_OF_A_FARM, REPLY_TIMEOUT).await;
    }
}

async fn return_at_once(threads: &str, channels: usize, deadline: Duration) {
    let server = server(&["--io-threads", threads]).await;
    let traffic = Traffic::start(&server);
    let clients = (0..CLIENTS).map(|client| Returning::new(&server, client, channels));
    let clients: Vec<_> = clients.collect();
    let begun = Instant::now();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || client.subscribe_again(deadline)))
        .collect();
    for client in clients {
        client.join().expect("its confirmations are complete and in order");
    }
    let took = begun.elapsed();
    let (messages, longest) = traffic.end();
    println!("{threads} threads: {took:?}; {messages} publishes, the longest {longest:?}");
    assert!(took < deadline, "the confirmations took {took:?}");
    assert!(messages > 0, "no message was published meanwhile");
    assert!(longest < deadline / 5, "a publisher waited {longest:?}");
}

/// A client with the requests that it will send, and the replies that it expects.
struct Returning {
    stream: TcpStream,
    requests: Vec<u8>,
    confirmations: Vec<u8>,
}

impl Returning {
    fn new(server: &Server, client: usize, channels: usize) -> Self {
        let (mut requests, mut confirmations) = (Vec::new(), Vec::new());
        for number in 0..channels {
            let channel = format!("ChatApp:connection:{client:02}-{number:05}");
            requests.extend(request(&["SUBSCRIBE", &channel]));
            let (length, count) = (channel.len(), number + 1);
            let confirmation =
                format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:{count}\r\n");
            confirmations.extend(confirmation.into_bytes());
        }
        Self { stream: connect(server), requests, confirmations }
    }

    fn subscribe_again(self, deadline: Duration) {
        let Self { mut stream, requests, confirmations } = self;
        stream.set_read_timeout(Some(deadline)).expect("it is not zero");
        let mut writer = stream.try_clone().expect("it is a socket");
        let writing = thread::spawn(move || writer.write_all(&requests));
        let mut received = vec![0; confirmations.len()];
        stream.read_exact(&mut received).expect("all confirmations arrive");
        writing.join().expect("it writes").expect("the server reads");
        assert!(received == confirmations, "the confirmations differ");
    }
}

/// A publisher with one request at a time, and a subscriber that checks its messages.
struct Traffic {
    is_over: Arc<AtomicBool>,
    publishing: thread::JoinHandle<(usize, Duration)>,
}

impl Traffic {
    fn start(server: &Server) -> Self {
        let (mut publisher, mut subscriber) = (connect(server), connect(server));
        subscriber.write_all(&request(&["SUBSCRIBE", "traffic"])).expect("the server reads");
        let confirmation = b"*3\r\n$9\r\nsubscribe\r\n$7\r\ntraffic\r\n:1\r\n";
        expect(&mut subscriber, confirmation);
        let is_over = Arc::new(AtomicBool::new(false));
        let publishing = thread::spawn({
            let is_over = is_over.clone();
            move || {
                let (mut messages, mut longest) = (0, Duration::ZERO);
                while !is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    publisher
                        .write_all(&request(&["PUBLISH", "traffic", "hello"]))
                        .expect("the server reads");
                    expect(&mut publisher, b":1\r\n");
                    longest = longest.max(begun.elapsed());
                    let message = b"*3\r\n$7\r\nmessage\r\n$7\r\ntraffic\r\n$5\r\nhello\r\n";
                    expect(&mut subscriber, message);
                    messages += 1;
                }
                (messages, longest)
            }
        });
        Self { is_over, publishing }
    }

    /// Returns the number of messages, and the longest wait for the reply to a publish.
    fn end(self) -> (usize, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        self.publishing.join().expect("each message arrives")
    }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
    stream.set_nodelay(true).expect("it is a socket");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
    stream
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).expect("the reply arrives");
    assert_eq!(received, bytes);
}
