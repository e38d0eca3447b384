//! The load tool: it runs until its end and writes its results.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::{DEADLINE, Process, bench_bin, broker_bin};

#[tokio::test]
async fn a_measurement_leaves_every_round_in_a_file_and_draws_it() {
    let scenarios = ["one", "ten", "ping-pong", "patterns-10", "open-20", "stalled", "client-1k"];
    let made = measure(&["ours", "baseline"], &scenarios).await;
    let raw = std::fs::read_to_string(made.path().join("raw.csv")).expect("the file");
    for (scenario, figure) in [
        ("one", "cpu_per_delivery"),
        ("ping-pong", "p99.9"),
        ("patterns-10000", "context_switches"),
        ("open-20", "p99"),
        ("stalled", "during_p99"),
        ("client-1k", "cpu_per_unsubscribe"),
    ] {
        let is_of = |line: &&str| {
            line.starts_with(&format!("{scenario},ours,")) && line.contains(&format!(",{figure},"))
        };
        assert_eq!(raw.lines().filter(is_of).count(), 2, "{scenario} {figure}: {raw}");
    }
    let summary = std::fs::read_to_string(made.path().join("summary.md")).expect("the file");
    assert!(summary.contains("ns CPU/delivery"), "{summary}");
    let drawn = |file: &str| std::fs::read(made.path().join(file)).expect("a picture");
    for picture in ["throughput-by-subscribers", "cpu-by-subscribers", "latency", "latency-stalled"]
    {
        let svg = drawn(&format!("{picture}.svg"));
        assert!(String::from_utf8_lossy(&svg).contains("broker, 1 thread"), "{picture}");
        assert!(drawn(&format!("{picture}.png")).starts_with(b"\x89PNG"), "{picture}");
    }
}

#[tokio::test]
async fn connections_that_come_and_go_are_measured_on_our_broker() {
    let made = measure(&["ours"], &["members-100", "idle-1k", "churn"]).await;
    let raw = std::fs::read_to_string(made.path().join("raw.csv")).expect("the file");
    for figure in ["members-100,ours,0,cpu_per_close,", "idle-1k,ours,0,bytes_each,"] {
        assert!(raw.contains(figure), "{raw}");
    }
}

#[tokio::test]
async fn backplanes_are_measured_beside_the_broker_itself() {
    let made = measure(&["ours"], &["cluster", "fan-out"]).await;
    let raw = std::fs::read_to_string(made.path().join("raw.csv")).expect("the file");
    for figure in [
        "cluster,ours,1,backplane_cpu_per_delivery,",
        "cluster,ours,1,cpu_per_delivery,",
        "cluster,ours,1,message_rate,",
        "fan-out,ours,1,p50,",
        "fan-out,ours,1,broker_p99,",
        "fan-out,ours,1,to_broker,",
    ] {
        assert!(raw.contains(figure), "{raw}");
    }
}

#[tokio::test]
async fn an_outage_is_measured() {
    let made = measure(&["ours"], &["outage"]).await;
    let raw = std::fs::read_to_string(made.path().join("raw.csv")).expect("the file");
    assert!(raw.contains("outage,ours,1,max,"), "{raw}");
}

#[tokio::test]
async fn two_versions_are_compared_by_their_ratio() {
    let programs = broker_bin().parent().expect("a folder").to_path_buf();
    let mut command = Command::new(bench_bin());
    command.arg("--broker").arg(broker_bin()).arg("--compare").arg(programs);
    command.args(["--rounds", "6", "--seconds", "0.05"]);
    command.args(["--scenario", "ping-pong", "--scenario", "hub-fan-100-1k"]);
    let finished = Process::start(&mut command).finish(TIME_MAX).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for scenario in ["ping-pong", "hub-fan-100-1k"] {
        let has_ratio = |line: &str| line.starts_with(scenario) && line.contains(" ratio ");
        assert!(finished.stdout.lines().any(has_ratio), "{}", finished.stdout);
    }
}

/// The results of a measurement.
struct Made(tempfile::TempDir);

impl Made {
    /// Returns the directory that the tool has created.
    fn path(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.0.path()).expect("the directory");
        entries.next().expect("one entry").expect("an entry").path()
    }
}

/// Long, since the tool is built without optimization and opens thousands of connections on a busy
/// machine.
const TIME_MAX: Duration = Duration::from_secs(300);

/// Measures two very short rounds.
async fn measure(servers: &[&str], scenarios: &[&str]) -> Made {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(bench_bin());
    command.arg("--broker").arg(broker_bin()).arg("--results").arg(dir.path());
    command.args(["--rounds", "2", "--seconds", "0.05"]);
    command.args(servers.iter().flat_map(|server| ["--only", server]));
    command.args(scenarios.iter().flat_map(|scenario| ["--scenario", scenario]));
    let finished = Process::start(&mut command).finish(TIME_MAX).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    Made(dir)
}

#[tokio::test]
async fn a_name_that_no_scenario_has_is_an_error() {
    let mut command = Command::new(bench_bin());
    let finished = Process::start(command.args(["--scenario", "nosuch"])).finish(DEADLINE).await;
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.stderr.trim(),
        "error: no scenario has 'nosuch' in its name; --list shows the names"
    );
}
