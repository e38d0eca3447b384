//! The programs of this workspace, built once per test process.
//!
//! Cargo builds the binaries of a package only for that package's own tests, so the harness starts
//! a build itself. That build enables the features of the whole workspace, and therefore shares all
//! dependencies with the test run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Returns the path of the `broker` binary; `BROKER_BIN` in the environment names another one.
///
/// # Panics
///
/// When it cannot be built.
pub fn broker_bin() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    built(&PATH, "broker", "BROKER_BIN")
}

/// Returns the path of the `chat-demo` binary; `CHAT_DEMO_BIN` in the environment names another
/// one.
///
/// # Panics
///
/// When it cannot be built.
pub fn chat_demo_bin() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    built(&PATH, "chat-demo", "CHAT_DEMO_BIN")
}

/// Returns the path of the `backplane` binary; `BACKPLANE_BIN` in the environment names another one.
///
/// # Panics
///
/// When it cannot be built.
pub fn backplane_bin() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    built(&PATH, "backplane", "BACKPLANE_BIN")
}

/// Returns the path of the `broker-top` binary; `BROKER_TOP_BIN` in the environment names another one.
///
/// # Panics
///
/// When it cannot be built.
pub fn broker_top_bin() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    built(&PATH, "broker-top", "BROKER_TOP_BIN")
}

/// Returns the path of the `bench` binary; `BENCH_BIN` in the environment names another one.
///
/// # Panics
///
/// When it cannot be built.
pub fn bench_bin() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    built(&PATH, "bench", "BENCH_BIN")
}

/// Returns the path of redis-server 8.2, or `None` unless `cargo xtask peers` has fetched it.
pub fn redis_8_bin() -> Option<PathBuf> {
    let path = workspace_dir().join("target/peers/bin/redis-server-8.2");
    path.is_file().then_some(path)
}

/// Returns the top directory of the workspace.
pub fn workspace_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// A failed build is remembered as well: each further build would fail alike.
fn built(path: &'static OnceLock<Option<PathBuf>>, bin: &str, variable: &str) -> &'static Path {
    let named = || std::env::var_os(variable).filter(|value| !value.is_empty());
    let path = path.get_or_init(|| named().map(PathBuf::from).or_else(|| build(bin)));
    path.as_deref()
        .unwrap_or_else(|| panic!("cargo cannot build {bin}; see its messages on stderr"))
}

fn build(bin: &str) -> Option<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace_dir());
    cargo.args(["build", "--quiet", "--workspace", "--bin", bin]);
    cargo.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo should run");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter(|_| output.status.success())
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == bin)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}
