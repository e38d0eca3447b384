//! The metrics of a backplane, for the application's registry.
//!
//! Counting is always on, and costs one atomic addition.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::connections::Connections;

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) sent: Counter,
    pub(crate) failed: Counter,
    pub(crate) received: Counter,
    pub(crate) delivered: Counter,
    pub(crate) delivered_here: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) gaps: Counter,
    pub(crate) lost: Counter,
    pub(crate) recovered: Counter,
    pub(crate) restarts: Counter,
    pub(crate) slow: Counter,
    pub(crate) connects: Family<ConnectionLabel, Counter>,
    pub(crate) connected: Gauge,
    pub(crate) round_trips: Histogram,
}

/// The label for one of the connections to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ConnectionLabel {
    pub(crate) connection: &'static str,
}

/// Reads the number of attached connections when the registry is encoded.
#[derive(Debug)]
struct Attached(Arc<Connections>);

/// Bucket bounds in seconds, from a busy local network to a broken broker.
pub(crate) const ROUND_TRIPS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            sent: Counter::default(),
            failed: Counter::default(),
            received: Counter::default(),
            delivered: Counter::default(),
            delivered_here: Counter::default(),
            unreadable: Counter::default(),
            duplicates: Counter::default(),
            gaps: Counter::default(),
            lost: Counter::default(),
            recovered: Counter::default(),
            restarts: Counter::default(),
            slow: Counter::default(),
            connects: Family::default(),
            connected: Gauge::default(),
            round_trips: Histogram::new(ROUND_TRIPS),
        }
    }
}

impl Metrics {
    pub(crate) fn register(
        &self,
        labels: [(&'static str, &str); 3],
        queued: Gauge,
        connections: Arc<Connections>,
        registry: &mut Registry,
    ) {
        let labels = labels.map(|(name, value)| (name.into(), value.to_owned().into()));
        let registry = registry
            .sub_registry_with_prefix("backplane")
            .sub_registry_with_labels(labels.into_iter());
        let counters: [(&str, &str, &Counter<u64, AtomicU64>); 12] = [
            ("sent", "Messages accepted by the broker", &self.sent),
            (
                "send_failures",
                "Messages that the broker rejected, or with an unknown outcome",
                &self.failed,
            ),
            ("received", "Messages received from the broker", &self.received),
            ("delivered", "Invocations delivered to connections", &self.delivered),
            (
                "delivered_when_down",
                "Invocations delivered locally during an outage",
                &self.delivered_here,
            ),
            (
                "unreadable",
                "Malformed payloads on the channel, and implausible ids",
                &self.unreadable,
            ),
            ("duplicates", "Duplicate messages, which were skipped", &self.duplicates),
            ("gaps", "Gaps in the ids", &self.gaps),
            ("lost", "Messages in gaps, including probes and acknowledgements", &self.lost),
            ("recovered", "Missed messages that the broker replayed", &self.recovered),
            ("counter_restarts", "Resets of the id counter", &self.restarts),
            ("slow_connections", "Connections closed for falling behind", &self.slow),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "Connections made to the broker";
        registry.register("connects", help, self.connects.clone());
        registry.register("queued", "Messages that wait for the broker", queued);
        registry.register_collector(Box::new(Attached(connections)));
        registry.register("connected", "Whether the broker is reachable", self.connected.clone());
        let help = "Round-trip times of probes through the broker";
        registry.register_with_unit("round_trip", help, Unit::Seconds, self.round_trips.clone());
    }

    /// Counts a connection with this role.
    pub(crate) fn connected_by(&self, connection: &'static str) {
        self.connects.get_or_create(&ConnectionLabel { connection }).inc();
    }
}

impl Collector for Attached {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let count = ConstGauge::new(i64::try_from(self.0.len()).unwrap_or(i64::MAX));
        let help = "Attached connections";
        count.encode(encoder.encode_descriptor("connections", help, None, count.metric_type())?)
    }
}
