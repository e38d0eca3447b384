//! The pictures, with their scenarios and figures.

use super::axis::{Axis, Scale, bytes, megabytes, number, percent};
use crate::figure::{Figure, Phase, Quantile};
use crate::report::Table;

/// One picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    /// The name of the file without its extension.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// The conditions of the measurement.
    pub(crate) subtitle: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    panels: &'static [Panel],
}

/// One diagram of a picture. All diagrams of a picture share their axes.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// Empty if the picture has only one.
    title: &'static str,
    points: &'static [Point],
}

/// The x value, the scenario and the kind of a figure of all servers.
type Point = (f64, &'static str, Figure);

/// A picture with its figures.
pub(crate) struct Shown {
    pub(crate) panels: Vec<ShownPanel>,
}

pub(crate) struct ShownPanel {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// The figures of one server.
pub(crate) struct Line {
    pub(crate) server: String,
    pub(crate) points: Vec<ShownPoint>,
}

pub(crate) struct ShownPoint {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// The lowest and the highest figure of all rounds.
    pub(crate) rounds: (f64, f64),
}

impl Picture {
    /// Looks up the figures.
    pub(crate) fn show(&self, tables: &[Table]) -> Shown {
        let panels = self.panels.iter().map(|panel| panel.show(tables));
        Shown { panels: panels.filter(|panel| !panel.lines.is_empty()).collect() }
    }
}

impl Panel {
    fn show(&self, tables: &[Table]) -> ShownPanel {
        let mut lines: Vec<Line> = Vec::new();
        for &(x, scenario, figure) in self.points {
            let Some(table) = tables.iter().find(|table| table.scenario.name == scenario) else {
                continue;
            };
            for row in &table.rows {
                let Some(y) = row.median.get(figure) else { continue };
                let rounds = row.samples.iter().filter_map(|sample| sample.get(figure));
                let rounds =
                    rounds.fold((y, y), |(low, high), value| (low.min(value), high.max(value)));
                let point = ShownPoint { x, y, rounds };
                match lines.iter_mut().find(|line| line.server == row.server) {
                    Some(line) => line.points.push(point),
                    None => lines.push(Line { server: row.server.clone(), points: vec![point] }),
                }
            }
        }
        ShownPanel { title: self.title, lines }
    }
}

impl Shown {
    /// Returns whether a line has more than one point.
    pub(crate) fn is_worth_drawing(&self) -> bool {
        self.lines().any(|line| line.points.len() > 1)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.panels.iter().flat_map(|panel| &panel.lines)
    }

    /// Returns the names of the servers, in the order of measurement.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let mut servers = Vec::new();
        for line in self.lines() {
            if !servers.contains(&&*line.server) {
                servers.push(&*line.server);
            }
        }
        servers
    }

    /// Returns width and height.
    pub(crate) fn size(&self) -> (u32, u32) {
        if self.panels.len() > 1 { (1280, 560) } else { (960, 560) }
    }
}

const CONNECTIONS: Axis = Axis { label: "connections", scale: Scale::Linear, text: number };
const CLIENTS: Axis = Axis { label: "clients of the hub", scale: Scale::Log, text: number };
const SUBSCRIBERS: Axis =
    Axis { label: "subscribers of the channel", scale: Scale::Log, text: number };
const PAYLOAD: Axis = Axis { label: "payload", scale: Scale::Log, text: bytes };
const PARTS: Axis = Axis { label: "part of all messages", scale: Scale::Linear, text: percent };
const CPU: Axis =
    Axis { label: "server's processor time, ns per delivery", scale: Scale::Log, text: number };
const MICROS: Axis = Axis { label: "latency at most, µs", scale: Scale::Log, text: number };
const COST: Axis =
    Axis { label: "server's processor time, ns each", scale: Scale::Log, text: number };

/// All pictures.
pub(crate) const PICTURES: &[Picture] = &[
    Picture {
        file: "throughput-by-subscribers",
        title: "Throughput by number of subscribers",
        subtitle: "One publisher sends 64 messages of 64 B at a time to one channel",
        x: SUBSCRIBERS,
        y: Axis { label: "deliveries a second", scale: Scale::Log, text: number },
        panels: &[Panel { title: "", points: &by_subscribers(Figure::Rate) }],
    },
    Picture {
        file: "cpu-by-subscribers",
        title: "Processor time of a delivery by number of subscribers",
        subtitle: "One publisher sends 64 messages of 64 B at a time to one channel",
        x: SUBSCRIBERS,
        y: CPU,
        panels: &[Panel { title: "", points: &by_subscribers(Figure::CpuPerDelivery) }],
    },
    Picture {
        file: "cpu-by-payload",
        title: "Processor time of a delivery by size of the payload",
        subtitle: "One publisher, 100 subscribers; 64 messages at a time up to 1 KiB, then one",
        x: PAYLOAD,
        y: CPU,
        panels: &[Panel {
            title: "",
            points: &[
                (16.0, "payload-16", Figure::CpuPerDelivery),
                (64.0, "hundred", Figure::CpuPerDelivery),
                (1024.0, "payload-1k", Figure::CpuPerDelivery),
                (16_384.0, "payload-16k", Figure::CpuPerDelivery),
                (131_072.0, "payload-128k", Figure::CpuPerDelivery),
                (1_048_576.0, "payload-1m", Figure::CpuPerDelivery),
            ],
        }],
    },
    Picture {
        file: "hub-cpu-by-clients",
        title: "Processor time of a delivery to WebSocket clients",
        subtitle: "64 B; the floors are relays that parse nothing but frames",
        x: CLIENTS,
        y: CPU,
        panels: &[
            Panel {
                title: "one message at a time",
                points: &by_clients(["hub-fan-100", "hub-fan-1000"]),
            },
            Panel {
                title: "4 senders with 16 messages in flight each",
                points: &by_clients(["hub-stream-4-100", "hub-stream-4-1000"]),
            },
        ],
    },
    Picture {
        file: "latency",
        title: "Latency of messages sent at a fixed rate",
        subtitle: "64 B to 10 subscribers, counted from when each message was due; all servers get \
                   the same, in parts of the highest rate of redis-server",
        x: PARTS,
        y: MICROS,
        panels: &[
            Panel { title: "at 20 %", points: &by_quantile("open-20", Phase::Whole) },
            Panel { title: "at 50 %", points: &by_quantile("open-50", Phase::Whole) },
            Panel { title: "at 80 %", points: &by_quantile("open-80", Phase::Whole) },
        ],
    },
    Picture {
        file: "latency-stalled",
        title: "Latency of 99 subscribers while another one stops reading",
        subtitle: "1,000 messages a second of 4 KiB, counted from when each message was due",
        x: PARTS,
        y: MICROS,
        panels: &[
            Panel { title: "before", points: &by_quantile("stalled", Phase::Before) },
            Panel {
                title: "while it does not read",
                points: &by_quantile("stalled", Phase::During),
            },
            Panel { title: "when it reads again", points: &by_quantile("stalled", Phase::After) },
        ],
    },
    Picture {
        file: "memory-by-connections",
        title: "Memory by number of idle subscribers",
        subtitle: "Right after SUBSCRIBE; the row idle-rest has the memory ten seconds later",
        x: CONNECTIONS,
        y: Axis { label: "memory of the server (RSS), MB", scale: Scale::Linear, text: megabytes },
        panels: &[Panel {
            title: "",
            points: &[
                (1_000.0, "idle-1k", Figure::Memory),
                (2_000.0, "idle-2k", Figure::Memory),
                (5_000.0, "idle-5k", Figure::Memory),
                (10_000.0, "idle", Figure::Memory),
                (15_000.0, "idle-15k", Figure::Memory),
            ],
        }],
    },
    Picture {
        file: "subscriptions-of-one-client",
        title: "Cost of a subscription by number of subscriptions of one client",
        subtitle: "Each channel in a request of its own, 500 requests at a time",
        x: Axis { label: "channels", scale: Scale::Log, text: number },
        y: COST,
        panels: &[
            Panel { title: SUBSCRIBE, points: &by_client(Figure::CpuPerSubscribe) },
            Panel { title: UNSUBSCRIBE, points: &by_client(Figure::CpuPerUnsubscribe) },
            Panel { title: CLOSE, points: &by_client(Figure::CpuPerClose) },
        ],
    },
    Picture {
        file: "subscriptions-by-channels",
        title: "Cost of a subscription by number of channels",
        subtitle: "100 clients, each with channels of its own",
        x: Axis { label: "channels of all clients", scale: Scale::Log, text: number },
        y: COST,
        panels: &[
            Panel { title: SUBSCRIBE, points: &by_channels(Figure::CpuPerSubscribe) },
            Panel { title: UNSUBSCRIBE, points: &by_channels(Figure::CpuPerUnsubscribe) },
            Panel { title: CLOSE, points: &by_channels(Figure::CpuPerClose) },
        ],
    },
    Picture {
        file: "subscriptions-of-one-channel",
        title: "Cost of a subscription by number of subscribers of one channel",
        subtitle: "Each subscriber has a connection of its own, so the system calls count as well",
        x: SUBSCRIBERS,
        y: COST,
        panels: &[
            Panel { title: SUBSCRIBE, points: &by_members(Figure::CpuPerSubscribe) },
            Panel { title: UNSUBSCRIBE, points: &by_members(Figure::CpuPerUnsubscribe) },
            Panel { title: CLOSE, points: &by_members(Figure::CpuPerClose) },
        ],
    },
];

const SUBSCRIBE: &str = "subscribe";
const UNSUBSCRIBE: &str = "unsubscribe";
const CLOSE: &str = "close the connection, per subscription";

const fn by_subscribers(figure: Figure) -> [Point; 4] {
    [
        (1.0, "one", figure),
        (10.0, "ten", figure),
        (100.0, "hundred", figure),
        (1_000.0, "thousand", figure),
    ]
}

const fn by_quantile(scenario: &'static str, phase: Phase) -> [Point; 5] {
    [
        (0.0, scenario, Figure::Latency(phase, Quantile::P50)),
        (1.0, scenario, Figure::Latency(phase, Quantile::P90)),
        (2.0, scenario, Figure::Latency(phase, Quantile::P99)),
        (3.0, scenario, Figure::Latency(phase, Quantile::P999)),
        (4.0, scenario, Figure::Latency(phase, Quantile::P9999)),
    ]
}

const fn by_clients(scenarios: [&'static str; 2]) -> [Point; 2] {
    let [hundred, thousand] = scenarios;
    [(1e2, hundred, Figure::CpuPerDelivery), (1e3, thousand, Figure::CpuPerDelivery)]
}

const fn by_client(figure: Figure) -> [Point; 4] {
    [
        (1e3, "client-1k", figure),
        (1e4, "client-10k", figure),
        (1e5, "client-100k", figure),
        (1e6, "client-1m", figure),
    ]
}

const fn by_channels(figure: Figure) -> [Point; 4] {
    [
        (1e3, "channels-1k", figure),
        (1e4, "channels-10k", figure),
        (1e5, "channels-100k", figure),
        (1e6, "channels-1m", figure),
    ]
}

const fn by_members(figure: Figure) -> [Point; 4] {
    [
        (100.0, "members-100", figure),
        (1_000.0, "members-1k", figure),
        (4_000.0, "members-4k", figure),
        (16_000.0, "members-16k", figure),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn every_point_is_of_a_scenario_that_there_is() {
        let points =
            PICTURES.iter().flat_map(|picture| picture.panels).flat_map(|each| each.points);
        for (_, name, _) in points {
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == *name), "{name}");
        }
    }
}
