//! `broker ping`: asks a server for a reply, as the health check of an image without `redis-cli`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser};

/// Sends PING to a server. The exit status is 0 if it answers, else 1.
#[derive(Debug, Parser)]
#[command(name = "broker ping", disable_help_flag = true)]
struct Options {
    /// The host of the server
    #[arg(short = 'h', value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// The port of the server
    #[arg(short = 'p', value_name = "PORT", default_value_t = 6379)]
    port: u16,
    /// The password; by default that of the variable REDISCLI_AUTH, which no list of processes shows
    #[arg(short = 'a', value_name = "PASSWORD")]
    password: Option<OsString>,
    /// Prints this text
    #[arg(long = "help", action = ArgAction::Help)]
    _help: Option<bool>,
}

/// The time for the connection, and for each reply.
const DEADLINE: Duration = Duration::from_secs(5);
/// More than the longest error of a server.
const REPLY_BYTES_MAX: u64 = 4096;

/// Sends the request and returns the exit status. An error is printed.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        // Help is no error.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let _ = error.print();
            return ExitCode::FAILURE;
        }
    };
    match ping(&options) {
        Ok(()) => {
            println!("PONG");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no PONG from {}:{}: {error}", options.host, options.port);
            ExitCode::FAILURE
        }
    }
}

fn ping(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut stream = connect(&options.host, options.port)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut requests = Vec::new();
    if let Some(password) = options.password.clone().or_else(|| std::env::var_os("REDISCLI_AUTH")) {
        resp::request::encode(&mut requests, &[&b"AUTH"[..], password.as_encoded_bytes()]);
    }
    resp::request::encode(&mut requests, &["PING"]);
    stream.write_all(&requests)?;
    for line in BufReader::new(stream.take(REPLY_BYTES_MAX)).lines() {
        match line.map_err(explain)?.as_str() {
            "+PONG" => return Ok(()),
            // The reply to AUTH.
            "+OK" => {}
            other => return Err(other.trim_start_matches('-').into()),
        }
    }
    Err("the server closed the connection".into())
}

/// Names the deadline, for which systems have several errors.
fn explain(error: io::Error) -> Box<dyn Error> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no reply within 5 seconds".into(),
        _ => error.into(),
    }
}

/// Connects to the first address that accepts.
fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, DEADLINE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
