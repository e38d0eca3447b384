//! The loads that can be measured.

mod catalogue;
mod hub;

use std::time::Duration;

pub(crate) use self::catalogue::{OPEN_LOOP, SCENARIOS};
pub(crate) use self::hub::Hub;
use crate::figure::Figure;

/// A load with a name, which is one table of the results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// The name on the command line and in files.
    pub(crate) name: &'static str,
    /// The name for readers.
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// The main figure. A lower value is better.
    pub(crate) figure: Figure,
    /// Whether only the full run includes it.
    pub(crate) is_extra: bool,
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Publishers that send as fast as replies arrive.
    Stream(Stream),
    /// Publishers that call a script, as SignalR's servers do.
    Scripts { stream: Stream, script: &'static str },
    /// Messages at a part of the highest rate.
    OpenLoop {
        stream: Stream,
        part: f64,
        /// Messages a second; 0 until the highest rate is measured.
        rate: f64,
    },
    /// Messages at a fixed rate, while `neighbours` busy processes compete for the processor of the
    /// server.
    AtRate { stream: Stream, rate: f64, neighbours: usize },
    /// Messages at a fixed rate. One of the subscribers stops reading for a third of the time.
    Stalled { stream: Stream, rate: f64 },
    /// One message at a time, from a publisher to a subscriber.
    PingPong,
    /// Connections that subscribe to a channel each and then do nothing for `rest`.
    Idle { connections: usize, rest: Duration },
    /// One connection that subscribes to many channels.
    Memory { channels: usize },
    /// Connections that open, subscribe and close.
    Churn { connections: usize },
    /// Connections that open at once. Each subscribes to several channels, with one command for each
    /// channel and one write for all.
    Storm { connections: usize, channels: usize },
    /// Subscriptions that start and end.
    Subscriptions(Crowd),
    /// Messages to groups, with and without backplanes.
    Cluster(Cluster),
    /// Messages to all connections of one server, through a backplane and through an embedded broker.
    FanOut { connections: usize, messages: usize },
    /// Web servers with a broker that is killed and restarted after `away`.
    Outage { servers: usize, away: Duration },
    /// WebSocket clients of a hub.
    Hub(Hub),
}

/// A stream of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) publishers: usize,
    /// Requests in one write. The next write follows when all replies have arrived.
    pub(crate) pipeline: usize,
    pub(crate) subscribers: usize,
    /// The number of channels, over which subscribers and messages are spread.
    pub(crate) channels: usize,
    pub(crate) payload_bytes: usize,
    /// Patterns of an additional client that match no channel.
    pub(crate) idle_patterns: usize,
    /// Additional clients, each with a pattern that matches every channel.
    pub(crate) patterns: usize,
}

/// Servers of one app, and the groups that their connections are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) servers: usize,
    /// Connections of all servers together, each in one group.
    pub(crate) connections: usize,
    pub(crate) groups: usize,
    /// Messages that each server sends at once. The next follow when the broker has accepted all.
    pub(crate) pipeline: usize,
}

/// Clients and their channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) clients: usize,
    pub(crate) channels_each: usize,
    pub(crate) channels: Channels,
}

/// How channels are assigned to the clients of a crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    /// Each client has channels of its own.
    Own,
    /// All clients have the same channels.
    Shared,
}

/// Bytes of a message, unless a scenario has its own size.
pub(crate) const PAYLOAD_BYTES: usize = 64;

impl Load {
    /// Returns the bytes of each message.
    pub(crate) fn payload_bytes(self) -> usize {
        match self {
            Self::Stream(stream)
            | Self::Scripts { stream, .. }
            | Self::OpenLoop { stream, .. }
            | Self::AtRate { stream, .. }
            | Self::Stalled { stream, .. } => stream.payload_bytes,
            Self::Hub(hub) => hub.payload_bytes(),
            _ => PAYLOAD_BYTES,
        }
    }

    /// Returns whether the baseline can run this load. It supports only publishers, and subscribers of
    /// one channel.
    pub(crate) fn suits_baseline(self) -> bool {
        match self {
            Self::Stream(stream) => stream.patterns + stream.idle_patterns == 0,
            Self::OpenLoop { .. }
            | Self::AtRate { .. }
            | Self::Stalled { .. }
            | Self::PingPong
            | Self::Churn { .. } => true,
            Self::Scripts { .. }
            | Self::Idle { .. }
            | Self::Memory { .. }
            | Self::Storm { .. }
            | Self::Subscriptions(_)
            | Self::Cluster(_)
            | Self::FanOut { .. }
            | Self::Outage { .. }
            | Self::Hub(_) => false,
        }
    }

