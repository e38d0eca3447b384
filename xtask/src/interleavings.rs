//! Tests of threads in thousands of interleavings, and the faults that they must find.
//!
//! `PACKAGE/interleavings/` has one fault for each property: a change of the source with a heading.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{Failure, Step, workspace_dir};

const STEP: &str = "interleavings";
/// The packages with such tests.
const PACKAGES: [&str; 3] = ["backplane", "broker", "signalr"];

/// Runs the tests.
///
/// # Errors
///
/// When one fails. It prints the seed that repeats the interleaving.
pub(crate) fn run() -> Result<(), Failure> {
    tests(&PACKAGES, &workspace_dir()).run()
}

/// Applies each fault in turn to a copy of the source, and runs the tests of its package.
///
/// # Errors
///
/// When the tests find no fault in a package that has one.
pub(crate) fn run_with_faults() -> Result<(), Failure> {
    run()?;
    let copy = workspace_dir().join("target/interleavings/source");
    copy_source(&copy)?;
    // As it is, it passes. So a failure below is due to a fault.
    tests(&PACKAGES, &copy).run()?;
    let mut missed = Vec::new();
    let mut count = 0;
    for package in PACKAGES {
        for patch in patches(package)? {
            count += 1;
            apply(&patch, &copy, &[])?;
            // A fault that does not compile is not found by a test.
            tests(&[package], &copy).arg("--no-run").answer()?;
            let is_found = tests(&[package], &copy).answer().is_err();
            apply(&patch, &copy, &["--reverse"])?;
            let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            println!("{package}: {name}: {}", if is_found { "found" } else { "MISSED" });
            if !is_found {
                missed.push(name);
            }
        }
    }
    if missed.is_empty() {
        println!("all {count} faults are found");
        return Ok(());
    }
    Err(Failure::Unexpected {
        step: STEP,
        reason: format!("the tests do not find {}", missed.join(", ")),
    })
}

fn tests(packages: &[&str], dir: &Path) -> Step {
    Step::cargo(STEP)
        .dir(dir)
        .args(["test", "--locked", "--lib", "--target-dir"])
        .arg(workspace_dir().join("target/interleavings"))
        // The build takes most of the time.
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .env("RUSTFLAGS", "--cfg shuttle")
        .arg("interleavings::")
}

fn patches(package: &str) -> Result<Vec<PathBuf>, Failure> {
    let dir = workspace_dir().join(package).join("interleavings");
    let unreadable = |source| Failure::Unreadable { path: dir.clone(), source };
    let entries = fs::read_dir(&dir).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>();
    let mut paths: Vec<PathBuf> = paths.map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// Makes a copy of all files of the repository, without those that builds make.
fn copy_source(to: &Path) -> Result<(), Failure> {
    let _ = fs::remove_dir_all(to);
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = Step::program(STEP, "git").args(list).answer()?;
    // A file may be listed and removed.
    for file in files.lines().filter(|file| workspace_dir().join(file).is_file()) {
        let path = to.join(file);
        let unwritable = |source| Failure::Unwritable { path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(to)).map_err(unwritable)?;
        fs::copy(workspace_dir().join(file), &path).map_err(unwritable)?;
    }
    Ok(())
}

fn apply(patch: &Path, dir: &Path, options: &[&str]) -> Result<(), Failure> {
    let step = Step::program(STEP, "patch").dir(dir).args(["--quiet", "--strip=1"]);
    step.args(options).arg("--input").arg(patch).answer().map(|_| ())
}
