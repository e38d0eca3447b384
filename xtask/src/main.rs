//! Every habit of this project in one word: `cargo xtask test`.
//!
//! | module         | what it is about                                                      |
//! |----------------|-----------------------------------------------------------------------|
//! | `fuzz`         | anything at all to what strangers can reach, for a time                |
//! | `instructions` | what the parts of a publish cost, counted and compared                 |
//! | `layers`       | checks that modules use lower modules only                             |
//! | `prose`        | measures the English of comments and documents                         |
//! | `setup`        | what the tests need beyond Rust, installed only where it is missing    |
//! | `source`       | Rust files: their tokens and their comments                            |
//! | `step`         | one program run with its name and duration, and the end at a failure  |

mod fuzz;
mod instructions;
mod layers;
mod prose;
mod setup;
mod source;
mod step;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use step::{Failure, Step};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Subcommand)]
enum Task {
    /// Installs what the tests need, then runs everything that must be green
    Test,
    /// The same as `test`
    Ci,
    /// Installs what the tests need: redis-server, redis-cli, Chromium, Node.js, Python and their packages
    Setup,
    /// Measures our broker, redis-server and the floor in turn; `-- --help` tells what else it can do
    Bench {
        /// What is passed on
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Counts the instructions of decoding and publishing, which must not grow by more than 5 %
    Instructions {
        /// Writes the figures down as those that later ones are compared with
        #[arg(long)]
        accept: bool,
    },
    /// Tries anything at all on what strangers can reach, and keeps what shows a fault
    Fuzz {
        /// What is tried; everything in turn by default
        #[arg(value_name = "TARGET", value_parser = fuzz::TARGETS)]
        targets: Vec<String>,
        /// How long each is tried
        #[arg(long, default_value_t = 60)]
        seconds: u32,
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
}

/// What is built and tested: all packages, and tests with other programs as well.
const TESTED: [&str; 4] = ["--locked", "--workspace", "--features", "e2e/external"];

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test | Task::Ci => test(),
        Task::Setup => setup::run(),
        Task::Bench { arguments } => bench(&arguments),
        Task::Instructions { accept } => setup::run().and_then(|()| match accept {
            true => instructions::accept(),
            false => instructions::check(),
        }),
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
        Task::Layers => layers::check(),
        Task::Prose { show } => prose::check(show),
        Task::Deny => setup::cargo_deny().and_then(|()| deny()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that must be green, the quickest answers first.
fn test() -> Result<(), Failure> {
    setup::run()?;
    Step::cargo("format").args(["fmt", "--all", "--check"]).run()?;
    layers::check()?;
    prose::check(10)?;
    if setup::has_cargo_deny() {
        deny()?;
    } else {
        println!("\n==> licenses and sources: left out, `cargo xtask deny` installs cargo-deny");
    }
    Step::cargo("clippy")
        .args(["clippy", "--locked", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"])
        .run()?;
    // One build for all tests and all programs that they start: what is built with other features, or
    // without the tests, are other dependencies, and building them once more takes minutes.
    Step::cargo("build").args(["build", "--all-targets"]).args(TESTED).run()?;
    Step::cargo("tests")
        .args(["test", "--all-targets"])
        .args(TESTED)
        // Most of them wait for servers, networks and clocks; two processors have time for four.
        .env("RUST_TEST_THREADS", "4")
        .env("BROKER_BIN", beside_us("broker")?)
        .env("CHAT_DEMO_BIN", beside_us("chat-demo")?)
        .env("BENCH_BIN", beside_us("bench")?)
        .run()?;
    Step::cargo("documentation examples").args(["test", "--doc"]).args(TESTED).run()?;
    Step::cargo("scripts without Lua")
        .args(["test", "--locked", "-p", "broker", "--no-default-features"])
        .args(["--test", "without_lua"])
        .run()?;
    instructions::check()?;
    fuzz::check()?;
    Step::cargo("documentation")
        .args(["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Returns the path of a program of this project that was built in the same way as this one.
fn beside_us(program: &str) -> Result<PathBuf, Failure> {
    let us =
        std::env::current_exe().map_err(|source| Failure::NotStarted { step: "tests", source })?;
    Ok(us.with_file_name(program))
}

/// Both in release builds, and the results where they can be committed.
fn bench(arguments: &[String]) -> Result<(), Failure> {
    setup::run()?;
    Step::cargo("release builds")
        .args(["build", "--locked", "--release"])
        .args(["-p", "broker", "-p", "benches"])
        .run()?;
    Step::cargo("measurement")
        .args(["run", "--locked", "--release", "-p", "benches", "--"])
        .args(["--results", "benches/results"])
        .args(arguments)
        .run()
}

fn deny() -> Result<(), Failure> {
    Step::cargo("licenses and sources")
        .args(["deny", "--offline", "--locked", "check", "bans", "licenses", "sources"])
        .run()
}
