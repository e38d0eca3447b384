//! The backplane on every kind of bus, and under every fault: `cargo test -p e2e --features external
//! --test backplane`.
//!
//! | module        | subject                                                              |
//! |---------------|----------------------------------------------------------------------|
//! | `conformance` | claims about every bus: order, targets, groups, cursors, health      |
//! | `signalr2`    | the bytes on the channel, as servers of SignalR 2 send and read them |
//! | `aspnetcore`  | two of our servers and one of ASP.NET Core, simulated                |
//! | `bursts`      | bursts of messages on a healthy server                               |
//! | `backlog`     | a subscription with a backlog                                        |
//! | `counts`      | a counter that is lost, set back, or restored to an old value        |
//! | `faults`      | a soak under every fault: all gaps are reported                      |
//! | `guarantees`  | the guarantees of README, fault by fault                             |
//! | `outage`      | a server that is killed, restarted, or loses its data                |
//! | `network`     | connections that are closed, slow, half open or dead                 |
//! | `failover`    | a master that dies, is cut off or demoted, a slot that migrates      |
//! | `sends`       | order, waits for subscribers, and the end before a shutdown          |
//! | `embedded`    | servers with an embedded broker                                      |
//! | `endurance`   | rounds of random faults, for seconds or hours                        |
//! | `replay`      | a broker with a replay buffer                                        |
//! | `operator`    | log events and metrics                                               |
//! | `inspect`     | connections of any server: what they are, and their end              |
//! | `presence`    | members of groups and users that are online, on all servers          |
//! | `servers`     | the channel between servers: leases, messages, questions             |
//! | `access`      | TLS, Unix sockets, users, databases, client names                    |
//!
//! The servers are the machine's `redis-server` and our broker, started here on the loopback
//! interface. The modules `redis` and `ours` check the claims of `single` with both: `aspnetcore`,
//! `bursts`, `counts`, `faults`, `guarantees`, `network`, `outage`, `sends` and `signalr2`. The
//! modules `sentinel` and `cluster` check `faults`, `guarantees` and `network`, and `remembering`
//! checks `faults` and `guarantees` with a replay buffer.

#![allow(clippy::duplicate_mod, reason = "claims are checked with several servers")]

mod access;
mod backlog;
mod cluster;
mod conformance;
mod each_bus;
mod embedded;
mod endurance;
mod failover;
mod farm;
mod inspect;
mod log;
mod observer;
mod operator;
mod ours;
mod presence;
mod redis;
mod remembering;
mod replay;
mod sent_log;
mod sentinel;
mod servers;
mod site;
mod soak;
