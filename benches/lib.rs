//! What the broker costs.
//!
//! `cargo bench -p benches` measures the parts with criterion, in this process and without a
//! socket: `publish.rs` is publishing by number of receivers and of patterns.
