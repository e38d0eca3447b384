//! Claims that need programs beyond Rust: `cargo test -p e2e --features external`.
//!
//! | module           | claims about                                            | needs                  |
//! |------------------|---------------------------------------------------------|------------------------|
//! | `browsers`       | the chat in two pages, one on each server               | Chromium, Node.js      |
//! | `debian_conf`    | the configuration file of Debian's package              | redis-server's package |
//! | `oracle`         | what `e2e` claims of ours holds for Redis, too          | redis-server           |
//! | `redis_cli`      | what redis-cli shows                                    | redis-cli              |
//! | `signalr_client` | the unmodified JavaScript client of SignalR in the chat | Node.js                |
//!
//! `cargo xtask test` installs what is missing.

mod browsers;
mod debian_conf;
mod oracle;
mod redis_cli;
mod signalr_client;
