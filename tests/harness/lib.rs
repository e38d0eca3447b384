//! Tools of the end-to-end tests: processes under test and a client that hides nothing.
//!
//! A [`Server`] is a process that speaks Redis' protocol: our broker or Debian's `redis-server`. A
//! [`Client`] is a socket with a RESP decoder. A [`Process`] is any other program with its output.
//! Every wait has a deadline ([`within`], [`eventually`]). After it, the harness panics with the
//! output received so far, so a failing test explains itself without a second run.
//!
//! The harness sees sockets, exit codes and text, as a user does. Of our code it uses only the encoder
//! of requests, from crate `resp`.

mod balancer;
mod certificates;
mod chat;
mod client;
mod cluster;
mod dice;
mod node;
mod port;
mod process;
mod program;
mod proxy;
mod python;
mod replication;
mod reply;
mod sentinel;
mod server;
mod wait;

pub use balancer::{Balancer, Cut};
pub use certificates::{Certificates, Tunnel};
pub use chat::{Chat, ChatFarm};
pub use client::{Client, Protocol, request};
pub use cluster::{Cluster, MovingSlot};
pub use dice::Dice;
pub use node::node;
pub use port::free_port;
pub use process::{Finished, Process};
pub use program::{
    backplane_bin, bench_bin, broker_bin, broker_top_bin, chat_demo_bin, redis_8_bin, workspace_dir,
};
pub use proxy::{FAR, Fault, Proxy};
pub use python::python;
pub use replication::{Replicated, content, random_changes};
pub use reply::{Reply, Value, error, null, ok, simple};
pub use sentinel::Sentinel;
pub use server::{Kind, Server};
pub use wait::{DEADLINE, SLOW_DEADLINE, eventually, eventually_within, within};

/// The Rust code of the book. Its commands run in the tests of `book`.
#[cfg(all(doctest, feature = "external"))]
mod chapters {
    #[doc = include_str!("../../docs/src/embed.md")]
    #[doc = include_str!("../../docs/src/hubs.md")]
    mod code {}
}
