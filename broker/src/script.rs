//! Scripts: native code for the scripts of SignalR 2, Lua for all others.

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
