//! A Redis-compatible server process under test.
//!
//! Our broker and Debian's `redis-server` have one interface, so each test of a client's view can
//! run against both. A server has its own port and directory. It is ready when its constructor
//! returns, and dropping it kills it.
//!
//! `BROKER_IO_THREADS` in the environment sets the number of threads of our broker for a whole run of
//! tests. Tests that choose the number themselves keep it.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::port::free_port;
use crate::process::{Process, command};
use crate::program::{broker_bin, redis_8_bin};
use crate::wait::{SLOW_DEADLINE, eventually_within};

/// A server process, listening on a port of its own.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    arguments: Vec<String>,
    port: u16,
    dir: TempDir,
    process: Process,
}

/// The program that runs as a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The `broker` of this workspace.
    Ours,
    /// The `redis-server` that is installed on the machine.
    Redis,
    /// The redis-server 8.2 that `cargo xtask peers` has fetched.
    Redis8,
}

impl Server {
    /// Starts our broker with these arguments and a free port.
    ///
    /// # Panics
    ///
    /// When it does not reply within the deadline.
    pub async fn ours(arguments: &[&str]) -> Self {
        Self::start(Kind::Ours, arguments).await
    }

    /// Starts the installed `redis-server` with these arguments, a free port, and no persistence.
    ///
    /// # Panics
    ///
    /// When it does not reply within the deadline.
    pub async fn redis(arguments: &[&str]) -> Self {
        Self::start(Kind::Redis, arguments).await
    }

    /// Starts either program. Arguments may start with a file and may set another `--port`.
    ///
    /// # Panics
    ///
    /// When it does not reply within the deadline.
    pub async fn start(kind: Kind, arguments: &[&str]) -> Self {
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let port = option(&arguments, "--port").map_or_else(free_port, |port| {
            port.parse().unwrap_or_else(|_| panic!("--port expects a number, found {port:?}"))
        });
        if option(&arguments, "--port").is_none() {
            arguments.extend(["--port".into(), port.to_string()]);
        }
        if kind != Kind::Ours {
            // One argument each: two empty ones would be two flags without a value.
            arguments.extend(["--save", "", "--appendonly", "no"].map(String::from));
        }
        if kind == Kind::Ours
            && option(&arguments, "--io-threads").is_none()
            && let Some(threads) = io_threads()
        {
            arguments.extend(["--io-threads".into(), threads]);
        }
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let process = spawn(kind, &arguments, dir.path());
        let mut server = Self { kind, arguments, port, dir, process };
        server.ready().await;
        server
    }

    /// Returns the program that runs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Lets the server stand still until [`resume`](Self::resume).
    ///
    /// # Panics
    ///
    /// When the server has already ended.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused server go on.
    ///
    /// # Panics
    ///
    /// When the server has already ended.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Returns the largest resident memory that it has had, in bytes.
    ///
    /// # Panics
    ///
    /// When it has ended, or the system is not Linux.
    #[cfg(target_os = "linux")]
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.expect("a number of kB") * 1024
    }

    /// Returns its working directory, which is empty at first and is removed with the server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns its URL, with the password of `--requirepass` if it has one.
    pub fn url(&self) -> String {
        match self.password() {
            Some(password) => self.url_with_password(password),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Returns its URL with another password.
    pub fn url_with_password(&self, password: &str) -> String {
        format!("redis://:{password}@127.0.0.1:{}", self.port)
    }

    /// Returns its standard output so far.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// Returns its standard error so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Returns the process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Connects a client, and authenticates it when the server has a password.
    ///
    /// # Panics
    ///
    /// When the connection fails or the password is refused.
    pub async fn client(&self) -> Client {
        let mut client = self.stranger().await;
        if let Some(password) = self.password() {
            let reply = client.command(&["AUTH", password]).await;
            assert_eq!(reply, crate::reply::ok());
        }
        client
    }

    /// Connects a client that has sent no request yet.
    ///
    /// # Panics
    ///
    /// When the connection fails.
    pub async fn stranger(&self) -> Client {
        Client::connect(self.port).await
    }

    /// Sends SIGTERM, waits for the end, and returns the exit code.
    ///
    /// # Panics
    ///
    /// When it does not end within the deadline, or a signal ended it.
    pub async fn stop(&mut self, deadline: Duration) -> i32 {
        self.process.terminate();
        let status = self.process.exited(deadline).await;
        status.code().unwrap_or_else(|| panic!("{status}\n{}", self.process.transcript()))
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same arguments on the same port, killing it first if it still runs.
    ///
    /// # Panics
    ///
    /// When it does not reply within the deadline.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.kind, &self.arguments, self.dir.path());
        self.ready().await;
    }

    /// Waits until it replies to `PING`, even with an error.
    async fn ready(&mut self) {
        let (port, process) = (self.port, &mut self.process);
        eventually_within(SLOW_DEADLINE, || {
            assert!(!process.is_over(), "the server ended\n{}", process.transcript());
            answers(port)
        })
        .await;
    }

    fn password(&self) -> Option<&str> {
        option(&self.arguments, "--requirepass").filter(|password| !password.is_empty())
    }
}

fn spawn(kind: Kind, arguments: &[String], dir: &Path) -> Process {
    let program = match kind {
        Kind::Ours => broker_bin().to_owned(),
        Kind::Redis => "redis-server".into(),
        Kind::Redis8 => redis_8_bin().expect("`cargo xtask peers` fetches redis-server 8.2"),
    };
    Process::start(command(program, arguments).current_dir(dir))
}

async fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut first = [0];
    stream.write_all(b"PING\r\n").await.is_ok()
        && stream.read_exact(&mut first).await.is_ok()
        && matches!(first, [b'+' | b'-'])
}

/// Returns the number of threads for servers of tests that do not choose it.
fn io_threads() -> Option<String> {
    std::env::var(IO_THREADS).ok().filter(|threads| !threads.is_empty())
}

/// Returns the value after the last occurrence of a flag.
fn option<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let index = arguments.iter().rposition(|argument| argument == flag)?;
    arguments.get(index + 1).map(String::as_str)
}

/// The environment variable with the `io-threads` of our broker.
const IO_THREADS: &str = "BROKER_IO_THREADS";
