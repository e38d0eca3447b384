//! The options of `REPLCONF`.

/// What a client has said with `REPLCONF`, for the next `SYNC`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaOptions {
    /// Whether it wants a copy of the keys alone (`rdb-only 1`).
    pub(crate) wants_dump: bool,
    /// Whether the copy has no key (`rdb-filter-only functions`).
    pub(crate) leaves_out_keys: bool,
    /// The address by which it wants to be known.
    pub(crate) ip: Option<String>,
    /// The port on which it listens, for `INFO` and Sentinel.
    pub(crate) port: u16,
    /// Whether it is of this product, and learns which keys were counted up (`capa broker-counters`).
    pub(crate) knows_counters: bool,
    /// Whether it knows the newer form of a copy (`capa eof`), as Redis requires for a part.
    pub(crate) knows_eof: bool,
}
