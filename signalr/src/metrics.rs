//! The metrics of a hub, for the application's registry.
//!
//! Counting is always on. A delivered message costs an addition of its writer, which adds to the
//! shared counters once a flush. Labels have few values: a method counts under its registered name,
//! and calls of unknown methods share one.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The metrics of one hub. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    active: Family<ConnectionLabels, Gauge>,
    connection_durations: Family<EndLabels, Histogram, fn() -> Histogram>,
    calls: Calls,
    unknown_method: Arc<MethodMetrics>,
    pub(crate) delivered: Counter,
    pub(crate) written: Counter,
    slow: Family<PolicyLabel, Counter>,
    dropped: Family<PolicyLabel, Counter>,
    outbox_bytes_max: Gauge<u64, AtomicU64>,
    gaps: Family<PolicyLabel, Counter>,
    resumed: Family<OutcomeLabel, Counter>,
    pub(crate) replayed: Counter,
    negotiations: Family<OutcomeLabel, Counter>,
    forwarded: Family<OutcomeLabel, Counter>,
    handovers: Family<OutcomeLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let calls = Calls {
            total: Family::default(),
            durations: Family::new_with_constructor(call_durations),
        };
        Self {
            active: Family::default(),
            connection_durations: Family::new_with_constructor(connection_durations),
            unknown_method: Arc::new(MethodMetrics::new("-", &calls)),
            calls,
            delivered: Counter::default(),
            written: Counter::default(),
            slow: Family::default(),
            dropped: Family::default(),
            outbox_bytes_max: Gauge::default(),
            gaps: Family::default(),
            resumed: Family::default(),
            replayed: Counter::default(),
            negotiations: Family::default(),
            forwarded: Family::default(),
            handovers: Family::default(),
            refused: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all metrics to a registry, with labels for the app and the hub.
    pub(crate) fn register(
        &self,
        app: &str,
        hub: &str,
        remaining: Remaining,
        registry: &mut Registry,
    ) {
        let labels = [("app", app), ("hub", hub)];
        let labels = labels.map(|(name, value)| (name.into(), value.to_owned().into()));
        let registry = registry
            .sub_registry_with_prefix("signalr")
            .sub_registry_with_labels(labels.into_iter());
        let help = "Open connections";
        registry.register("server_active_connections", help, self.active.clone());
        registry.register_with_unit(
            "server_connection_duration",
            "Durations of ended connections",
            Unit::Seconds,
            self.connection_durations.clone(),
        );
        registry.register("calls", "Calls of hub methods", self.calls.total.clone());
        registry.register_with_unit(
            "call_duration",
            "Durations of calls, up to the end of the method or of its stream",
            Unit::Seconds,
            self.calls.durations.clone(),
        );
        let help = "Invocations of the backplane written to clients";
        registry.register("delivered", help, self.delivered.clone());
        let help = "Hub messages written to clients";
        registry.register_with_unit("written", help, Unit::Bytes, self.written.clone());
        let help = "Connections closed because the client reads too slowly";
        registry.register("slow_connections", help, self.slow.clone());
        let help = "Messages that were dropped because the client reads too slowly";
        registry.register("dropped", help, self.dropped.clone());
        let help = "Largest size of the messages that one client has not taken at once";
        registry.register("outbox_bytes_max", help, self.outbox_bytes_max.clone());
        let help = "Requests of clients to continue a connection";
        registry.register("resumed", help, self.resumed.clone());
        let help = "Messages sent again to clients that have continued their connections";
        registry.register("replayed", help, self.replayed.clone());
        registry.register_collector(Box::new(remaining));
        let help = "Connections with lost messages, which were closed or told of the loss";
        registry.register("gaps_reported", help, self.gaps.clone());
        registry.register("negotiations", "Negotiations", self.negotiations.clone());
        let help = "Requests that another server of the app has served";
        registry.register("forwarded", help, self.forwarded.clone());
        let help = "Connections that another server of the app has handed over, or has not";
        registry.register("handovers", help, self.handovers.clone());
        registry.register("refused", "Refused requests", self.refused.clone());
    }

    /// Counts a connection until the result is dropped.
    pub(crate) fn connected(
        &self,
        transport: &'static str,
        family: &'static str,
    ) -> ActiveConnection {
        let labels = ConnectionLabels { signalr_transport: transport, family };
        self.active.get_or_create(&labels).inc();
        let (active, durations) = (self.active.clone(), self.connection_durations.clone());
        let (start, status) = (Instant::now(), Status::NormalClosure);
        ActiveConnection { active, durations, labels, start, status }
    }

    /// Returns the metrics of a method with this name.
    pub(crate) fn method(&self, name: &str) -> Arc<MethodMetrics> {
        Arc::new(MethodMetrics::new(name, &self.calls))
    }

    /// Returns the metrics of calls of methods that do not exist.
    pub(crate) fn unknown_method(&self) -> Arc<MethodMetrics> {
        Arc::clone(&self.unknown_method)
    }

    /// Counts a connection that is closed since its client reads too slowly.
    pub(crate) fn slow(&self) {
        self.slow.get_or_create(&CLOSE).inc();
    }

    /// Counts messages that the client of such a connection does not receive.
    pub(crate) fn dropped(&self, messages: u64) {
        self.dropped.get_or_create(&CLOSE).inc_by(messages);
    }

    /// Records the size of the messages that wait for one client, with those that are being
    /// written. The largest one counts.
    pub(crate) fn waiting(&self, bytes: usize) {
        self.outbox_bytes_max.inner().fetch_max(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a request to continue a connection.
    pub(crate) fn resumed(&self, outcome: &'static str) {
        self.resumed.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a connection with lost messages.
    pub(crate) fn gap(&self, policy: &'static str) {
        self.gaps.get_or_create(&PolicyLabel { policy }).inc();
    }

    pub(crate) fn negotiated(&self, outcome: &'static str) {
        self.negotiations.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a request for a connection on another server.
    pub(crate) fn forwarded(&self, outcome: &'static str) {
        self.forwarded.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a connection of another server whose client has come here.
    pub(crate) fn handed_over(&self, outcome: &'static str) {
        self.handovers.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.name() }).inc();
    }
}

/// The number of connections that a shutdown has still to end, at the time of each scrape.
#[derive(Debug)]
pub(crate) struct Remaining {
    pub(crate) stopping: CancellationToken,
    pub(crate) sessions: TaskTracker,
}

impl Collector for Remaining {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let remaining = if self.stopping.is_cancelled() { self.sessions.len() } else { 0 };
        let gauge = ConstGauge::new(remaining as u64);
        let help = "Connections that a shutdown has still to close";
        let metric =
            encoder.encode_descriptor("drain_remaining", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

/// An open connection. Dropping it counts its duration.
#[derive(Debug)]
pub(crate) struct ActiveConnection {
    // Without the other metrics, which would be a large part of an idle connection.
    active: Family<ConnectionLabels, Gauge>,
    durations: Family<EndLabels, Histogram, fn() -> Histogram>,
    labels: ConnectionLabels,
    start: Instant,
    pub(crate) status: Status,
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        let Self { active, durations, labels, start, status } = self;
        active.get_or_create(labels).dec();
        let labels = EndLabels {
            signalr_transport: labels.signalr_transport,
            family: labels.family,
            signalr_connection_status: status.name(),
        };
        let seconds = start.elapsed().as_secs_f64();
        durations.get_or_create(&labels).observe(seconds);
    }
}

/// The way in which a connection ended. The names are OpenTelemetry's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    NormalClosure,
    Timeout,
    AppShutdown,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::NormalClosure => "normal_closure",
            Self::Timeout => "timeout",
            Self::AppShutdown => "app_shutdown",
        }
    }
}

/// The families that the methods of a hub count in.
#[derive(Clone, Debug)]
struct Calls {
    total: Family<CallLabels, Counter>,
    durations: Family<CallLabels, Histogram, fn() -> Histogram>,
}

/// The metrics of one method. A series exists after the first call with its outcome.
#[derive(Debug)]
pub(crate) struct MethodMetrics {
    name: Arc<str>,
    calls: Calls,
    by_outcome: [OnceLock<(Counter, Histogram)>; 5],
}

impl MethodMetrics {
    fn new(name: &str, calls: &Calls) -> Self {
        let by_outcome = <[OnceLock<_>; 5]>::default();
        Self { name: name.into(), calls: calls.clone(), by_outcome }
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, outcome: Outcome, duration: Duration) {
        let (total, durations) = self.by_outcome[outcome as usize].get_or_init(|| {
            let labels = CallLabels { method: self.name.to_string(), outcome: outcome.name() };
            let total = self.calls.total.get_or_create_owned(&labels);
            (total, self.calls.durations.get_or_create_owned(&labels))
        });
        total.inc();
        durations.observe(duration.as_secs_f64());
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The method returned an error.
    Error,
    Panicked,
    /// The client no longer waits.
    Cancelled,
    /// The method did not run.
    Refused,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }
}

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A page of another origin.
    Origin,
    /// A host that the hub does not serve.
    Host,
    /// The authenticator does not allow it, or the connection belongs to another user.
    Auth,
    /// An unknown or expired connection token.
    Token,
    /// The hub has too many connections.
    Limit,
    /// The hub shuts down.
    Draining,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Host => "host",
            Self::Auth => "auth",
            Self::Token => "token",
            Self::Limit => "limit",
            Self::Draining => "draining",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    signalr_transport: &'static str,
    family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    signalr_transport: &'static str,
    family: &'static str,
    signalr_connection_status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabel {
    policy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Slow clients are closed. There is no other policy.
const CLOSE: PolicyLabel = PolicyLabel { policy: "close" };

fn connection_durations() -> Histogram {
    // OpenTelemetry's bounds in seconds.
    Histogram::new([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0])
}

fn call_durations() -> Histogram {
    // From a method that only sends to one that waits for a client.
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    ])
}
