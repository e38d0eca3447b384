//! The kinds of figures, their names and their units.

/// One kind of figure. A lower value is better, except for rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Nanoseconds of the server's processor time for each delivered message.
    CpuPerDelivery,
    /// Nanoseconds of processor time of all backplanes for each message that they deliver.
    BackplaneCpu,
    /// Nanoseconds of processor time of the server that the backplanes use, for each message that
    /// they deliver.
    ClusterServerCpu,
    /// The cost of backplanes divided by the cost of a broker without backplanes.
    ToBroker,
    /// The cost of backplanes divided by the cost of subscribers of a broker in the same process.
    ToSubscribers,
    /// Nanoseconds of processor time of the broker that a server of a hub uses, for each delivery.
    CompanionCpu,
    /// Nanoseconds of processor time of a process that embeds a broker, for each message delivered to
    /// its subscribers.
    SubscriberCpu,
    /// Nanoseconds of the server's processor time for each connection.
    CpuPerConnection,
    /// Nanoseconds of the server's processor time for each script, deliveries included.
    CpuPerScript,
    /// Nanoseconds of the server's processor time for each subscription made.
    CpuPerSubscribe,
    /// Nanoseconds of the server's processor time for each subscription ended.
    CpuPerUnsubscribe,
    /// Nanoseconds of the server's processor time for each subscription that ends with its client.
    CpuPerClose,
    /// Bytes of memory for each connection or subscription.
    BytesEach,
    /// Deliveries, scripts, round trips or connections a second.
    Rate,
    /// Messages a second, each delivered to many receivers.
    MessageRate,
    /// Deliveries a second of a server without backplanes.
    BrokerRate,
    /// Context switches of the server's threads for each delivery, script, round trip or connection.
    Switches,
    /// System calls of the server for each of the same, counted in a separate round.
    Calls,
    /// Bytes of memory of the server at the end.
    Memory,
    /// Microseconds from the time at which a message was due to its arrival.
    Latency(Phase, Quantile),
}

/// The part of a measurement to which a latency belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Whole,
    /// The whole measurement of the broker without backplanes.
    Broker,
    /// Before one subscriber stops reading.
    Before,
    /// While the subscriber does not read.
    During,
    /// When the subscriber reads again.
    After,
}

/// A quantile of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
}

impl Figure {
    /// The name in `raw.csv`.
    pub(crate) fn name(self) -> String {
        let name = match self {
            Self::CpuPerDelivery => "cpu_per_delivery",
            Self::BackplaneCpu => "backplane_cpu_per_delivery",
            Self::ClusterServerCpu => "cluster_server_cpu_per_delivery",
            Self::CompanionCpu => "companion_cpu_per_delivery",
            Self::ToBroker => "to_broker",
            Self::ToSubscribers => "to_subscribers",
            Self::SubscriberCpu => "subscriber_cpu_per_delivery",
            Self::CpuPerConnection => "cpu_per_connection",
            Self::CpuPerScript => "cpu_per_script",
            Self::CpuPerSubscribe => "cpu_per_subscribe",
            Self::CpuPerUnsubscribe => "cpu_per_unsubscribe",
            Self::CpuPerClose => "cpu_per_close",
            Self::BytesEach => "bytes_each",
            Self::Rate => "rate",
            Self::MessageRate => "message_rate",
            Self::BrokerRate => "broker_rate",
            Self::Switches => "context_switches",
            Self::Calls => "system_calls",
            Self::Memory => "rss",
            Self::Latency(phase, quantile) => return [phase.prefix(), quantile.name()].concat(),
        };
        name.to_owned()
    }

    /// The unit in `raw.csv`.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::CpuPerDelivery
            | Self::BackplaneCpu
            | Self::ClusterServerCpu
            | Self::CompanionCpu
            | Self::SubscriberCpu
            | Self::CpuPerConnection
            | Self::CpuPerScript
            | Self::CpuPerSubscribe
            | Self::CpuPerUnsubscribe
            | Self::CpuPerClose => "ns",
            Self::BytesEach | Self::Memory => "B",
            Self::ToBroker | Self::ToSubscribers => "ratio",
            Self::Rate | Self::MessageRate | Self::BrokerRate => "1/s",
            Self::Switches | Self::Calls => "each",
            Self::Latency(..) => "us",
        }
    }

    /// The text after the number in the summary.
    pub(crate) fn label(self) -> String {
        match self {
            Self::CpuPerDelivery => "ns CPU/delivery".to_owned(),
            Self::BackplaneCpu => "ns CPU/delivery of backplanes".to_owned(),
            Self::ClusterServerCpu => "ns CPU/delivery of their server".to_owned(),
            Self::CompanionCpu => "ns CPU/delivery of its broker".to_owned(),
            Self::ToBroker => "x broker alone".to_owned(),
            Self::ToSubscribers => "x embedded broker".to_owned(),
            Self::SubscriberCpu => "ns CPU/delivery of embedded broker".to_owned(),
            Self::CpuPerConnection => "ns CPU/connection".to_owned(),
            Self::CpuPerScript => "ns CPU/script".to_owned(),
            Self::CpuPerSubscribe => "ns CPU/subscribe".to_owned(),
            Self::CpuPerUnsubscribe => "unsubscribe".to_owned(),
            Self::CpuPerClose => "close".to_owned(),
            Self::BytesEach => "B RSS each".to_owned(),
            Self::Rate => "/s".to_owned(),
            Self::MessageRate => "messages/s".to_owned(),
            Self::BrokerRate => "/s without backplanes".to_owned(),
            Self::Switches => "switches".to_owned(),
            Self::Calls => "calls".to_owned(),
            Self::Memory => "MiB".to_owned(),
            Self::Latency(phase, quantile) => {
                format!("us {}{}", phase.prefix().replace('_', " "), quantile.name())
            }
        }
    }

    /// The number in the summary.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::ToBroker | Self::ToSubscribers => format!("{value:.2}"),
            Self::Switches | Self::Calls => format!("{value:.3}"),
            Self::Memory => format!("{:.1}", value / f64::from(1 << 20)),
            Self::Latency(..) if value < 100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
}

impl Phase {
    fn prefix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Broker => "broker_",
            Self::Before => "before_",
            Self::During => "during_",
            Self::After => "after_",
        }
    }
}

impl Quantile {
    pub(crate) const ALL: [Self; 6] =
        [Self::P50, Self::P90, Self::P99, Self::P999, Self::P9999, Self::Max];

    fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::P9999 => "p99.99",
            Self::Max => "max",
        }
    }

    /// The part of all latencies at or below the quantile, from 0 to 1.
    pub(crate) fn part(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::P9999 => 0.9999,
            Self::Max => 1.0,
        }
    }
}
