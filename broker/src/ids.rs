//! Numbers that name things across threads: workers and commands.

/// The number of a worker, counted from 0. The script engine of a worker has a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u16);

impl WorkerId {
    /// Returns the number as an index into lists by worker.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The number of a row in the command table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandId(pub(crate) u16);

impl CommandId {
    /// Stands for a request whose command does not exist.
    pub(crate) const UNKNOWN: Self = Self(u16::MAX);

    /// Returns the number as an index into lists by command.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Returns 40 hexadecimal digits, which differ each time: the name of a run, or of a stream for replicas.
pub(crate) fn random_id() -> String {
    use std::hash::BuildHasher;

    // It need not be secret.
    let mut bytes = [0; 20];
    for (index, chunk) in bytes.chunks_mut(8).enumerate() {
        let seed = foldhash::fast::RandomState::default();
        let now = std::time::SystemTime::now();
        let hash = seed.hash_one((index, std::process::id(), now)).to_le_bytes();
        chunk.copy_from_slice(&hash[..chunk.len()]);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
