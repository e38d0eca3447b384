//! A program under test with all its output.
//!
//! Threads collect the output as it arrives, so a program never waits for the test, and a failing
//! test can print it. Dropping a process kills it.

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

/// The exit code and the output of a program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, or `None` when a signal ended the program.
    pub code: Option<i32>,
    /// The whole standard output.
    pub stdout: String,
    /// The whole standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a program with empty standard input.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, b"")
    }

    /// Starts a program, and writes these bytes and the end of file to its standard input.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn start_with_input(command: &mut Command, input: &[u8]) -> Self {
        let mut process = Self::start_on(command, Stdio::piped());
        let mut stdin = process.child.stdin.take().expect("standard input is piped");
        // This fails when the program has ended without reading its input; the exit code shows it.
        let _ = stdin.write_all(input);
        process
    }

    /// Starts a program whose standard input is `stdin`.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn start_on(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Output::of(child.stdout.take().expect("standard output is piped"));
        let stderr = Output::of(child.stderr.take().expect("standard error is piped"));
        Self { name, child, stdout, stderr }
    }

    /// Runs a program until it ends.
    ///
    /// # Panics
    ///
    /// When the program cannot be started, or does not end within the deadline.
    pub async fn run(command: &mut Command, deadline: Duration) -> Finished {
        Self::start(command).finish(deadline).await
    }

    /// Waits until the program has ended.
    ///
    /// # Panics
    ///
    /// When it does not end within the deadline.
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

    /// Returns the standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns the standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns true once the program has ended.
    ///
    /// # Panics
    ///
    /// When the system cannot report the child's state.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child can be read").is_some()
    }

    /// Waits until `find` returns a value for the standard output so far, and returns that value.
    ///
    /// # Panics
    ///
    /// When `find` returns none within the deadline.
    pub async fn stdout_with<T>(
        &self,
        deadline: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stdout.with(deadline, find, &self.name).await
    }

    /// Waits until `find` returns a value for the standard error so far, and returns that value.
    ///
    /// # Panics
    ///
    /// When `find` returns none within the deadline.
    pub async fn stderr_with<T>(
        &self,
        deadline: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stderr.with(deadline, find, &self.name).await
    }

    /// Sends SIGTERM to the program.
    ///
    /// # Panics
    ///
    /// When the program has already ended.
    pub fn terminate(&mut self) {
        assert!(!self.is_over(), "{} has already ended: {}", self.name, self.transcript());
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child can be signalled");
    }

    /// Stops the program with SIGSTOP, until [`resume`](Self::resume).
    ///
    /// # Panics
    ///
    /// When the program has already ended.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("a child can be signalled");
    }

    /// Continues a paused program.
    ///
    /// # Panics
    ///
    /// When the program has already ended.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("a child can be signalled");
    }

    /// Waits until the program has ended, and returns its exit status.
    ///
    /// # Panics
    ///
    /// When it does not end within the deadline.
    pub async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        let name = self.name.clone();
        let mut status = None;
        let child = &mut self.child;
        eventually_within(deadline, || {
            status = child.try_wait().expect("the state of a child can be read");
            std::future::ready(status.is_some())
        })
        .await;
        status.unwrap_or_else(|| panic!("{name} has no exit status"))
    }

    /// Kills the program at once, as a power cut would.
    pub fn kill(&mut self) {
        // This fails when the program has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns the output so far, for messages of failing tests.
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
        // A panic in a server may end only one connection, so a test could miss it.
        let stderr = self.stderr();
        let asked = stderr.matches("\nDEBUG PANIC\n").count();
        assert_eq!(
            stderr.matches("panicked at").count(),
            asked,
            "the program panicked\n{}",
            self.transcript()
        );
    }
}

/// One of the two output streams, collected by a thread.
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
                assert!(bytes.changed().await.is_ok(), "{name} ended with this output:\n{text}");
            }
        };
        match tokio::time::timeout(deadline, found).await {
            Ok(found) => found,
            Err(_) => panic!("{name} printed only this within {deadline:?}:\n{}", self.text()),
        }
    }
}

/// Returns a command that runs a program with these arguments.
pub(crate) fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
