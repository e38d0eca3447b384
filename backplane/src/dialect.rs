//! What the bytes on the bus look like.
//!
//! A dialect names **signals** (strings that connections listen by), writes what is sent, and reads
//! what arrives. It knows bytes and names, and neither sockets nor connections.

mod item;
mod signalr2;

pub(crate) use self::item::{Arrived, Attached, Change, Envelope, Item, Malformed};
pub(crate) use self::signalr2::Signalr2;
