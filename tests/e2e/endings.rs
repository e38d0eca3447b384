//! The end of a connection, for every reason and every kind of peer: nothing of it stays behind.
//!
//! After each end, the server has as many descriptors, clients and subscriptions as before.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use harness::{Client, Server, eventually, ok};
use socket2::SockRef;

use super::server;

/// A reason for the server to end a connection. The server sends the queue first.
const REASONS: [Reason; 5] = [
    Reason { name: "QUIT", sent: b"QUIT\r\n", operator: None },
    Reason { name: "a protocol error", sent: b"*x\r\n", operator: None },
    Reason {
        name: "CLIENT KILL of itself",
        sent: b"CLIENT KILL TYPE pubsub SKIPME no\r\n",
        operator: None,
    },
    Reason {
        name: "CLIENT KILL",
        sent: b"",
        operator: Some(&["CLIENT", "KILL", "TYPE", "pubsub"]),
    },
    Reason { name: "a deleted user", sent: b"", operator: Some(&["ACL", "DELUSER", "guest"]) },
];

/// The behaviour of the client at the end.
const PEERS: [Peer; 4] = [Peer::Reads, Peer::NeverReads, Peer::Resets, Peer::HalfCloses];

struct Reason {
    name: &'static str,
    /// Requests of the client itself.
    sent: &'static [u8],
    /// A request of an operator.
    operator: Option<&'static [&'static str]>,
}

#[derive(Clone, Copy, Debug)]
enum Peer {
    Reads,
    NeverReads,
    Resets,
    HalfCloses,
}

#[tokio::test]
async fn nothing_of_a_connection_stays_behind_whatever_ends_it() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads]).await;
        let mut operator = server.client().await;
        for reason in &REASONS {
            for peer in PEERS {
                for queued in [0, 1024, 300 * 1024] {
                    let case = format!("{}, {peer:?}, {queued} bytes queued", reason.name);
                    end(&server, &mut operator, reason, peer, queued, &case).await;
                }
            }
        }
    }
}

async fn end(
    server: &Server,
    operator: &mut Client,
    reason: &Reason,
    peer: Peer,
    queued: usize,
    case: &str,
) {
    let user = ["ACL", "SETUSER", "guest", "on", ">secret", "+@all", "~*", "&*"];
    assert_eq!(operator.command(&user).await, ok(), "{case}");
    let before = descriptors(server);
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
    // In RESP3 a subscriber may send any command.
    let login = b"AUTH guest secret\r\nHELLO 3\r\nSUBSCRIBE news\r\n";
    client.write_all(login).expect("the connection is open");
    eventually(async || receivers(operator).await == 1).await;
    if queued > 0 {
        operator.command(&["PUBLISH", "news", &"x".repeat(queued)]).await;
    }
    client.write_all(reason.sent).expect("the connection is open");
    match peer {
        Peer::Reads => {
            client.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket option");
            // Reads what has come so far; the end itself is checked from outside.
            let _ = client.read(&mut vec![0; 1024 * 1024]);
        }
        Peer::NeverReads => {}
        Peer::Resets => {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket option");
        }
        Peer::HalfCloses => client.shutdown(Shutdown::Write).expect("the connection is open"),
    }
    let client = match peer {
        Peer::Resets => {
            drop(client);
            None
        }
        _ => Some(client),
    };
    if let Some(request) = reason.operator {
        let reply = operator.command(request).await;
        assert!(!reply.is_error(), "{case}: {reply:?}");
    }
    eventually(async || receivers(operator).await == 0).await;
    eventually(async || clients(operator).await == 1).await;
    eventually(async || descriptors(server) == before).await;
    drop(client);
}

async fn receivers(operator: &mut Client) -> i64 {
    operator.command(&["PUBSUB", "NUMSUB", "news"]).await.items()[1].integer()
}

async fn clients(operator: &mut Client) -> usize {
    operator.command(&["CLIENT", "LIST"]).await.text().lines().count()
}

fn descriptors(server: &Server) -> usize {
    let dir = format!("/proc/{}/fd", server.pid());
    std::fs::read_dir(dir).expect("the server runs").count()
}

#[tokio::test]
async fn maxclients_holds_for_connections_that_come_at_once() {
    for threads in ["1", "4"] {
        let server = server(&["--maxclients", "20", "--io-threads", threads]).await;
        let address = ("127.0.0.1", server.port());
        let mut all: Vec<TcpStream> =
            (0..60).map(|_| TcpStream::connect(address).expect("it listens")).collect();
        let served = all.iter_mut().filter_map(|client| {
            client.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            client.write_all(b"PING\r\n").ok()?;
            let mut reply = [0; 5];
            client.read_exact(&mut reply).ok()?;
            (&reply == b"+PONG").then_some(())
        });
        let served = served.count();
        assert!((15..=20).contains(&served), "{served} clients with {threads} threads");
    }
}

#[tokio::test]
async fn a_pipeline_of_slow_commands_does_not_keep_others_waiting() {
    let server = server(&[]).await;
    let mut hog = server.client().await;
    let mut other = server.client().await;
    // The whole pipeline takes far longer than a reply may take here.
    hog.send_raw(b"CLIENT REPLY OFF\r\n").await;
    hog.send_raw(&b"COMMAND DOCS\r\n".repeat(4_000)).await;
    assert_eq!(other.command(&["PING"]).await.text(), "PONG");
}

#[tokio::test]
async fn a_client_that_is_closed_does_not_keep_its_late_script_from_ending() {
    let server = server(&["--busy-reply-threshold", "100"]).await;
    let mut operator = server.client().await;
    operator.command(&["SET", "big", &"x".repeat(5_000_000)]).await;
    let mut client = server.client().await;
    let id = client.command(&["CLIENT", "ID"]).await.integer();
    // More replies than a socket takes, so that the client drains for long.
    client.send_raw(&b"GET big\r\n".repeat(12)).await;
    let kill = format!("CLIENT KILL ID {id} SKIPME no");
    let requests = format!("MULTI\r\n{kill}\r\nEVAL \"while true do end\" 0\r\nEXEC\r\n");
    client.send_raw(requests.as_bytes()).await;
    eventually(async || operator.command(&["PING"]).await.text().starts_with("BUSY")).await;
    assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
    eventually(async || operator.command(&["PING"]).await.text() == "PONG").await;
}

#[tokio::test]
async fn a_skipped_reply_stays_skipped_when_its_command_waits() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.send_raw(b"CLIENT REPLY SKIP\r\nWAIT 1 50\r\nECHO marker\r\n").await;
    assert_eq!(client.read_reply().await.text(), "marker");
}
