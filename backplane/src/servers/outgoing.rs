//! Messages of this server to others, on their way to the bus.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, warn};

use super::packet::{Content, Packet};
use super::questions::Reply;
use crate::bus::{ChannelBus, Publication};

/// Encodes messages, and queues those that nobody waits for.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    names: Arc<Names>,
    queue: mpsc::Sender<Publication>,
    /// Whether the last message had no room.
    is_full: Arc<AtomicBool>,
}

/// The names of this server and of the channels.
#[derive(Debug)]
pub(super) struct Names {
    /// The id of this server.
    pub(super) id: String,
    /// The channel of all servers. That of one server begins with it.
    pub(super) all: String,
    /// What stands before the id of a server in the name of its channel.
    server: String,
}

/// The sender of a question.
#[derive(Clone, Debug)]
pub(super) struct ReplyTo {
    pub(super) server: String,
    pub(super) number: u64,
}

/// Messages that wait for the bus. Further ones are dropped, as when the broker is away.
const QUEUE_MAX: usize = 4096;
/// Messages on their way at once.
const UNDER_WAY_MAX: usize = 1024;

impl Outgoing {
    pub(super) fn new(names: Arc<Names>) -> (Self, mpsc::Receiver<Publication>) {
        let (queue, publications) = mpsc::channel(QUEUE_MAX);
        (Self { names, queue, is_full: Arc::default() }, publications)
    }

    /// Returns a message for all servers.
    pub(super) fn to_all(&self, content: Content<'_>) -> Publication {
        self.packet(self.names.all.clone(), content)
    }

    /// Returns a message for one server.
    pub(super) fn to_one(&self, server: &str, content: Content<'_>) -> Publication {
        self.packet(self.names.channel_of(server), content)
    }

    /// Sends a message without waiting for the outcome.
    pub(super) fn send(&self, publication: Publication) {
        let sent = self.queue.try_send(publication);
        let is_full = matches!(sent, Err(TrySendError::Full(_)));
        let was_full = self.is_full.swap(is_full, Ordering::Relaxed);
        if is_full && !was_full {
            warn!(
                queued = QUEUE_MAX,
                "messages to other servers are dropped, since the broker takes none"
            );
        }
    }

    pub(super) fn reply(&self, to: &ReplyTo, reply: &Reply) {
        let number = to.number;
        let content = match reply {
            Ok(value) => Content::Answer { number, value },
            Err(reason) => Content::Refusal { number, reason: Cow::Borrowed(reason) },
        };
        self.send(self.to_one(&to.server, content));
    }

    fn packet(&self, channel: String, content: Content<'_>) -> Publication {
        let packet = Packet { from: Cow::Borrowed(&self.names.id), content };
        Publication { channel, payload: packet.to_bytes() }
    }
}

impl Names {
    /// In a cluster, all channels are in the slot of the app: a tag in braces selects it.
    pub(super) fn new(id: String, app: &str, is_cluster: bool) -> Self {
        let app = match is_cluster && !has_tag(app) {
            true => format!("{{{app}}}"),
            false => app.to_owned(),
        };
        Self { id, all: format!("{app}.servers"), server: format!("{app}.server.") }
    }

    pub(super) fn channel_of(&self, server: &str) -> String {
        [&*self.server, server].concat()
    }
}

/// Sends the messages in their order. None waits for the outcome of another one.
pub(super) async fn publish(bus: &ChannelBus, mut queue: mpsc::Receiver<Publication>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(sent) = under_way.next() => if let Err(error) = sent {
                debug!(%error, "could not notify the other servers");
            },
            Some(publication) = queue.recv(), if under_way.len() < UNDER_WAY_MAX => {
                under_way.push(async move { bus.publish(&[publication]).await });
            }
            else => return,
        }
    }
}

/// Returns whether a part of a name in braces selects its slot.
fn has_tag(name: &str) -> bool {
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    tag.is_some_and(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_in_the_slot_of_the_app() {
        let of = |app, is_cluster| {
            let names = Names::new("7".to_owned(), app, is_cluster);
            (names.channel_of("7"), names.all)
        };
        let names = |one: &str, all: &str| (one.to_owned(), all.to_owned());
        assert_eq!(of("App", false), names("App.server.7", "App.servers"));
        assert_eq!(of("App", true), names("{App}.server.7", "{App}.servers"));
        assert_eq!(of("a{b}c", true), names("a{b}c.server.7", "a{b}c.servers"));
    }
}
