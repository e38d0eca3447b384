//! Measures what the broker costs, beside a real Redis and beside the price of the system calls.
//!
//! | module       | what it is about                                                   |
//! |--------------|--------------------------------------------------------------------|
//! | `failure`    | why a measurement ended early                                      |
//! | `cluster`       | web servers with backplanes, in a process of their own             |
//! | `figure`     | what can be measured: names and units                              |
//! | `baseline`      | a relay that parses nothing: the price of the system calls alone   |
//! | `frames`     | what one subscriber must get                                       |
//! | `load`       | publishers and subscribers, and what they find out                 |
//! | `machine`    | what the figures are from                                          |
//! | `measure`    | one scenario on all servers, round by round                        |
//! | `sampler`      | what a server has cost from one moment to another                  |
//! | `plot`       | pictures of what was measured                                      |
//! | `report`     | what was measured, for people and for programs                     |
//! | `sample`     | what one measurement found out                                     |
//! | `scenario`   | what is measured                                                   |
//! | `server`     | a server under load, and what the kernel counts for it             |
//! | `systems`    | the systems under test                                             |
//! | `wire`       | the bytes that the load sends and expects                          |

mod baseline;
mod cluster;
mod failure;
mod figure;
mod frames;
mod load;
mod machine;
mod measure;
mod plot;
mod report;
mod sample;
mod sampler;
mod scenario;
mod server;
mod systems;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::runtime::{Builder, LocalOptions};

use failure::Failure;
use measure::Measure;
use scenario::{SCENARIOS, Scenario};
use server::LOAD_CPU;
use systems::SystemUnderTest;

/// Loads servers in turn on this machine, each fresh for every measurement, and prints medians.
///
/// The first server is what the others are compared with. "excess" is what a server costs above the
/// baseline, in parts of what the first one costs above it: 1 is as good as the first, 0 the limit.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// All scenarios, more and longer rounds, system calls counted: under 40 minutes; without it under 3
    #[arg(long)]
    full: bool,
    /// Only scenarios whose names contain this; give it several times for several
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// One more server; `{port}` stands for the port it is to listen on
    #[arg(long, value_name = "NAME=COMMAND", value_parser = systems::parse)]
    server: Vec<SystemUnderTest>,
    /// Only servers whose names contain this; give it several times for several
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds of each measurement, of which the middle one counts
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,
    /// Seconds of each measurement
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Lets every server run on any processor. Otherwise all but ours-2 are kept to one, and the load to another
    #[arg(long)]
    unpinned: bool,
    /// The broker to measure; by default the one beside this program
    #[arg(long, value_name = "PATH")]
    broker: Option<PathBuf>,
    /// Where to make a directory DATE-MACHINE with raw.csv, summary.md and pictures; nothing is written by default
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Lists the scenarios and ends
    #[arg(long)]
    list: bool,
    /// Runs the baseline relay on this port, as the tool does for itself
    #[arg(long, hide = true, requires = "baseline_payload")]
    baseline_port: Option<u16>,
    #[arg(long, hide = true)]
    baseline_payload: Option<usize>,
    /// Runs web servers with backplanes and is led on this port, as the tool does for itself
    #[arg(long, hide = true, requires = "cluster_url")]
    cluster_port: Option<u16>,
    #[arg(long, hide = true)]
    cluster_url: Option<String>,
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
                "{} is left out: this machine allows {connections_max} connections",
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
    // Whoever chooses the rounds chooses the time.
    let time_max = match (arguments.rounds, arguments.full) {
        (Some(_), _) => None,
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
        println!("{}", table.text());
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

/// No round is begun later: the last one, and building, take their time as well.
const QUICK_TIME_MAX: Duration = Duration::from_secs(160);
const FULL_TIME_MAX: Duration = Duration::from_secs(32 * 60);

/// Returns how to measure, and whom.
fn measure(arguments: &Arguments) -> Result<Measure, Failure> {
    let mut systems: Vec<SystemUnderTest> =
        systems::all(arguments.broker.as_deref(), arguments.full)?;
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

/// Opens as many files as the kernel allows, and returns how many connections that makes.
fn allow_many_connections() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_FOR_OTHERS)
}

/// Files that are no connections, of the server or of the load.
const FILES_FOR_OTHERS: usize = 100;
