//! Notices to slow subscribers about the messages that a policy has dropped.

use std::rc::Rc;

use tracing::warn;

use super::Worker;
use crate::decode::Json;
use crate::protocol::reply::Reply;
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
                    if connection.output.notices.get().lost {
                        let name = name.as_deref().map_or(Reply::Null, Reply::bulk);
                        let parts = [Reply::bulk("pubsub-lost"), name, number(count)];
                        context.flush_queue().push_notice(&connection.output, &parts);
                    }
                    let notice = notice(name.as_deref(), count);
                    let (channel, notice) = (channel.as_bytes(), notice.as_bytes());
                    order.publish_here(&mut context.local, channel, notice);
                }
            }
        });
    }
}

fn number(count: u64) -> Reply {
    Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
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
