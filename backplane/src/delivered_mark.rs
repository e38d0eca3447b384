//! Marks for messages that were delivered locally before they had an id.

/// Includes the connections that were attached when a message was delivered locally: all numbers up
/// to this one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveredMark(pub(crate) u64);

impl DeliveredMark {
    /// Returns whether no connection is included.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the connection with this number is included.
    pub(crate) fn has(self, number: u64) -> bool {
        number <= self.0
    }
}
