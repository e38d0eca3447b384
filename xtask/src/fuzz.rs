//! Runs the fuzz targets for a limited time.
//!
//! libFuzzer needs coverage counters, which the stable compiler can insert. Sanitizers would need a
//! nightly one, but this project has no `unsafe` code for them to check.

use std::fs;

use crate::step::{Failure, Step, workspace_dir};

/// The fuzz targets.
pub(crate) const TARGETS: [&str; 13] = [
    "aspnetcore",
    "classic",
    "configuration",
    "frames",
    "hub",
    "json",
    "messagepack",
    "server",
    "servers",
    "session",
    "stream",
    "token",
    "websocket",
];

const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds after which an input that is still running counts as a fault.
const INPUT_TIME_MAX: u32 = 60;
/// The longest input. Longer ones reach no more code.
const INPUT_BYTES_MAX: u32 = 4096;

/// Runs each target for this number of seconds, with the inputs that earlier runs have collected.
///
/// # Errors
///
/// When an input shows a fault. libFuzzer keeps the input and prints the name of its file.
pub(crate) fn run(targets: &[String], seconds: u32) -> Result<(), Failure> {
    let host = Step::program("host", "rustc").args(["--print", "host-tuple"]).answer()?;
    let host = host.trim();
    let build_dir = workspace_dir().join("target/fuzz");
    // With `--target`, cargo builds build scripts and macros without coverage counters.
    Step::cargo("build of fuzz targets")
        .args(["build", "--locked", "--release", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target", host, "--target-dir", "target/fuzz"])
        .env("RUSTFLAGS", COVERAGE)
        .run()?;
    let all = TARGETS.map(str::to_owned);
    for target in if targets.is_empty() { &all } else { targets } {
        let (corpus, found) = (build_dir.join("corpus").join(target), build_dir.join("found"));
        for dir in [&corpus, &found] {
            fs::create_dir_all(dir)
                .map_err(|source| Failure::NotStarted { step: "fuzzing", source })?;
        }
        println!("\n==> {target}: inputs that show a fault go to {}", found.display());
        Step::program("fuzzing", build_dir.join(host).join("release").join(target))
            .args([format!("-max_total_time={seconds}"), format!("-timeout={INPUT_TIME_MAX}")])
            .args([format!("-max_len={INPUT_BYTES_MAX}"), "-print_final_stats=1".to_owned()])
            .args([format!("-artifact_prefix={}/{target}-", found.display())])
            .args([corpus])
            .run()?;
    }
    Ok(())
}

/// Checks format and lints of the fuzz targets.
pub(crate) fn check() -> Result<(), Failure> {
    let place = ["--manifest-path", "fuzz/Cargo.toml"];
    Step::cargo("format of fuzz targets").args(["fmt", "--check"]).args(place).run()?;
    Step::cargo("clippy of fuzz targets")
        .args(["clippy", "--locked", "--all-targets"])
        .args(place)
        .args(["--target-dir", "target/fuzz", "--", "-D", "warnings"])
        .run()
}
