//! All scenarios, in the order in which they are run.

use std::time::Duration;

use super::{Channels, Cluster, Crowd, Hub, Load, PAYLOAD_BYTES, Scenario, Stream};
use crate::figure::{Figure, Phase, Quantile};
use crate::wire::{OWN_SCRIPT, SEND_SCRIPT};

const STREAM: Stream = Stream {
    publishers: 1,
    pipeline: 64,
    subscribers: 1,
    channels: 1,
    payload_bytes: PAYLOAD_BYTES,
    idle_patterns: 0,
    patterns: 0,
};

/// All scenarios.
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
        figure: Figure::Latency(Phase::Whole, Quantile::P50),
        is_extra: false,
    },
    Scenario {
        name: "idle",
        title: "memory of an idle subscriber",
        load: Load::Idle { connections: 10_000, rest: Duration::ZERO },
        figure: Figure::BytesEach,
        is_extra: false,
    },
    Scenario {
        name: "subscriptions",
        title: "memory of one more subscription of a client",
        load: Load::Memory { channels: 100_000 },
        figure: Figure::BytesEach,
        is_extra: false,
    },
    Scenario {
        name: "churn",
        title: "connect, SUBSCRIBE, close",
        load: Load::Churn { connections: 5_000 },
        figure: Figure::CpuPerConnection,
        is_extra: false,
    },
    scripts(
        "scripts",
        "SignalR's script, 50 publishers without pipelining, 200 B, 10 subscribers",
        SEND_SCRIPT,
        1,
    ),
    scripts("scripts-pipelined", "the same, pipelining 16", SEND_SCRIPT, 16),
    Scenario {
        is_extra: true,
        ..scripts("scripts-own", "the same with a script that is not SignalR's", OWN_SCRIPT, 16)
    },
    CLUSTER,
    FAN_OUT,
    OUTAGE,
    Scenario {
        name: "storm",
        title: "10,000 connections that subscribe to 20 channels each",
        load: Load::Storm { connections: 10_000, channels: 20 },
        figure: Figure::CpuPerConnection,
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
    extra(
        "ten",
        "1 publisher pipelining 64, 64 B, 10 subscribers",
        Stream { subscribers: 10, ..STREAM },
    ),
    open_loop("open-20", "messages at 20 % of the highest rate, 10 subscribers", 0.2),
    open_loop("open-50", "messages at 50 % of the highest rate, 10 subscribers", 0.5),
    open_loop("open-80", "messages at 80 % of the highest rate, 10 subscribers", 0.8),
    at_rate("rate-200", "200 messages a second, 100 subscribers", 200.0, 0),
    at_rate("rate-1000", "1,000 messages a second, 100 subscribers", 1_000.0, 0),
    at_rate("rate-3000", "3,000 messages a second, 100 subscribers", 3_000.0, 0),
    at_rate("busy-200", "the same at 200 a second beside a busy process", 200.0, 1),
    at_rate("busy-1000", "the same at 1,000 a second beside a busy process", 1_000.0, 1),
    at_rate("busy-3000", "the same at 3,000 a second beside a busy process", 3_000.0, 1),
    Scenario {
        name: "stalled",
        title: "1,000 messages a second of 4 KiB to 100 subscribers, one of which stops reading",
        load: Load::Stalled {
            stream: Stream { subscribers: 100, payload_bytes: 4096, ..STREAM },
            rate: 1_000.0,
        },
        figure: Figure::Latency(Phase::During, Quantile::P99),
        is_extra: true,
    },
    Scenario {
        name: "idle-rest",
        title: "memory of each of 10,000 idle subscribers after ten seconds",
        load: Load::Idle { connections: 10_000, rest: Duration::from_secs(10) },
        figure: Figure::BytesEach,
        is_extra: true,
    },
    idle("idle-1k", "memory of each of 1,000 idle subscribers", 1_000),
    idle("idle-2k", "memory of each of 2,000 idle subscribers", 2_000),
    idle("idle-5k", "memory of each of 5,000 idle subscribers", 5_000),
    idle("idle-15k", "memory of each of 15,000 idle subscribers", 15_000),
    own("client-1k", "one client subscribes to 1,000 channels", 1, 1_000),
    own("client-10k", "one client subscribes to 10,000 channels", 1, 10_000),
    own("client-100k", "one client subscribes to 100,000 channels", 1, 100_000),
    own("client-1m", "one client subscribes to 1,000,000 channels", 1, 1_000_000),
    own("channels-1k", "100 clients subscribe to 1,000 channels in all", 100, 10),
    own("channels-10k", "100 clients subscribe to 10,000 channels in all", 100, 100),
    own("channels-100k", "100 clients subscribe to 100,000 channels in all", 100, 1_000),
    own("channels-1m", "100 clients subscribe to 1,000,000 channels in all", 100, 10_000),
    shared("members-100", "100 clients subscribe to one channel", 100),
    shared("members-1k", "1,000 clients subscribe to one channel", 1_000),
    shared("members-4k", "4,000 clients subscribe to one channel", 4_000),
    shared("members-16k", "16,000 clients subscribe to one channel", 16_000),
    fan("hub-fan-100", "one message at a time to 100 clients of a hub, 64 B", 100, 64),
    Scenario { is_extra: true, ..fan("hub-fan-1000", "the same to 1,000 clients", 1_000, 64) },
    Scenario {
        is_extra: true,
        ..fan("hub-fan-100-1k", "the same to 100 clients, 1 KiB", 100, 1024)
    },
    Scenario {
        is_extra: true,
        ..fan("hub-fan-1000-1k", "the same to 1,000 clients, 1 KiB", 1_000, 1024)
    },
    hub(
        "hub-stream-4-100",
        "4 clients of a hub with 16 messages in flight each, to 100 clients",
        Hub::Stream { senders: 4, window: 16, clients: 100 },
        Figure::CpuPerDelivery,
    ),
    Scenario {
        is_extra: true,
        ..hub(
            "hub-stream-4-1000",
            "the same to 1,000 clients",
            Hub::Stream { senders: 4, window: 16, clients: 1_000 },
            Figure::CpuPerDelivery,
        )
    },
    Scenario {
        is_extra: true,
        ..hub(
            "hub-stream-1-1000",
            "1 client of a hub with 64 messages in flight, to 1,000 clients",
            Hub::Stream { senders: 1, window: 64, clients: 1_000 },
            Figure::CpuPerDelivery,
        )
    },
    Scenario {
        is_extra: true,
        ..hub(
            "hub-stream-echo",
            "100 clients of a hub, each with one call in flight",
            Hub::Echo { clients: 100 },
            Figure::CpuPerDelivery,
        )
    },
    Scenario {
        is_extra: true,
        ..hub(
            "hub-idle",
            "memory of an idle client of a hub",
            Hub::Idle { clients: 10_000 },
            Figure::BytesEach,
        )
    },
    hub("hub-storm-1k", "1,000 clients of a hub start", STORM_1K, Figure::CpuPerConnection),
    Scenario {
        is_extra: true,
        ..hub(
            "hub-storm-10k",
            "10,000 clients of a hub start",
            Hub::Storm { clients: 10_000 },
            Figure::CpuPerConnection,
        )
    },
];

