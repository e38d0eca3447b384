//! The options of a backplane, as the builder collects them.

use std::time::Duration;

use crate::address::Tls;

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) hub: String,
    pub(crate) history: History,
    pub(crate) queue: Queue,
    pub(crate) local_delivery_when_down: bool,
    pub(crate) ack_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) client_name: Option<String>,
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
            hub: "Hub".to_owned(),
            history: History::default(),
            queue: Queue::default(),
            local_delivery_when_down: false,
            ack_timeout: Duration::from_secs(10),
            probe_interval: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
            client_name: None,
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
