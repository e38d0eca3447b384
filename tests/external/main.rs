//! Tests that need programs beyond Rust: `cargo test -p e2e --features external`.
//!
//! | module            | subject                                                 | needs                  |
//! |-------------------|---------------------------------------------------------|------------------------|
//! | `browsers`        | the chat in pages of two servers, and axe-core          | Chromium, Node.js      |
//! | `console`         | the broker's console page, and axe-core                 | Chromium, Node.js      |
//! | `classic_client`  | the unmodified client of SignalR 2 in the chat          | Chromium, Node.js      |
//! | `clients`         | client libraries of many languages, redis-benchmark     | Node.js, Python, cc    |
//! | `debian_conf`     | the configuration file of Debian's package              | redis-server's package |
//! | `dump`            | copies of all keys, checked and loaded by Redis         | redis-cli, -server     |
//! | `oracle`          | modules of `e2e`, run against Redis                     | redis-server           |
//! | `pages`           | pages of `man`, and completions of the shell            | man, mandoc, bash      |
//! | `redis_cli`       | the output of redis-cli                                 | redis-cli              |
//! | `replication`     | masters and replicas, ours and those of Redis           | redis-server           |
//! | `rust_clients`    | the client libraries redis-rs and fred                  | nothing else           |
//! | `signalr_client`  | the unmodified JavaScript client of SignalR in the chat | Node.js                |
//! | `signalr_kill`    | SignalR clients while connections break, servers die    | Node.js                |
//! | `signalr_clients` | clients of SignalR in many languages                    | Chromium, Node, Python |
//! | `tls`             | clients with TLS                                        | redis-cli, Python      |
//! | `top`             | the program `broker top`                                | redis-server, script   |
//!
//! `cargo xtask test` installs missing programs.

mod browsers;
mod classic_client;
mod clients;
mod console;
mod debian_conf;
mod dump;
mod oracle;
mod pages;
mod redis_cli;
mod replication;
mod round_robin;
mod rust_clients;
mod signalr_client;
mod signalr_clients;
mod signalr_kill;
mod tls;
mod top;
