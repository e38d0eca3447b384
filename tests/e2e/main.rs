//! What users of our broker and backplane can see, from outside: processes, sockets, exit codes.
//!
//! | module          | claims about                                                            |
//! |-----------------|-------------------------------------------------------------------------|
//! | `auth`          | passwords: what is refused before them, both forms of `AUTH`, `HELLO`   |
//! | `backplane`     | many servers acting as one over a broker that may go away               |
//! | `benchmark`     | the load tool: that it runs to its end, and what it leaves behind       |
//! | `chat_demo`     | the tutorial's chat as a program: what it prints, serves and refuses    |
//! | `command_catalogue` | a helper: all commands of a server, with arguments              |
//! | `configuration` | the command line, files, and what is said about mistakes in them        |
//! | `counters`      | numbers that go on after any end of the process                          |
//! | `half_closed`   | clients that have said everything, and still listen                     |
//! | `keys`          | when keys go, who is told, and that commands on them are atomic         |
//! | `late_scripts`  | every command in every client state while a script is late              |
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
//! | `transactions`  | exactly one reply for every command between `MULTI` and `EXEC`          |
//! | `workers`       | what one client does to others holds on whatever thread they are        |
//!
//! Most modules know only `super::server`. The binary `external` runs those against `redis-server` as
//! well, so that no claim here is about what we merely believe of Redis.

mod auth;
mod backplane;
mod benchmark;
mod chat_demo;
mod command_catalogue;
mod configuration;
mod counters;
mod half_closed;
mod keys;
mod late_scripts;
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
mod transactions;
mod workers;

use harness::Server;

/// The server that the modules make their claims about.
async fn server(arguments: &[&str]) -> Server {
    Server::ours(arguments).await
}
