//! Messages that follow each other on one channel, encoded into one buffer for all who get them.
//!
//! The first message on a channel is queued for each member at once. When the next one is for the
//! same channel, a run begins: its messages are only added to the run's buffer, and when the run
//! ends every member gets all of them in one piece. So a message of a run costs the same, however
//! many listen.
//!
//! Invariant: nothing else is queued for a member while it waits for a run. Whoever wants to ends
//! the run first, and so does whoever changes who listens.

use std::rc::Rc;

use bytes::Bytes;

use super::{Mail, Member};
use crate::message::{SHARED_BYTES_MIN, Space};
use crate::resp::Protocol;

/// The channel of the last message, and the messages that followed it.
#[derive(Debug, Default)]
pub(super) struct Run {
    space: Option<Space>,
    channel: Vec<u8>,
    /// Those who wait for the run, by protocol version. Nobody waits before it has begun.
    members: [Vec<Rc<Member>>; 2],
    frames: [Vec<u8>; 2],
}

/// A run ends at this size, so that a member's limit is exceeded by no more.
const RUN_BYTES_MAX: usize = 16 * 1024;

impl Run {
    /// Whether the last message was on this channel.
    pub(super) fn is_on(&self, space: Space, channel: &[u8]) -> bool {
        self.space == Some(space) && self.channel == channel
    }

    pub(super) fn has_begun(&self) -> bool {
        self.members.iter().any(|members| !members.is_empty())
    }

    fn is_full(&self) -> bool {
        self.frames.iter().any(|frame| frame.len() >= RUN_BYTES_MAX)
    }
}

impl Mail {
    /// Says on which channel the last message was, now that its members have it.
    pub(super) fn note_channel(&mut self, space: Space, channel: &[u8]) {
        self.run.space = Some(space);
        self.run.channel.clear();
        self.run.channel.extend_from_slice(channel);
    }

    /// Begins a run for `members`, unless one of them must get its messages at another time.
    pub(super) fn begin_run(&mut self, members: &[Rc<Member>]) {
        if members.iter().any(|member| member.deferred.borrow().is_some()) {
            return;
        }
        for member in members {
            member.waits_for_run.set(true);
            self.run.members[member.protocol.get() as usize].push(member.clone());
            self.mark(member);
        }
    }

