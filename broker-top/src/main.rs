//! `broker top`: the busiest channels and the slowest clients of a server, in a terminal.
//!
//! | module    | subject                                   |
//! |-----------|-------------------------------------------|
//! | `options` | the command line                          |
//! | `server`  | the connection                            |
//! | `figures` | the figures of the server                 |
//! | `looks`   | asks the server again and again           |
//! | `table`   | rows of text                              |
//! | `screen`  | draws the figures, and reads the keyboard |

mod figures;
mod looks;
mod options;
mod screen;
mod server;
mod table;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::looks::Looks;
use crate::options::Options;
use crate::server::Server;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // Help is no error.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let _ = error.print();
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}:{}: {error}", options.host, options.port);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let looks = Looks::begin(Server::new(options)?, options.interval());
    // A server that does not answer at the start is a mistake in the options.
    let first = looks.first()?;
    if !options.once {
        return Ok(screen::run(&looks, first)?);
    }
    match write!(io::stdout(), "{first}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
