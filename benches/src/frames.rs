//! Checks the messages of one subscriber, which differ only in their tags.
//!
//! The tag is the first bytes of each payload: the number of the publisher, and that of the message
//! among those of the publisher on this channel. A lost, repeated, changed or reordered message
//! fails the check at once.

use std::ops::Range;
use std::sync::Arc;

use crate::Failure;
use crate::nats::Pings;
use crate::wire::ID_BYTES;

/// Checks frames that arrive in pieces of any size.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// A whole frame with any tag and id. Subscribers with the same frames can share it.
    template: Arc<[u8]>,
    /// Bytes received of the current frame.
    at: usize,
    /// The tag of the current frame.
    tag: Hole<TAG_BYTES>,
    /// The number of each publisher's next message.
    next: Vec<u32>,
    /// The id of the current frame, if the server numbers its messages.
    id: Option<Hole<ID_BYTES>>,
    /// The id of the next message; `None` before the first.
    next_id: Option<u64>,
    /// Present if the server may send a `PING` between two frames.
    pings: Option<Pings>,
}

/// A range of a frame that differs in each message.
#[derive(Clone, Debug)]
struct Hole<const BYTES: usize> {
    range: Range<usize>,
    found: [u8; BYTES],
}

/// Bytes of a tag: two digits for the publisher and six for the message.
pub(crate) const TAG_BYTES: usize = 8;
const NUMBERS: u32 = 1_000_000;

/// Returns a payload with the tag of publisher 0 and message 0.
pub(crate) fn payload(bytes: usize) -> Vec<u8> {
    let mut payload = vec![b'x'; bytes.max(TAG_BYTES)];
    payload[..TAG_BYTES].copy_from_slice(&tag(0, 0));
    payload
}

/// Returns the tag of a message. Messages are counted from 0, and publishers too.
pub(crate) fn tag(publisher: usize, number: u64) -> [u8; TAG_BYTES] {
    let mut rest = publisher as u64 * u64::from(NUMBERS) + number % u64::from(NUMBERS);
    let mut tag = [b'0'; TAG_BYTES];
    for digit in tag.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    tag
}

impl Frames {
    /// Creates a check against `template`, a frame that holds a [`payload`] of `payload_bytes`.
    pub(crate) fn new(
        template: impl Into<Arc<[u8]>>,
        payload_bytes: usize,
        publishers: usize,
    ) -> Self {
        let template = template.into();
        let tag_at = template.len() - payload_bytes.max(TAG_BYTES) - b"\r\n".len();
        let (tag, next) = (Hole::at(tag_at), vec![0; publishers]);
        Self { template, at: 0, tag, next, id: None, next_id: None, pings: None }
    }

    /// Expects an id and a space before each payload. Ids rise by one.
    pub(crate) fn with_ids(mut self) -> Self {
        self.id = Some(Hole::at(self.tag.range.start - ID_BYTES - b" ".len()));
        self
    }

    /// Skips each `PING` of a NATS server between two frames.
    pub(crate) fn with_pings(mut self) -> Self {
        self.pings = Some(Pings::default());
        self
    }

    /// Checks received bytes and returns the number of frames completed by them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<u64, Failure> {
        let mut rest = bytes;
        let mut ended = 0;
        while !rest.is_empty() {
            if self.at == 0
                && let Some(pings) = &mut self.pings
            {
                let wrong =
                    || Failure::Wrong { expected: self.template.to_vec(), found: rest.into() };
                rest = pings.skip(rest).ok_or_else(wrong)?;
            }
            let (piece, after) = rest.split_at(rest.len().min(self.template.len() - self.at));
            self.compare(piece)?;
            self.at += piece.len();
            if self.at == self.template.len() {
                self.at = 0;
                self.count()?;
                ended += 1;
            }
            rest = after;
        }
        Ok(ended)
    }

    /// Compares a piece of a frame with the template, and stores its bytes of the tag and the id.
    fn compare(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let expected = &self.template[self.at..self.at + piece.len()];
        let id = self.id.as_mut().map_or(0..0, |id| id.take(self.at, piece));
        let tag = self.tag.take(self.at, piece);
        let is_same = |range: Range<usize>| piece[range.clone()] == expected[range];
        match is_same(0..id.start) && is_same(id.end..tag.start) && is_same(tag.end..piece.len()) {
            true => Ok(()),
            false => Err(Failure::Wrong { expected: expected.into(), found: piece.into() }),
        }
    }

    /// Checks tag and id of a complete frame.
    fn count(&mut self) -> Result<(), Failure> {
        if let Some(id) = &self.id {
            let found = number(&id.found);
            if self.next_id.is_some_and(|next| next != found) {
                let expected = self.next_id.unwrap_or_default().to_string().into_bytes();
                return Err(Failure::Wrong { expected, found: id.found.to_vec() });
            }
            self.next_id = Some(found + 1);
        }
        let (publisher, tagged) = self.tag.found.split_at(2);
        let (publisher, tagged) = (number(publisher) as usize, number(tagged) as u32);
        match self.next.get_mut(publisher) {
            Some(next) if *next == tagged => {
                *next = (tagged + 1) % NUMBERS;
                Ok(())
            }
            next => Err(Failure::Wrong {
                expected: next
                    .map_or_else(Vec::new, |next| tag(publisher, u64::from(*next)).to_vec()),
                found: self.tag.found.to_vec(),
            }),
        }
    }
}

