//! Every reason for the end of a connection, for every kind of peer: nothing of it stays behind.
//!
//! The reasons are those of `broker::Disconnect`. A reason without a row in [`WAYS`] fails the
//! test. Each row runs on a server of its own, with one client for each kind of peer, each amount
//! of unread output, with and without a login. Afterwards the server has as many descriptors,
//! clients and subscriptions as before, and its log has the reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use broker::Disconnect;
use futures_util::{StreamExt, stream};
use harness::{Client, DEADLINE, Process, broker_bin, eventually, free_port, ok, request};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use socket2::SockRef;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use Queued::{Little, Much, Nothing};

/// One way to end connections.
struct Way {
    reason: Disconnect,
    name: &'static str,
    settings: &'static [&'static str],
    /// The clients that end this way.
    ends: fn(Case) -> bool,
    end: End,
}

/// The action that ends the connections.
enum End {
    /// Each client sends these bytes. The function says whether it has logged in.
    Sends(fn(bool) -> Vec<u8>),
    /// An operator sends these requests.
    Operator(&'static [&'static [&'static str]]),
    /// An operator kills each client by its id.
    KillsEach,
    /// An operator publishes a message of 13 MB to all.
    Publishes,
    /// As many new clients as there are connect while there is no place left.
    Newcomers,
    /// No more bytes fit on the disk, and the client runs a script that changes a counter.
    FullDisk,
    /// The process gets SIGTERM.
    Terminates,
    /// The client closes its socket.
    Leaves,
}

const WAYS: &[Way] = &[
    Way {
        reason: Disconnect::SlowSubscriber,
        name: "a message beyond the hard limit",
        settings: &["--client-output-buffer-limit", "pubsub 12mb 0 0"],
        ends: |case| case.is_subscriber(),
        end: End::Publishes,
    },
    Way {
        reason: Disconnect::SlowSubscriber,
        name: "the soft limit",
        settings: &["--client-output-buffer-limit", "pubsub 0 1mb 1"],
        ends: |case| case.is_subscriber() && case.is_stuck(),
        end: End::Operator(&[]),
    },
    Way {
        reason: Disconnect::SlowSubscriber,
        name: "a reply beyond the hard limit",
        settings: &["--client-output-buffer-limit", "normal 12mb 0 0"],
        ends: |case| case.login == Login::Plain,
        end: End::Sends(|_| b"MGET big big\r\n".repeat(8)),
    },
    Way {
        reason: Disconnect::SlowSubscriber,
        name: "replies beyond the limit before login",
        settings: &[],
        ends: |case| case.login == Login::None,
        end: End::Sends(|_| b"PING\r\n".repeat(5_000)),
    },
    Way {
        reason: Disconnect::Closed,
        name: "a client that leaves",
        settings: &[],
        ends: |_| true,
        end: End::Leaves,
    },
    Way {
        reason: Disconnect::Closed,
        name: "an HTTP request",
        settings: &[],
        ends: |_| true,
        end: End::Sends(|_| b"POST / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    },
    Way {
        reason: Disconnect::Quit,
        name: "QUIT",
        settings: &[],
        ends: |_| true,
        end: End::Sends(|_| b"QUIT\r\n".to_vec()),
    },
    Way {
        reason: Disconnect::Protocol,
        name: "a wrong count",
        settings: &[],
        ends: |_| true,
        end: End::Sends(|_| b"*x\r\n".to_vec()),
    },
    Way {
        reason: Disconnect::Protocol,
        name: "open quotes, behind a transaction",
        settings: &[],
        ends: |_| true,
        end: End::Sends(|_| b"MULTI\r\nINCR k\r\nPING \"\r\nEXEC\r\n".to_vec()),
    },
    Way {
        reason: Disconnect::Idle,
        name: "timeout",
        settings: &[],
        ends: |case| !case.is_subscriber(),
        // Long enough for an operator on a busy machine, who asks twenty times a second.
        end: End::Operator(&[&["CONFIG", "SET", "timeout", "6"]]),
    },
    Way {
        reason: Disconnect::RequestTooBig,
        name: "an argument that is too long",
        settings: &["--client-query-buffer-limit", "1mb"],
        ends: |case| case.login != Login::None,
        end: End::Sends(|_| {
            [b"*2\r\n$4\r\nECHO\r\n$3000000\r\n".to_vec(), vec![b'x'; 2_500_000]].concat()
        }),
    },
    Way {
        reason: Disconnect::RequestTooBig,
        name: "a transaction that is too long",
        settings: &["--client-query-buffer-limit", "1mb"],
        ends: |case| case.login != Login::None,
        end: End::Sends(|_| {
            let value = "x".repeat(200_000);
            [request(&["MULTI"]), request(&["SET", "k", &value]).repeat(12)].concat()
        }),
    },
    Way {
        reason: Disconnect::RequestTooBig,
        name: "requests behind WAIT",
        settings: &["--client-query-buffer-limit", "1mb"],
        ends: |case| case.login != Login::None,
        end: End::Sends(|_| [b"WAIT 1 0\r\n".to_vec(), b"PING\r\n".repeat(400_000)].concat()),
    },
    Way {
        reason: Disconnect::Killed,
        name: "CLIENT KILL of each id",
        settings: &[],
        ends: |_| true,
        end: End::KillsEach,
    },
    Way {
        reason: Disconnect::Killed,
        name: "CLIENT KILL of its own type",
        settings: &[],
        ends: |case| case.is_subscriber(),
        end: End::Sends(|_| b"CLIENT KILL TYPE pubsub SKIPME no\r\n".to_vec()),
    },
    Way {
        reason: Disconnect::Killed,
        name: "a deleted user",
        settings: &[],
        ends: |case| case.login != Login::None,
        end: End::Operator(&[&["ACL", "DELUSER", "guest"]]),
    },
    Way {
        reason: Disconnect::Killed,
        name: "a lost channel",
        settings: &[],
        ends: |case| case.is_subscriber(),
        end: End::Operator(&[&["ACL", "SETUSER", "guest", "resetchannels"]]),
    },
    Way {
        reason: Disconnect::Killed,
        name: "maxmemory-clients",
        settings: &["--client-output-buffer-limit", "pubsub 0 0 0"],
        ends: |case| case.login != Login::None && case.is_stuck(),
        end: End::Operator(&[&["CONFIG", "SET", "maxmemory-clients", "1mb"]]),
    },
    Way {
        reason: Disconnect::Killed,
        name: "a place that a new client gets",
        settings: &[],
        ends: |case| case.login == Login::None,
        end: End::Newcomers,
    },
    Way {
        reason: Disconnect::Unwritten,
        name: "a full disk",
        settings: &["--counters-file", "counters"],
        ends: |case| case.login == Login::Plain,
        end: End::FullDisk,
    },
    Way {
        reason: Disconnect::Shutdown,
        name: "SIGTERM",
        settings: &[],
        ends: |_| true,
        end: End::Terminates,
    },
];

/// One connection that ends.
#[derive(Clone, Copy, Debug)]
struct Case {
    peer: Peer,
    queued: Queued,
    login: Login,
}

/// The behaviour of the client at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Reads,
    NeverReads,
    ResetsBefore,
    ResetsAfter,
    HalfCloses,
}

/// The output that a client has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Nothing,
    /// A kilobyte.
    Little,
    /// 8 MB, far more than sockets take. Before login: as much as the server allows.
    Much,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    None,
    /// Logged in, with a watched key.
    Plain,
    /// Logged in, with subscriptions, tracking and a watched key.
    Subscriber,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for peer in
            [Peer::Reads, Peer::NeverReads, Peer::ResetsBefore, Peer::ResetsAfter, Peer::HalfCloses]
        {
            for queued in [Nothing, Little, Much] {
                for login in [Login::None, Login::Plain, Login::Subscriber] {
                    all.push(Self { peer, queued, login });
                }
            }
        }
        all
    }

    fn is_subscriber(self) -> bool {
        self.login == Login::Subscriber
    }

    /// Returns whether the server cannot send all output of this client.
    fn is_stuck(self) -> bool {
        let reads = matches!(self.peer, Peer::Reads | Peer::ResetsBefore);
        self.queued == Much && self.login != Login::None && !reads
    }

    /// Returns the requests that bring the client into its state.
    fn requests(self) -> Vec<u8> {
        let queue = match (self.login, self.queued) {
            (Login::None, Little) => b"PING\r\n".repeat(30),
            // A reply has 35 bytes, and 17 KB may be queued.
            (Login::None, Much) => b"PING\r\n".repeat(460),
            (Login::Plain, Little) => request(&["ECHO", &"x".repeat(1_000)]),
            (Login::Plain, Much) => b"GET big\r\n".to_vec(),
            _ => Vec::new(),
        };
        let state = match self.login {
            Login::None => String::new(),
            Login::Plain => "AUTH guest secret\r\nWATCH k\r\n".into(),
            Login::Subscriber => format!(
                "HELLO 3 AUTH guest secret\r\nCLIENT TRACKING ON BCAST\r\nWATCH k\r\n\
                 SSUBSCRIBE shard\r\nPSUBSCRIBE pattern*\r\nSUBSCRIBE {:?} all\r\n",
                self.queued
            ),
        };
        [state.into_bytes(), queue].concat()
    }
}

#[tokio::test]
async fn nothing_of_a_connection_stays_behind_whatever_ends_it() {
    check("1").await;
}

#[tokio::test]
async fn nothing_of_a_connection_stays_behind_on_several_threads() {
    check("4").await;
}

async fn check(threads: &str) {
    for reason in Disconnect::all() {
        let has_way = WAYS.iter().any(|way| way.reason == reason);
        assert!(has_way, "no row of WAYS ends a connection with {reason:?}");
    }
    let groups = WAYS.iter().flat_map(|way| {
        let cases: Vec<Case> = Case::all().into_iter().filter(|case| (way.ends)(*case)).collect();
        // Only the first change that is lost closes its client. The others get an error.
        let size = if matches!(way.end, End::FullDisk) { 1 } else { cases.len() };
        let groups: Vec<_> = cases.chunks(size).map(<[Case]>::to_vec).collect();
        groups.into_iter().map(move |cases| (way, cases))
    });
    let groups: Vec<_> = groups.collect();
    let count: usize = groups.iter().map(|(_, cases)| cases.len()).sum();
    let faults = stream::iter(groups).map(|(way, cases)| faults(threads, way, cases));
    let faults = faults.buffer_unordered(SERVERS).collect::<Vec<_>>().await.concat();
    println!("endings: {count} connections in {} ways with {threads} threads", WAYS.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Ends connections in one way on one server, and returns all faults.
async fn faults(threads: &str, way: &Way, cases: Vec<Case>) -> Vec<String> {
    let mut server = Broker::start(threads, way.settings).await;
    let before = server.descriptors();
    let mut peers = Vec::new();
    for case in cases {
        peers.push(Connected::open(case, server.port).await);
    }
    server.fill(&peers).await;
    for peer in &mut peers {
        peer.before_end(&way.end).await;
    }

    let newcomers = server.end(way, &mut peers).await;
    for peer in &mut peers {
        peer.after_end().await;
    }

    let mut faults = match way.end {
        End::Terminates => server.fault_of_process().await,
        _ => server.left_behind(&peers, newcomers, before).await,
    };
    faults.extend(server.missing_reasons(way, &peers).await);
    faults.iter().map(|fault| format!("{} ({:?}): {fault}", way.name, way.reason)).collect()
}

/// A server, and an operator that watches it.
struct Broker {
    port: u16,
    process: Process,
    operator: Client,
    _dir: TempDir,
}

impl Broker {
    async fn start(threads: &str, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let port = free_port();
        // A limit on the size of files stands in for a full disk. The signal would end the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(broker_bin());
        command.args(["--io-threads", threads, "--port", &port.to_string()]);
        command.args(["--requirepass", "secret", "--loglevel", "debug"]).args(settings);
        let process = Process::start(command.current_dir(dir.path()));
        process.stdout_with(DEADLINE, |out| out.find("Ready to accept")).await;
        let mut operator = Client::connect(port).await;
        for words in [
            &["AUTH", "secret"][..],
            &["ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all"],
        ] {
            assert_eq!(operator.command(words).await, ok());
        }
        // Its value is longer than some of the servers let a request be.
        operator.command(&["SETRANGE", "big", &(MUCH - 1).to_string(), "x"]).await;
        Self { port, process, operator, _dir: dir }
    }

    /// Waits until all clients are in their states, and queues messages for subscribers.
    async fn fill(&mut self, peers: &[Connected]) {
        let of = |test: fn(Case) -> bool| peers.iter().filter(|peer| test(peer.case)).count();
        let (subscribers, all) = (of(Case::is_subscriber) as i64, peers.len() + 1);
        eventually(async || {
            let count = self.operator.command(&["PUBSUB", "NUMSUB", "all"]).await;
            count.items()[1].integer() == subscribers && self.clients().await.len() + 1 == all
        })
        .await;
        self.operator.publish("Little", [b'x'; 1_000]).await;
        for _ in 0..20 {
            self.operator.publish("Much", vec![b'x'; MUCH / 20]).await;
        }
    }

    /// Ends the connections. Returns the new clients that have taken their places.
    async fn end(&mut self, way: &Way, peers: &mut [Connected]) -> Vec<TcpStream> {
        match &way.end {
            End::Sends(bytes) => {
                for peer in peers {
                    peer.send(&bytes(peer.case.login != Login::None)).await;
                }
            }
            End::Operator(requests) => {
                for words in *requests {
                    let reply = self.operator.command(words).await;
                    assert!(!reply.is_error(), "{words:?}: {reply:?}");
                }
            }
            End::KillsEach => {
                for id in self.clients().await.into_values() {
                    self.operator.command(&["CLIENT", "KILL", "ID", &id]).await;
                }
            }
            End::Publishes => {
                self.operator.publish("all", vec![b'x'; 13_000_000]).await;
            }
            End::Newcomers => {
                let places = (peers.len() + 1).to_string();
                let set = ["CONFIG", "SET", "maxclients", &places];
                assert_eq!(self.operator.command(&set).await, ok());
                let mut newcomers = Vec::new();
                for _ in peers {
                    newcomers.push(connect(self.port).await);
                }
                return newcomers;
            }
            End::FullDisk => {
                let pid = Pid::from_raw(self.process.pid() as i32);
                let none = Rlimit { current: Some(1), maximum: Some(1) };
                prlimit(pid, Resource::Fsize, none).expect("the process is ours");
                for peer in peers {
                    let script = "return redis.call('incrby', 'id', 10000000)";
                    peer.send(&request(&["EVAL", script, "0"])).await;
                }
            }
            End::Terminates => self.process.terminate(),
            End::Leaves => peers.iter_mut().for_each(|peer| peer.stream = None),
        }
        Vec::new()
    }

    /// Returns everything that is left of the connections after the deadlines.
    async fn left_behind(
        &mut self,
        peers: &[Connected],
        newcomers: Vec<TcpStream>,
        descriptors: usize,
    ) -> Vec<String> {
        let ports: Vec<u16> = newcomers.iter().map(port_of).collect();
        // A client that takes no byte has some time to do so. Others end at once.
        let quickly = self.gone(peers, &ports, QUICKLY).await;
        if !quickly.is_empty() {
            return quickly;
        }
        drop(newcomers);
        let end = Instant::now() + FINALLY;
        loop {
            let mut left = self.counts().await;
            let found = self.descriptors();
            if found != descriptors {
                left.push(format!("{found} descriptors, {descriptors} before"));
            }
            left.extend(self.clients().await.into_keys().map(|port| describe(peers, port)));
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until there are no subscriptions left, and no clients but those that take no bytes.
    async fn gone(&mut self, peers: &[Connected], new: &[u16], within: Duration) -> Vec<String> {
        let end = Instant::now() + within;
        loop {
            let clients = self.clients().await.into_keys();
            let is_slow = |port: &u16| {
                // On a busy machine a client may need some time to read 8 MB, too.
                let mut slow = peers.iter().filter(|peer| peer.case.queued == Much);
                new.contains(port) || slow.any(|peer| peer.port == *port)
            };
            let clients = clients.filter(|port| !is_slow(port)).map(|port| describe(peers, port));
            let mut left: Vec<String> = clients.collect();
            left.extend(self.subscriptions().await);
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the ids of all clients but the operator, by their ports.
    async fn clients(&mut self) -> BTreeMap<u16, String> {
        let list = self.operator.command(&["CLIENT", "LIST"]).await;
        let field = |line: &str, name: &str| {
            let mut fields = line.split(' ').filter_map(|field| field.strip_prefix(name));
            fields.next().unwrap_or_default().to_owned()
        };
        let all = list.text().lines().filter(|line| !line.contains(" cmd=client|list "));
        all.filter_map(|line| {
            let port = field(line, "addr=").rsplit_once(':')?.1.parse().ok()?;
            Some((port, field(line, "id=")))
        })
        .collect()
    }

    async fn subscriptions(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        let names = ["PUBSUB", "NUMSUB", "all", "Nothing", "Little", "Much"];
        for words in [&names[..], &["PUBSUB", "SHARDNUMSUB", "shard"], &["PUBSUB", "NUMPAT"]] {
            let reply = self.operator.command(words).await.into_value();
            let counts = match &reply {
                harness::Value::Array(items) => items.iter().skip(1).step_by(2).collect(),
                number => vec![number],
            };
            if counts.iter().any(|count| count.integer() != 0) {
                left.push(format!("{words:?} -> {reply:?}"));
            }
        }
        left
    }

    async fn counts(&mut self) -> Vec<String> {
        let info = self.operator.command(&["INFO", "clients"]).await;
        let expected = ["connected_clients:1", "blocked_clients:0", "tracking_clients:0"];
        let has = |line: &str| info.text().lines().any(|found| found == line);
        let missing = expected.into_iter().filter(|line| !has(line));
        missing.map(|line| format!("INFO clients lacks {line}")).collect()
    }

    fn descriptors(&self) -> usize {
        let dir = Path::new("/proc").join(self.process.pid().to_string()).join("fd");
        std::fs::read_dir(dir).expect("the server runs").count()
    }

    /// Returns a fault unless the process ends in time.
    async fn fault_of_process(&mut self) -> Vec<String> {
        let end = timeout(QUICKLY, async {
            while !self.process.is_over() {
                sleep(POLL_INTERVAL).await;
            }
        });
        let is_over = end.await.is_ok();
        if is_over { Vec::new() } else { vec!["the process still runs".into()] }
    }

    /// Returns the clients that read to the end, and whose reason is not in the log.
    async fn missing_reasons(&self, way: &Way, peers: &[Connected]) -> Vec<String> {
        let end = Instant::now() + QUICKLY;
        // Threads collect the log, so its last lines may arrive later.
        while Instant::now() < end && !self.without_reason(way, peers).is_empty() {
            sleep(POLL_INTERVAL).await;
        }
        self.without_reason(way, peers)
    }

    fn without_reason(&self, way: &Way, peers: &[Connected]) -> Vec<String> {
        let log = self.process.stdout();
        let reason = format!("reason={}", way.reason);
        let has = |peer: &&Connected| {
            let address = format!("client.addr=127.0.0.1:{} ", peer.port);
            log.lines().any(|line| line.contains(&address) && line.contains(&reason))
        };
        let readers = peers.iter().filter(|peer| peer.case.peer == Peer::Reads);
        let missing = readers.filter(|peer| !has(peer));
        missing.map(|peer| format!("{:?} ended for another reason", peer.case)).collect()
    }
}

fn describe(peers: &[Connected], port: u16) -> String {
    let found = peers.iter().find(|peer| peer.port == port);
    found.map_or_else(|| format!("port {port}"), |peer| format!("{:?}", peer.case))
}

/// One connection, seen from the client's side.
struct Connected {
    case: Case,
    port: u16,
    stream: Option<TcpStream>,
}

impl Connected {
    /// Connects, and sends the requests that lead to the state of the case.
    async fn open(case: Case, port: u16) -> Self {
        let stream = match case.peer {
            Peer::Reads => TcpStream::connect(("127.0.0.1", port)).await.expect("it listens"),
            _ => connect(port).await,
        };
        let mut this = Self { case, port: port_of(&stream), stream: Some(stream) };
        this.send(&case.requests()).await;
        this
    }

    /// Sends these bytes, as far as the server takes them.
    async fn send(&mut self, bytes: &[u8]) {
        let is_reader = self.case.peer == Peer::Reads;
        let Some(stream) = &mut self.stream else { return };
        let (mut reader, mut writer) = stream.split();
        let write = timeout(SENDING_TIME, writer.write_all(bytes));
        let read = async {
            let mut chunk = vec![0; 64 * 1024];
            while is_reader && matches!(reader.read(&mut chunk).await, Ok(1..)) {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = write => {}
            () = read => {}
        }
    }

    /// Acts before the end, if the client itself does not send the request that ends it.
    async fn before_end(&mut self, end: &End) {
        if !matches!(end, End::Sends(_) | End::FullDisk) {
            self.act_at_once().await;
        }
        if self.case.peer == Peer::Reads
            && !matches!(end, End::Sends(_) | End::FullDisk | End::Leaves)
        {
            self.read_on();
        }
    }

    async fn after_end(&mut self) {
        self.act_at_once().await;
        match self.case.peer {
            Peer::Reads => self.read_on(),
            Peer::ResetsAfter => {
                if let Some(mut stream) = self.stream.take() {
                    let _ = timeout(SENDING_TIME, stream.read(&mut [0; 16])).await;
                    reset(stream);
                }
            }
            _ => {}
        }
    }

    async fn act_at_once(&mut self) {
        match self.case.peer {
            Peer::ResetsBefore => self.stream.take().into_iter().for_each(reset),
            Peer::HalfCloses => {
                if let Some(stream) = &mut self.stream {
                    // This fails when the server has closed before.
                    let _ = stream.shutdown().await;
                }
            }
            _ => {}
        }
    }

    /// Reads to the end in the background.
    fn read_on(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            tokio::spawn(async move {
                let mut chunk = vec![0; 256 * 1024];
                while matches!(stream.read(&mut chunk).await, Ok(1..)) {}
            });
        }
    }
}

/// Connects with a small buffer, so that few bytes are on their way.
async fn connect(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a TCP socket has this option");
    let address = ([127, 0, 0, 1], port).into();
    socket.connect(address).await.expect("the server listens")
}

fn port_of(stream: &TcpStream) -> u16 {
    stream.local_addr().expect("a TCP socket has an address").port()
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket has this option");
}

/// How many servers run at a time. Most of the time each of them waits.
const SERVERS: usize = 12;
/// Less than the limit of a subscriber, and more than sockets take.
const MUCH: usize = 8_000_000;
/// For ends that wait for no byte to be taken.
const QUICKLY: Duration = Duration::from_secs(9);
/// For clients that take no byte: the server closes them after 10 s.
const FINALLY: Duration = Duration::from_secs(15);
/// A server that waits for room takes no bytes.
const SENDING_TIME: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
