//! Runs one scenario on all servers, round by round.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::figure::Figure;
use crate::load;
use crate::machine;
use crate::protocol::Protocol;
use crate::report::{Row, Table};
use crate::sample::{self, Sample};
use crate::scenario::{Load, OPEN_LOOP, Scenario};
use crate::server::{LOAD_CPU, Server};
use crate::systems::SystemUnderTest;

/// The settings that all scenarios share.
pub(crate) struct Measure {
    pub(crate) systems: Vec<SystemUnderTest>,
    /// The duration of measurements that have no end of their own.
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    /// Whether one more round counts system calls.
    pub(crate) counts_calls: bool,
    /// The highest rate of the first server, in messages a second; `None` before it is measured.
    pub(crate) highest_rate: Option<f64>,
}

/// The longest round that counts system calls.
const TRACED_TIME: Duration = Duration::from_millis(300);

impl Measure {
    /// Measures all servers in turn, so that a slow moment affects all of them. Every round starts
    /// fresh servers. No round except the first starts after `until`.
    pub(crate) async fn run(
        &mut self,
        scenario: &Scenario,
        until: Option<Instant>,
    ) -> Result<Table, Failure> {
        let mut scenario = *scenario;
        if let Load::OpenLoop { .. } = scenario.load {
            scenario.load = scenario.load.at_highest_rate(self.highest_rate().await?);
        }
        // Such a load must not share its processor with an unpinned server.
        let is_crowded = scenario.load.needs_processor() && machine::processors() <= LOAD_CPU + 1;
        let is_fit = |each: &&SystemUnderTest| match (each.is_baseline, each.protocol) {
            _ if each.subprotocol.is_some() => true,
            (true, _) => scenario.load.suits_baseline(),
            (false, Protocol::Nats) => scenario.load.suits_nats(),
            (false, Protocol::Redis) => each.is_pinned || !is_crowded,
        };
        let hub = scenario.load.hub();
        let of_kind =
            self.systems.iter().filter(|each| each.subprotocol.is_some() == hub.is_some());
        let (mut fit, skipped): (Vec<&SystemUnderTest>, Vec<_>) = of_kind.partition(is_fit);
        if let Some(hub) = hub {
            // The others are compared with the first one.
            fit.sort_by_key(|system| system.name != hub.floor());
        }
        let skipped = skipped.into_iter().map(|system| system.name.clone()).collect();
        let mut samples = vec![Vec::new(); fit.len()];
        for round in 0..self.rounds {
            if round > 0 && until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            for (system, samples) in fit.iter().zip(&mut samples) {
                show_progress(&format!("round {}/{} {}", round + 1, self.rounds, system.name));
                samples.push(self.once(&scenario, system).await?);
            }
        }
        if self.counts_calls && scenario.load.counts_calls() {
            for (system, samples) in fit.iter().zip(&mut samples) {
                show_progress(&format!("system calls of {}", system.name));
                let calls = self.system_calls(&scenario, system).await?;
                samples[0] = std::mem::take(&mut samples[0]).and(Figure::Calls, calls);
            }
        }
        show_progress("");
        let rows = fit.into_iter().zip(samples).map(|(system, samples)| Row {
            server: system.name.clone(),
            is_baseline: system.is_baseline,
            median: sample::median(&samples),
            samples,
        });
        Ok(Table { scenario, rows: rows.collect(), skipped })
    }

    async fn once(&self, scenario: &Scenario, system: &SystemUnderTest) -> Result<Sample, Failure> {
        let mut server = Server::start(system, scenario.load.payload_bytes())?;
        let sample = load::run(scenario.load, &mut server, self.time).await;
        sample.map_err(|cause| failure(scenario, system, cause))
    }

    async fn system_calls(
        &self,
        scenario: &Scenario,
        system: &SystemUnderTest,
    ) -> Result<f64, Failure> {
        let mut server = Server::start(system, scenario.load.payload_bytes())?.traced();
        let sample = load::run(scenario.load, &mut server, TRACED_TIME.min(self.time)).await;
        let sample = sample.map_err(|cause| failure(scenario, system, cause))?;
        Ok(sample.get(Figure::Calls).unwrap_or(0.0))
    }

    /// Returns the highest rate of the first server, in messages a second. All servers get parts of
    /// this rate, so that their latencies can be compared.
    async fn highest_rate(&mut self) -> Result<f64, Failure> {
        if let Some(rate) = self.highest_rate {
            return Ok(rate);
        }
        // Without a server of channels, no server uses the rate.
        let is_of_channels = |each: &&SystemUnderTest| each.subprotocol.is_none();
        let Some(first) = self.systems.iter().find(is_of_channels) else { return Ok(0.0) };
        let mut samples = Vec::new();
        for round in 0..self.rounds {
            show_progress(&format!("highest rate {}/{}", round + 1, self.rounds));
            let mut server = Server::start(first, OPEN_LOOP.payload_bytes)?;
            samples.push(load::run(Load::Stream(OPEN_LOOP), &mut server, self.time).await?);
        }
        let deliveries = sample::median(&samples).get(Figure::Rate).unwrap_or(0.0);
        Ok(*self.highest_rate.insert(deliveries / OPEN_LOOP.receivers(0) as f64))
    }
}

fn failure(scenario: &Scenario, system: &SystemUnderTest, cause: Failure) -> Failure {
    let name = system.name.clone();
    Failure::Scenario { name, scenario: scenario.name, cause: Box::new(cause) }
}

/// Prints the current step in a line that the next call replaces.
fn show_progress(step: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{step}");
        let _ = stderr.flush();
    }
}