const STORM_1K: Hub = Hub::Storm { clients: 1_000 };

const CLUSTER: Scenario = Scenario {
    name: "cluster",
    title: "4 servers with backplanes, 10,000 connections in 1,000 groups",
    load: Load::Cluster(Cluster { servers: 4, connections: 10_000, groups: 1_000, pipeline: 64 }),
    figure: Figure::BackplaneCpu,
    is_extra: false,
};

const FAN_OUT: Scenario = Scenario {
    name: "fan-out",
    title: "time until the last of 10,000 connections of a server has a message to their group",
    load: Load::FanOut { connections: 10_000, messages: 100 },
    figure: Figure::Latency(Phase::Whole, Quantile::P50),
    is_extra: false,
};

const OUTAGE: Scenario = Scenario {
    name: "outage",
    title: "time until the last of 50 servers receives messages again after an outage of 2 seconds",
    // Long enough for the pauses between attempts to reach their maximum.
    load: Load::Outage { servers: 50, away: Duration::from_secs(2) },
    figure: Figure::Latency(Phase::Whole, Quantile::Max),
    is_extra: true,
};

const fn stream(name: &'static str, title: &'static str, stream: Stream) -> Scenario {
    let load = Load::Stream(stream);
    Scenario { name, title, load, figure: Figure::CpuPerDelivery, is_extra: false }
}

