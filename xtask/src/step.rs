//! Runs one program in the top folder of the repository. Prints its name before and its duration
//! after.
//!
//! Output of the program goes directly to the terminal, below the name of the step.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Instant;

/// A program with a name for its purpose.
pub(crate) struct Step {
    name: &'static str,
    command: Command,
}

/// A reason for which a task ends early.
pub(crate) enum Failure {
    /// The program has failed.
    Failed { step: &'static str, status: ExitStatus },
    /// The program does not exist, or we may not run it.
    NotStarted { step: &'static str, source: io::Error },
    /// A file or a folder of the repository cannot be read.
    Unreadable { path: PathBuf, source: io::Error },
    /// A file of the repository cannot be written.
    Unwritable { path: PathBuf, source: io::Error },
    /// The result of a step is not the expected one.
    Unexpected { step: &'static str, reason: String },
    /// Requirements are missing that we may not install. `line` is the command that installs them.
    Missing { names: String, line: String },
}

impl Step {
    /// Creates a step that runs the same cargo that runs this program.
    ///
    /// A machine of a continuous integration builds once, so it keeps nothing for later builds,
    /// which would take a third of the disk space.
    pub(crate) fn cargo(name: &'static str) -> Self {
        let step = Self::program(name, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        if std::env::var_os("CI").is_some() { step.env("CARGO_INCREMENTAL", "0") } else { step }
    }

    /// Creates a step that runs any program.
    pub(crate) fn program(name: &'static str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace_dir());
        Self { name, command }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
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

    /// Runs the program to its end and prints the duration.
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

    /// Runs the program without output to the terminal and returns its standard error.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails. Its messages are printed then.
    pub(crate) fn messages(self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.output()?.stderr).into_owned())
    }

    /// Runs the program without output to the terminal and returns its standard output.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails. Its messages are printed then.
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
            Self::Unwritable { path, source } => {
                write!(f, "cannot write {}: {source}", path.display())
            }
            Self::Unexpected { step, reason } => write!(f, "{step}: {reason}"),
            Self::Missing { names, line } => write!(f, "missing: {names}; run\n\n    {line}\n"),
        }
    }
}

/// Returns the top directory of the repository.
pub(crate) fn workspace_dir() -> PathBuf {
    // Set by cargo. The compiled-in path serves a program that is started without cargo.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
