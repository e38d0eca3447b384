//! Our broker and backplane as users see them: processes, sockets, exit codes.
//!
//! | module              | subject                                                          |
//! |---------------------|------------------------------------------------------------------|
//! | `auth`              | passwords: refused requests before login, `AUTH` and `HELLO`     |
//! | `backplane`         | several servers on one broker, and its restart                   |
//! | `benchmark`         | the load tool: it runs until its end and writes its results      |
//! | `chat_demo`         | the tutorial's chat as a program: output, pages, refused options |
//! | `command_catalogue` | a helper: all commands of a server, with arguments               |
//! | `configuration`     | the command line, files, and the errors of mistakes              |
//! | `counters`          | counters that continue after any end of the process              |
//! | `draining`          | the end of all clients, spread over a time                       |
//! | `drop_in`           | log rotation, signals, titles and pid files for start scripts    |
//! | `dump`              | a copy of all keys on the wire, for `redis-cli --rdb`            |
//! | `emit`              | the program `backplane`: receivers, dialects, and mistakes       |
//! | `endings`           | places of clients, and requests that delay an end                |
//! | `every_ending`      | every reason for an end, with every kind of peer                 |
//! | `every_limit`       | every limit of memory, filled in every way                       |
//! | `fairness`          | pipelines of expensive commands beside another client             |
//! | `figures`           | figures of INFO and CLIENT LIST that are our own                 |
//! | `filler`            | a helper: clients that send much                                 |
//! | `half_closed`       | clients that shut down their write half                          |
//! | `keys`              | expiry, notifications, and atomic commands                       |
//! | `late_scripts`      | every command in every client state while a script is late       |
//! | `latency`           | the durations of commands, as the server reports them            |
//! | `limits`            | protocol errors, and subscribers that stop reading               |
//! | `listening`         | the port and addresses of a running server, and their changes    |
//! | `metrics`           | the HTTP port: metrics for Prometheus, and checks                |
//! | `native_scripts`    | SignalR's scripts without Lua, compared with Lua                 |
//! | `occupancy`         | events about the first and the last subscription of a channel    |
//! | `operation`         | actions of operators on a running server and its process         |
//! | `ordering`          | each message once and in one order, on one and several threads   |
//! | `ping`              | `broker ping`: its exit status, and the reason of a failure      |
//! | `processor_time`    | the time of each command with more and more arguments            |
//! | `pubsub`            | subscribe, publish, patterns, introspection, pipelines, inline   |
//! | `replay`            | replay of missed messages                                        |
//! | `script_patterns`   | patterns of scripts that would match endlessly                   |
//! | `returns`           | many clients that return at once with many subscriptions         |
//! | `scripts`           | atomic scripts, and scripts that take long                       |
//! | `shutdown`          | SIGTERM                                                          |
//! | `sight`             | the load of channels, and the subscribers of a channel           |
//! | `slow_subscribers`  | policies for subscribers at their limit, and notices of losses   |
//! | `socket_activation` | sockets that systemd has opened                                  |
//! | `stackexchange`     | bursts of .NET's client, and a recorded farm of ASP.NET Core     |
//! | `tables`            | the time of commands on larger and larger tables                 |
//! | `taps`              | taps: messages of other channels, decoded                        |
//! | `tls`               | TLS: certificates, their changes, and hostile clients            |
//! | `transactions`      | exactly one reply for every command between `MULTI` and `EXEC`   |
//! | `user_limits`       | what the clients of one user may take                            |
//! | `workers`           | effects on clients of other threads                              |
//!
//! Most modules use only `super::server`. The binary `external` runs some of them against
//! `redis-server` as well, so their expectations are facts about Redis.

mod auth;
mod backplane;
mod benchmark;
mod chat_demo;
mod command_catalogue;
mod configuration;
mod counters;
mod draining;
mod drop_in;
mod dump;
mod emit;
mod endings;
mod every_ending;
mod every_limit;
mod fairness;
mod figures;
mod filler;
mod half_closed;
mod http_calls;
mod http_site;
mod keys;
mod late_scripts;
mod latency;
mod limits;
mod listening;
mod metrics;
mod native_scripts;
mod occupancy;
mod operation;
mod ordering;
mod ping;
mod processor_time;
mod pubsub;
mod replay;
mod replication;
mod returns;
mod script_patterns;
mod scripts;
mod shutdown;
mod sight;
mod slow_subscribers;
mod socket_activation;
mod stackexchange;
mod tables;
mod taps;
mod tls;
mod transactions;
mod user_limits;
mod workers;

use harness::Server;

/// Starts the server that the modules test.
async fn server(arguments: &[&str]) -> Server {
    Server::ours(arguments).await
}
