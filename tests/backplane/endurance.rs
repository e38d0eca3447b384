//! Rounds of random faults: no message is lost, doubled or out of order, and each round leaves the broker as
//! it was.
//!
//! `SOAK_SECONDS` sets the duration (30 by default), and `SOAK_SEED` another choice of faults. `cargo xtask soak`
//! runs it for hours. `SOAK_REPORT` names a folder for the figures of each round and their plot.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{Client, Dice, Fault, SLOW_DEADLINE, Server, Value, eventually_within};
use tokio::runtime::Handle;

use crate::farm::{builder, is_ready, join_with};
use crate::observer::kill_clients;
use crate::site::Site;
use crate::soak::{Soak, Totals};

const APP: &str = "ChatApp";
const FAULTS_OF_ROUND: usize = 3;
/// The replay buffer has all messages of this time, so the memory grows until it is full.
const WARM_UP: Duration = Duration::from_secs(90);
/// The growth of the resident memory that noise explains, per hour.
const GROWTH_MAX: f64 = 4.0;

#[tokio::test]
async fn rounds_of_random_faults_lose_nothing_and_leave_nothing() {
    let seconds = variable("SOAK_SECONDS").unwrap_or(30);
    let mut dice = Dice::new(variable("SOAK_SEED").unwrap_or(1));
    let server = Server::ours(&["--pubsub-replay", "ChatApp 20000 64mb 60"]).await;
    let site = Site::single(server).await;
    let mut client = site.client(APP).await;
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut messages = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        messages += round(&site, &mut client, &mut dice).await;
        samples.push(Sample::at(&site, &mut client, start).await);
    }
    let rounds = samples.len();
    println!("{messages} messages in {rounds} rounds, none lost, doubled or out of order");
    if let Some(dir) = std::env::var_os("SOAK_REPORT").map(PathBuf::from) {
        report(&dir, &samples);
    }
    check(&samples);
}

/// Joins with three servers, causes faults while they send, and checks all messages. Returns the number of
/// messages.
async fn round(site: &Site, client: &mut Client, dice: &mut Dice) -> u64 {
    let quick = || builder(APP).probe_interval(Duration::from_millis(200));
    let far = join_with(&site.far(), quick()).await;
    let mut servers = vec![far.clone()];
    for _ in 0..2 {
        servers.push(join_with(&site.near().await, quick()).await);
    }
    let before = published(client).await;
    let soak = Soak::before(site.observer(APP).await, servers);
    for _ in 0..FAULTS_OF_ROUND {
        soak.run(1, 20 + dice.roll(100)).await;
        cause(dice.roll(8), site, client, &far, dice).await;
        soak.all_are_ready().await;
    }
    soak.run(0, 50).await;
    assert_eq!(soak.totals().await, Totals { missing: 0, lost: 0 });
    // A relay that lost all bytes of a connection has lost its end, too.
    site.cut();
    published(client).await - before
}

/// Causes one fault, and takes it back.
async fn cause(
    fault: u64,
    site: &Site,
    client: &mut Client,
    far: &backplane::Backplane,
    dice: &mut Dice,
) {
    match fault {
        0 => site.cut(),
        1 => kill_clients(client, "pubsub").await,
        2 => kill_clients(client, "normal").await,
        3 => _ = client.command(&["SCRIPT", "FLUSH"]).await,
        4 => {
            let server = site.server(APP).await;
            server.pause();
            tokio::time::sleep(Duration::from_millis(dice.roll(800))).await;
            server.resume();
        }
        fault => {
            site.set([Fault::Closed, Fault::BlackHole, Fault::Half][fault as usize % 3]);
            eventually_within(SLOW_DEADLINE, async || !far.health().is_ready).await;
            site.set(Fault::None);
            is_ready(far).await;
        }
    }
}

async fn published(client: &mut Client) -> u64 {
    match client.command(&["GET", APP]).await.into_value() {
        Value::Null => 0,
        number => number.text().parse().expect("a number"),
    }
}

/// The leftovers of a round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    time: Duration,
    broker_bytes: u64,
    broker_descriptors: usize,
    /// Tasks of this test: backplanes, relays, and the test itself.
    tasks: usize,
}

