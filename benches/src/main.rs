//! Measures the broker beside Redis, Valkey and NATS, and the SignalR server beside servers for
//! Node.js. Relays that only make the system calls show the least cost.
//!
//! | module        | content                                                           |
//! |---------------|-------------------------------------------------------------------|
//! | `baseline`    | a relay that parses nothing, which shows the cost of system calls |
//! | `cluster`     | web servers with backplanes, in a process of their own            |
//! | `compare`     | this version beside another one                                  |
//! | `failure`     | reasons for which a measurement ends early                        |
//! | `figure`      | the kinds of figures, their names and units                       |
//! | `floor`       | relays of WebSocket messages, which show the cost of system calls |
//! | `frames`      | checks the messages of one subscriber                             |
//! | `hub_server`  | our server of a hub, in a process of its own                      |
//! | `load`        | publishers and subscribers, and their measurements                |
//! | `machine`     | the machine, the versions and the command of a run                |
//! | `measure`     | runs one scenario on all servers, round by round                  |
//! | `nats`        | the bytes that the load exchanges with a NATS server              |
//! | `plot`        | draws the results                                                 |
//! | `protocol`    | the protocol of a server                                          |
//! | `report`      | writes the results as tables and as CSV                           |
//! | `sample`      | the figures of one measurement                                    |
//! | `sampler`     | the cost of a server between two points in time                   |
//! | `scenario`    | the loads that can be measured                                    |
//! | `server`      | a server process and its counters in the kernel                   |
//! | `subprotocol` | the texts between a server and its WebSocket clients              |
//! | `systems`     | the systems under test                                            |
//! | `tls`         | the certificate of servers, and connections to them               |
//! | `websocket`   | the upgrade and the frames of WebSocket clients                   |
//! | `wire`        | the bytes that the load sends and expects                         |

mod baseline;
mod cluster;
mod compare;
mod failure;
mod figure;
mod floor;
mod frames;
mod hub_server;
mod load;
mod machine;
mod measure;
mod nats;
mod plot;
mod protocol;
mod report;
mod sample;
mod sampler;
mod scenario;
mod server;
mod subprotocol;
mod systems;
mod tls;
mod websocket;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::runtime::{Builder, LocalOptions};

use failure::Failure;
use floor::Floor;
use measure::Measure;
use scenario::{SCENARIOS, Scenario};
use server::LOAD_CPU;
use systems::{Choice, SystemUnderTest};

/// Loads several servers in turn on this machine and prints the median of each figure.
///
/// Every measurement starts a fresh server. Ratios compare each server with the first one. "excess"
/// is the cost of a server above the baseline, divided by that of the first server: 1 equals the
/// first server, 0 equals the baseline.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Runs all scenarios with longer rounds and counts system calls: under 40 minutes instead of 3
    #[arg(long)]
    full: bool,
    /// Runs only scenarios with this text in their names; may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Measures Redis 8.2, Valkey 9.1 and NATS as well, which `--full` and `--only` always do
    #[arg(long)]
    peers: bool,
    /// The folder with the programs of these servers; by default that of `cargo xtask peers`
    #[arg(long, value_name = "DIR")]
    peers_dir: Option<PathBuf>,
    /// Measures the servers of Redis' protocol over TLS; nothing is compared with a baseline
    #[arg(long, conflicts_with = "server")]
    tls: bool,
    /// Adds a server; `{port}` in the command is its port, and a name that begins with nats its protocol
    #[arg(long, value_name = "NAME=COMMAND", value_parser = systems::parse)]
    server: Vec<SystemUnderTest>,
    /// Runs only servers with this text in their names; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds of each measurement; the median counts
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,
    /// Duration of each measurement, in seconds
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Lets every server use all processors; by default all but ours-2 and valkey-2 use one
    #[arg(long)]
    unpinned: bool,
    /// The broker program to measure; by default the one in the folder of this program
    #[arg(long, value_name = "PATH")]
    broker: Option<PathBuf>,
    /// Measures the programs broker and bench in DIR beside ours, and nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["full", "peers", "server", "only", "tls"])]
    compare: Option<PathBuf>,
    /// Creates DIR/DATE-MACHINE with raw.csv, summary.md and pictures; by default no file is written
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Lists the scenarios and exits
    #[arg(long)]
    list: bool,
    /// Runs the baseline relay on this port; the tool starts itself with this flag
    #[arg(long, hide = true, requires = "baseline_payload")]
    baseline_port: Option<u16>,
    #[arg(long, hide = true)]
    baseline_payload: Option<usize>,
    /// Runs web servers with backplanes, controlled through this port; the tool starts itself with it
    #[arg(long, hide = true, requires = "cluster_url")]
    cluster_port: Option<u16>,
    #[arg(long, hide = true)]
    cluster_url: Option<String>,
    /// Runs a floor on this port; the tool starts itself with this flag
    #[arg(long, hide = true, requires = "floor")]
    floor_port: Option<u16>,
    #[arg(long, hide = true)]
    floor: Option<Floor>,
    /// Runs our server of a hub on this port; the tool starts itself with this flag
    #[arg(long, hide = true)]
    hub_port: Option<u16>,
    #[arg(long, hide = true)]
    hub_broker: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let (Some(port), Some(payload)) = (arguments.baseline_port, arguments.baseline_payload) {
        return Ok(baseline::run(port, payload)?);
    }
    if let (Some(port), Some(url)) = (arguments.cluster_port, &arguments.cluster_url) {
        return cluster::run(port, url);
    }
    if let (Some(port), Some(floor)) = (arguments.floor_port, arguments.floor) {
        return Ok(floor::run(port, floor)?);
    }
    if let Some(port) = arguments.hub_port {
        return hub_server::run(port, arguments.hub_broker.as_deref());
    }
    let mut scenarios = scenarios(arguments)?;
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<18} {}", scenario.name, scenario.title);
        }
        return Ok(());
    }
    let connections_max = allow_many_connections();
    scenarios.retain(|scenario| {
        let fits = scenario.load.connections() <= connections_max;
        if !fits {
            eprintln!(
                "{} is skipped: this machine allows {connections_max} connections",
                scenario.name
            );
        }
        fits
    });
    let mut measure = measure(arguments)?;
    if std::thread::available_parallelism()?.get() > LOAD_CPU {
        server::pin(None, &[LOAD_CPU])?;
    }
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let start = Instant::now();
    // An explicit number of rounds runs in full, however long it takes.
    let time_max = match (arguments.rounds, arguments.full) {
        (Some(_), _) => None,
        _ if arguments.compare.is_some() => None,
        (None, true) => Some(FULL_TIME_MAX),
        (None, false) => Some(QUICK_TIME_MAX),
    };
    let mut tables = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let (number, count) = (index + 1, scenarios.len());
        eprintln!("{number}/{count} {} ({:.0?})", scenario.name, start.elapsed());
        let part = number as f64 / count as f64;
        let until = time_max.map(|time| start + time.mul_f64(part));
        let table = runtime.block_on(measure.run(scenario, until))?;
        match &arguments.compare {
            Some(_) => print!("{}", compare::text(&table)),
            None => println!("{}", table.text()),
        }
        tables.push(table);
    }
    if let Some(dir) = &arguments.results {
        let date = chrono::Local::now().format("%Y-%m-%d").to_string();
        let dir = dir.join(format!("{date}-{}", machine::name()));
        report::write(&dir, &machine::heading(&measure.systems), &tables)?;
        plot::write(&dir, &machine::caption(&date), &tables)?;
        println!("written to {}", dir.display());
    }
    Ok(())
}

