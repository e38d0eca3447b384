//! The process: reads flags and files, starts the log and the server, handles signals.
//!
//! The command line is that of `redis-server`, so that the binary can replace it.

mod companion;
mod log;
mod manager;
mod pid_file;
mod ping;
#[cfg(unix)]
mod relaunch;
mod report;
#[cfg(windows)]
mod service;
#[cfg(unix)]
mod sockets;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use broker::{Broker, ConfigFile, OpenSockets, REDIS_VERSION, Server};
use clap::{CommandFactory, Parser};
use tracing::{error, info, warn};

use crate::pid_file::PidFile;
#[cfg(unix)]
use crate::relaunch::Launch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Redis-compatible pub/sub broker with the command line of redis-server.
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

  broker                                          listen on port 6379
  broker /etc/redis/redis.conf --port 7000        a file, another port
  broker --port 7000 --requirepass secret         no file
  echo 'port 7000' | broker -                     settings from standard input
  broker emit --help                              send a message to the clients of an app
  broker ping -p 7000                             exit with 0 if a server answers
  broker top -p 7000                              watch channels and clients

  -h, --help       this text
  -v, --version    the version

redis.conf.example and 'man relaybox.conf' explain each directive.";

fn main() -> ExitCode {
    #[cfg(unix)]
    if relaunch::is_relaunched() {
        let launch = relaunch::received().map_err(Into::into);
        return finish(
            launch
                .and_then(|Launch { words, input }| load(&words, input))
                .and_then(|given| run(given.loaded)),
        );
    }
    let words = Arguments::parse().words;
    #[cfg(windows)]
    if let Some(code) = service::command(&words) {
        return code;
    }
    match command(&words) {
        // It knows the messages of SignalR.
        Some("emit") => return companion::run("emit", "backplane", &words),
        Some("top") => return companion::run("top", "broker-top", &words[1..]),
        Some("ping") => return ping::run(&words),
        _ => {}
    }
    match words.first().map(|word| word.to_string_lossy().into_owned()).as_deref() {
        Some("-h" | "--help") if words.len() == 1 => {
            let _ = Arguments::command().print_help();
            ExitCode::SUCCESS
        }
        Some("-v" | "--version") if words.len() == 1 => {
            println!("{}", version());
            ExitCode::SUCCESS
        }
        _ => finish(load(&words, None).and_then(|given| launch(given, words))),
    }
}

/// Returns the command that the first word names. To `redis-server`, this word is the name of a file, so
/// a file of this name comes first.
fn command(words: &[OsString]) -> Option<&str> {
    let first = words.first().filter(|first| !Path::new(first).is_file());
    first.and_then(|first| first.to_str())
}