impl Sample {
    /// Waits until the broker has no client but this one, and takes its figures.
    async fn at(site: &Site, client: &mut Client, start: Instant) -> Self {
        eventually_within(SLOW_DEADLINE, async || {
            client.command(&["CLIENT", "LIST"]).await.text().lines().count() == 1
        })
        .await;
        // The relay notices the end of a connection a moment later.
        let calm = Duration::from_millis(200);
        let mut tasks = Handle::current().metrics().num_alive_tasks();
        eventually_within(SLOW_DEADLINE, async || {
            tokio::time::sleep(calm).await;
            let before =
                std::mem::replace(&mut tasks, Handle::current().metrics().num_alive_tasks());
            before == tasks
        })
        .await;
        let pid = site.server(APP).await.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = kilobytes.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        Self {
            time: start.elapsed(),
            broker_bytes: kilobytes.unwrap_or(0_u64) * 1024,
            broker_descriptors: descriptors,
            tasks,
        }
    }
}

/// Fails if figures grow.
fn check(samples: &[Sample]) {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return };
    assert_eq!(first.broker_descriptors, last.broker_descriptors, "{samples:#?}");
    assert_eq!(first.tasks, last.tasks, "{samples:#?}");
    let warm: Vec<Sample> = samples.iter().copied().filter(|it| it.time > WARM_UP).collect();
    let slope = slope(&warm, |sample| sample.broker_bytes as f64 / (1 << 20) as f64);
    println!("resident memory: {slope:+.2} MiB an hour");
    // A short run has too few rounds.
    let is_long = last.time > 4 * WARM_UP;
    assert!(!is_long || slope < GROWTH_MAX, "{slope} MiB an hour");
}

/// Returns the growth of a figure per hour, by least squares.
fn slope(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let hours = |sample: &Sample| sample.time.as_secs_f64() / 3600.0;
    let mean_time = samples.iter().map(hours).sum::<f64>() / count;
    let mean = samples.iter().map(&figure).sum::<f64>() / count;
    let both = samples.iter().map(|it| (hours(it) - mean_time) * (figure(it) - mean)).sum::<f64>();
    let times = samples.iter().map(|it| (hours(it) - mean_time).powi(2)).sum::<f64>();
    if times > 0.0 { both / times } else { 0.0 }
}

/// Writes `soak.csv` and `soak.svg`.
fn report(dir: &Path, samples: &[Sample]) {
    fs::create_dir_all(dir).expect("the folder can be made");
    let mut table = "seconds,broker_bytes,broker_descriptors,tasks\n".to_owned();
    for Sample { time, broker_bytes, broker_descriptors, tasks } in samples {
        let seconds = time.as_secs_f64();
        writeln!(table, "{seconds:.1},{broker_bytes},{broker_descriptors},{tasks}")
            .expect("a string");
    }
    fs::write(dir.join("soak.csv"), table).expect("the table can be written");
    let path = dir.join("soak.svg");
    fs::write(&path, plot(samples)).expect("the plot can be written");
    println!("{}", path.display());
}

/// Returns a drawing of the resident memory over time.
fn plot(samples: &[Sample]) -> String {
    const WIDTH: f64 = 800.0;
    const HEIGHT: f64 = 400.0;

    let megabytes = |sample: &Sample| sample.broker_bytes as f64 / (1 << 20) as f64;
    let end = samples.last().map_or(1.0, |sample| sample.time.as_secs_f64());
    let most = samples.iter().map(megabytes).fold(1.0, f64::max);
    let mut points = String::new();
    for sample in samples {
        let x = sample.time.as_secs_f64() / end * WIDTH;
        let y = HEIGHT - megabytes(sample) / most * (HEIGHT - 40.0);
        write!(points, "{x:.1},{y:.1} ").expect("a string");
    }
    let minutes = end / 60.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"10\" y=\"20\">resident memory of the broker, 0 to {most:.1} MiB, over {minutes:.1} \
         minutes</text>\
         <polyline points=\"{points}\" fill=\"none\" stroke=\"steelblue\" stroke-width=\"2\"/></svg>\n"
    )
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
