//! Figures and logs: counters, latencies, slow commands, the process, memory, the clock, and
//! disconnect reasons.

pub(crate) mod clock;
pub(crate) mod disconnect;
pub(crate) mod event_loops;
pub(crate) mod histogram;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod slowlog;
pub(crate) mod stats;
