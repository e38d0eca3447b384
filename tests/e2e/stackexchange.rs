//! StackExchange.Redis, the client of .NET's servers: the bursts of its versions byte for byte, and
//! all commands of a recorded farm of ASP.NET Core.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use harness::{Client, Protocol, Server, request};

use super::server;

/// The connections that one version opens: each has its first burst, one command a line.
struct Version {
    name: &'static str,
    interactive: &'static str,
    /// Versions with RESP3 have one connection only.
    subscription: Option<&'static str>,
}

const VERSIONS: &[Version] = &[
    Version {
        name: "2.0",
        interactive: "AUTH secret
            CLIENT SETNAME web01
            CONFIG GET timeout
            CONFIG GET slave-read-only
            CONFIG GET databases
            INFO
            CLUSTER NODES
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "2.2",
        interactive: "AUTH secret
            CLIENT SETNAME web01
            CONFIG GET timeout
            CONFIG GET slave-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO
            CLUSTER NODES
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "2.5",
        interactive: "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.5.61.22961)
            CONFIG GET slave-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.5.61.22961)
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "2.6.122",
        interactive: "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.6.122.38350)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 2.6.122.38350
            CONFIG GET slave-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.6.122.38350)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 2.6.122.38350
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "2.8",
        interactive: "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.8.24.3255)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 2.8.24.3255
            CLIENT ID
            CONFIG GET slave-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.8.24.3255)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 2.8.24.3255
            CLIENT ID
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "2.13 with RESP3",
        interactive: "HELLO 3 AUTH default secret SETNAME web01(SE.Redis-v2.13.23.1)
            AUTH secret
            CLIENT SETNAME web01(SE.Redis-v2.13.23.1)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 2.13.23.1
            CLIENT ID
            CONFIG GET slave-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        subscription: None,
    },
    Version {
        name: "3.1 with RESP2",
        interactive: "AUTH secret
            HELLO 2
            CLIENT SETNAME web01(SE.Redis-v3.1.31.1)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 3.1.31.1
            CLIENT ID
            CONFIG GET replica-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}",
        subscription: Some(
            "AUTH secret
            CLIENT SETNAME web01(SE.Redis-v3.1.31.1)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 3.1.31.1
            CLIENT ID
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        ),
    },
    Version {
        name: "3.1",
        interactive: "AUTH secret
            HELLO 3
            CLIENT SETNAME web01(SE.Redis-v3.1.31.1)
            CLIENT SETINFO lib-name SE.Redis
            CLIENT SETINFO lib-ver 3.1.31.1
            CLIENT ID
            CONFIG GET replica-read-only
            CONFIG GET databases
            SENTINEL MASTERS
            INFO replication
            INFO server
            CLUSTER NODES
            GET __Booksleeve_TieBreak
            ECHO {id}
            SUBSCRIBE __Booksleeve_MasterChanged",
        subscription: None,
    },
];

/// The id of a multiplexer: any bytes, with line ends among them.
const ID: &[u8] = b"\x00\r\n\x01\xff\xfe$5\r\n\r\n*3\r\n";
/// Channels of one multiplexer.
const CHANNELS: usize = 2_000;

#[tokio::test]
async fn each_version_gets_the_replies_of_redis_on_one_thread() {
    each_version_gets_the_replies_of_redis("1").await;
}

#[tokio::test]
async fn each_version_gets_the_replies_of_redis_on_four_threads() {
    each_version_gets_the_replies_of_redis("4").await;
}

#[tokio::test]
async fn a_recorded_farm_gets_its_replies_and_messages_on_one_thread() {
    a_recorded_farm_gets_its_replies_and_messages("1").await;
}

#[tokio::test]
async fn a_recorded_farm_gets_its_replies_and_messages_on_four_threads() {
    a_recorded_farm_gets_its_replies_and_messages("4").await;
}

async fn each_version_gets_the_replies_of_redis(threads: &str) {
    let server = server(&["--requirepass", "secret", "--io-threads", threads]).await;
    for version in VERSIONS {
        let mut interactive = Client::connect(server.port()).await;
        let protocol = match version.subscription {
            Some(_) => Protocol::Resp2,
            None => Protocol::Resp3,
        };
        interactive.decode_as(protocol);
        let Some(subscription) = version.subscription else {
            burst(version, &mut interactive, version.interactive, protocol).await;
            resubscribe(version, &mut interactive, protocol).await;
            continue;
        };
        // Both connections are opened at the same time.
        let mut subscriber = Client::connect(server.port()).await;
        join(
            burst(version, &mut interactive, version.interactive, protocol),
            burst(version, &mut subscriber, subscription, protocol),
        )
        .await;
        resubscribe(version, &mut subscriber, protocol).await;
        keep_alive(&mut subscriber).await;
        let published = interactive.publish("channel-7", "hi").await;
        assert_eq!(published, 1, "{}", version.name);
        subscriber.expect_message("channel-7", "hi").await;
        for mut client in [interactive, subscriber] {
            client.send(&["QUIT"]).await;
            assert_eq!(client.read_to_close().await, "+OK\r\n", "{}", version.name);
        }
    }
}

