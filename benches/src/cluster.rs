//! A cluster of web servers in a process of its own. Each server has a backplane, and its
//! connections check all messages that they receive.
//!
//! The tool starts this process like a server and sends it commands through its port, one a line.
//! Each command is answered by one line. The kernel thus counts the cost of backplanes separately.
//!
//! | module     | content                                                         |
//! |------------|-----------------------------------------------------------------|
//! | `arrivals` | counts messages and waits for the expected number               |
//! | `fan_out`  | time until the last of many connections has a message           |
//! | `outage`   | time until many servers receive messages again after an outage  |
//! | `server`   | one server on a thread of its own                               |

mod arrivals;
mod fan_out;
mod outage;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;

use self::arrivals::Arrivals;
use self::outage::Outage;
use self::server::{Server, Way};
use crate::Failure;
use crate::scenario;

/// The app of all servers.
const APP: &str = "cluster";

/// Runs commands from `port` with the broker at `url`. Ends when the process is killed.
pub(crate) fn run(port: u16, url: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut started = Started::default();
    for stream in listener.incoming() {
        let mut stream = stream?;
        for line in BufReader::new(stream.try_clone()?).lines() {
            let answer = match run_command(&line?, url, &mut started) {
                Ok(answer) => answer,
                Err(failure) => format!("{ERROR}{failure}"),
            };
            writeln!(stream, "{answer}")?;
        }
    }
    Ok(())
}

/// The first bytes of an answer that reports a failure.
pub(crate) const ERROR: &str = "error: ";

/// Runs one command and returns its answer:
///
/// - `cluster SERVERS CONNECTIONS GROUPS PIPELINE` starts servers with backplanes.
/// - `subscribers SERVERS CONNECTIONS GROUPS PIPELINE` starts servers that share a broker of this
///   process.
/// - `send NANOSECONDS` lets all servers send for this time and returns the number of messages.
/// - `fan-out CONNECTIONS MESSAGES` runs [`fan_out`].
/// - `join SERVERS`, `notice` and `recover` run the steps of an [`outage`].
fn run_command(line: &str, url: &str, started: &mut Started) -> Result<String, Failure> {
    let mut words = line.split(' ');
    let verb = words.next().unwrap_or_default();
    let numbers: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
    match (verb, numbers.as_slice(), started) {
        ("cluster" | "subscribers", &[servers, connections, groups, pipeline], started) => {
            let load = scenario::Cluster { servers, connections, groups, pipeline };
            let way = match verb {
                "cluster" => Way::Url(url.to_owned()),
                _ => Way::Broker(Broker::new()),
            };
            started.cluster = Some(Cluster::start(load, &way)?);
            Ok(String::new())
        }
        ("send", &[nanos], Started { cluster: Some(cluster), .. }) => {
            cluster.send(Duration::from_nanos(nanos as u64)).map(|sent| sent.to_string())
        }
        ("fan-out", &[connections, messages], _) => fan_out::run(url, connections, messages),
        ("join", &[servers], started) => {
            started.outage = Some(Outage::before(url, servers)?);
            Ok(String::new())
        }
        ("notice", [], Started { outage: Some(outage), .. }) => {
            outage.noticed();
            Ok(String::new())
        }
        ("recover", [], Started { outage: Some(outage), .. }) => outage.over(),
        _ => Err(Failure::Cluster(format!("unknown command '{line}'"))),
    }
}

/// The servers that earlier commands have started.
#[derive(Default)]
struct Started {
    cluster: Option<Cluster>,
    outage: Option<Outage>,
}

/// All servers of an app.
struct Cluster {
    load: scenario::Cluster,
    servers: Vec<Server>,
    arrivals: Arc<Arrivals>,
}

impl Cluster {
    /// Starts all servers. Returns when all connections are in their groups.
    fn start(load: scenario::Cluster, way: &Way) -> Result<Self, Failure> {
        let arrivals = Arc::new(Arrivals::default());
        let servers = (0..load.servers).map(|number| Server::start(number, load, way, &arrivals));
        Ok(Self { load, servers: servers.collect::<Result<_, _>>()?, arrivals })
    }

    /// Lets all servers send for this time. Returns the number of messages after all have arrived.
    fn send(&self, time: Duration) -> Result<u64, Failure> {
        let sending: Vec<_> = self.servers.iter().map(|server| server.send(time)).collect();
        let mut sent = 0;
        for sent_by_one in sending {
            sent += sent_by_one.blocking_recv().unwrap_or(Err(Failure::Closed))?;
        }
        self.arrivals.expect(sent * self.load.receivers());
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?
            .block_on(self.arrivals.all())?;
        Ok(sent)
    }
}