/// Returns the line of `redis-server --version`, which tools parse, with our own version behind it.
fn version() -> String {
    /// Identifies the build by its version; Redis' is a hash as well.
    const BUILD: u64 = {
        // FNV-1a.
        let (text, mut hash, mut at) =
            (env!("CARGO_PKG_VERSION").as_bytes(), 0xcbf2_9ce4_8422_2325, 0);
        while at < text.len() {
            hash = (hash ^ text[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        hash
    };
    let (bits, own) = (usize::BITS, env!("CARGO_PKG_VERSION"));
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={bits} \
         build={BUILD:016x} (broker {own})"
    )
}

/// Turns the outcome into an exit code, and shows an error.
fn finish(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Settings, and the text of standard input if they came from there.
struct Given {
    loaded: ConfigFile,
    #[cfg_attr(windows, expect(dead_code, reason = "the program is not started again"))]
    input: Option<Vec<u8>>,
}

/// Starts the program again in the background or under a title, or serves in this process.
#[cfg(unix)]
fn launch(given: Given, words: Vec<OsString>) -> Result<(), Box<dyn Error>> {
    let Given { loaded, input } = given;
    let launch = Launch { words, input };
    let title = relaunch::title(&loaded.config);
    if loaded.config.daemonize {
        return Ok(relaunch::start_in_background(&launch, &title)?);
    }
    if loaded.config.set_proc_title {
        let error = relaunch::execute_under_title(&launch, &title);
        eprintln!("cannot set the title of the process, so its flags stay visible: {error}");
    } else if let Err(error) = relaunch::execute_untitled(&launch) {
        eprintln!("cannot set the options of the allocator, so it takes more memory: {error}");
    }
    run(loaded)
}

#[cfg(windows)]
fn launch(given: Given, _: Vec<OsString>) -> Result<(), Box<dyn Error>> {
    if given.loaded.config.daemonize {
        return Err("'daemonize yes' is not supported on this system; use --service-install".into());
    }
    run(given.loaded)
}

/// Serves until a signal or a client ends the server.
fn run(loaded: ConfigFile) -> Result<(), Box<dyn Error>> {
    if is_in_background() {
        // A closed terminal must not end the process.
        #[cfg(unix)]
        let _ = rustix::process::setsid();
    }
    if let Some(dir) = &loaded.config.dir {
        std::env::set_current_dir(dir)
            .map_err(|error| format!("cannot change to directory '{}': {error}", dir.display()))?;
    }
    log::start(&loaded.config)?;
    report::log_panics();
    #[cfg(unix)]
    let sockets = sockets::take(&loaded.config)?;
    #[cfg(windows)]
    let sockets = OpenSockets::default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(loaded, sockets))
}

#[cfg(unix)]
fn is_in_background() -> bool {
    relaunch::is_in_background()
}

#[cfg(windows)]
fn is_in_background() -> bool {
    false
}

/// The variable with a password for `requirepass`, stronger than a file and weaker than a flag.
const PASSWORD: &str = "BROKER_REQUIREPASS";

/// Reads the settings. The first word is a file unless it is a flag; `-` at either end is standard
/// input, which `input` replaces.
fn load(words: &[OsString], input: Option<Vec<u8>>) -> Result<Given, Box<dyn Error>> {
    if words.iter().any(|word| word == "--sentinel") {
        return Err("this program is no Sentinel; redis-sentinel watches it like any Redis".into());
    }
    let mut loaded = ConfigFile::default();
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
    let input = match input {
        None if from_input => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text)?;
            Some(text)
        }
        input => input,
    };
    if let Some(text) = &input {
        loaded.add_reader("standard input", &text[..])?;
    }
    if let Some(password) = std::env::var_os(PASSWORD) {
        loaded.add_password(password.as_encoded_bytes());
    }
    loaded.add_flags(flags.iter().map(|flag| flag.as_encoded_bytes()))?;
    loaded.check()?;
    Ok(Given { loaded, input })
}

async fn serve(mut loaded: ConfigFile, sockets: OpenSockets) -> Result<(), Box<dyn Error>> {
    info!("broker {} is starting, PID: {}", env!("CARGO_PKG_VERSION"), std::process::id());
    let ignored = loaded.ignored_directives();
    if !ignored.is_empty() {
        info!("ignored directives: {}", ignored.join(" "));
    }
    loaded.warnings().iter().for_each(|warning| warn!("{warning}"));
    #[cfg(windows)]
    if loaded.config.syslog_enabled {
        warn!("syslog-enabled has no effect: this system has no /dev/log");
    }
    #[cfg(windows)]
    if service::holds_password(std::env::args_os()) {
        warn!("{}", service::PASSWORD_SEEN);
    }
    loaded.fit_maxclients();
    let mut signals = Signals::new()?;
    let (port, tls_port) = (loaded.config.port, loaded.config.tls.port);
    #[cfg(unix)]
    let socket = loaded.config.unixsocket.clone().filter(|_| sockets.unix.is_empty());
    #[cfg(windows)]
    let socket = loaded.config.unixsocket.clone();
    let config = loaded.config.clone();
    let server = Server::bind_to(Broker::new(), loaded, sockets).await.inspect_err(|error| {
        // Tools search for these texts.
        if error.is_about_tls() {
            warn!("Failed listening on port {tls_port} (TLS), aborting.");
        } else if error.is_about_address() {
            warn!("Failed listening on port {port} (TCP), aborting.");
        }
    })?;
    info!("Server initialized");
    for address in server.local_addrs() {
        info!("listening on {address}");
    }
    for address in server.tls_addrs() {
        info!("listening on {address} with TLS");
    }
    if let Some(path) = socket {
        info!("listening on {}", path.display());
    }
    let _pid_file = PidFile::create(&config, is_in_background());
    info!("Ready to accept connections");
    manager::ready();
    until_stopped(&server, &mut signals).await;
    manager::stopping();
    let mut shutdown = pin!(server.shutdown());
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // As in Redis, a second interrupt does not wait.
            signal = signals.next() => if signal == Some("SIGINT") {
                return Err("You insist... exiting now.".into());
            },
        }
    }
    info!("broker is now ready to exit, bye bye...");
    Ok(())
}

