//! What an application may want to know beside the invocations themselves.

use std::fmt;

use tokio::sync::broadcast;

/// Ids that were given to messages which did not arrive, both ends included.
///
/// ```
/// let gap = backplane::Gap { from: 7, to: 9 };
/// assert_eq!(gap.to_string(), "messages 7 to 9 are missing");
/// assert_eq!(gap.count(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// Something that happened to the stream of messages.
///
/// ```
/// let event = backplane::Event::Gap(backplane::Gap { from: 7, to: 7 });
/// assert_eq!(event.to_string(), "message 7 is missing");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Messages were sent that this server did not get. Only their ids are known: some may have been
    /// probes or acknowledgements.
    Gap(Gap),
    /// The counter of ids went back: the broker has lost its memory, another one took over, or
    /// somebody changed the key. It is lifted again, and cursors go on. What was missed meanwhile
    /// follows as a [`Gap`](Self::Gap); what others were sent shortly before may be lost without a
    /// trace.
    #[non_exhaustive]
    Restarted {
        /// The id that arrived last before.
        last: u64,
        /// The id that arrived now.
        id: u64,
    },
    /// The application did not take its events, and so many of them are gone.
    Skipped(u64),
}

/// The events of a backplane from some moment on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

/// Those that wait for an application which does not take them.
pub(crate) const EVENTS_MAX: usize = 1024;

impl Gap {
    /// Returns the gap between two ids that arrived one after the other, if there is one.
    pub(crate) fn between(last: u64, id: u64) -> Option<Self> {
        (id - last > 1).then(|| Self { from: last + 1, to: id - 1 })
    }

    /// Returns how many messages are missing.
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

    /// Returns events of which there are none.
    pub(crate) fn ended() -> Self {
        Self { receiver: broadcast::Sender::new(1).subscribe() }
    }

    /// Returns the next event, and waits for one if there is none; `None` after the end of the
    /// backplane.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is taken only when the future is ready.
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
            Self::Restarted { last, id } => write!(f, "ids went back from {last} to {id}"),
            Self::Skipped(count) => write!(f, "{count} events were not taken in time"),
        }
    }
}
