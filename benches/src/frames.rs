//! What one subscriber must get: messages that differ in nothing but a number, without a gap.
//!
//! The first bytes of each payload name its publisher and count its messages on that channel. A
//! message that is lost, doubled, changed or out of its publisher's order is found at once.

use std::ops::Range;

use crate::Failure;

/// The messages to one subscriber, however reads cut them.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// A whole frame; the tag in it stands for any.
    template: Vec<u8>,
    tag: Range<usize>,
    /// How much of a frame has come.
    at: usize,
    /// The tag of the frame that is coming.
    found: [u8; TAG_BYTES],
    /// The number of each publisher's next message.
    next: Vec<u32>,
}

/// Bytes of a tag: two digits of the publisher and six of the number.
pub(crate) const TAG_BYTES: usize = 8;
const NUMBERS: u32 = 1_000_000;

/// Returns a payload with an empty tag.
pub(crate) fn payload(bytes: usize) -> Vec<u8> {
    let mut payload = vec![b'x'; bytes.max(TAG_BYTES)];
    payload[..TAG_BYTES].copy_from_slice(&tag(0, 0));
    payload
}

/// Returns the tag of a publisher's message with this number, counted from 0.
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
    /// `template` is a frame whose payload, [`payload`], has `payload_bytes`.
    pub(crate) fn new(template: Vec<u8>, payload_bytes: usize, publishers: usize) -> Self {
        let start = template.len() - payload_bytes.max(TAG_BYTES) - b"\r\n".len();
        let tag = start..start + TAG_BYTES;
        Self { template, tag, at: 0, found: [0; TAG_BYTES], next: vec![0; publishers] }
    }

    /// Compares what has come with what must come, and returns the number of frames that ended.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<u64, Failure> {
        let mut rest = bytes;
        let mut ended = 0;
        while !rest.is_empty() {
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

    /// Compares a piece of a frame, but for the tag, which is kept.
    fn compare(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let expected = &self.template[self.at..self.at + piece.len()];
        let within = |place: usize| place.clamp(self.at, self.at + piece.len()) - self.at;
        let (start, end) = (within(self.tag.start), within(self.tag.end));
        if piece[..start] != expected[..start] || piece[end..] != expected[end..] {
            return Err(Failure::Wrong { expected: expected.into(), found: piece.into() });
        }
        if start < end {
            let place = self.at + start - self.tag.start;
            self.found[place..place + end - start].copy_from_slice(&piece[start..end]);
        }
        Ok(())
    }

    /// Checks the number of a whole message.
    fn count(&mut self) -> Result<(), Failure> {
        let digit = |value: u32, digit: &u8| value * 10 + u32::from(digit.wrapping_sub(b'0'));
        let publisher = self.found[..2].iter().fold(0, digit);
        let number = self.found[2..].iter().fold(0, digit);
        match self.next.get_mut(publisher as usize) {
            Some(next) if *next == number => {
                *next = (number + 1) % NUMBERS;
                Ok(())
            }
            next => Err(Failure::Wrong {
                expected: next.map_or_else(Vec::new, |next| {
                    tag(publisher as usize, u64::from(*next)).to_vec()
                }),
                found: self.found.to_vec(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn frame(publisher: usize, number: u64) -> Vec<u8> {
        let mut payload = payload(20);
        payload[..TAG_BYTES].copy_from_slice(&tag(publisher, number));
        wire::message(3, &payload)
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
