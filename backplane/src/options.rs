//! The options of a backplane, as the builder collects them.

use std::time::Duration;

use crate::address::Tls;

/// The longest duration of an option: sums with an instant must not overflow.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The servers with which an app shares its messages.
///
/// ```
/// use backplane::{Backplane, Dialect};
///
/// let dialect = Dialect::AspNetCore { channel_prefix: "ChatApp".to_owned() };
/// let builder = Backplane::builder("ChatApp").dialect(dialect).hub("ChatApp.ChatHub");
/// # let _ = builder;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Servers of SignalR 2, and our own. All messages share one stream with ids.
    #[default]
    SignalR2,
    /// Servers of ASP.NET Core with `SignalR.StackExchangeRedis`, and our own. Each group, user and
    /// connection has a channel.
    ///
    /// Hubs have the full names of their .NET types, such as `ChatApp.ChatHub`. Names of hubs have
    /// no colon. A server receives messages of its own connections and groups only.
    ///
    /// Messages have no ids. So the backplane cannot detect single lost messages, and replays none:
    /// [`Backplane::attach_at`](crate::Backplane::attach_at) receives later messages only, and
    /// [`Builder::local_delivery_when_down`](crate::Builder::local_delivery_when_down) has no effect.
    /// [`Event::Interrupted`](crate::Event) reports a lost subscription. All connections of a server
    /// see one order, but two servers may see messages of different channels in another order.
    /// [`Backplane::abort`](crate::Backplane::abort) reaches connections of this server only,
    /// [`Backplane::disconnect`](crate::Backplane::disconnect) those of all our servers.
    AspNetCore {
        /// The `ChannelPrefix` of StackExchange.Redis, or nothing. It stands before the names of all
        /// channels.
        channel_prefix: String,
    },
}

/// Returns the expectation that a name of a hub does not meet on the stream of SignalR 2.
pub(crate) fn check_stream_hub(name: &str) -> Result<(), &'static str> {
    if name.contains('.') {
        return Err(
            "a name without '.', since hub \"A.b\" with group \"c\" and hub \"A\" with group \
                    \"b.c\" have one signal in the dialect of SignalR 2",
        );
    }
    Ok(())
}

/// Returns the expectation that a name of a hub does not meet on the channels of ASP.NET Core.
pub(crate) fn check_channel_hub(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(':') {
        return Err("the name of a .NET type, without ':'");
    }
    Ok(())
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) dialect: Dialect,
    pub(crate) hub: String,
    pub(crate) history: History,
    pub(crate) queue: Queue,
    pub(crate) local_delivery_when_down: bool,
    pub(crate) ack_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) client_name: Option<String>,
    pub(crate) server_channel: bool,
    /// Patterns of groups whose members all servers know.
    pub(crate) presence: Option<Vec<String>>,
    /// Files that apply where a URL names none.
    pub(crate) tls: Tls,
}

/// Limits of the recent messages that are kept for reconnecting connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Limits of the messages that are queued while the broker is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::SignalR2,
            hub: "Hub".to_owned(),
            history: History::default(),
            queue: Queue::default(),
            local_delivery_when_down: false,
            ack_timeout: Duration::from_secs(10),
            probe_interval: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
            client_name: None,
            server_channel: false,
            presence: None,
            tls: Tls::default(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 * 1024 * 1024 }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 * 1024 * 1024, age: Duration::from_secs(5) }
    }
}
