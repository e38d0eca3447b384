//! The load tool: that it runs to its end, and what it leaves behind.

use std::process::Command;

use harness::{DEADLINE, Process, bench_bin, broker_bin};

#[tokio::test]
async fn a_measurement_leaves_every_round_in_a_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(bench_bin());
    command.arg("--broker").arg(broker_bin()).arg("--results").arg(dir.path());
    command.args(["--rounds", "2", "--seconds", "0.05", "--only", "ours", "--only", "floor"]);
    command.args(["--scenario", "one", "--scenario", "ping-pong", "--scenario", "patterns-10"]);
    let finished = Process::start(&mut command).finish(DEADLINE * 3).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let made = std::fs::read_dir(dir.path()).expect("the directory").next().expect("one entry");
    let made = made.expect("an entry").path();
    let raw = std::fs::read_to_string(made.join("raw.csv")).expect("the file");
    for scenario in ["one", "ping-pong", "patterns-10000"] {
        let rounds = raw.lines().filter(|line| line.starts_with(&format!("{scenario},ours,")));
        assert_eq!(rounds.count(), 2, "{raw}");
    }
    let summary = std::fs::read_to_string(made.join("summary.md")).expect("the file");
    assert!(summary.contains("ns CPU/delivery"), "{summary}");
}

#[tokio::test]
async fn a_name_that_no_scenario_has_is_told() {
    let mut command = Command::new(bench_bin());
    let finished = Process::start(command.args(["--scenario", "nosuch"])).finish(DEADLINE).await;
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.stderr.trim(),
        "error: no scenario has 'nosuch' in its name, --list shows them"
    );
}
