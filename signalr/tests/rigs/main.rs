//! Rigs: many clients at once on one server.
//!
//! | module   | subject                                                            |
//! |----------|--------------------------------------------------------------------|
//! | `crowd`  | rooms with many members, and clients that come and leave           |
//! | `drain`  | a server that loses all clients                                    |
//! | `order`  | handshakes, calls and hubs during a storm of messages              |
//! | `outage` | a broker that stops and returns while clients call                 |
//!
//! Each rig runs with a few clients in every check, and with many in `cargo xtask long`.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod crowd;
mod drain;
mod order;
mod outage;
#[allow(dead_code, reason = "the rigs need a part of it")]
#[path = "../hub/server.rs"]
mod server;
