//! A program under test with everything it prints.
//!
//! Output is collected by threads as it comes, so that a program never waits for us and a failing
//! test can show it. A process ends with its owner: dropping one kills it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::wait::{eventually_within, within};

/// A running program and its output so far.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// What a program that came to its end has left.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// All it printed on standard output.
    pub stdout: String,
    /// All it printed on standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a program with nothing on its standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, b"")
    }

    /// Starts a program, and gives it these bytes and then the end of file on standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_with_input(command: &mut Command, input: &[u8]) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Output::of(child.stdout.take().expect("standard output is piped"));
        let stderr = Output::of(child.stderr.take().expect("standard error is piped"));
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // A program that does not read what it is given has said so with its exit.
        let _ = stdin.write_all(input);
        Self { name, child, stdout, stderr }
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not end within the deadline.
    pub async fn run(command: &mut Command, deadline: Duration) -> Finished {
        Self::start(command).finish(deadline).await
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it does not come within the deadline.
    pub async fn finish(mut self, deadline: Duration) -> Finished {
        let status = self.exited(deadline).await;
        self.stdout.ended(deadline).await;
        self.stderr.ended(deadline).await;
        Finished { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what was printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns what was printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns true once the program has ended.
    ///
    /// # Panics
    ///
    /// When the system does not know.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("the system knows its children").is_some()
    }

    /// Waits until standard output holds what the test looks for, and returns what it found.
    ///
    /// # Panics
    ///
    /// When it does not appear within the deadline.
    pub async fn stdout_with<T>(
        &self,
        deadline: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stdout.with(deadline, find, &self.name).await
    }

    /// Waits until standard error holds what the test looks for, and returns what it found.
    ///
    /// # Panics
    ///
    /// When it does not appear within the deadline.
    pub async fn stderr_with<T>(
        &self,
        deadline: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stderr.with(deadline, find, &self.name).await
    }

    /// Asks the program to end, with SIGTERM.
    ///
    /// # Panics
    ///
    /// When it is over already.
    pub fn terminate(&mut self) {
        assert!(!self.is_over(), "{} is over already: {}", self.name, self.transcript());
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child can be signalled");
    }

    /// Waits for the end and returns its status.
    ///
    /// # Panics
    ///
    /// When it does not come within the deadline.
    pub async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        let name = self.name.clone();
        let mut status = None;
        let child = &mut self.child;
        eventually_within(deadline, || {
            status = child.try_wait().expect("the system knows its children");
            std::future::ready(status.is_some())
        })
        .await;
        status.unwrap_or_else(|| panic!("{name} has no exit status"))
    }

    /// Ends the program at once, as a power cut would.
    pub fn kill(&mut self) {
        // It fails when the program is over already, which is what was asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns all output, for messages of failing tests.
    pub fn transcript(&self) -> String {
        format!("stdout of {0}:\n{1}\nstderr of {0}:\n{2}", self.name, self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.transcript());
            return;
        }
        // A panic may end one connection and no other, and yet is a defect that nobody else sees.
        assert!(!self.stderr().contains("panicked at"), "it panicked\n{}", self.transcript());
    }
}

/// One of the two streams, collected by a thread.
#[derive(Debug)]
struct Output {
    bytes: watch::Receiver<Vec<u8>>,
}

impl Output {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let (sender, bytes) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            let mut chunk = [0; 8 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                sender.send_modify(|bytes| bytes.extend_from_slice(&chunk[..count]));
            }
        });
        Self { bytes }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.borrow()).into_owned()
    }

    async fn ended(&self, deadline: Duration) {
        let mut bytes = self.bytes.clone();
        within(deadline, async { while bytes.changed().await.is_ok() {} }).await;
    }

    async fn with<T>(
        &self,
        deadline: Duration,
        mut find: impl FnMut(&str) -> Option<T>,
        name: &str,
    ) -> T {
        let mut bytes = self.bytes.clone();
        let found = async {
            loop {
                let text = String::from_utf8_lossy(&bytes.borrow_and_update()).into_owned();
                if let Some(found) = find(&text) {
                    return found;
                }
                assert!(bytes.changed().await.is_ok(), "{name} ended, having printed:\n{text}");
            }
        };
        match tokio::time::timeout(deadline, found).await {
            Ok(found) => found,
            Err(_) => panic!("{name} printed within {deadline:?} only:\n{}", self.text()),
        }
    }
}

/// Returns a command of a program with its arguments.
pub(crate) fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
