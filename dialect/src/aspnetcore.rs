//! The channels and payloads of ASP.NET Core's backplane, `SignalR.StackExchangeRedis`.
//!
//! Each hub has a channel for all connections, and one for each connection, group and user. They
//! carry an [`Envelope`]. Internal channels carry a [`GroupCommand`], its [`Ack`], and the
//! [`Completion`] of an invocation with a result.
//!
//! Payloads are arrays of MessagePack. Written ones have the shortest forms, as ASP.NET Core writes
//! them. Read ones may have any width, and further items are ignored. Decoders borrow from the
//! payload, never recurse, and fail when the bytes end before the announced items.

mod channel;
mod completion;
mod envelope;
mod group_command;
mod items;

pub use self::channel::Channel;
pub use self::completion::Completion;
pub use self::envelope::{Envelope, ReplyTo};
pub use self::group_command::{Ack, Action, GroupCommand};
pub use self::items::Malformed;