/// Sends all commands with one write, and compares the replies.
async fn burst(version: &Version, client: &mut Client, commands: &str, protocol: Protocol) {
    let commands: Vec<Vec<Vec<u8>>> = commands.lines().map(words).collect();
    let bytes: Vec<u8> = commands.iter().flat_map(|words| request(words)).collect();
    let replies = client.pipeline(&bytes, commands.len()).await;
    for (words, reply) in commands.iter().zip(replies) {
        let command = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
        let raw = reply.raw();
        assert!(is_right(words, protocol, raw), "{}: {command}: {raw:?}", version.name);
    }
}

/// Subscribes to all channels again, with one command each.
async fn resubscribe(version: &Version, client: &mut Client, protocol: Protocol) {
    let (mut commands, mut replies) = (Vec::new(), Vec::new());
    for number in 0..CHANNELS {
        let channel = format!("channel-{number}");
        commands.extend(request(&["SUBSCRIBE", &channel]));
        // The channel of the first burst counts as well.
        replies.extend(confirmation("subscribe", &channel, number + 2, protocol));
    }
    client.send_raw(&commands).await;
    let found = client.read_bytes(replies.len()).await;
    assert!(found == replies, "{}: the confirmations differ", version.name);
}

/// Sends both requests that keep a subscription alive.
async fn keep_alive(client: &mut Client) {
    client.send(&["PING"]).await;
    assert_eq!(client.read_reply().await.raw()[..], *b"*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    client.send(&[&b"UNSUBSCRIBE"[..], ID]).await;
    let expected = confirmation("unsubscribe", ID, CHANNELS + 1, Protocol::Resp2);
    assert_eq!(client.read_reply().await.raw()[..], expected[..]);
}

/// Returns whether a reply has the bytes of Redis, apart from versions and numbers.
fn is_right(words: &[Vec<u8>], protocol: Protocol, reply: &[u8]) -> bool {
    let text: Vec<&str> = words.iter().filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let is_resp3 = protocol == Protocol::Resp3;
    match text[..] {
        ["AUTH", ..] | ["CLIENT", "SETNAME", _] => reply == b"+OK\r\n",
        // Redis 7.0 does not have it.
        ["CLIENT", "SETINFO", ..] => {
            reply == b"+OK\r\n"
                || reply == b"-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n"
        }
        ["CLIENT", "ID"] => {
            let digits = reply.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r\n"));
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
        }
        ["HELLO", "2"] => {
            reply.starts_with(b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n")
                && contains(reply, b"\r\n$5\r\nproto\r\n:2\r\n")
        }
        ["HELLO", ..] => {
            reply.starts_with(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n")
                && contains(reply, b"\r\n$5\r\nproto\r\n:3\r\n")
        }
        ["CONFIG", "GET", name] => {
            let value = match name {
                "timeout" => "0",
                "databases" => "16",
                _ => "yes",
            };
            let head = if is_resp3 { "%1" } else { "*2" };
            reply == [head.as_bytes(), b"\r\n", &bulk(name), &bulk(value)].concat()
        }
        // Any other reply makes the client take the server for a Sentinel, or for a cluster.
        ["SENTINEL", "MASTERS"] => {
            reply == b"-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' \r\n"
        }
        ["CLUSTER", "NODES"] => reply == b"-ERR This instance has cluster support disabled\r\n",
        ["INFO", "replication"] => contains(reply, b"# Replication\r\nrole:master\r\n"),
        ["INFO", ..] => {
            contains(reply, b"# Server\r\nredis_version:")
                && contains(reply, b"\r\nredis_mode:standalone\r\n")
                && contains(reply, b"\r\nrun_id:")
        }
        ["GET", _] => reply == if is_resp3 { &b"_\r\n"[..] } else { b"$-1\r\n" },
        ["SUBSCRIBE", channel] => reply == confirmation("subscribe", channel, 1, protocol),
        _ => words[0] == b"ECHO" && reply == bulk(ID),
    }
}

/// Plays all commands of the recorded servers in their order, each one after the reply to the last.
async fn a_recorded_farm_gets_its_replies_and_messages(threads: &str) {
    for recorded in [
        include_str!("recorded/commands-json-prefix.txt"),
        include_str!("recorded/commands-both-prefix.txt"),
    ] {
        let server = server(&["--requirepass", "secret", "--io-threads", threads]).await;
        let mut farm = Farm { server, connections: BTreeMap::new(), messages: 0 };
        for line in recorded.lines().filter(|line| line.starts_with("conn ")) {
            let (connection, command) = line["conn ".len()..].split_once(": ").expect("a number");
            farm.play(connection.parse().expect("a number"), command.trim_end()).await;
        }
        assert!(farm.messages > 50, "only {} messages", farm.messages);
    }
}

/// The connections of the recorded servers.
struct Farm {
    server: Server,
    connections: BTreeMap<usize, (Client, BTreeSet<String>)>,
    messages: usize,
}

impl Farm {
    async fn play(&mut self, number: usize, command: &str) {
        if !self.connections.contains_key(&number) {
            let client = Client::connect(self.server.port()).await;
            self.connections.insert(number, (client, BTreeSet::new()));
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "SUBSCRIBE" | "UNSUBSCRIBE" => self.change(number, name, rest).await,
            "PUBLISH" => {
                let (channel, payload) = rest.split_once(r#" {"hex": ""#).expect("a payload");
                let payload = unhex(payload.strip_suffix(r#""}"#).expect("the end of a payload"));
                self.publish(number, channel, &payload).await;
            }
            "QUIT" => {
                let (mut client, _) = self.connections.remove(&number).expect("it is open");
                client.send(&["QUIT"]).await;
                assert_eq!(client.read_to_close().await, "+OK\r\n");
            }
            _ => {
                let (client, _) = self.connections.get_mut(&number).expect("it is open");
                let words = words(command);
                let reply = client.command(&words).await;
                assert!(is_right(&words, Protocol::Resp2, reply.raw()), "{command}: {reply:?}");
            }
        }
    }

    async fn change(&mut self, number: usize, name: &str, channel: &str) {
        let (client, channels) = self.connections.get_mut(&number).expect("it is open");
        let has_changed = match name {
            "SUBSCRIBE" => channels.insert(channel.to_owned()),
            _ => channels.remove(channel),
        };
        assert!(has_changed, "{name} {channel}");
        let reply = client.command(&[name, channel]).await;
        let kind = name.to_ascii_lowercase();
        let expected = confirmation(&kind, channel, channels.len(), Protocol::Resp2);
        assert_eq!(reply.raw()[..], expected[..], "{name} {channel}");
    }

    /// Publishes, and compares the number of receivers and all messages.
    async fn publish(&mut self, number: usize, channel: &str, payload: &[u8]) {
        let subscribers = self.connections.values_mut().filter(|(_, all)| all.contains(channel));
        let expected = subscribers.count();
        let (publisher, _) = self.connections.get_mut(&number).expect("it is open");
        let receivers = publisher.publish(channel, payload).await;
        assert_eq!(usize::try_from(receivers), Ok(expected), "{channel}");
        let message = [b"*3\r\n$7\r\nmessage\r\n", &bulk(channel)[..], &bulk(payload)].concat();
        for (client, channels) in self.connections.values_mut() {
            if channels.contains(channel) {
                assert!(client.read_reply().await.raw()[..] == message[..], "{channel}");
                self.messages += 1;
            }
        }
    }
}

fn confirmation(
    kind: &str,
    channel: impl AsRef<[u8]>,
    count: usize,
    protocol: Protocol,
) -> Vec<u8> {
    let head: &[u8] = match protocol {
        Protocol::Resp2 => b"*3\r\n",
        Protocol::Resp3 => b">3\r\n",
    };
    [head, &bulk(kind), &bulk(channel), format!(":{count}\r\n").as_bytes()].concat()
}

fn bulk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Returns the words of a command, with the id of the multiplexer in its place.
fn words(command: &str) -> Vec<Vec<u8>> {
    let words = command.split_whitespace();
    words.map(|word| if word == "{id}" { ID.to_vec() } else { word.into() }).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Reads hexadecimal digits, in which `<7a x 9>` stands for nine times `7a`.
fn unhex(text: &str) -> Vec<u8> {
    let digits = |text: &str| -> Vec<u8> {
        let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
    };
    let mut bytes = Vec::new();
    for part in text.split_inclusive(['<', '>']) {
        match part.strip_suffix('>').and_then(|repeated| repeated.split_once(" x ")) {
            Some((unit, count)) => {
                bytes.extend(digits(unit).repeat(count.parse().expect("a number")));
            }
            None => bytes.extend(digits(part.trim_end_matches('<'))),
        }
    }
    bytes
}
