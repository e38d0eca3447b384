//! Builds the benchmark and runs it.

use std::path::Path;

use crate::step::{Failure, Step, workspace_dir};
use crate::{peers, setup};

/// Builds broker and benchmark in release mode and measures. Results go to `benches/results`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    setup::run()?;
    peers::fetch_if_possible();
    let results = ["--results", "benches/results"].map(str::to_owned);
    measure(&[&results[..], arguments].concat())
}

/// Builds another version in a folder of its own, and measures it beside this one.
///
/// # Errors
///
/// When the version is unknown, or has neither broker nor benchmark.
pub(crate) fn compare(version: &str, arguments: &[String]) -> Result<(), Failure> {
    let dir = workspace_dir().join("target/compare");
    let (source, build) = (dir.join("source"), dir.join("build"));
    let git = |arguments: &[&str]| Step::program("other version", "git").args(arguments);
    let path = source.display().to_string();
    let _ = std::fs::remove_dir_all(&source);
    git(&["worktree", "prune"]).run()?;
    git(&["worktree", "add", "--detach", &path, version]).run()?;
    programs("release builds of the other version", &source)
        .arg("--target-dir")
        .arg(&build)
        .run()?;
    let built = build.join("release").display().to_string();
    measure(&[&["--compare".to_owned(), built], arguments].concat())
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    programs("release builds", &workspace_dir()).run()?;
    Step::cargo("measurement")
        .args(["run", "--locked", "--release", "-p", "benches", "--"])
        .args(arguments)
        .run()
}

fn programs(step: &'static str, source: &Path) -> Step {
    let build = ["build", "--locked", "--release", "-p", "broker", "-p", "benches"];
    Step::cargo(step).dir(source).args(build)
}
