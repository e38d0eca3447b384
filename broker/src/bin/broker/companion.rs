//! `broker emit` and `broker top`: run programs of their own, which are installed beside this one. Their
//! libraries would make the broker larger.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode, ExitStatus};

/// Runs a program in place of this one, so that signals reach it. `command` is the word that asked for it.
pub(crate) fn run(command: &str, program: &str, words: &[OsString]) -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(program).with_extension(std::env::consts::EXE_EXTENSION);
    // Without a path, the system searches for it.
    let path = if beside.exists() { beside } else { program.into() };
    match replace_this(Command::new(&path).args(words)) {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(1))
        }
        Err(error) => {
            eprintln!(
                "'{command}' needs the program '{program}' beside this one or in PATH, and it cannot be \
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
