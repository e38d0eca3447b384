//! What is measured.

use std::time::Duration;

/// One row of the results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Short, for the command line and the files.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// What the figure is.
    pub(crate) unit: Unit,
    /// Whether only the full run has it.
    pub(crate) is_extra: bool,
}

/// What the load does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Publishers that send as fast as they get replies.
    Stream(Stream),
    /// One message at a time, from a publisher to a subscriber and back by a second channel.
    PingPong,
    /// Connections that subscribe to a channel each and then do nothing.
    Idle { connections: usize },
    /// One connection that subscribes to many channels.
    Subscriptions { channels: usize },
    /// Connections that come, subscribe and go.
    Churn { connections: usize },
    /// Connections that come at once, with channels each, one to a command, in one write.
    Storm { connections: usize, channels: usize },
}

/// A stream of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) publishers: usize,
    /// Requests in one write; the next follow when all are answered.
    pub(crate) pipeline: usize,
    pub(crate) subscribers: usize,
    /// Subscribers and messages are spread over so many.
    pub(crate) channels: usize,
    pub(crate) payload_bytes: usize,
    /// Patterns of one more client that match nothing.
    pub(crate) idle_patterns: usize,
    /// Patterns of one more client that match every channel.
    pub(crate) patterns: usize,
}

/// What the figure of a scenario is. Less is better, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds of the server's processor time for each delivered message.
    CpuPerDelivery,
    /// Nanoseconds of the server's processor time for each connection.
    CpuPerConnection,
    /// Microseconds, at the median.
    Latency,
    /// Bytes of memory for each.
    Bytes,
}

impl Unit {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "ns CPU/delivery",
            Self::CpuPerConnection => "ns CPU/connection",
            Self::Latency => "us p50",
            Self::Bytes => "B RSS each",
        }
    }
}

const STREAM: Stream = Stream {
    publishers: 1,
    pipeline: 64,
    subscribers: 1,
    channels: 1,
    payload_bytes: 64,
    idle_patterns: 0,
    patterns: 0,
};

const fn stream(name: &'static str, title: &'static str, stream: Stream) -> Scenario {
    let load = Load::Stream(stream);
    Scenario { name, title, load, unit: Unit::CpuPerDelivery, is_extra: false }
}

const fn extra(name: &'static str, title: &'static str, extra: Stream) -> Scenario {
    Scenario { is_extra: true, ..stream(name, title, extra) }
}

impl Load {
    /// Bytes of each message.
    pub(crate) fn payload_bytes(self) -> usize {
        match self {
            Self::Stream(stream) => stream.payload_bytes,
            _ => STREAM.payload_bytes,
        }
    }

    /// Whether a relay that knows publishers and subscribers of one channel can take part.
    pub(crate) fn suits_floor(self) -> bool {
        match self {
            Self::Stream(stream) => stream.patterns + stream.idle_patterns == 0,
            Self::PingPong | Self::Churn { .. } => true,
            Self::Idle { .. } | Self::Subscriptions { .. } | Self::Storm { .. } => false,
        }
    }
}

/// How long one measurement of a stream lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
}

/// All scenarios, in the order in which they are run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    stream("one", "1 publisher pipelining 64, 64 B, 1 subscriber", STREAM),
    stream("hundred", "the same, 100 subscribers", Stream { subscribers: 100, ..STREAM }),
    stream("thousand", "the same, 1,000 subscribers", Stream { subscribers: 1_000, ..STREAM }),
    stream(
        "large",
        "1 publisher pipelining 16, 16 KiB, 50 subscribers",
        Stream { pipeline: 16, subscribers: 50, payload_bytes: 16 * 1024, ..STREAM },
    ),
    stream(
        "publishers",
        "8 publishers pipelining 16, 1 subscriber",
        Stream { publishers: 8, pipeline: 16, ..STREAM },
    ),
    stream(
        "unpipelined-many",
        "50 publishers without pipelining, 10 subscribers",
        Stream { publishers: 50, pipeline: 1, subscribers: 10, ..STREAM },
    ),
    stream(
        "unpipelined",
        "1 publisher without pipelining, 100 subscribers",
        Stream { pipeline: 1, subscribers: 100, ..STREAM },
    ),
    stream(
        "rooms",
        "4 publishers pipelining 64, 128 B, 1,000 subscribers over 100 channels",
        Stream {
            publishers: 4,
            pipeline: 64,
            subscribers: 1_000,
            channels: 100,
            payload_bytes: 128,
            ..STREAM
        },
    ),
    Scenario {
        name: "ping-pong",
        title: "one message at a time, there and back",
        load: Load::PingPong,
        unit: Unit::Latency,
        is_extra: false,
    },
    Scenario {
        name: "idle",
        title: "memory of an idle subscriber",
        load: Load::Idle { connections: 10_000 },
        unit: Unit::Bytes,
        is_extra: false,
    },
    Scenario {
        name: "subscriptions",
        title: "memory of one more subscription of a client",
        load: Load::Subscriptions { channels: 100_000 },
        unit: Unit::Bytes,
        is_extra: false,
    },
    Scenario {
        name: "churn",
        title: "connect, SUBSCRIBE, close",
        load: Load::Churn { connections: 5_000 },
        unit: Unit::CpuPerConnection,
        is_extra: false,
    },
    Scenario {
        name: "storm",
        title: "10,000 connections that subscribe to 20 channels each",
        load: Load::Storm { connections: 10_000, channels: 20 },
        unit: Unit::CpuPerConnection,
        is_extra: true,
    },
    extra("patterns-10", "10 patterns that match", Stream { patterns: 10, ..STREAM }),
    extra(
        "patterns-1000",
        "10 patterns that match, 1,000 that do not",
        Stream { patterns: 10, idle_patterns: 1_000, ..STREAM },
    ),
    extra(
        "patterns-10000",
        "10 patterns that match, 10,000 that do not",
        Stream { patterns: 10, idle_patterns: 10_000, ..STREAM },
    ),
    extra("payload-16", "100 subscribers, 16 B", hundred(16)),
    extra("payload-1k", "100 subscribers, 1 KiB", hundred(1024)),
    extra("payload-16k", "100 subscribers, 16 KiB", hundred(16 * 1024)),
    extra("payload-128k", "100 subscribers, 128 KiB", hundred(128 * 1024)),
    extra("payload-1m", "100 subscribers, 1 MiB", hundred(1024 * 1024)),
];

/// A hundred subscribers, and as much in one write as keeps memory in bounds.
const fn hundred(payload_bytes: usize) -> Stream {
    let pipeline = if payload_bytes <= 1024 { 64 } else { 1 };
    Stream { pipeline, subscribers: 100, payload_bytes, ..STREAM }
}