/// Serves until a signal or a client asks for the end, and all clients have ended if they may take
/// their time.
async fn until_stopped(server: &Server, signals: &mut Signals) {
    let mut watchdog = pin!(manager::keep_watchdog(server));
    let mut reloading = None;
    let mut drains = server.drains();
    loop {
        tokio::select! {
            () = async { reloading.as_mut().expect("it is under way").await },
                if reloading.is_some() => reloading = None,
            () = &mut watchdog => {}
            signal = signals.next() => match signal {
                Some(signal) => {
                    info!("Received {signal} scheduling shutdown...");
                    if !server.drain_by_settings() {
                        break;
                    }
                }
                // Writing this line opens a log file that was renamed.
                None => {
                    info!("Received {RELOAD_SIGNAL}");
                    // It may have to wait for a script, and other signals must not.
                    reloading = Some(Box::pin(reload(server)));
                }
            },
            drain = drains.next() => match drain {
                Some(window) => {
                    info!("Draining: all clients end within {} seconds", window.as_secs());
                    manager::draining(window);
                }
                None => {
                    info!("The drain was aborted, ready to accept connections");
                    manager::ready();
                }
            },
            () = server.stop_requested() => {
                info!("User requested shutdown...");
                break;
            }
        }
    }
}

/// Reads the settings again, and puts those in force that have changed. The log shows the outcome.
async fn reload(server: &Server) {
    manager::reloading();
    let _ = server.reload_files().await;
    manager::ready();
}

/// The signal that asks for a reload.
#[cfg(unix)]
const RELOAD_SIGNAL: &str = "SIGHUP, reopened the log file";
#[cfg(windows)]
const RELOAD_SIGNAL: &str = "SERVICE_CONTROL_PARAMCHANGE";

/// The signals that the process handles.
struct Signals {
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    abort: tokio::signal::unix::Signal,
    /// Writes beyond a limit of the system fail, in place of ending the process.
    #[cfg(unix)]
    _file_size: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    interrupt_break: tokio::signal::windows::CtrlBreak,
    #[cfg(windows)]
    close: tokio::signal::windows::CtrlClose,
    #[cfg(windows)]
    shutdown: tokio::signal::windows::CtrlShutdown,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            abort: signal(SignalKind::from_raw(rustix::process::Signal::ABORT.as_raw()))?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Returns the name of the signal that ends the process, or `None` for SIGHUP.
    #[cfg(unix)]
    async fn next(&mut self) -> Option<&'static str> {
        tokio::select! {
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = self.abort.recv() => report::crash_by_signal(rustix::process::Signal::ABORT),
            _ = self.hang_up.recv() => None,
        }
    }

    #[cfg(windows)]
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            interrupt_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Returns the name of the signal that ends the process, or `None` for one that asks for a reload.
    #[cfg(windows)]
    async fn next(&mut self) -> Option<&'static str> {
        tokio::select! {
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = self.interrupt_break.recv() => Some("SIGBREAK"),
            _ = self.close.recv() => Some("CTRL_CLOSE_EVENT"),
            _ = self.shutdown.recv() => Some("CTRL_SHUTDOWN_EVENT"),
            request = manager::requested() => match request {
                manager::Request::Stop => Some("SERVICE_CONTROL_STOP"),
                manager::Request::Reload => None,
            },
        }
    }
}
