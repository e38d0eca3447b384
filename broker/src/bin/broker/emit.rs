//! `broker emit`: runs the program `backplane`, which knows the messages of SignalR.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode, ExitStatus};

/// The program, which is installed beside this one.
const PROGRAM: &str = "backplane";

/// Runs the program in place of this one, so that signals reach it.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(PROGRAM).with_extension(std::env::consts::EXE_EXTENSION);
    // Without a path, the system searches for it.
    let program = if beside.exists() { beside } else { PROGRAM.into() };
    match replace_this(Command::new(&program).args(words)) {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(1))
        }
        Err(error) => {
            eprintln!(
                "'emit' needs the program '{PROGRAM}' beside this one or in PATH, and it cannot be \
                 started: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
fn replace_this(command: &mut Command) -> io::Result<ExitStatus> {
    use std::os::unix::process::CommandExt;

    Err(command.exec())
}

/// Other systems cannot replace a program, so this one waits for the other.
#[cfg(not(unix))]
fn replace_this(command: &mut Command) -> io::Result<ExitStatus> {
    command.status()
}
