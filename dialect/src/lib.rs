//! The bytes that SignalR servers exchange over a broker.
//!
//! [`aspnetcore`] has the channels and payloads of ASP.NET Core's backplane. A payload carries hub
//! messages for clients, which [`json`] and [`messagepack`] write. [`Encoding`] selects between
//! both. [`signalr2`] has the payloads of SignalR 2's stream. Nothing here uses sockets or
//! connections.
//!
//! ```
//! use dialect::Encoding;
//! use dialect::aspnetcore::{Channel, Envelope};
//! # use serde_json::value::to_raw_value;
//!
//! let arguments = to_raw_value(&["alice", "hi"]).unwrap();
//! let json = Encoding::Json.invocation(None, "send", &arguments);
//! let envelope = Envelope { frames: vec![("json", &json)], ..Envelope::default() };
//! let payload = envelope.encode();
//!
//! assert_eq!(Channel::Group("room").name("ChatApp.ChatHub"), "ChatApp.ChatHub:group:room");
//! assert_eq!(Envelope::decode(&payload).unwrap(), envelope);
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aspnetcore;
mod encoding;
pub mod json;
pub mod length_prefix;
pub mod messagepack;
pub mod signalr2;

pub use crate::encoding::Encoding;
