//! What is measured.

mod catalogue;

use std::time::Duration;

pub(crate) use self::catalogue::{OPEN_LOOP, SCENARIOS};
use crate::figure::Figure;

/// One row of the results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Short, for the command line and the files.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// What matters most in it. Less is better.
    pub(crate) figure: Figure,
    /// Whether only the full run has it.
    pub(crate) is_extra: bool,
}

/// What the load does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Publishers that send as fast as they get replies.
    Stream(Stream),
    /// Publishers that call a script, as SignalR's servers do.
    Scripts { stream: Stream, script: &'static str },
    /// Messages sent by the clock, at a part of the highest rate.
    OpenLoop {
        stream: Stream,
        part: f64,
        /// Messages a second, once the highest rate is known.
        rate: f64,
    },
    /// So many messages a second, while one of the subscribers stops reading for a third of the time.
    Stalled { stream: Stream, rate: f64 },
    /// One message at a time, from a publisher to a subscriber.
    PingPong,
    /// Connections that subscribe to a channel each and then do nothing, for so long.
    Idle { connections: usize, rest: Duration },
    /// One connection that subscribes to many channels.
    Memory { channels: usize },
    /// Connections that come, subscribe and go.
    Churn { connections: usize },
    /// Connections that come at once, with channels each, one to a command, in one write.
    Storm { connections: usize, channels: usize },
    /// Subscriptions that come and go.
    Subscriptions(Crowd),
    /// Messages to groups, over backplanes and by the server itself.
    Cluster(Cluster),
    /// Messages to all connections of one server, over a backplane and by a broker in its process.
    FanOut { connections: usize, messages: usize },
    /// Web servers whose server is killed and comes back after so long.
    Outage { servers: usize, away: Duration },
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
    /// More clients with a pattern each that matches every channel.
    pub(crate) patterns: usize,
}

/// Servers of one app, and the groups that their connections are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) servers: usize,
    /// Of all servers together, each in one group.
    pub(crate) connections: usize,
    pub(crate) groups: usize,
    /// Messages that each server sends at once; the next follow when all are taken.
    pub(crate) pipeline: usize,
}

/// Clients and what they subscribe to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) clients: usize,
    pub(crate) channels_each: usize,
    pub(crate) channels: Channels,
}

/// Whose channels a crowd has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    /// Each client has channels of its own.
    Own,
    /// All clients have the same.
    Shared,
}

/// Bytes of a message where a scenario says nothing else.
pub(crate) const PAYLOAD_BYTES: usize = 64;

impl Load {
    /// Bytes of each message.
    pub(crate) fn payload_bytes(self) -> usize {
        match self {
            Self::Stream(stream)
            | Self::Scripts { stream, .. }
            | Self::OpenLoop { stream, .. }
            | Self::Stalled { stream, .. } => stream.payload_bytes,
            _ => PAYLOAD_BYTES,
        }
    }

    /// Whether a relay that knows publishers and subscribers of one channel can take part.
    pub(crate) fn suits_baseline(self) -> bool {
        match self {
            Self::Stream(stream) => stream.patterns + stream.idle_patterns == 0,
            Self::OpenLoop { .. } | Self::Stalled { .. } | Self::PingPong | Self::Churn { .. } => {
                true
            }
            Self::Scripts { .. }
            | Self::Idle { .. }
            | Self::Memory { .. }
            | Self::Storm { .. }
            | Self::Subscriptions(_)
            | Self::Cluster(_)
            | Self::FanOut { .. }
            | Self::Outage { .. } => false,
        }
    }

    /// Whether messages are sent when they are due.
    pub(crate) fn is_by_clock(self) -> bool {
        matches!(self, Self::OpenLoop { .. } | Self::Stalled { .. })
    }

    /// Whether it takes a processor beside the server's.
    pub(crate) fn needs_processor(self) -> bool {
        let is_of_cluster =
            matches!(self, Self::Cluster(_) | Self::FanOut { .. } | Self::Outage { .. });
        self.is_by_clock() || is_of_cluster
    }

    /// Whether its system calls are of interest, for each message.
    pub(crate) fn counts_calls(self) -> bool {
        matches!(self, Self::Stream(_) | Self::Scripts { .. } | Self::PingPong)
    }

    /// Connections to the server at most.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Stream(stream)
            | Self::Scripts { stream, .. }
            | Self::OpenLoop { stream, .. }
            | Self::Stalled { stream, .. } => {
                stream.publishers + stream.subscribers + stream.patterns + 1
            }
            Self::Idle { connections, .. } | Self::Storm { connections, .. } => connections,
            Self::Subscriptions(crowd) => crowd.clients + 1,
            Self::Outage { servers, .. } => 2 * servers,
            Self::Cluster(cluster) => cluster.connections + cluster.servers + 1,
            Self::PingPong | Self::Memory { .. } | Self::Churn { .. } | Self::FanOut { .. } => 2,
        }
    }

    /// The same with its rate, now that the highest is known.
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
    /// Returns how many get a message of this channel.
    pub(crate) fn receivers(self, channel: usize) -> u64 {
        let spread = self.subscribers / self.channels
            + usize::from(channel < self.subscribers % self.channels);
        (spread + self.patterns) as u64
    }
}

impl Cluster {
    /// Returns the same load for a server without backplanes: a client for each connection, and a
    /// channel for each group.
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

    /// Returns how many get each message.
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
