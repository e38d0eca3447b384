//! Every limit of memory, filled in every way: the memory of the process stays near the limit.
//!
//! Each row of [`ways`] runs on a server of its own, whose memory is read from outside, in `/proc`.
//! Clients offer several times the limit. The growth may be twice the limit and 32 MB. It is back
//! within 10 s after the clients have left.

mod ways;

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use harness::{DEADLINE, Server, request};
use tokio::time::{Instant, sleep};

use super::filler::{Filler, Reads, at_rest};
use super::server;
use ways::{
    MEGABYTE, OF_CLIENTS, OF_MESSAGES, OF_REPLIES, OF_REQUESTS, OF_SCRIPTS, OF_STORES, Way,
};

#[tokio::test]
async fn memory_stays_near_each_limit_of_replies() {
    check(OF_REPLIES).await;
}

#[tokio::test]
async fn memory_stays_near_each_limit_of_messages() {
    check(OF_MESSAGES).await;
}

#[tokio::test]
async fn memory_stays_near_each_limit_of_requests() {
    check(OF_REQUESTS).await;
}

#[tokio::test]
async fn memory_stays_near_each_limit_of_clients() {
    check(OF_CLIENTS).await;
}

#[tokio::test]
async fn memory_stays_near_each_limit_of_stores() {
    check(OF_STORES).await;
}

#[tokio::test]
#[ignore = "takes minutes without optimization; `cargo xtask long` runs it"]
async fn memory_stays_near_the_limit_of_scripts() {
    check(OF_SCRIPTS).await;
}

/// Runs each row with one and with four threads, and fails with all faults.
async fn check(ways: &[Way]) {
    let ways = ways.iter().filter(|way| is_selected(way.name));
    let runs = ways.flat_map(|way| ["1", "4"].map(|threads| (way, threads)));
    let faults = stream::iter(runs).map(|(way, threads)| fault(way, threads));
    let faults: Vec<String> =
        faults.buffer_unordered(SERVERS).filter_map(std::future::ready).collect().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// `LIMIT_ONLY` in the environment selects the rows with this text in their names.
fn is_selected(name: &str) -> bool {
    std::env::var("LIMIT_ONLY").map_or(true, |only| name.contains(&only))
}

/// Fills one limit in one way, and describes the fault, if any.
async fn fault(way: &Way, threads: &str) -> Option<String> {
    let settings = [&["--io-threads", threads], way.settings].concat();
    let server = server(&settings).await;
    let prepared = (way.prepare)();
    if !prepared.is_empty() {
        let mut operator = Filler::connect(&server, Reads::All).await;
        operator.send(&prepared).await;
        at_rest(&server, &mut [operator], QUIET).await;
    }
    let before = Memory::of(&server);
    reset_peak(&server);

    let start = Instant::now();
    let fillers = join_all((0..way.clients).map(async |client| {
        let mut filler = Filler::connect(&server, way.reads).await;
        filler.send(way.opens).await;
        for number in client * way.times..(client + 1) * way.times {
            let bytes = match way.script {
                "" => (way.sends)(number),
                script => request(&["EVAL", script, "0"]),
            };
            if !filler.send(&bytes).await {
                break;
            }
        }
        filler
    }));
    let mut fillers = fillers.await;
    if way.other_times > 0 {
        let mut other = Filler::connect(&server, Reads::All).await;
        for number in 0..way.other_times {
            other.send(&(way.other)(number)).await;
        }
        fillers.push(other);
    }
    at_rest(&server, &mut fillers, QUIET).await;
    let peak = Memory::of(&server).peak.saturating_sub(before.now);
    drop(fillers);
    let took = start.elapsed();

    let allowed = 2 * way.limit + 32 * MEGABYTE;
    let back = back(&server, way, before).await;
    let line = format!(
        "{}, {threads} threads: {} MB, {} MB allowed, then {} MB, in {took:.1?}",
        way.name,
        peak / MEGABYTE,
        allowed / MEGABYTE,
        back.map_or_else(|left| left / MEGABYTE, |left| left / MEGABYTE),
    );
    println!("{line}");
    (peak > allowed || back.is_err()).then_some(line)
}

/// Returns the growth that is left, as an error if it does not get small in time.
async fn back(server: &Server, way: &Way, before: Memory) -> Result<usize, usize> {
    let mut operator = server.stranger().await;
    operator.send(way.empties).await;
    let end = Instant::now() + DEADLINE;
    loop {
        let left = Memory::of(server).now.saturating_sub(before.now);
        if left <= LEFT_MAX {
            return Ok(left);
        }
        if Instant::now() > end {
            return Err(left);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The resident memory of a process in bytes, as Linux reports it.
#[derive(Clone, Copy)]
struct Memory {
    now: usize,
    peak: usize,
}

impl Memory {
    fn of(server: &Server) -> Self {
        let path = format!("/proc/{}/status", server.pid());
        let status = fs::read_to_string(path).expect("the server runs");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            kilobytes.map(|kilobytes: usize| kilobytes * 1024).expect("a number of kB")
        };
        Self { now: bytes("VmRSS:"), peak: bytes("VmHWM:") }
    }
}

/// Sets the largest memory so far to the present one.
fn reset_peak(server: &Server) {
    let path = format!("/proc/{}/clear_refs", server.pid());
    fs::write(path, "5").expect("the process is ours");
}

/// How many servers run at a time.
const SERVERS: usize = 2;
/// A server without work for this time has finished.
const QUIET: Duration = Duration::from_millis(150);
/// The growth that may be left when all clients are gone.
const LEFT_MAX: usize = 24 * MEGABYTE;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
