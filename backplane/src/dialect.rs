//! The format of the bytes on the bus.
//!
//! A dialect names **signals**, the strings that connections subscribe to. It encodes outgoing
//! messages and decodes incoming payloads. It does not handle sockets or connections.

mod except;
mod item;
mod signalr2;

pub(crate) use self::item::{Arrived, Attached, Change, Envelope, Item, Malformed};
pub(crate) use self::signalr2::Signalr2;
