//! The process: flags and file to settings, logging, signals, exit codes.
//!
//! The command line is `redis-server`'s, so that the binary can stand where it stood.

mod log;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use broker::{Broker, Config, Loaded, Server};
use clap::{CommandFactory, Parser};
use tracing::{error, info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Redis-compatible pub/sub broker, started as redis-server is.
#[derive(Debug, Parser)]
#[command(
    name = "broker",
    disable_help_flag = true,
    override_usage = "broker [/path/to/redis.conf] [--directive value ...]\n       broker - [--directive value ...]",
    after_help = AFTER_HELP
)]
struct Arguments {
    /// A redis.conf (or '-' to read one from standard input), then directives as flags.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Every directive of redis.conf is a flag as well, and a flag wins over the file:

  broker                                          listen on 127.0.0.1:6379
  broker /etc/redis/redis.conf --port 7000        a file, another port
  broker --port 7000 --requirepass secret         no file
  echo 'port 7000' | broker -                     settings from standard input

  -h, --help       this text
  -v, --version    the version

redis.conf.example tells what each directive means.";

/// The Redis whose commands and words this version speaks.
const REDIS_VERSION: &str = "7.2.4";

fn main() -> ExitCode {
    let words = Arguments::parse().words;
    match words.first().map(|word| word.to_string_lossy().into_owned()).as_deref() {
        Some("-h" | "--help") if words.len() == 1 => {
            let _ = Arguments::command().print_help();
            ExitCode::SUCCESS
        }
        Some("-v" | "--version") if words.len() == 1 => {
            let bits = usize::BITS;
            println!(
                "broker {} (Redis server v={REDIS_VERSION} bits={bits})",
                env!("CARGO_PKG_VERSION")
            );
            ExitCode::SUCCESS
        }
        _ => start(&words),
    }
}

/// Reads the settings, and serves until a signal comes.
fn start(words: &[OsString]) -> ExitCode {
    let loaded = match load(words) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = log::start(&loaded.config) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve(loaded)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The first word is a file unless it is a flag; `-` at either end is standard input.
fn load(words: &[OsString]) -> Result<Loaded, broker::ConfigError> {
    let mut loaded = Loaded::default();
    let mut flags = words;
    let mut from_input = false;
    if let Some((first, rest)) = words.split_first()
        && !first.as_encoded_bytes().starts_with(b"--")
    {
        flags = rest;
        from_input = first == "-";
        if !from_input {
            loaded.add_file(Path::new(first))?;
        }
    }
    if let Some((last, rest)) = flags.split_last()
        && last == "-"
    {
        flags = rest;
        from_input = true;
    }
    if from_input {
        loaded.add_reader("standard input", io::stdin())?;
    }
    loaded.add_flags(flags.iter().map(|flag| flag.as_encoded_bytes()))?;
    Ok(loaded)
}

async fn serve(loaded: Loaded) -> Result<(), Box<dyn std::error::Error>> {
    let Loaded { mut config, without_meaning, .. } = loaded;
    info!("broker {} is starting, PID: {}", env!("CARGO_PKG_VERSION"), std::process::id());
    if !without_meaning.is_empty() {
        info!("directives without a meaning here: {}", without_meaning.join(" "));
    }
    fit_maxclients(&mut config);
    let mut signals = Signals::new()?;
    let server = Server::bind(Broker::new(), &config).await.inspect_err(|_| {
        // The words that tools look for.
        warn!("Failed listening on port {} (TCP), aborting.", config.port);
    })?;
    info!("Server initialized");
    for address in server.local_addrs() {
        info!("listening on {address}");
    }
    info!("Ready to accept connections");
    let signal = signals.next().await;
    info!("Received {signal} scheduling shutdown...");
    server.shutdown().await;
    info!("bye bye...");
    Ok(())
}

/// Each client needs a file descriptor. Asks for enough, or serves fewer clients.
#[cfg(unix)]
fn fit_maxclients(config: &mut Config) {
    use rustix::process::{Resource, getrlimit, setrlimit};

    /// What the process needs for itself, as Redis counts it.
    const OWN: u64 = 32;

    let needed = config.maxclients as u64 + OWN;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < needed {
        let maxclients = usize::try_from(files.saturating_sub(OWN).max(1)).unwrap_or(1);
        warn!(
            files,
            wanted = config.maxclients,
            "maxclients lowered to {maxclients}: too few open files allowed"
        );
        config.maxclients = maxclients;
    }
}

#[cfg(not(unix))]
fn fit_maxclients(_: &mut Config) {}

/// What ends the process gracefully.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        let _ = tokio::signal::ctrl_c().await;
        "an interrupt"
    }
}
