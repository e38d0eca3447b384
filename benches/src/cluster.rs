//! A cluster of web servers in a process of its own: backplanes with connections that check whatever
//! they get.
//!
//! The tool starts it like a server and leads it over its port: a line says what is to be done, a
//! line answers. So the kernel counts what backplanes cost apart from everything else.
//!
//! | module     | what it is about                                              |
//! |------------|---------------------------------------------------------------|
//! | `arrivals` | how much has arrived, of how much that must                   |
//! | `outage`   | how long until many servers hear again after one             |
//! | `fan_out`    | how long until the last of many connections has a message     |
//! | `server`   | one server on its thread: its connections, and what it sends  |

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

/// Does what it is told on `port`, with the broker of `url`, until it is killed.
pub(crate) fn run(port: u16, url: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut told = Told::default();
    for stream in listener.incoming() {
        let mut stream = stream?;
        for line in BufReader::new(stream.try_clone()?).lines() {
            let answer = match obey(&line?, url, &mut told) {
                Ok(answer) => answer,
                Err(failure) => format!("{ERROR}{failure}"),
            };
            writeln!(stream, "{answer}")?;
        }
    }
    Ok(())
}

/// How an answer begins that tells of a failure.
pub(crate) const ERROR: &str = "error: ";

/// What the process can be told to do:
///
/// - `cluster SERVERS CONNECTIONS GROUPS PIPELINE`: start servers with backplanes
/// - `subscribers SERVERS CONNECTIONS GROUPS PIPELINE`: the same without, on a broker of this process
/// - `send NANOSECONDS`: let all servers send for so long, and tell how many messages that were
/// - `fan-out CONNECTIONS MESSAGES`: see [`fan_out`]
/// - `join SERVERS`, `notice`, `recover`: before an outage, in it, and after it: see [`outage`]
fn obey(line: &str, url: &str, told: &mut Told) -> Result<String, Failure> {
    let mut words = line.split(' ');
    let verb = words.next().unwrap_or_default();
    let numbers: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
    match (verb, numbers.as_slice(), told) {
        ("cluster" | "subscribers", &[servers, connections, groups, pipeline], told) => {
            let load = scenario::Cluster { servers, connections, groups, pipeline };
            let way = match verb {
                "cluster" => Way::Url(url.to_owned()),
                _ => Way::Broker(Broker::new()),
            };
            told.cluster = Some(Cluster::start(load, &way)?);
            Ok(String::new())
        }
        ("send", &[nanos], Told { cluster: Some(cluster), .. }) => {
            cluster.send(Duration::from_nanos(nanos as u64)).map(|sent| sent.to_string())
        }
        ("fan-out", &[connections, messages], _) => fan_out::run(url, connections, messages),
        ("join", &[servers], told) => {
            told.outage = Some(Outage::before(url, servers)?);
            Ok(String::new())
        }
        ("notice", [], Told { outage: Some(outage), .. }) => {
            outage.noticed();
            Ok(String::new())
        }
        ("recover", [], Told { outage: Some(outage), .. }) => outage.over(),
        _ => Err(Failure::Cluster(format!("does not understand '{line}'"))),
    }
}

/// What there is by what the process was told.
#[derive(Default)]
struct Told {
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
    /// Returns when all connections are in their groups.
    fn start(load: scenario::Cluster, way: &Way) -> Result<Self, Failure> {
        let arrivals = Arc::new(Arrivals::default());
        let servers = (0..load.servers).map(|number| Server::start(number, load, way, &arrivals));
        Ok(Self { load, servers: servers.collect::<Result<_, _>>()?, arrivals })
    }

    /// All servers send for so long. Returns how many messages that were, once all have arrived.
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
