//! Which connections were given a message before it had an id.

/// Who was there when a message was handed out: all that were attached up to this number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveredMark(pub(crate) u64);

impl DeliveredMark {
    /// Returns whether the connection of this number was there.
    pub(crate) fn has(self, number: u64) -> bool {
        number <= self.0
    }
}
