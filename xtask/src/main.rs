//! Project tasks, such as `cargo xtask test`.
//!
//! | module         | task                                                            |
//! |----------------|-----------------------------------------------------------------|
//! | `bench`        | measures the broker beside other servers or another version     |
//! | `capacity`     | calculates the load of a farm of servers                        |
//! | `commands`     | writes the facts of commands into the broker's source            |
//! | `deb`          | builds a package for Debian                                     |
//! | `faults`       | runs reproductions of faults against the release build          |
//! | `fuzz`         | runs the fuzz targets for a limited time                        |
//! | `image`        | builds an image for containers, and runs it                     |
//! | `instructions` | counts the instructions of messages and compares them           |
//! | `interleavings` | runs tests of threads in thousands of interleavings            |
//! | `layers`       | checks that modules use lower modules only                      |
//! | `peers`        | fetches other servers for comparisons                           |
//! | `prose`        | measures the English of comments and documents                  |
//! | `setup`        | installs missing programs and packages for the tests            |
//! | `source`       | reads the tokens and comments of Rust files                     |
//! | `windows`      | builds the programs for Windows, and runs them by wine          |
//! | `step`         | runs one program and reports its name, duration and failure     |

mod bench;
mod capacity;
mod commands;
mod deb;
mod faults;
mod fuzz;
mod image;
mod instructions;
mod interleavings;
mod layers;
mod peers;
mod prose;
mod sbom;
mod setup;
mod source;
mod step;
mod windows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use step::{Failure, Step, workspace_dir};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Subcommand)]
enum Task {
    /// Installs missing requirements, then runs all checks and tests
    Test,
    /// The same as `test`
    Ci,
    /// Installs missing requirements: redis-server, redis-cli, Chromium, Node.js, Python, their packages
    Setup,
    /// Fetches Redis 8.2, Valkey 9.1 and NATS 2.15 into `target/peers`, to compare the broker with them
    Peers,
    /// Measures our broker, other servers and a baseline in turn; `-- --help` lists the options
    Bench {
        /// Measures this version beside another one, such as HEAD~1, and shows ratios with intervals
        #[arg(long, value_name = "REV")]
        compare: Option<String>,
        /// Options of the benchmark
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Counts the instructions of publishes and broadcasts; fails if one has grown by more than 5 %
    Instructions {
        /// Stores the current figures as the reference for later runs
        #[arg(long)]
        accept: bool,
    },
    /// Calculates the load of a farm of servers from measured costs
    Capacity(capacity::Farm),
    /// Writes the facts of commands from `broker/commands.json` into the broker's source
    Commands {
        /// First replaces the facts of Redis 7.0 with those of an installed redis-server 7.0
        #[arg(long)]
        from_redis: bool,
    },
    /// Runs the fuzz targets and keeps each input that shows a fault
    Fuzz {
        /// The targets to run; by default all in turn
        #[arg(value_name = "TARGET", value_parser = fuzz::TARGETS)]
        targets: Vec<String>,
        /// Duration of each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Builds a package for Debian, `target/deb/relaybox_VERSION_ARCHITECTURE.deb`
    Deb,
    /// Builds an image for containers, `target/image/relaybox_VERSION_amd64.tar`, and as root runs it
    Image,
    /// Builds the programs for Windows on Debian, and runs them by wine
    Windows {
        #[command(subcommand)]
        action: windows::Action,
    },
    /// Runs reproductions of faults against the release build
    Faults {
        /// The folder with the reproductions, relative to the top of the repository
        #[arg(default_value = "../shared/faults")]
        dir: PathBuf,
    },
    /// Runs the tests that take minutes against the release build
    Long,
    /// Runs servers and a release build of the broker under random faults, and plots what grows
    Soak {
        /// The duration
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
        /// The choice of faults; the same seed repeats them
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Runs tests of threads in thousands of interleavings
    Interleavings {
        /// Also checks that the tests find the faults in `PACKAGE/interleavings`
        #[arg(long)]
        faults: bool,
    },
    /// Checks that modules use only modules below them in `PACKAGE/layers.txt`
    Layers,
    /// Measures the English of comments and documents
    Prose {
        /// Prints up to this many lines for each target that is missed
        #[arg(long, default_value_t = 10)]
        show: usize,
    },
    /// Checks licenses and sources of all dependencies, with cargo-deny
    Deny,
    /// Changes the code of a package in many ways, and lists changes that no test of it notices, with
    /// cargo-mutants
    Mutants {
        /// The package, such as `resp`
        package: String,
        /// Only these files
        #[arg(long = "file")]
        files: Vec<String>,
    },
    /// Finds dependencies that nothing uses, with cargo-machete
    Unused,
    /// Lists the crates in each program, in the format of CycloneDX, with cargo-cyclonedx
    Sbom,
}

/// The packages to build and test: all, with the tests that need other programs.
const TESTED: [&str; 4] = [
    "--locked",
    "--workspace",
    "--features",
    "e2e/external,signalr/jwt,signalr/testing,signalr/typescript",
];

/// Tests that a second run with several threads would only repeat: those that set their number, those
/// of other servers, and those without our broker.
const WITHOUT_THREADS: [&str; 17] = [
    "two_redis_servers",
    "redis_replies_alike",
    "with_redis_server",
    "oracle::",
    "browsers::",
    "console::",
    "top::",
    "signalr_client::",
    "signalr_clients::",
    "classic_client::",
    "chat_demo::",
    "benchmark::",
    "every_ending::",
    "every_limit::",
    "late_scripts::",
    "ordering::",
    "workers::",
];

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test | Task::Ci => test(),
        Task::Setup => setup::run(),
        Task::Peers => peers::fetch(),
        Task::Bench { compare: Some(version), arguments } => bench::compare(&version, &arguments),
        Task::Bench { compare: None, arguments } => bench::run(&arguments),
        Task::Instructions { accept } => setup::run().and_then(|()| match accept {
            true => instructions::accept(),
            false => instructions::check(),
        }),
        Task::Capacity(farm) => capacity::print(farm),
        Task::Commands { from_redis: false } => commands::write(),
        Task::Commands { from_redis: true } => commands::refresh().and_then(|()| commands::write()),
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
        Task::Deb => deb::build(),
        Task::Windows { action } => windows::run(&action),
        Task::Image => image::build(),
        Task::Faults { dir } => faults::run(&dir),
        Task::Long => long(),
        Task::Soak { hours, seed } => soak(hours, seed),
        Task::Interleavings { faults: false } => interleavings::run(),
        Task::Interleavings { faults: true } => interleavings::run_with_faults(),
        Task::Layers => layers::check(),
        Task::Prose { show } => prose::check(show),
        Task::Deny => setup::cargo_deny().and_then(|()| deny()),
        Task::Mutants { package, files } => mutants(&package, &files),
        Task::Unused => setup::cargo_machete().and_then(|()| unused()),
        Task::Sbom => sbom::write(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all checks and tests, the fastest first.
fn test() -> Result<(), Failure> {
    setup::run()?;
    peers::fetch_if_possible();
    Step::cargo("format").args(["fmt", "--all", "--check"]).run()?;
    layers::check()?;
    prose::check(10)?;
    commands::check()?;
    if setup::has_cargo_deny() {
        deny()?;
    } else {
        println!("\n==> licenses and sources: skipped; `cargo xtask deny` installs cargo-deny");
    }
    Step::cargo("clippy")
        .args(["clippy", "--locked", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"])
        .run()?;
    // One set of features for all tests and the programs that they start: another one would compile the
    // dependencies again, which takes minutes. The examples have no tests, and clippy has checked them.
    Step::cargo("programs").args(["build", "--bins"]).args(TESTED).run()?;
    Step::cargo("tests")
        .args(["test", "--lib", "--bins", "--tests", "--benches"])
        .args(TESTED)
        // Most tests wait for servers, networks and clocks, so four fit on two processors.
        .env("RUST_TEST_THREADS", "4")
        .env("BROKER_BIN", beside_us("broker")?)
        .env("CHAT_DEMO_BIN", beside_us("chat-demo")?)
        .env("BENCH_BIN", beside_us("bench")?)
        .env("BACKPLANE_BIN", beside_us("backplane")?)
        .env("BROKER_TOP_BIN", beside_us("broker-top")?)
        .run()?;
    // Whatever depends on threads shows with several. Tests that set their number need no second run.
    Step::cargo("tests with four threads")
        .args(["test", "--test", "e2e", "--test", "external"])
        .args(TESTED)
        .args(["--"])
        .args(WITHOUT_THREADS.iter().flat_map(|name| ["--skip", name]))
        .env("RUST_TEST_THREADS", "4")
        .env("BROKER_IO_THREADS", "4")
        .env("BROKER_BIN", beside_us("broker")?)
        .env("CHAT_DEMO_BIN", beside_us("chat-demo")?)
        .env("BENCH_BIN", beside_us("bench")?)
        .env("BACKPLANE_BIN", beside_us("backplane")?)
        .env("BROKER_TOP_BIN", beside_us("broker-top")?)
        .run()?;
    Step::cargo("documentation examples").args(["test", "--doc"]).args(TESTED).run()?;
    Step::cargo("scripts without Lua")
        .args(["test", "--locked", "-p", "broker", "--no-default-features"])
        .args(["--test", "without_lua"])
        .run()?;
    interleavings::run()?;
    instructions::check()?;
    fuzz::check()?;
    Step::cargo("documentation")
        .args(["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Runs the tests that take minutes, one at a time, since some of them measure.
fn long() -> Result<(), Failure> {
    Step::cargo("release build").args(["build", "--locked", "--release", "-p", "broker"]).run()?;
    image::build()?;
    // With four threads a client may see another one for a moment after its end, so single steps of
    // the conversations differ now and then.
    Step::cargo("conversations with four threads")
        .args(["test", "--test", "parity"])
        .args(TESTED)
        .args(["--", "--skip", "redis_replies_alike", "--skip", "generated::random_conversations"])
        .env("RUST_TEST_THREADS", "4")
        .env("BROKER_IO_THREADS", "4")
        .run()?;
    interleavings::run_with_faults()?;
    Step::cargo("histories of clients, compared with a model")
        .args(["test", "--test", "model"])
        .args(TESTED)
        .env("MODEL_CASES", "20000")
        .env("MODEL_SEED", "7")
        .run()?;
    Step::cargo("clients before two servers")
        .args(["test", "--test", "external"])
        .args(TESTED)
        .args(["--", "--ignored", "round_robin::"])
        .env("RUST_TEST_THREADS", "4")
        .run()?;
    Step::cargo("long rigs of hubs")
        .args(["test", "--locked", "--release", "-p", "signalr"])
        .args(["--test", "rigs", "--", "--ignored"])
        .env("RUST_TEST_THREADS", "1")
        .run()?;
    Step::cargo("long tests")
        .args(["test", "--locked", "--release", "-p", "e2e", "--test", "e2e"])
        .args(["--", "--ignored", "--nocapture"])
        .env("RUST_TEST_THREADS", "1")
        .env("BROKER_BIN", workspace_dir().join("target/release/broker"))
        .run()
}

/// Returns the path of another program of this project, built in the same folder as this one.
fn beside_us(program: &str) -> Result<PathBuf, Failure> {
    let us =
        std::env::current_exe().map_err(|source| Failure::NotStarted { step: "tests", source })?;
    Ok(us.with_file_name(program))
}

fn soak(hours: f64, seed: u64) -> Result<(), Failure> {
    Step::cargo("release build").args(["build", "--locked", "--release", "-p", "broker"]).run()?;
    Step::cargo("soak")
        .args(["test", "--test", "backplane"])
        .args(TESTED)
        .args(["--", "endurance::", "--nocapture"])
        .env("BROKER_BIN", workspace_dir().join("target/release/broker"))
        .env("SOAK_SECONDS", format!("{:.0}", hours * 3600.0))
        .env("SOAK_SEED", seed.to_string())
        .env("SOAK_REPORT", workspace_dir().join("target/soak"))
        .run()
}

fn mutants(package: &str, files: &[String]) -> Result<(), Failure> {
    setup::cargo_mutants()?;
    Step::cargo("mutants")
        .args(["mutants", "--package", package, "--output"])
        .arg(workspace_dir().join("target"))
        .args(files.iter().flat_map(|file| ["--file", file]))
        .run()
}

fn unused() -> Result<(), Failure> {
    Step::program("unused dependencies", "cargo-machete").arg("--skip-target-dir").run()
}

fn deny() -> Result<(), Failure> {
    Step::cargo("licenses and sources")
        .args(["deny", "--offline", "--locked", "check", "bans", "licenses", "sources"])
        .run()
}
