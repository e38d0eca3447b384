//! Measures what the broker costs, beside a real Redis and beside the price of the system calls.
//!
//! | module     | what it is about                                                     |
//! |------------|----------------------------------------------------------------------|
//! | `floor`    | a relay that parses nothing: the price of the system calls alone     |
//! | `load`     | publishers and subscribers, and what they find out                   |
//! | `report`   | what was measured, for people and for programs                       |
//! | `scenario` | what is measured                                                     |
//! | `server`   | a server under load, and what the kernel counts for it               |
//! | `wire`     | the bytes that the load sends and expects                            |

mod floor;
mod load;
mod report;
mod scenario;
mod server;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use thiserror::Error;

use report::{Row, Table};
use scenario::{Length, SCENARIOS, Scenario};
use server::{Candidate, LOAD_CPU};

/// Loads servers in turn on this machine, each fresh for every measurement, and prints medians.
///
/// The first server is what the others are compared with. "excess" is what a server costs above the
/// floor, in parts of what the first one costs above it: 1 is as good as the first, 0 the limit.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// All scenarios, and more and longer rounds: under 40 minutes; without it under 3
    #[arg(long)]
    full: bool,
    /// Only scenarios whose names contain this; give it several times for several
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// One more server; `{port}` stands for the port it is to listen on
    #[arg(long, value_name = "NAME=COMMAND", value_parser = parse_server)]
    server: Vec<Candidate>,
    /// Only servers whose names contain this; give it several times for several
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds of each measurement, of which the middle one counts
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,
    /// Seconds of each measurement
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// The broker to measure; by default the one beside this program
    #[arg(long, value_name = "PATH")]
    broker: Option<PathBuf>,
    /// Where to make a directory DATE-MACHINE with raw.csv and summary.md; nothing is written by default
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Lists the scenarios and ends
    #[arg(long)]
    list: bool,
    /// Runs the floor relay on this port, as the tool does for itself
    #[arg(long, hide = true, requires = "floor_payload")]
    floor_port: Option<u16>,
    #[arg(long, hide = true)]
    floor_payload: Option<usize>,
}

/// Why a measurement ended early.
#[derive(Debug, Error)]
enum Failure {
    #[error("{name}: {reason}")]
    Server { name: String, reason: String },
    #[error("{name} in scenario '{scenario}': {cause}")]
    Scenario { name: String, scenario: &'static str, cause: Box<Failure> },
    #[error("no scenario has '{0}' in its name, --list shows them")]
    NoScenario(String),
    #[error("the server closed a connection")]
    Closed,
    #[error("{0} did not come within a minute")]
    Late(&'static str),
    #[error("{received} of {expected} bytes arrived")]
    Lost { expected: u64, received: u64 },
    #[error("expected {:?}, found {:?}", shown(expected), shown(found))]
    Wrong { expected: Vec<u8>, found: Vec<u8> },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl Failure {
    fn csv(error: csv::Error) -> Self {
        Self::Io(error.into())
    }
}

/// The beginning of some bytes, for an error.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
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
    if let (Some(port), Some(payload)) = (arguments.floor_port, arguments.floor_payload) {
        return Ok(floor::run(port, payload)?);
    }
    let scenarios = scenarios(arguments)?;
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<18} {}", scenario.name, scenario.title);
        }
        return Ok(());
    }
    let candidates = candidates(arguments)?;
    allow_many_connections();
    if std::thread::available_parallelism()?.get() > LOAD_CPU {
        server::pin(None, LOAD_CPU)?;
    }
    let length = Length {
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(if arguments.full {
            2.0
        } else {
            0.6
        })),
        rounds: arguments.rounds.unwrap_or(if arguments.full { 5 } else { 3 }).max(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let mut tables = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        eprintln!("{}/{} {} ({:.0?})", index + 1, scenarios.len(), scenario.name, start.elapsed());
        let table = runtime.block_on(measure(scenario, &candidates, length))?;
        println!("{}", table.text());
        tables.push(table);
    }
    if let Some(dir) = &arguments.results {
        let dir = dir.join(format!("{}-{}", chrono::Local::now().format("%Y-%m-%d"), machine()));
        report::write(&dir, &heading(&candidates), &tables)?;
        println!("written to {}", dir.display());
    }
    Ok(())
}

