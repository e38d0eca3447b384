//! One shell for the commands of a chapter, in an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use harness::{
    SLOW_DEADLINE, backplane_bin, broker_bin, chat_demo_bin, eventually_within, free_port,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::chapter::Command;
use crate::expected::{has, matches};

/// The ports of the book, each replaced by a free one.
const PORTS: [u16; 10] = [5001, 5002, 6379, 6380, 6381, 6382, 7000, 8080, 9121, 26379];

/// A running shell. Dropping it kills all programs that it has started.
pub(crate) struct Shell {
    bash: Child,
    /// Has the folders `work`, `bin` and `out`.
    dir: TempDir,
    ports: BTreeMap<u16, u16>,
    /// The number of commands so far.
    count: usize,
}

impl Shell {
    /// Starts a shell that finds our programs by their names.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["work", "bin", "out"] {
            fs::create_dir(dir.path().join(name)).expect("it is empty");
        }
        for program in [broker_bin(), chat_demo_bin(), backplane_bin()] {
            let name = program.file_name().expect("a program has a name");
            symlink(program, dir.path().join("bin").join(name)).expect("a link");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut bash = std::process::Command::new("bash");
        bash.args(["--noprofile", "--norc"]).current_dir(dir.path().join("work"));
        bash.env("PATH", format!("{}:{path}", dir.path().join("bin").display()));
        bash.env("HOME", dir.path().join("work")).env("LC_ALL", "C.UTF-8");
        // All programs that it starts are in its group, so they end with it.
        bash.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut bash = bash.spawn().expect("bash is installed");
        let stdin = bash.stdin.as_mut().expect("it is piped");
        // redis-cli then prints as in a terminal.
        stdin.write_all(b"redis-cli() { command redis-cli --no-raw \"$@\"; }\n").expect("it runs");
        let ports = PORTS.into_iter().map(|port| (port, free_port())).collect();
        Self { bash, dir, ports, count: 0 }
    }

    /// Writes a file of the chapter.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("work").join(name), self.with_ports(text)).expect("written");
    }

    /// Runs a command, and compares its output and its exit status with those of the text. A command
    /// in the background has to print the lines of the text before the next one runs.
    pub(crate) async fn run(&mut self, command: &Command) {
        let end = Instant::now() + SLOW_DEADLINE;
        while let Err(explanation) = self.attempt(command).await {
            let is_left = command.repeats && Instant::now() < end;
            assert!(is_left, "{}: {explanation}", command.place);
        }
    }

    async fn attempt(&mut self, command: &Command) -> Result<(), String> {
        self.count += 1;
        let out = self.dir.path().join("out").join(format!("{}.out", self.count));
        let status = out.with_extension("status");
        let (out_path, status_path) = (out.display(), status.display());
        let text = self.with_ports(&command.text);
        // A renamed file is complete.
        let script = format!(
            "{{ {text}\n}} </dev/null >{out_path} 2>&1\n\
             echo $? >{out_path}.new; mv {out_path}.new {status_path}\n"
        );
        let stdin = self.bash.stdin.as_mut().expect("it is piped");
        stdin.write_all(script.as_bytes()).expect("the shell runs");
        let expected: Vec<String> =
            command.output.iter().map(|line| self.with_ports(line)).collect();
        let is_in_background = text.trim_end().ends_with('&');
        let bash = &mut self.bash;
        let is_done = eventually_within(2 * SLOW_DEADLINE, async || {
            let is_over = bash.try_wait().expect("a child").is_some();
            assert!(!is_over, "{}: the shell has ended\n{}", command.place, read(&out));
            status.exists() && (!is_in_background || has(&expected, &lines(&read(&out))))
        });
        let is_done = timeout(SLOW_DEADLINE, is_done).await.is_ok();
        let found = read(&out);
        let (wanted, exit) = (expected.join("\n"), read(&status));
        let explain = |what: &str| format!("{what}\n\nexpected\n{wanted}\n\nfound\n{found}");
        if !is_done {
            return Err(explain("not within the deadline"));
        }
        if exit.trim() != command.exit.to_string() {
            return Err(explain(&format!("exit status {}", exit.trim())));
        }
        if !is_in_background && !expected.is_empty() && !matches(&expected, &lines(&found)) {
            return Err(explain("another output"));
        }
        Ok(())
    }

    fn with_ports(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let digits = rest[start..].find(|letter: char| !letter.is_ascii_digit());
            let end = digits.map_or(rest.len(), |length| start + length);
            replaced.push_str(&rest[..start]);
            let number = &rest[start..end];
            let port = number.parse().ok().and_then(|port: u16| self.ports.get(&port));
            replaced.push_str(&port.map_or_else(|| number.to_owned(), ToString::to_string));
            rest = &rest[end..];
        }
        replaced + rest
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // This fails when all have ended, which is fine.
        let _ = kill_process_group(Pid::from_child(&self.bash), Signal::KILL);
        let _ = self.bash.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Returns the lines as a terminal shows them.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(shown).collect()
}

/// A carriage return begins the line again.
fn shown(line: &str) -> &str {
    line.trim_end().rsplit('\r').next().unwrap_or_default()
}
