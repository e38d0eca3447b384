//! Programs for Python that drive unmodified Python clients.

use std::process::Command;

use crate::program::workspace_dir;

/// Returns a command that runs one of the scripts in `tests/clients/python`.
///
/// # Panics
///
/// When the packages that the scripts need are not installed.
pub fn python(script: &str) -> Command {
    let scripts = workspace_dir().join("tests/clients/python");
    let python = scripts.join(".venv/bin/python");
    assert!(python.exists(), "run `cargo xtask test`, which sets up {}", python.display());
    let mut command = Command::new(python);
    command.arg("-B").arg(scripts.join(script));
    command
}