const fn extra(name: &'static str, title: &'static str, extra: Stream) -> Scenario {
    Scenario { is_extra: true, ..stream(name, title, extra) }
}

const fn scripts(
    name: &'static str,
    title: &'static str,
    script: &'static str,
    pipeline: usize,
) -> Scenario {
    let stream = Stream { publishers: 50, pipeline, subscribers: 10, payload_bytes: 200, ..STREAM };
    let load = Load::Scripts { stream, script };
    Scenario { name, title, load, figure: Figure::CpuPerScript, is_extra: false }
}

/// Returns a stream to a hundred subscribers. Large payloads are sent one at a time to save memory.
const fn hundred(payload_bytes: usize) -> Stream {
    let pipeline = if payload_bytes <= 1024 { 64 } else { 1 };
    Stream { pipeline, subscribers: 100, payload_bytes, ..STREAM }
}

/// The stream of open loops. Its highest rate is measured first.
pub(crate) const OPEN_LOOP: Stream = Stream { subscribers: 10, ..STREAM };

const fn open_loop(name: &'static str, title: &'static str, part: f64) -> Scenario {
    let load = Load::OpenLoop { stream: OPEN_LOOP, part, rate: 0.0 };
    let figure = Figure::Latency(Phase::Whole, Quantile::P99);
    Scenario { name, title, load, figure, is_extra: true }
}

const fn at_rate(
    name: &'static str,
    title: &'static str,
    rate: f64,
    neighbours: usize,
) -> Scenario {
    let load = Load::AtRate { stream: Stream { subscribers: 100, ..STREAM }, rate, neighbours };
    let figure = Figure::Latency(Phase::Whole, Quantile::P99);
    Scenario { name, title, load, figure, is_extra: true }
}

const fn idle(name: &'static str, title: &'static str, connections: usize) -> Scenario {
    let load = Load::Idle { connections, rest: Duration::ZERO };
    Scenario { name, title, load, figure: Figure::BytesEach, is_extra: true }
}

const fn own(
    name: &'static str,
    title: &'static str,
    clients: usize,
    channels_each: usize,
) -> Scenario {
    let crowd = Crowd { clients, channels_each, channels: Channels::Own };
    let load = Load::Subscriptions(crowd);
    Scenario { name, title, load, figure: Figure::CpuPerSubscribe, is_extra: true }
}

const fn shared(name: &'static str, title: &'static str, clients: usize) -> Scenario {
    let crowd = Crowd { clients, channels_each: 1, channels: Channels::Shared };
    let load = Load::Subscriptions(crowd);
    Scenario { name, title, load, figure: Figure::CpuPerSubscribe, is_extra: true }
}

const fn hub(name: &'static str, title: &'static str, hub: Hub, figure: Figure) -> Scenario {
    Scenario { name, title, load: Load::Hub(hub), figure, is_extra: false }
}

const fn fan(
    name: &'static str,
    title: &'static str,
    clients: usize,
    payload_bytes: usize,
) -> Scenario {
    hub(name, title, Hub::Fan { clients, payload_bytes }, Figure::CpuPerDelivery)
}
