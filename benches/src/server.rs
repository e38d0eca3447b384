//! A server process under load: its processors and its counters in the kernel.

pub(crate) mod trace;

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use self::trace::Trace;
use crate::protocol::Protocol;
use crate::subprotocol::Subprotocol;
use crate::systems::SystemUnderTest;
use crate::tls::Stream;
use crate::{Failure, machine};

/// A running server.
pub(crate) struct Server {
    system: SystemUnderTest,
    words: Vec<String>,
    child: Child,
    pub(crate) port: u16,
    /// Whether this round counts system calls.
    is_traced: bool,
    /// The server that this one uses.
    companion: Option<Box<Self>>,
}

/// The kernel's counters of the whole process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time on a processor.
    pub(crate) cpu: Duration,
    pub(crate) context_switches: u64,
    /// The time of reading.
    pub(crate) at: Instant,
}

/// The processor of pinned servers.
pub(crate) const SERVER_CPU: usize = 0;
/// The processor of the load.
pub(crate) const LOAD_CPU: usize = 1;
/// The longest time for the start of a server.
const START_TIME_MAX: Duration = Duration::from_secs(20);

impl Server {
    /// Starts a system on a free port, and waits until it accepts connections.
    pub(crate) fn start(system: &SystemUnderTest, payload_bytes: usize) -> Result<Self, Failure> {
        let companion = system.companion.as_deref();
        let companion = companion.map(|system| Self::start(system, payload_bytes)).transpose()?;
        let companion = companion.map(Box::new);
        let port = free_port()?;
        let fill = |word: &String| {
            let word = word.replace("{port}", &port.to_string());
            let word = match &companion {
                Some(companion) => word.replace("{companion}", &companion.port.to_string()),
                None => word,
            };
            word.replace("{payload}", &payload_bytes.to_string())
        };
        let words: Vec<String> = system.command.iter().map(fill).collect();
        let child = spawn(&system.name, &words)?;
        let system = system.clone();
        let mut server = Self { system, words, child, port, is_traced: false, companion };
        server.accepts()?;
        Ok(server)
    }

    /// Waits until the server accepts connections, then pins its threads.
    fn accepts(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let command = self.words.join(" ");
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failure(format!("'{command}' ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(format!("'{command}' accepts no connections")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match self.system.is_pinned {
            true => self.pin(&[SERVER_CPU])?,
            // The process has inherited the processor of the load.
            false => self.pin(&Vec::from_iter(0..machine::processors()))?,
        }
        Ok(())
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Starts a killed server again on the same port and waits until it accepts connections.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.child = spawn(&self.system.name, &self.words)?;
        self.accepts()
    }

    /// Counts system calls in this round.
    pub(crate) fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Starts to count system calls, if this round counts them.
    pub(crate) fn trace(&self) -> Result<Option<Trace>, Failure> {
        let tasks = self.tasks()?;
        self.is_traced.then(|| Trace::start(self.child.id(), &tasks)).transpose()
    }

    /// Pins all threads of the server, and those that they start later, to these processors.
    pub(crate) fn pin(&self, cpus: &[usize]) -> io::Result<()> {
        for task in self.tasks()? {
            pin(Pid::from_raw(task), cpus)?;
        }
        Ok(())
    }

    /// Opens a connection to it, with TLS if it speaks that.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        let stream = self.connect_plain().await?;
        match &self.system.tls {
            Some(tls) => tls.connect(stream).await,
            None => Ok(Stream::Plain(stream)),
        }
    }

    /// Opens a connection to it without TLS.
    pub(crate) async fn connect_plain(&self) -> io::Result<tokio::net::TcpStream> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Returns the protocol of its clients.
    pub(crate) fn protocol(&self) -> Protocol {
        self.system.protocol
    }

    /// Returns the texts of its WebSocket clients, if it has such clients.
    pub(crate) fn subprotocol(&self) -> Option<Subprotocol> {
        self.system.subprotocol
    }

    /// Returns the server that this one uses, if it does not work alone.
    pub(crate) fn companion(&self) -> Option<&Self> {
        self.companion.as_deref()
    }

    fn failure(&self, reason: String) -> Failure {
        Failure::Server { name: self.system.name.clone(), reason }
    }

    fn tasks(&self) -> io::Result<Vec<i32>> {
        let entries = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns the kernel's counters.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let at = Instant::now();
        let mut usage = Usage { cpu: Duration::ZERO, context_switches: 0, at };
        for task in self.tasks()? {
            let dir = format!("/proc/{}/task/{task}", self.child.id());
            let schedstat = fs::read_to_string(Path::new(&dir).join("schedstat"))?;
            let nanos = schedstat.split(' ').next().and_then(|first| first.parse().ok());
            usage.cpu += Duration::from_nanos(nanos.unwrap_or(0));
            let status = fs::read_to_string(Path::new(&dir).join("status"))?;
            let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
            usage.context_switches += switches.filter_map(number).sum::<u64>();
        }
        Ok(usage)
    }

    /// Returns the number of its open sockets, one of which listens.
    pub(crate) fn sockets(&self) -> io::Result<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        Ok(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn rss(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        Ok(line.and_then(number).unwrap_or(0) * 1024)
    }
}

/// Starts a program without input and output.
fn spawn(name: &str, words: &[String]) -> Result<Child, Failure> {
    Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure::Server {
            name: name.to_owned(),
            reason: format!("'{}' cannot be started: {error}", words[0]),
        })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pins a thread to these processors; `None` is the current thread.
pub(crate) fn pin(task: Option<Pid>, cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    Ok(sched_setaffinity(task, &set)?)
}

/// Returns the first number of a line such as `VmRSS:   1234 kB`.
fn number(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
