//! One frame to a client. Its payload is shared with other clients and never copied.

use std::{cell::RefCell, io::IoSlice};

use bytes::{Buf, Bytes};

/// A frame, or the part of it that is not sent yet.
#[derive(Debug)]
pub(super) struct Frame {
    header: [u8; HEADER_BYTES_MAX],
    /// The part of `header` that is not sent.
    from: u8,
    to: u8,
    payload: Bytes,
}

impl Frame {
    /// Returns a whole message without a mask.
    pub(super) fn new(opcode: u8, payload: Bytes) -> Self {
        let mut header = [0; HEADER_BYTES_MAX];
        header[0] = LAST | opcode;
        let len = payload.len();
        let to = if len < usize::from(LEN_16) {
            header[1] = len as u8;
            2
        } else if let Ok(len) = u16::try_from(len) {
            header[1] = LEN_16;
            header[2..4].copy_from_slice(&len.to_be_bytes());
            4
        } else {
            header[1] = LEN_64;
            header[2..].copy_from_slice(&(len as u64).to_be_bytes());
            10
        };
        Self { header, from: 0, to, payload }
    }

    /// Takes note of sent bytes, and returns the number of those behind this frame.
    pub(super) fn advance(&mut self, sent: usize) -> usize {
        let of_header = sent.min(usize::from(self.to - self.from));
        self.from += of_header as u8;
        let of_payload = (sent - of_header).min(self.payload.len());
        self.payload.advance(of_payload);
        sent - of_header - of_payload
    }

    pub(super) fn is_sent(&self) -> bool {
        self.from == self.to && self.payload.is_empty()
    }

    /// Calls a function with the bytes that are not sent in one piece, if they are few: a write of
    /// one piece costs the system less than one of two.
    pub(super) fn with_joined<T>(&self, write: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let [header, payload] = self.slices();
        if header.len() + payload.len() > JOINED_BYTES_MAX {
            return None;
        }
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            joined.extend_from_slice(&header);
            joined.extend_from_slice(&payload);
            Some(write(joined))
        })
    }

    fn slices(&self) -> [IoSlice<'_>; 2] {
        let header = &self.header[usize::from(self.from)..usize::from(self.to)];
        [IoSlice::new(header), IoSlice::new(&self.payload)]
    }
}

/// Calls a function with the bytes of the first frames.
pub(super) fn with_slices<T>(frames: &[Frame], write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
    if let [only] = frames {
        return write(&only.slices());
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let all = frames.iter().flat_map(Frame::slices);
    let used = slices.iter_mut().zip(all).map(|(slot, slice)| *slot = slice).count();
    write(&slices[..used])
}

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Slices for one write: 32 frames.
const SLICES_MAX: usize = 64;
/// Bytes that are copied for a write of one piece.
const JOINED_BYTES_MAX: usize = 4 * 1024;
const HEADER_BYTES_MAX: usize = 10;
const LAST: u8 = 0x80;
/// Lengths that stand for a longer length field.
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_shortest_length() {
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, LEN_16, 0, 126]);
        check(65_535, &[0x81, LEN_16, 0xff, 0xff]);
        check(65_536, &[0x81, LEN_64, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn frames_may_be_sent_in_any_parts() {
        let texts = ["", "a", "bcd"];
        let whole = bytes(&frames(&texts));
        for part in 1..whole.len() {
            let (mut frames, mut sent) = (frames(&texts), Vec::<u8>::new());
            while !frames.is_empty() {
                let bytes = bytes(&frames);
                let mut left = part.min(bytes.len());
                sent.extend(&bytes[..left]);
                while let Some(frame) = frames.first_mut() {
                    left = frame.advance(left);
                    if !frame.is_sent() {
                        break;
                    }
                    frames.remove(0);
                }
                assert_eq!(left, 0);
            }
            assert_eq!(sent, whole, "in parts of {part}");
        }
    }

    fn check(len: usize, header: &[u8]) {
        let frame = Frame::new(1, vec![b'x'; len].into());
        let bytes = bytes(&[frame]);
        assert_eq!(&bytes[..header.len()], header);
        assert_eq!(bytes.len(), header.len() + len);
    }

    fn frames(texts: &[&'static str]) -> Vec<Frame> {
        texts.iter().map(|text| Frame::new(1, Bytes::from_static(text.as_bytes()))).collect()
    }

    fn bytes(frames: &[Frame]) -> Vec<u8> {
        with_slices(frames, |slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }
}
