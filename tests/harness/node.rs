//! Programs for Node.js that drive unmodified JavaScript clients.

use std::process::Command;

use crate::program::workspace_dir;

/// Returns a command that runs one of the scripts in `tests/clients/node`.
///
/// # Panics
///
/// When the packages that the scripts need are not installed.
pub fn node(script: &str) -> Command {
    let scripts = workspace_dir().join("tests/clients/node");
    let packages = scripts.join("node_modules");
    assert!(packages.is_dir(), "run `cargo xtask test`, which sets up {}", packages.display());
    let mut command = Command::new("node");
    command.arg(scripts.join(script));
    command
}