/// Runs one scenario on all servers, round by round, so that a slow moment hits all of them.
async fn measure(
    scenario: &Scenario,
    candidates: &[Candidate],
    length: Length,
) -> Result<Table, Failure> {
    let fit: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| !candidate.is_floor || scenario.load.suits_floor())
        .collect();
    let mut samples = vec![Vec::new(); fit.len()];
    for _ in 0..length.rounds {
        for (candidate, samples) in fit.iter().zip(&mut samples) {
            let server = candidate.start(scenario.load.payload_bytes())?;
            let sample = load::run(scenario.load, &server, length).await;
            samples.push(sample.map_err(|cause| Failure::Scenario {
                name: candidate.name.clone(),
                scenario: scenario.name,
                cause: Box::new(cause),
            })?);
        }
    }
    let rows = fit.into_iter().zip(samples).map(|(candidate, samples)| Row {
        server: candidate.name.clone(),
        is_floor: candidate.is_floor,
        median: load::median(samples.clone()),
        samples,
    });
    Ok(Table { scenario: *scenario, rows: rows.collect() })
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

/// Returns the servers, the one that others are compared with first.
fn candidates(arguments: &Arguments) -> Result<Vec<Candidate>, Failure> {
    let own = std::env::current_exe()?;
    let broker = match &arguments.broker {
        Some(path) => path.clone(),
        None => own.with_file_name("broker"),
    };
    let (broker, own) = (broker.display().to_string(), own.display().to_string());
    // Limits are not what is measured.
    let limits = ["--client-output-buffer-limit", "pubsub 0 0 0", "--maxclients", "20000"];
    let ours = |threads: &str| {
        let words = [&broker, "--port", "{port}", "--io-threads", threads, "--loglevel", "nothing"];
        words.into_iter().chain(limits).map(str::to_owned).collect()
    };
    let redis = ["redis-server", "--port", "{port}", "--save", "", "--appendonly", "no"];
    let floor = [&own, "--floor-port", "{port}", "--floor-payload", "{payload}"];
    let mut all = vec![
        Candidate {
            name: "redis".to_owned(),
            command: redis.into_iter().chain(limits).map(str::to_owned).collect(),
            is_floor: false,
            is_pinned: true,
        },
        Candidate { name: "ours".to_owned(), command: ours("1"), is_floor: false, is_pinned: true },
        Candidate {
            name: "ours-2".to_owned(),
            command: ours("2"),
            is_floor: false,
            is_pinned: false,
        },
        Candidate {
            name: "floor".to_owned(),
            command: floor.map(str::to_owned).to_vec(),
            is_floor: true,
            is_pinned: true,
        },
    ];
    all.extend(arguments.server.iter().cloned());
    if !arguments.only.is_empty() {
        all.retain(|candidate| arguments.only.iter().any(|name| candidate.name.contains(&**name)));
    }
    Ok(all)
}

/// Reads `NAME=COMMAND`.
fn parse_server(text: &str) -> Result<Candidate, String> {
    let Some((name, command)) = text.split_once('=') else {
        return Err("expects NAME=COMMAND, as in valkey='valkey-server --port {port}'".to_owned());
    };
    let command: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
    if !command.iter().any(|word| word.contains("{port}")) {
        return Err("expects {port} where the command takes the port to listen on".to_owned());
    }
    Ok(Candidate { name: name.to_owned(), command, is_floor: false, is_pinned: true })
}

/// The first line of a file that begins so, without that beginning.
fn line_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_once(':').map_or(line, |(_, value)| value).trim().to_owned()
}

fn processor() -> String {
    line_of("/proc/cpuinfo", "model name")
}

/// The processor and how many there are, as a name for a directory.
fn machine() -> String {
    let count = std::fs::read_to_string("/proc/cpuinfo")
        .map_or(1, |text| text.lines().filter(|line| line.starts_with("processor")).count());
    let name = processor().to_ascii_lowercase();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(4).collect();
    format!("{}-{count}", words.join("-"))
}

/// What the figures are from: the machine, the versions, the command.
fn heading(candidates: &[Candidate]) -> String {
    let version = |candidate: &Candidate| {
        let output = Command::new(&candidate.command[0]).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(format!("- {}: {text}", candidate.name))
    };
    let versions: Vec<String> =
        candidates.iter().filter(|each| !each.is_floor).filter_map(version).collect();
    let mut words = std::env::args();
    let own = words.next().unwrap_or_default();
    let own = Path::new(&own).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let command: Vec<String> = words.filter(|word| !word.starts_with('/')).collect();
    format!(
        "# What servers cost\n\n- processor: {}\n- kernel: {}\n- command: `{own} {}`\n{}\n",
        processor(),
        line_of("/proc/sys/kernel/osrelease", ""),
        command.join(" "),
        versions.join("\n"),
    )
}

/// As many files as the kernel allows.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
