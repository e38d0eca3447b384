//! The load of a farm: messages, bytes and processor time of the broker and of each server.
//!
//! All servers of an app share one channel, so each of them receives each message. The costs of one
//! message were measured (`benches/capacity.json`); this module multiplies them. It does not measure,
//! so it does not know of queues, bursts or a slow network.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::step::{Failure, workspace_dir};

const STEP: &str = "capacity";

/// A farm.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Farm {
    /// Number of web servers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    servers: u32,
    /// Messages of all servers in a second
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Connections that receive a message, on random servers
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    group: u32,
    /// Network of the broker, in Gbit/s
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    gbit: u32,
}

/// The measured costs, by subject and name.
type Costs = BTreeMap<String, BTreeMap<String, Cost>>;

#[derive(Debug, Deserialize)]
struct Cost {
    cost: f64,
    /// How it was measured.
    #[serde(rename = "source")]
    _source: String,
}

/// The costs that the calculation uses, in nanoseconds and bytes.
#[derive(Clone, Copy, Debug)]
struct Units {
    broker_message: f64,
    broker_copy: f64,
    server_message: f64,
    delivery_few: f64,
    delivery_many: f64,
    copy_bytes: f64,
    subscription_bytes: f64,
}

/// The load of one second. Processor time is a share of one core.
#[derive(Clone, Copy, Debug)]
struct Load {
    copies: f64,
    bytes: f64,
    broker: f64,
    /// Of one server.
    server: f64,
}

/// Receivers on one server at which a delivery costs the lower figure: their wake-ups are shared.
const MANY: f64 = 100.0;
const NANOSECONDS: f64 = 1e9;
/// Bytes in a second of a network of 1 Gbit/s.
const GBIT: f64 = 125e6;
/// The sizes of the tables.
const SERVERS: [f64; 4] = [10.0, 50.0, 200.0, 1000.0];
const GROUPS: [f64; 3] = [2.0, 10.0, 100.0];

/// Prints the load of a farm, and tables for other sizes.
///
/// # Errors
///
/// When the file of the costs cannot be read.
pub(crate) fn print(farm: Farm) -> Result<(), Failure> {
    let path = workspace_dir().join("benches/capacity.json");
    let text = fs::read_to_string(&path)
        .map_err(|source| Failure::Unreadable { path: path.clone(), source })?;
    let units = Units::read(&text).map_err(|reason| Failure::Unexpected { step: STEP, reason })?;
    for line in report(farm, units) {
        println!("{line}");
    }
    Ok(())
}

fn report(farm: Farm, units: Units) -> Vec<String> {
    let Farm { servers, rate, group, gbit } = farm;
    let (servers, rate, group) = (f64::from(servers), f64::from(rate), f64::from(group));
    let wall = f64::from(gbit) * GBIT;
    let load = units.load(servers, rate, group);
    let reach = reach(servers, group);
    let mut lines = vec![
        format!("{servers} servers, {rate} messages/s, each for {group} connections"),
        format!(
            "  copies        {:>12.0} /s, {:.1} MB/s from the broker",
            load.copies,
            load.bytes / 1e6
        ),
        format!("  network       {:>12.1} % of {gbit} Gbit/s", 100.0 * load.bytes / wall),
        format!("  broker        {:>12.1} % of a core", 100.0 * load.broker),
        format!("  each server   {:>12.1} % of a core", 100.0 * load.server),
        format!(
            "  a channel for each target would reach {reach:.1} servers with a message, for {:.0} bytes \
             of the broker's memory for each subscription",
            units.subscription_bytes
        ),
        String::new(),
        format!("The greatest rate for groups of {group}, and its load"),
        format!(
            "{:>8} {:>18} {:>14} {:>14} {:>24}",
            "servers",
            format!("at {gbit} Gbit/s"),
            "broker cores",
            "server's core",
            "at 10 % of server's core"
        ),
    ];
    for servers in SERVERS {
        let most = wall / (servers * units.copy_bytes);
        let load = units.load(servers, most, group);
        let tenth = 0.1 / units.load(servers, 1.0, group).server;
        lines.push(format!(
            "{servers:>8} {most:>18.0} {:>14.2} {:>12.1} % {:>24}",
            load.broker,
            100.0 * load.server,
            if tenth > most { "network ends first".to_owned() } else { format!("{tenth:.0}") }
        ));
    }
    lines.push(String::new());
    lines.push(
        "Servers that a channel for each target would reach, and the factor of less traffic".into(),
    );
    let header = SERVERS.map(|servers| format!("{:>18}", format!("{servers} servers")));
    lines.push(format!("{:>8} {}", "group", header.concat()));
    for group in GROUPS {
        let cells = SERVERS.map(|servers| {
            let reach = self::reach(servers, group);
            format!("{:>18}", format!("{reach:.1} ({:.1} x)", servers / reach))
        });
        lines.push(format!("{group:>8} {}", cells.concat()));
    }
    lines
}

