//! Input that was read but not executed yet.

/// Bytes that are appended at the end and used up from the front.
///
/// Each turn uses up a part of them only. To move the rest to the front each time would take a time
/// that grows with the square of their number, so the used part stays until it is the greater one.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    used: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Returns the bytes for which it has room, used ones included.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity() - self.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(super) fn add(&mut self, input: &[u8]) {
        self.bytes.extend_from_slice(input);
    }

    /// Removes bytes from the front. Frees memory, so that at most half of it is for used bytes.
    pub(super) fn use_up(&mut self, count: usize) {
        self.used += count;
        if self.used > self.len() {
            self.bytes = self.bytes().to_vec();
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut held = Held::default();
        held.add(b"abc");
        held.use_up(1);
        held.add(b"defgh");
        assert_eq!((held.bytes(), held.len()), (&b"bcdefgh"[..], 7));
        held.use_up(6);
        assert_eq!(held.bytes(), b"h");
        held.use_up(1);
        assert!(held.is_empty());
    }

    #[test]
    fn the_cost_does_not_grow_with_the_square() {
        let mut held = Held::default();
        held.add(&vec![0; 1 << 16]);
        let mut moves = 0;
        while !held.is_empty() {
            let before = held.bytes().as_ptr();
            held.use_up(1);
            moves += usize::from(held.bytes().as_ptr() != before.wrapping_add(1));
            assert!(held.bytes.capacity() <= 2 * held.len() + 2, "used bytes are kept");
        }
        assert!(moves <= 17, "{moves} moves");
    }
}
