//! Scripts: those of SignalR 2 by themselves, all others in Lua.

pub(crate) mod cache;
#[cfg(feature = "lua")]
pub(crate) mod engine;
pub(crate) mod flags;
#[cfg(feature = "lua")]
pub(crate) mod lua;
pub(crate) mod native;
mod scripts;
pub(crate) mod sha;

pub(crate) use self::scripts::Scripts;
