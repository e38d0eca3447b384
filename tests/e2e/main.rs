//! What users of our broker and backplane can see, from outside: processes, sockets, exit codes.
//!
//! | module          | claims about                                                            |
//! |-----------------|-------------------------------------------------------------------------|
//! | `auth`          | passwords: what is refused before them, both forms of `AUTH`, `HELLO`   |
//! | `backplane`     | many servers acting as one over a broker that may go away               |
//! | `benchmark`     | the load tool: that it runs to its end, and what it leaves behind       |
//! | `chat_demo`     | the tutorial's chat as a program: what it prints, serves and refuses    |
//! | `configuration` | the command line, files, and what is said about mistakes in them        |
//! | `counters`      | numbers that go on after any end of the process                          |
//! | `drop_in`       | log rotation, signals, titles, pid files: as start scripts expect them  |
//! | `half_closed`   | clients that have said everything, and still listen                     |
//! | `keys`          | when keys go, who is told, and that commands on them are atomic         |
//! | `latency`       | how long commands take, as it is told                                   |
//! | `limits`        | input that is no protocol, and subscribers that stop reading            |
//! | `listening`     | where a running server listens, and changing it                         |
//! | `native_scripts` | SignalR's scripts without Lua, beside themselves in Lua                 |
//! | `operation`     | what operators do with a running server and with the process            |
//! | `ordering`      | every message once and all in one order, on one and on several threads  |
//! | `pubsub`        | subscribe, publish, patterns, introspection, pipelines, inline requests |
//! | `replay`        | what a subscriber missed, on channels that are remembered               |
//! | `script_patterns` | patterns that would match for ever                                  |
//! | `scripts`       | nothing comes between what a script does, and what happens if it takes long |
//! | `shutdown`      | SIGTERM                                                                 |
//! | `workers`       | what one client does to others holds on whatever thread they are        |
//!
//! Most modules know only `super::server`. The binary `external` runs those against `redis-server` as
//! well, so that no claim here is about what we merely believe of Redis.

mod auth;
mod backplane;
mod benchmark;
mod chat_demo;
mod configuration;
mod counters;
mod drop_in;
mod half_closed;
mod keys;
mod latency;
mod limits;
mod listening;
mod native_scripts;
mod operation;
mod ordering;
mod pubsub;
mod replay;
mod script_patterns;
mod scripts;
mod shutdown;
mod workers;

use harness::Server;

/// The server that the modules make their claims about.
async fn server(arguments: &[&str]) -> Server {
    Server::ours(arguments).await
}
