//! Replays conversations with recorded servers against our hub, and compares the answers.
//!
//! `cases` has what clients sent to real servers and what these servers answered. Each difference
//! stands in `differences.txt` with its reason. A case that is listed there without a difference
//! fails the test as well, so the list stays true.
//!
//! The network is a pipe in memory. The clock is tokio's, paused, so a case of 33 s takes no time.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod bytes;
mod chat;
mod difference;
mod hubs;
mod pipe;
#[path = "../../src/testing/pipes.rs"]
mod pipes;
mod replay;
mod response;
mod script;
mod server;
mod websocket;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::difference::Differences;

#[tokio::test(start_paused = true)]
async fn the_hub_answers_like_the_recorded_servers_except_for_the_listed_differences() {
    let mut differences = Differences::read(&directory().join("differences.txt"));
    let mut report = String::new();
    let (mut equal, mut listed) = (0, 0);
    for path in case_files() {
        let list = script::read(&path).unwrap_or_else(|error| panic!("{error}"));
        for scenario in &list.scenarios {
            for case in replay::replay(&list, scenario).await {
                if case.ours == case.recorded {
                    equal += 1;
                } else if differences.cover(&case) {
                    listed += 1;
                } else {
                    let _ = writeln!(
                        report,
                        "{}\n  ours:     {}\n  recorded: {}",
                        case.name, case.ours, case.recorded
                    );
                }
            }
        }
    }
    println!("{equal} cases are equal, {listed} differ with a reason");
    for case in differences.unneeded() {
        let _ = writeln!(report, "{case}\n  no longer differs; delete its line in differences.txt");
    }
    assert!(report.is_empty(), "{equal} equal, {listed} listed, and these:\n{report}");
}

fn case_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory().join("cases")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}
