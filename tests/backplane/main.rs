//! The backplane on every kind of bus, and under every fault: `cargo test -p e2e --features external
//! --test backplane`.
//!
//! | module        | claims about                                                             |
//! |---------------|--------------------------------------------------------------------------|
//! | `conformance` | what holds on every bus: order, targets, groups, cursors, health         |
//! | `signalr2`    | the bytes on the channel, as a server of SignalR 2 sends and reads them  |
//! | `outage`      | a server that is killed, comes back, or forgets                          |
//! | `network`     | connections that are closed, slow, half or dead                          |
//! | `failover`    | a master that dies, a slot that moves                                    |
//! | `replay`      | a broker that remembers what was missed                                  |
//! | `access`      | TLS, socket files, users, databases, names                               |
//!
//! The servers are the machine's `redis-server` and our broker, started here on the loopback interface.
//! `network`, `outage` and `signalr2` run on both.

#![allow(clippy::duplicate_mod, reason = "claims are put to two servers")]

mod access;
mod conformance;
mod failover;
mod farm;
mod ours;
mod redis;
mod replay;
