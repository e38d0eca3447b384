//! The tutorial's chat, whole: a broker, two web servers that know each other only through it, and a page.
//!
//! The web servers reach the broker over TCP, as they would reach a Redis on a machine of its own; with
//! `--redis` they do. Everything that can go wrong at the start is one line that names the option.

mod hub;
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
    // Before anybody is told that it runs: who knows may end it at once.
    let stop = stop_signal()?;
    println!("{}", running.invitation());
    stop.await?;
    info!("shutting down");
    running.shutdown().await;
    Ok(())
}

/// Waits for Ctrl-C or, where there is one, for SIGTERM.
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

/// Standard output is for the addresses; `RUST_LOG` chooses what is logged.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