impl<const BYTES: usize> Hole<BYTES> {
    fn at(start: usize) -> Self {
        Self { range: start..start + BYTES, found: [0; BYTES] }
    }

    /// Stores the bytes of this range that a piece of the frame holds. `at` is the offset of the
    /// piece in the frame. Returns the place of these bytes in the piece.
    fn take(&mut self, at: usize, piece: &[u8]) -> Range<usize> {
        let within = |place: usize| place.clamp(at, at + piece.len()) - at;
        let own = within(self.range.start)..within(self.range.end);
        if !own.is_empty() {
            let place = at + own.start - self.range.start;
            self.found[place..place + own.len()].copy_from_slice(&piece[own.clone()]);
        }
        own
    }
}

/// Returns the value of decimal digits.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nats, wire};

    fn frame(publisher: usize, number: u64) -> Vec<u8> {
        wire::message(3, &tagged(publisher, number))
    }

    fn tagged(publisher: usize, number: u64) -> Vec<u8> {
        let mut payload = payload(20);
        payload[..TAG_BYTES].copy_from_slice(&tag(publisher, number));
        payload
    }

    fn frames() -> Frames {
        Frames::new(wire::message(3, &payload(20)), 20, 2)
    }

    #[test]
    fn messages_of_several_publishers_may_be_cut_anywhere() {
        let bytes = [frame(0, 0), frame(1, 0), frame(0, 1)].concat();
        for cut in 1..bytes.len() {
            let mut frames = frames();
            let ended: u64 = bytes.chunks(cut).map(|piece| frames.take(piece).expect("fine")).sum();
            assert_eq!(ended, 3, "cut into {cut}");
        }
    }

    #[test]
    fn ids_rise_by_one() {
        let message = |id: u64, number| {
            let mut payload = format!("{id} ").into_bytes();
            payload.extend(tagged(0, number));
            wire::message(3, &payload)
        };
        let frames = Frames::new(message(wire::ID_BEFORE, 0), 20, 1).with_ids();
        let first = wire::ID_BEFORE + 1;
        let right = [message(first, 0), message(first + 1, 1)].concat();
        for cut in 1..right.len() {
            let mut frames = frames.clone();
            let ended: u64 = right.chunks(cut).map(|piece| frames.take(piece).expect("fine")).sum();
            assert_eq!(ended, 2, "cut into {cut}");
        }
        for wrong in [first, first + 2] {
            let wrong = [message(first, 0), message(wrong, 1)].concat();
            assert!(frames.clone().take(&wrong).is_err());
        }
    }

    #[test]
    fn a_ping_between_two_messages_is_skipped() {
        let message = |number| nats::message("c0003", "c0003", &tagged(0, number));
        let frames = Frames::new(message(0), 20, 1).with_pings();
        let bytes = [&message(0), nats::PING, &message(1), nats::PING].concat();
        for cut in 1..bytes.len() {
            let mut frames = frames.clone();
            let ended: u64 = bytes.chunks(cut).map(|piece| frames.take(piece).expect("fine")).sum();
            assert_eq!(ended, 2, "cut into {cut}");
        }
        let within = [&message(0)[..9], nats::PING, &message(0)[9..]].concat();
        assert!(frames.clone().take(&within).is_err());
    }

    #[test]
    fn what_is_lost_doubled_swapped_or_changed_is_found() {
        let mut changed = frame(0, 0);
        changed[50] ^= 1;
        for wrong in [
            vec![frame(0, 1)],
            vec![frame(0, 0), frame(0, 0)],
            vec![frame(1, 0), frame(1, 2), frame(1, 1)],
            vec![frame(7, 0)],
            vec![changed],
        ] {
            assert!(frames().take(&wrong.concat()).is_err(), "{wrong:?}");
        }
    }
}
