//! Unmodified client libraries and the tools that come with Redis.
//!
//! Each script in `tests/clients` goes through a list of steps, which use its library's functions
//! for publish and subscribe. It gets only the port and the password of the server. Every script
//! must also succeed with `redis-server`; if it fails there, the script is wrong.

use std::path::PathBuf;
use std::process::Command;

use harness::{Finished, Kind, Process, SLOW_DEADLINE, Server, node, python, workspace_dir};
use tempfile::TempDir;

/// Two tests for each program, with our broker and with Redis: it goes through all of its steps.
macro_rules! goes_through_its_steps_with {
    ($($name:ident: $program:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn goes_through_its_steps_with_our_broker() {
                goes_through_its_steps(Kind::Ours, $program).await;
            }

            #[tokio::test]
            async fn goes_through_its_steps_with_redis_server() {
                goes_through_its_steps(Kind::Redis, $program).await;
            }
        }
    )*};
}

goes_through_its_steps_with! {
    redis_py_resp2: Script(python("redis_sync.py"), &["2"]);
    redis_py_resp3: Script(python("redis_sync.py"), &["3"]);
    redis_py_asyncio_resp2: Script(python("redis_asyncio.py"), &["2"]);
    redis_py_asyncio_resp3: Script(python("redis_asyncio.py"), &["3"]);
    channels_redis: Script(python("django_channels.py"), &[]);
    python_socketio: Script(python("socketio_servers.py"), &[]);
    node_redis_resp2: Script(node("node_redis.mjs"), &["2"]);
    node_redis_resp3: Script(node("node_redis.mjs"), &["3"]);
    ioredis: Script(node("ioredis.mjs"), &[]);
    socket_io_adapter_on_node_redis: Script(node("socketio_adapters.mjs"), &["plain", "redis"]);
    socket_io_adapter_on_ioredis: Script(node("socketio_adapters.mjs"), &["plain", "ioredis"]);
    socket_io_sharded_adapter_on_node_redis:
        Script(node("socketio_adapters.mjs"), &["sharded", "redis"]);
    socket_io_sharded_adapter_on_ioredis:
        Script(node("socketio_adapters.mjs"), &["sharded", "ioredis"]);
}

/// A program with its arguments after port and password.
struct Script(Command, &'static [&'static str]);

const PASSWORD: &str = "secret";

async fn goes_through_its_steps(kind: Kind, Script(mut command, more): Script) {
    let server = Server::start(kind, &["--requirepass", PASSWORD]).await;
    command.arg(server.port().to_string()).arg(PASSWORD).args(more);
    let finished = Process::run(&mut command, 3 * SLOW_DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    assert_eq!(finished.stdout.lines().last(), Some("ok"), "{}", finished.stdout);
}

#[tokio::test]
async fn hiredis_goes_through_its_steps_with_both_servers() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let program = compiled(&dir, "hiredis", &["-lhiredis"]).await;
    for kind in [Kind::Ours, Kind::Redis] {
        goes_through_its_steps(kind, Script(Command::new(&program), &[])).await;
    }
}

/// Compiles one of the programs in `tests/clients/c`.
async fn compiled(dir: &TempDir, name: &str, libraries: &[&str]) -> PathBuf {
    let source = workspace_dir().join("tests/clients/c").join(name).with_extension("c");
    let program = dir.path().join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-D_DEFAULT_SOURCE", "-o"]);
    compiler.arg(&program).arg(source).args(libraries);
    let finished = Process::run(&mut compiler, SLOW_DEADLINE).await;
    assert_eq!(
        finished.code,
        Some(0),
        "run `cargo xtask test`, which installs hiredis: {finished:?}"
    );
    program
}

#[tokio::test]
async fn redis_benchmark_measures_pings_on_both_servers() {
    for (options, name) in [
        (["-t", "ping_inline,ping_mbulk"].as_slice(), "PING_INLINE"),
        (&["-t", "ping_mbulk", "-P", "16", "-c", "10"], "PING_MBULK"),
        (&["-t", "ping_mbulk", "-3", "--threads", "2"], "PING_MBULK"),
    ] {
        for kind in [Kind::Ours, Kind::Redis] {
            let finished = benchmark(kind, options).await;
            assert!(finished.stdout.contains(&format!("{name}: ")), "{kind:?}: {finished:?}");
        }
    }
}

#[tokio::test]
async fn redis_benchmark_measures_publishes_on_both_servers() {
    for kind in [Kind::Ours, Kind::Redis] {
        for options in [["-P", "1"], ["-P", "32"], ["-c", "1"]] {
            let line = [&options[..], &["PUBLISH", "news", "hi"]].concat();
            let finished = benchmark(kind, &line).await;
            let found = finished.stdout.contains("PUBLISH news hi: ");
            assert!(found && finished.stdout.contains("requests per second"), "{finished:?}");
        }
    }
}

/// Runs redis-benchmark until it ends. It ends early when a reply is an error.
async fn benchmark(kind: Kind, options: &[&str]) -> Finished {
    let server = Server::start(kind, &["--requirepass", PASSWORD]).await;
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &server.port().to_string(), "-a", PASSWORD, "-q", "-n", "2000"]);
    let finished = Process::run(command.args(options), SLOW_DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{kind:?} {options:?}: {finished:?}");
    for complaint in ["Error", "WARNING: Could not fetch server CONFIG"] {
        let complains = finished.stdout.contains(complaint) || finished.stderr.contains(complaint);
        assert!(!complains, "{kind:?} {options:?}: {finished:?}");
    }
    finished
}
