//! The tutorial's chat: a broker, two web servers and a page, in one process.
//!
//! The web servers share nothing but the broker, which they reach over TCP. `--redis` replaces it
//! by a Redis or broker elsewhere. An error at the start is one line, which names the option to
//! change.

mod classic;
mod descriptors;
mod hub;
mod metrics;
mod options;
mod page;
mod site;
mod start;
mod status;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::{options::Options, start::Running};

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
    let stop = stop_signal()?;
    println!("{}", running.invitation());
    stop.await?;
    info!("shutting down");
    running.shutdown().await;
    Ok(())
}

/// Returns a future that waits for Ctrl-C, and on Unix also for SIGTERM.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = io::Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = io::Result<()>>> {
    Ok(tokio::signal::ctrl_c())
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