/// Returns the servers that have one of `group` connections on random servers, on average.
fn reach(servers: f64, group: f64) -> f64 {
    servers * (1.0 - (1.0 - 1.0 / servers).powf(group))
}

impl Units {
    fn read(text: &str) -> Result<Self, String> {
        let costs: Costs = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let cost = |subject: &str, name: &str| {
            let found = costs.get(subject).and_then(|costs| costs.get(name));
            found.map(|found| found.cost).ok_or_else(|| format!("expected a cost {subject}.{name}"))
        };
        Ok(Self {
            broker_message: cost("broker", "message_ns")?,
            broker_copy: cost("broker", "copy_ns")?,
            server_message: cost("server", "message_ns")?,
            delivery_few: cost("server", "delivery_few_ns")?,
            delivery_many: cost("server", "delivery_many_ns")?,
            copy_bytes: cost("wire", "copy_bytes")?,
            subscription_bytes: cost("wire", "subscription_bytes")?,
        })
    }

    fn load(&self, servers: f64, rate: f64, group: f64) -> Load {
        let copies = servers * rate;
        // The receivers of a message on one server, on average.
        let receivers = group / servers;
        let delivery = if receivers < MANY { self.delivery_few } else { self.delivery_many };
        Load {
            copies,
            bytes: copies * self.copy_bytes,
            broker: rate * (self.broker_message + servers * self.broker_copy) / NANOSECONDS,
            server: rate * (self.server_message + receivers * delivery) / NANOSECONDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units() -> Units {
        let path = workspace_dir().join("benches/capacity.json");
        Units::read(&fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_load_is_near_that_of_the_measured_cluster() {
        // The row `cluster` of the results: four servers, groups of ten.
        let load = units().load(4.0, 43_306.0, 10.0);
        let measured_broker = 43_306.0 * 10.0 * 185e-9;
        let measured_servers = 43_306.0 * 10.0 * 2159e-9;
        assert!((load.broker / measured_broker - 1.0).abs() < 0.2, "{load:?}");
        assert!((4.0 * load.server / measured_servers - 1.0).abs() < 0.2, "{load:?}");
    }

    #[test]
    fn a_message_reaches_few_of_many_servers() {
        for (servers, group, expected) in
            [(10.0, 2.0, 1.9), (50.0, 10.0, 9.1), (200.0, 100.0, 79.0), (1.0, 5.0, 1.0)]
        {
            let found = reach(servers, group);
            assert!((found - expected).abs() < 0.3, "{servers} {group}: {found}");
        }
    }

    #[test]
    fn the_report_names_the_farm_and_both_tables() {
        let farm = Farm { servers: 50, rate: 20_000, group: 10, gbit: 10 };
        let text = report(farm, units()).join("\n");
        for part in
            ["50 servers, 20000 messages/s", "1000000 /s", "network ends first", "9.1 (5.5 x)"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let error = Units::read("{}").unwrap_err();
        assert_eq!(error, "expected a cost broker.message_ns");
    }
}
