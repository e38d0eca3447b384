//! Anything at all to what strangers can reach, for a time.
//!
//! libFuzzer needs to know which code an input reaches. The compiler can tell it without being a
//! nightly one, since the code has no `unsafe` that a sanitizer would have to watch.

use std::fs;

use crate::step::{Failure, Step, workspace_dir};

/// What can be tried.
pub(crate) const TARGETS: [&str; 4] = ["configuration", "hub", "server", "stream"];

const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds after which an input that does not end is taken for a failure.
const INPUT_TIME_MAX: u32 = 60;
/// An input that is longer shows nothing new.
const INPUT_BYTES_MAX: u32 = 4096;

/// Tries each of these for so many seconds, and goes on where it was the last time.
///
/// # Errors
///
/// When an input shows a fault. It is kept, and its file's name shown.
pub(crate) fn run(targets: &[String], seconds: u32) -> Result<(), Failure> {
    let host = Step::program("host", "rustc").args(["--print", "host-tuple"]).answer()?;
    let host = host.trim();
    let build_dir = workspace_dir().join("target/fuzz");
    // With a target named, what runs while things are built is built without coverage.
    Step::cargo("build of what is tried")
        .args(["build", "--locked", "--release", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target", host, "--target-dir", "target/fuzz"])
        .env("RUSTFLAGS", COVERAGE)
        .run()?;
    let all = TARGETS.map(str::to_owned);
    for target in if targets.is_empty() { &all } else { targets } {
        let (corpus, found) = (build_dir.join("corpus").join(target), build_dir.join("found"));
        for dir in [&corpus, &found] {
            fs::create_dir_all(dir)
                .map_err(|source| Failure::NotStarted { step: "trying", source })?;
        }
        println!("\n==> {target}: inputs that show a fault go to {}", found.display());
        Step::program("trying", build_dir.join(host).join("release").join(target))
            .args([format!("-max_total_time={seconds}"), format!("-timeout={INPUT_TIME_MAX}")])
            .args([format!("-max_len={INPUT_BYTES_MAX}"), "-print_final_stats=1".to_owned()])
            .args([format!("-artifact_prefix={}/{target}-", found.display())])
            .args([corpus])
            .run()?;
    }
    Ok(())
}

/// Checks that it can be built, and how it is written.
pub(crate) fn check() -> Result<(), Failure> {
    let place = ["--manifest-path", "fuzz/Cargo.toml"];
    Step::cargo("format of fuzz targets").args(["fmt", "--check"]).args(place).run()?;
    Step::cargo("clippy of fuzz targets")
        .args(["clippy", "--locked", "--all-targets"])
        .args(place)
        .args(["--target-dir", "target/fuzz", "--", "-D", "warnings"])
        .run()
}
