//! The tutorial's chat: a broker, two web servers and a page, in one process.
//!
//! The web servers share nothing but the broker, which they reach over TCP. `--redis` replaces it
//! by a Redis or broker elsewhere, and `--load-balancer` gives them one address. An error at the start is one line, which names the option to
//! change.

mod balancer;
mod classic;
mod descriptors;
mod field;
mod history;
mod hub;
mod metrics;
mod options;
mod page;
mod people;
mod server;
mod site;
mod start;
mod status;
mod streams;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::{options::Options, site::Ending, start::Running};

fn main() -> ExitCode {
    let options = Options::parse();
    log_to_stderr();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let running = Running::start(options).await?;
    // Before the addresses are printed: a signal may follow at once.
    let mut signals = Signals::new()?;
    println!("{}", running.invitation());
    let ending = signals.next().await;
    info!("shutting down");
    tokio::select! {
        () = running.shutdown(ending) => {}
        // A second signal does not wait.
        _ = signals.next() => {}
    }
    Ok(())
}

/// The signals that stop the program: Ctrl-C, and SIGTERM or Ctrl-Break, after which clients move away.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }
}

impl Signals {
    /// Waits for the next signal. Cancel safe.
    async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::AtOnce,
            _ = self.terminate.recv() => Ending::Drain,
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlBreak,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }
}

/// Logs to standard error, since the addresses go to standard output. `RUST_LOG` sets the filter.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