    /// Adds a message to the run that has begun.
    pub(super) fn add_to_run(&mut self, write: impl Fn(&mut Vec<u8>, Protocol)) {
        self.queued = self.queued.wrapping_add(1);
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            if !self.run.members[protocol as usize].is_empty() {
                write(&mut self.run.frames[protocol as usize], protocol);
            }
        }
        if self.run.is_full() {
            self.end_run();
        }
    }

    /// Queues the run's messages for all who wait for them. The next message begins anew.
    pub(crate) fn end_run(&mut self) {
        self.run.space = None;
        if !self.run.has_begun() {
            return;
        }
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut members = std::mem::take(&mut self.run.members[protocol as usize]);
            let mut frame = std::mem::take(&mut self.run.frames[protocol as usize]);
            members.iter().for_each(|member| member.waits_for_run.set(false));
            if frame.len() >= SHARED_BYTES_MIN && members.len() > 1 {
                let shared = Bytes::from(frame);
                members.iter().for_each(|member| self.deliver_shared(member, shared.clone()));
                frame = Vec::new();
            } else {
                for member in &members {
                    self.deliver_with(member, |out| out.extend_from_slice(&frame));
                }
                frame.clear();
            }
            // Kept for the next run.
            members.clear();
            self.run.members[protocol as usize] = members;
            self.run.frames[protocol as usize] = frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audience::{Audience, Content, Listeners};
    use crate::broker::Entrance;
    use crate::config::{Config, OutputLimit};
    use crate::message::Name;
    use crate::registry::WorkerId;

    fn audience() -> Audience {
        Audience::new(WorkerId(0), Arc::new(Config::default()), Entrance::default())
    }

    fn member(audience: &mut Audience, id: u64, channel: &str) -> Rc<Member> {
        let member = Rc::new(Member::new(id, 0));
        audience.join(Space::Channels, Name::from(channel.as_bytes()), &member);
        member
    }

    fn publish(audience: &mut Audience, channel: &str, payload: &str) {
        let (channel, payload) = (channel.as_bytes(), payload.as_bytes());
        let content = Content { space: Space::Channels, channel, payload, shared: None };
        audience.deliver(content, &Listeners { channel: true, ..Listeners::default() });
    }

    /// What the member would read, without line ends.
    fn read(audience: &mut Audience, member: &Member) -> String {
        audience.mail().take_dirty(&mut Vec::new());
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let outbox = member.outbox();
        let filled = outbox.slices(&mut slices);
        let text: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        String::from_utf8(text).unwrap().replace("\r\n", " ")
    }

    fn messages(kind: char, payloads: &[&str]) -> String {
        let frame =
            |payload: &&str| format!("{kind}3 $7 message $1 a ${} {payload} ", payload.len());
        payloads.iter().map(frame).collect()
    }

    #[test]
    fn each_gets_all_in_its_own_protocol() {
        let mut audience = audience();
        let (ann, bob) = (member(&mut audience, 1, "a"), member(&mut audience, 2, "a"));
        bob.protocol.set(Protocol::Resp3);
        // More than a run holds, so that it ends and begins again.
        let long = "x".repeat(SHARED_BYTES_MIN / 2);
        let payloads: Vec<&str> = (0..100).map(|_| long.as_str()).collect();
        payloads.iter().for_each(|payload| publish(&mut audience, "a", payload));
        assert_eq!(read(&mut audience, &ann), messages('*', &payloads));
        assert_eq!(read(&mut audience, &bob), messages('>', &payloads));
    }

    #[test]
    fn what_comes_between_stands_between() {
        let mut audience = audience();
        let (ann, bob) = (member(&mut audience, 1, "a"), member(&mut audience, 2, "a"));
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut audience, "a", payload));
        audience
            .mail()
            .reply(&ann, OutputLimit::default(), |out| out.extend_from_slice(b"+OK\r\n"));
        ["4", "5", "6"].iter().for_each(|payload| publish(&mut audience, "a", payload));
        publish(&mut audience, "b", "nobody");
        publish(&mut audience, "a", "7");
        let (before, after) = (["1", "2", "3"], ["4", "5", "6", "7"]);
        let expected = [&messages('*', &before), "+OK ", &messages('*', &after)].concat();
        assert_eq!(read(&mut audience, &ann), expected);
        assert_eq!(read(&mut audience, &bob), messages('*', &[&before[..], &after].concat()));
    }

    #[test]
    fn who_leaves_or_comes_in_the_middle_gets_its_part() {
        let mut audience = audience();
        let ann = member(&mut audience, 1, "a");
        let bob = member(&mut audience, 2, "a");
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut audience, "a", payload));
        audience.leave(Space::Channels, &Name::from(&b"a"[..]), &ann);
        let cid = member(&mut audience, 3, "a");
        ["4", "5", "6"].iter().for_each(|payload| publish(&mut audience, "a", payload));
        assert_eq!(read(&mut audience, &ann), messages('*', &["1", "2", "3"]));
        assert_eq!(read(&mut audience, &bob), messages('*', &["1", "2", "3", "4", "5", "6"]));
        assert_eq!(read(&mut audience, &cid), messages('*', &["4", "5", "6"]));
    }

    #[test]
    fn a_client_that_quits_gets_what_came_before() {
        use crate::disconnect::Disconnect;

        let mut audience = audience();
        let ann = member(&mut audience, 1, "a");
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut audience, "a", payload));
        audience.mail().disconnect(&ann, Disconnect::Quit);
        publish(&mut audience, "a", "4");
        assert_eq!(read(&mut audience, &ann), messages('*', &["1", "2", "3"]));
    }

    #[test]
    fn one_that_does_not_read_is_closed_at_its_limit() {
        let mut audience = audience();
        let ann = member(&mut audience, 1, "a");
        let bytes_max = 4 * RUN_BYTES_MAX;
        let limit = OutputLimit { hard_bytes: bytes_max, ..OutputLimit::default() };
        audience.mail().subscriber_limit = limit;
        let payload = "x".repeat(SHARED_BYTES_MIN / 2);
        for _ in 0..2 * bytes_max / payload.len() {
            publish(&mut audience, "a", &payload);
            assert!(ann.outbox().bytes() <= bytes_max + 2 * RUN_BYTES_MAX);
        }
        assert!(ann.disconnect().is_some());
        assert!(ann.outbox().is_empty());
    }
}
