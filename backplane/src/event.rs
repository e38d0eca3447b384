//! Events in the message stream, for the application.

use std::fmt;

use tokio::sync::broadcast;

/// A range of ids whose messages did not arrive, both ends included.
///
/// ```
/// let gap = backplane::Gap { from: 7, to: 9 };
/// assert_eq!(gap.to_string(), "messages 7 to 9 are missing");
/// assert_eq!(gap.count(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first missing id.
    pub from: u64,
    /// The last missing id.
    pub to: u64,
}

/// An event in the message stream.
///
/// ```
/// let event = backplane::Event::Gap(backplane::Gap { from: 7, to: 7 });
/// assert_eq!(event.to_string(), "message 7 is missing");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This server missed messages. Only their ids are known. Some may have been probes or
    /// acknowledgements, not invocations.
    Gap(Gap),
    /// The id counter was reset: the broker lost its data, a failover happened, or a client changed
    /// the key. The backplane restores the counter, and cursors stay valid. A [`Gap`](Self::Gap)
    /// follows if messages were missed in the meantime. Messages from other servers shortly before
    /// the reset may be lost without a report.
    #[non_exhaustive]
    Restarted {
        /// The last id before the reset.
        last: u64,
        /// The first id after the reset.
        id: u64,
    },
    /// The subscription was interrupted, and is complete again. Messages of the meantime are
    /// missing. Only ASP.NET Core's dialect reports this, since its messages have no ids.
    Interrupted,
    /// The application fell behind, and this number of events was dropped.
    Skipped(u64),
}

/// A receiver for the events of a backplane.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

/// Maximum events that wait for the application.
pub(crate) const EVENTS_MAX: usize = 1024;

impl Gap {
    /// Returns the gap between two successive payloads, if there is one.
    pub(crate) fn between(last: u64, id: u64) -> Option<Self> {
        (id - last > 1).then(|| Self { from: last + 1, to: id - 1 })
    }

    /// Returns the number of missing messages.
    ///
    /// ```
    /// assert_eq!(backplane::Gap { from: 1, to: 1 }.count(), 1);
    /// ```
    pub fn count(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// Returns a receiver without events.
    pub(crate) fn ended() -> Self {
        Self { receiver: broadcast::Sender::new(1).subscribe() }
    }

    /// Waits for the next event. Returns `None` after the shutdown of the backplane.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut events = backplane.events();
    /// backplane.shutdown().await;
    /// assert_eq!(events.recv().await, None);
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Skipped(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count() {
            1 => write!(f, "message {} is missing", self.from),
            _ => write!(f, "messages {} to {} are missing", self.from, self.to),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap(gap) => gap.fmt(f),
            Self::Restarted { last, id } => {
                write!(f, "the id counter was reset from {last} to {id}")
            }
            Self::Interrupted => f.write_str("the subscription was interrupted"),
            Self::Skipped(count) => write!(f, "{count} events were dropped"),
        }
    }
}