/// No round starts later than this. The rest of the promised time is for the last round and builds.
const QUICK_TIME_MAX: Duration = Duration::from_secs(160);
const FULL_TIME_MAX: Duration = Duration::from_secs(32 * 60);

/// Returns the systems under test with the durations and rounds of the measurements.
fn measure(arguments: &Arguments) -> Result<Measure, Failure> {
    if let Some(folder) = &arguments.compare {
        let own = std::env::current_exe()?;
        let beside = || own.with_file_name("broker");
        let broker = arguments.broker.clone().unwrap_or_else(beside);
        return Ok(Measure {
            systems: compare::systems(folder, &broker, &own),
            time: Duration::from_secs_f64(arguments.seconds.unwrap_or(0.6)),
            rounds: arguments.rounds.unwrap_or(compare::ROUNDS).max(compare::ROUNDS_MIN),
            counts_calls: false,
            highest_rate: None,
        });
    }
    let has_peers = arguments.peers || arguments.full || !arguments.only.is_empty();
    let peers = arguments.peers_dir.clone().unwrap_or_else(systems::peers_dir);
    let mut systems: Vec<SystemUnderTest> = systems::all(&Choice {
        broker: arguments.broker.as_deref(),
        peers: has_peers.then_some(&peers),
        full: arguments.full,
        tls: arguments.tls,
    })?;
    systems.extend(arguments.server.iter().cloned());
    if arguments.unpinned {
        systems.iter_mut().for_each(|system| system.is_pinned = false);
    }
    if !arguments.only.is_empty() {
        let is_wanted = |name: &str| arguments.only.iter().any(|only| name.contains(&**only));
        systems.retain(|system| is_wanted(&system.name));
    }
    if systems.is_empty() {
        return Err(Failure::NoServer(arguments.only.join(", ")));
    }
    let (seconds, rounds) = if arguments.full { (2.0, 5) } else { (0.6, 3) };
    Ok(Measure {
        systems,
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(seconds)),
        rounds: arguments.rounds.unwrap_or(rounds).max(1),
        counts_calls: arguments.full && server::trace::is_possible(),
        highest_rate: None,
    })
}

fn scenarios(arguments: &Arguments) -> Result<Vec<Scenario>, Failure> {
    let wanted = &arguments.scenario;
    if let Some(unknown) =
        wanted.iter().find(|name| !SCENARIOS.iter().any(|each| each.name.contains(&***name)))
    {
        return Err(Failure::NoScenario(unknown.clone()));
    }
    let is_wanted = |scenario: &&Scenario| match wanted.as_slice() {
        [] => arguments.full || !scenario.is_extra,
        names => names.iter().any(|name| scenario.name.contains(&**name)),
    };
    Ok(SCENARIOS.iter().filter(is_wanted).copied().collect())
}

/// Raises the limit of open files to the kernel's maximum. Returns the number of connections that fit.
fn allow_many_connections() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_FOR_OTHERS)
}

/// Open files of the server and the load that are not connections.
const FILES_FOR_OTHERS: usize = 100;
