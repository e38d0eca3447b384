//! One program run at the top of the repository, with its name before and its duration after.
//!
//! Output goes straight to the terminal: who waits wants to see, and who looks for a failure finds it
//! under the name of the step.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Instant;

/// A program with a name that tells people what it is for.
pub(crate) struct Step {
    name: &'static str,
    command: Command,
}

/// Why a task ended early.
pub(crate) enum Failure {
    /// The program said no.
    Failed { step: &'static str, status: ExitStatus },
    /// There is no such program, or it may not be run.
    NotStarted { step: &'static str, source: io::Error },
    /// A file or a folder of the repository cannot be read.
    Unreadable { path: PathBuf, source: io::Error },
    /// What it found is not what was expected.
    Unexpected { step: &'static str, reason: String },
    /// Something is missing that we may not install; a person may, with this line.
    Missing { what: String, line: String },
}

impl Step {
    /// A step that runs the cargo which runs us.
    pub(crate) fn cargo(name: &'static str) -> Self {
        Self::program(name, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A step that runs any program.
    pub(crate) fn program(name: &'static str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace_dir());
        Self { name, command }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs the program to its end and tells how long it took.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let step = self.name;
        println!("\n==> {step}");
        let start = Instant::now();
        let status =
            self.command.status().map_err(|source| Failure::NotStarted { step, source })?;
        if !status.success() {
            return Err(Failure::Failed { step, status });
        }
        println!("==> {step}: {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Runs the program quietly and returns what it wrote to standard error.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails; the text is shown then.
    pub(crate) fn messages(self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.output()?.stderr).into_owned())
    }

    /// Runs the program quietly and returns what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails; its messages are shown then.
    pub(crate) fn answer(self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.output()?.stdout).into_owned())
    }

    fn output(mut self) -> Result<Output, Failure> {
        let step = self.name;
        let output =
            self.command.output().map_err(|source| Failure::NotStarted { step, source })?;
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return Err(Failure::Failed { step, status: output.status });
        }
        Ok(output)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { step, status } => write!(f, "{step} failed ({status})"),
            Self::NotStarted { step, source } => write!(f, "{step} could not be started: {source}"),
            Self::Unreadable { path, source } => {
                write!(f, "cannot read {}: {source}", path.display())
            }
            Self::Unexpected { step, reason } => write!(f, "{step}: {reason}"),
            Self::Missing { what, line } => write!(f, "{what} is missing; run\n\n    {line}\n"),
        }
    }
}

/// Returns the top directory of the repository.
pub(crate) fn workspace_dir() -> PathBuf {
    // Set by cargo when it runs us; what was compiled in is for a binary that is run by hand.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
