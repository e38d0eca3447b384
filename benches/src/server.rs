//! A server under load: its process, its processor, and what the kernel counts for it.

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
use crate::systems::SystemUnderTest;
use crate::{Failure, machine};

/// One that runs.
pub(crate) struct Server {
    system: SystemUnderTest,
    words: Vec<String>,
    child: Child,
    pub(crate) port: u16,
    /// Whether the round is for counting system calls.
    is_traced: bool,
}

/// What the kernel counted for the whole process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time on a processor.
    pub(crate) cpu: Duration,
    pub(crate) context_switches: u64,
    /// When it was looked at.
    pub(crate) at: Instant,
}

/// The processors that the server and the load are kept to.
pub(crate) const SERVER_CPU: usize = 0;
pub(crate) const LOAD_CPU: usize = 1;
/// How long a server may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(20);

impl Server {
    /// Starts a system on a free port, and waits until it accepts connections.
    pub(crate) fn start(system: &SystemUnderTest, payload_bytes: usize) -> Result<Self, Failure> {
        let port = free_port()?;
        let fill = |word: &String| {
            let word = word.replace("{port}", &port.to_string());
            word.replace("{payload}", &payload_bytes.to_string())
        };
        let words: Vec<String> = system.command.iter().map(fill).collect();
        let child = spawn(&system.name, &words)?;
        let mut server = Self { system: system.clone(), words, child, port, is_traced: false };
        server.accepts()?;
        Ok(server)
    }

    /// Waits until it accepts, and keeps it where it belongs.
    fn accepts(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let command = self.words.join(" ");
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failure(format!("'{command}' ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(format!("'{command}' accepts nothing")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match self.system.is_pinned {
            true => self.pin(&[SERVER_CPU])?,
            // It has inherited the load's.
            false => self.pin(&Vec::from_iter(0..machine::processors()))?,
        }
        Ok(())
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Starts it on the same port after it was killed, and waits until it accepts.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.child = spawn(&self.system.name, &self.words)?;
        self.accepts()
    }

    /// Makes this round one that counts system calls.
    pub(crate) fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Begins to count system calls, if that is what the round is for.
    pub(crate) fn trace(&self) -> Result<Option<Trace>, Failure> {
        let tasks = self.tasks()?;
        self.is_traced.then(|| Trace::start(self.child.id(), &tasks)).transpose()
    }

    /// Keeps all its threads, and those that they start, to these processors.
    pub(crate) fn pin(&self, cpus: &[usize]) -> io::Result<()> {
        for task in self.tasks()? {
            pin(Pid::from_raw(task), cpus)?;
        }
        Ok(())
    }

    fn failure(&self, reason: String) -> Failure {
        Failure::Server { name: self.system.name.clone(), reason }
    }

    fn tasks(&self) -> io::Result<Vec<i32>> {
        let entries = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns what the kernel has counted until now.
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

    /// Returns the bytes of memory that it occupies.
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

/// Keeps a thread to these processors; `None` is this one.
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