    /// Returns whether NATS can run this load. It has no scripts and no backplanes.
    pub(crate) fn suits_nats(self) -> bool {
        match self {
            Self::Stream(_)
            | Self::OpenLoop { .. }
            | Self::AtRate { .. }
            | Self::Stalled { .. }
            | Self::PingPong
            | Self::Churn { .. }
            | Self::Idle { .. }
            | Self::Memory { .. }
            | Self::Storm { .. }
            | Self::Subscriptions(_) => true,
            Self::Scripts { .. }
            | Self::Cluster(_)
            | Self::FanOut { .. }
            | Self::Outage { .. }
            | Self::Hub(_) => false,
        }
    }

    /// Returns the load of a hub. Other loads are for servers of channels.
    pub(crate) fn hub(self) -> Option<Hub> {
        if let Self::Hub(hub) = self { Some(hub) } else { None }
    }

    /// Returns whether messages are sent at a fixed rate.
    pub(crate) fn has_fixed_rate(self) -> bool {
        matches!(self, Self::OpenLoop { .. } | Self::AtRate { .. } | Self::Stalled { .. })
    }

    /// Returns whether the load needs a processor that no server uses.
    pub(crate) fn needs_processor(self) -> bool {
        let is_of_cluster =
            matches!(self, Self::Cluster(_) | Self::FanOut { .. } | Self::Outage { .. });
        self.has_fixed_rate() || is_of_cluster
    }

    /// Returns whether system calls are counted for this load.
    pub(crate) fn counts_calls(self) -> bool {
        let is_of_hub = matches!(self, Self::Hub(Hub::Fan { .. } | Hub::Stream { .. }));
        matches!(self, Self::Stream(_) | Self::Scripts { .. } | Self::PingPong) || is_of_hub
    }

    /// Returns an upper bound of the connections to the server.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Stream(stream)
            | Self::Scripts { stream, .. }
            | Self::OpenLoop { stream, .. }
            | Self::AtRate { stream, .. }
            | Self::Stalled { stream, .. } => {
                stream.publishers + stream.subscribers + stream.patterns + 1
            }
            Self::Idle { connections, .. } | Self::Storm { connections, .. } => connections,
            Self::Subscriptions(crowd) => crowd.clients + 1,
            Self::Hub(hub) => hub.connections(),
            Self::Outage { servers, .. } => 2 * servers,
            Self::Cluster(cluster) => cluster.connections + cluster.servers + 1,
            Self::PingPong | Self::Memory { .. } | Self::Churn { .. } | Self::FanOut { .. } => 2,
        }
    }

    /// Returns the same load with its rate, given the highest rate.
    pub(crate) fn at_highest_rate(self, highest: f64) -> Self {
        match self {
            Self::OpenLoop { stream, part, .. } => {
                Self::OpenLoop { stream, part, rate: highest * part }
            }
            other => other,
        }
    }
}

impl Stream {
    /// Returns the number of receivers of a message on this channel.
    pub(crate) fn receivers(self, channel: usize) -> u64 {
        let spread = self.subscribers / self.channels
            + usize::from(channel < self.subscribers % self.channels);
        (spread + self.patterns) as u64
    }
}

impl Cluster {
    /// Returns the same load for a server without backplanes. Each connection becomes a client, and
    /// each group a channel.
    pub(crate) fn alone(self) -> Stream {
        Stream {
            publishers: self.servers,
            pipeline: self.pipeline,
            subscribers: self.connections,
            channels: self.groups,
            payload_bytes: PAYLOAD_BYTES,
            idle_patterns: 0,
            patterns: 0,
        }
    }

    /// Returns the number of receivers of each message.
    pub(crate) fn receivers(self) -> u64 {
        (self.connections / self.groups) as u64
    }
}

impl Crowd {
    pub(crate) fn subscriptions(self) -> usize {
        self.clients * self.channels_each
    }

    /// Returns the channels of the client with this number.
    pub(crate) fn channels(self, number: usize) -> impl Iterator<Item = String> {
        let first = match self.channels {
            Channels::Own => number * self.channels_each,
            Channels::Shared => 0,
        };
        (first..first + self.channels_each).map(|index| format!("channel:{index:07}"))
    }
}
