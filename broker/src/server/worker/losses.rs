//! Notices to slow subscribers about the messages that a policy has dropped.

use std::rc::Rc;

use tracing::warn;

use super::Worker;
use crate::decode::Json;
use crate::protocol::reply::Reply;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::flush_queue::FlushQueue;
use crate::pubsub::slow_subscriber::{Lost, NOTICES};
use crate::server::connection::Connection;

impl Worker {
    /// Publishes the number of lost messages for each client of this worker that has lost some.
    pub(super) fn tell_losses(&self) {
        let has_lost = |connection: &Rc<Connection>| {
            connection.output.losses.borrow().as_ref().is_some_and(|losses| losses.is_new())
        };
        let connections = self.connections.borrow();
        let lossy: Vec<Rc<Connection>> =
            connections.iter().map(|(_, connection)| connection.clone()).filter(has_lost).collect();
        drop(connections);
        if lossy.is_empty() {
            return;
        }
        // While a script is late, the notices wait for the next second.
        self.with_order(|context, order| {
            for connection in lossy {
                let id = connection.info.id;
                // The client itself may get a notice, and lose another message by it.
                let lost =
                    connection.output.losses.borrow_mut().as_mut().map(|losses| losses.take());
                let Some(Lost { channels: lost, is_first }) = lost else { continue };
                if is_first {
                    let addr = &connection.info.peer;
                    warn!(client.id = id, client.addr = %addr, "a slow client loses messages");
                }
                let count = lost.iter().map(|(_, count)| count).sum();
                self.server.broker.stats().messages_dropped.add(count);
                let channel = format!("{NOTICES}{id}");
                for (name, count) in lost {
                    if let Some(name) = &name {
                        order.count_dropped(name, count);
                    }
                    if connection.output.notices.get().lost
                        && let Some(losses) = connection.output.losses.borrow_mut().as_mut()
                    {
                        losses.keep_for_push(name.as_deref(), count);
                    }
                    let notice = notice(name.as_deref(), count);
                    let (channel, notice) = (channel.as_bytes(), notice.as_bytes());
                    order.publish_here(&mut context.local, channel, notice);
                }
                push_losses(context.flush_queue(), &connection.output);
            }
        });
    }
}

/// Pushes its losses to a client that asked for them, once it has read most of its messages: pushes are
/// not dropped, so they would fill the outbox of a client that does not read.
fn push_losses(queue: &mut FlushQueue, output: &Rc<ClientOutput>) {
    if !queue.has_room_for_notices(output) {
        return;
    }
    let lost = output.losses.borrow_mut().as_mut().map(|losses| losses.take_for_push());
    for (name, count) in lost.into_iter().flatten() {
        let name = name.as_deref().map_or(Reply::Null, Reply::bulk);
        queue.push_notice(output, &[Reply::bulk("pubsub-lost"), name, Reply::integer(count)]);
    }
}

/// Returns a notice as JSON. Without a channel, it is about several ones.
fn notice(channel: Option<&[u8]>, count: u64) -> String {
    let mut json = Json::new(usize::MAX);
    json.object(|notice| {
        notice.field("channel", |json| match channel {
            Some(channel) => json.lossy(channel),
            None => json.raw("null"),
        });
        notice.number("lost", count);
    });
    json.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_json_for_any_channel() {
        assert_eq!(notice(Some(b"news"), 3), r#"{"channel":"news","lost":3}"#);
        assert_eq!(notice(None, 1), r#"{"channel":null,"lost":1}"#);
        let hostile = notice(Some(b"a\"\\\n\xff"), 2);
        assert_eq!(hostile, "{\"channel\":\"a\\\"\\\\\\n\u{fffd}\",\"lost\":2}");
    }
}
