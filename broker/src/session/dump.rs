//! The dump that a client has asked for with `REPLCONF`.

/// The parts that the next `SYNC` sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dump {
    /// Whether the client wants a copy alone (`rdb-only 1`).
    pub(crate) is_wanted: bool,
    /// Whether the copy has no key (`rdb-filter-only functions`).
    pub(crate) leaves_out_keys: bool,
}
