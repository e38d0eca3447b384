//! Lists the crates in each program, in the format of CycloneDX, which scanners for known faults read.

use std::fs;
use std::io;
use std::path::Path;

use crate::setup;
use crate::step::{Failure, Step, workspace_dir};

/// The packages with programs for users, and the names of their programs.
const PROGRAMS: [(&str, &str); 4] = [
    ("broker", "broker"),
    ("broker-top", "broker-top"),
    ("backplane-cli", "backplane"),
    ("chat-demo", "chat-demo"),
];

/// Writes a list for each program, and prints the paths.
///
/// # Errors
///
/// When cargo-cyclonedx cannot be installed or fails, or a file cannot be written.
pub(crate) fn write() -> Result<(), Failure> {
    setup::cargo_cyclonedx()?;
    Step::cargo("lists of crates")
        .args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"])
        .args(["--describe", "binaries", "--no-build-deps"])
        .run()?;
    let dir = workspace_dir().join("target/sbom");
    collect(&dir).map_err(|source| Failure::Unwritable { path: dir.clone(), source })
}

/// Moves the lists from the packages to one folder, and removes those of programs for tests.
fn collect(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for package in fs::read_dir(workspace_dir())? {
        let package = package?;
        if !package.path().join("Cargo.toml").is_file() {
            continue;
        }
        let name = package.file_name();
        let program = PROGRAMS.iter().find(|(package, _)| name.to_str() == Some(package));
        for file in fs::read_dir(package.path())? {
            let path = file?.path();
            if !path.to_string_lossy().ends_with(".cdx.json") {
                continue;
            }
            if let Some((_, program)) = program {
                let place = dir.join(format!("{program}.cdx.json"));
                fs::copy(&path, &place)?;
                println!("{}", place.display());
            }
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
