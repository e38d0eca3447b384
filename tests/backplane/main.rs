//! The backplane on every kind of bus, and under every fault: `cargo test -p e2e --features external
//! --test backplane`.
//!
//! | module        | claims about                                                             |
//! |---------------|--------------------------------------------------------------------------|
//! | `conformance` | what holds on every bus: order, targets, groups, cursors, health         |
//! | `signalr2`    | the bytes on the channel, as a server of SignalR 2 sends and reads them  |
//! | `bursts`      | much at once, on a server that is well                                   |
//! | `backlog`     | a subscription that has much to read                                     |
//! | `counts`      | a counter that is lost, set back, or restored to less than others know     |
//! | `faults`      | what servers that talk miss under every fault, and are told of it         |
//! | `outage`      | a server that is killed, comes back, or forgets                          |
//! | `network`     | connections that are closed, slow, half or dead                          |
//! | `failover`    | a master that dies, is cut off or demoted, a slot that moves             |
//! | `embedded`    | servers that talk through a broker in their own process                  |
//! | `replay`      | a broker that remembers what was missed                                  |
//! | `operator`    | what the log and the counters tell of all that                           |
//! | `access`      | TLS, socket files, users, databases, names                               |
//!
//! The servers are the machine's `redis-server` and our broker, started here on the loopback interface.
//! `bursts`, `counts`, `faults`, `network`, `outage` and `signalr2` run on both (`redis`, `ours`). `faults` and `network` run on a
//! `sentinel` and on a `cluster` as well, and `faults` on a broker that remembers (`remembering`).

#![allow(clippy::duplicate_mod, reason = "claims are put to two servers")]

mod access;
mod backlog;
mod cluster;
mod conformance;
mod embedded;
mod failover;
mod farm;
mod log;
mod observer;
mod operator;
mod ours;
mod redis;
mod remembering;
mod replay;
mod sent_log;
mod sentinel;
mod site;
mod soak;
