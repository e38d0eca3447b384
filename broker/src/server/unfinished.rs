//! A request of which only a part has arrived.

use crate::protocol::request::Decoder;

/// An incomplete request.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) bytes: Vec<u8>,
    pub(super) decoder: Decoder,
    /// The number of complete arguments at the last look, and their bytes.
    arguments: (usize, usize),
}

/// Input that a connection keeps, in bytes.
pub(super) struct KeptInput {
    pub(super) unparsed: usize,
    pub(super) room: usize,
    pub(super) arguments: usize,
}

impl Unfinished {
    pub(super) fn new(bytes: &[u8], decoder: Decoder) -> Self {
        Self { bytes: bytes.to_vec(), decoder, arguments: (0, 0) }
    }

    /// Returns the memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.decoder.argument_bytes()
    }

    /// Returns the figures of its input.
    pub(super) fn kept(&mut self) -> KeptInput {
        let (known, bytes) = self.arguments;
        let (count, new) = self.decoder.complete_from(known);
        self.arguments = (count, bytes + new);
        KeptInput {
            unparsed: self.bytes.len().saturating_sub(self.decoder.position()),
            room: self.bytes.capacity() - self.bytes.len(),
            arguments: bytes + new,
        }
    }

    /// Returns the bytes that its present argument still needs, as far as that is known.
    pub(super) fn missing(&self) -> usize {
        self.decoder.missing(self.bytes.len())
    }

    /// Takes the bytes that belong to the request, and returns the rest.
    ///
    /// The buffer doubles as it grows, but has no room beyond a large argument. An announced length
    /// alone takes no memory.
    pub(super) fn add<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let wanted = self.decoder.wanted(self.bytes.len(), input);
        let (own, rest) = input.split_at(wanted);
        if self.bytes.capacity() - self.bytes.len() < own.len() && self.missing() > 0 {
            let more = self.missing().min(self.bytes.len().max(own.len()));
            self.bytes.reserve_exact(more);
        }
        self.bytes.extend_from_slice(own);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Decoded, Limits};

    const LIMITS: Limits = Limits { bulk_bytes_max: 512 * 1024 * 1024, authenticated: true };

    /// Adds pieces of a request, and returns the greatest capacity beside its bytes at that time.
    fn collect(request: &[u8], piece: usize) -> (Unfinished, usize) {
        let (first, rest) = request.split_at(piece);
        let mut unfinished = Unfinished::new(first, Decoder::default());
        let mut room = 0;
        for piece in rest.chunks(piece) {
            let Unfinished { bytes, decoder, .. } = &mut unfinished;
            assert_eq!(decoder.decode(bytes, LIMITS), Ok(Decoded::Incomplete));
            assert!(unfinished.add(piece).is_empty(), "the request has no end before");
            let bytes = &unfinished.bytes;
            assert!(bytes.capacity() <= 2 * bytes.len() + 64, "an announced length takes memory");
            room = room.max(bytes.capacity() - bytes.len());
        }
        (unfinished, room)
    }

    #[test]
    fn a_large_argument_leaves_no_room() {
        let length = 314_572;
        let mut request = format!("*2\r\n$7\r\nPUBLISH\r\n${length}\r\n").into_bytes();
        request.resize(request.len() + length + 2, b'v');
        for piece in [1_000, 16_384, 65_536, 200_000] {
            let (whole, room) = collect(&request, piece);
            assert_eq!(whole.bytes.capacity(), request.len(), "in pieces of {piece}");
            assert!(room <= request.len(), "in pieces of {piece}");
        }
    }
}
