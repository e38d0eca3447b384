//! The options of `REPLCONF`.

/// What a client has said with `REPLCONF`, for the next `SYNC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaOptions {
    /// Whether it wants a copy of the keys alone (`rdb-only 1`).
    pub(crate) wants_dump: bool,
    /// Whether the copy has no key (`rdb-filter-only functions`).
    pub(crate) leaves_out_keys: bool,
    /// Whether it knows the newer form of a copy (`capa eof`), as Redis requires for a part.
    pub(crate) knows_eof: bool,
}
