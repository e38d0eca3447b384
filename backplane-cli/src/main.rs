//! A program for the command line of operators and scripts: it sends one invocation to the clients
//! of an app, and ends.
//!
//! `broker emit` runs this program. It is a program of its own, since the package `backplane` uses
//! the package `broker`, and brings Sentinels and clusters, which a broker does not need.

mod emit;
mod options;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Command, Options};

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // Help and version are no errors.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = error.print();
            return ExitCode::FAILURE;
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backplane: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    match options.command {
        Command::Emit(options) => Ok(emit::run(options).await?),
    }
}
